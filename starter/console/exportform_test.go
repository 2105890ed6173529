package console_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/starter/console"
)

// fields answers the look into a source's rows.
func fields(w *worker, fields ...protocol.PreviewField) {
	source := w.answers[protocol.SourceShow].(protocol.SourceAnswer)
	source.Fields = nil
	for _, f := range fields {
		source.Fields = append(source.Fields, f.Name)
	}
	w.answers[protocol.SourceShow] = source
	w.answers[protocol.ExportPreview] = protocol.PreviewAnswer{Rows: 4, Fields: fields}
}

func TestFieldsAreSuggestedByNameAndByTheirValues(t *testing.T) {
	tests := map[string]struct {
		fields []protocol.PreviewField
		want   []string // that the form has
		not    []string
	}{
		"by name": {[]protocol.PreviewField{{Name: "E-Mail_Address"}, {Name: "First Name"}},
			[]string{`name="map.email" required><option value="">Not mapped</option><option value="E-Mail_Address" selected>`, `<option value="First Name" selected>`}, nil},
		"by value": {[]protocol.PreviewField{{Name: "f_1", Samples: []string{"London"}}, {Name: "f_2", Samples: []string{"ada@example.com", "bob@example.com"}}},
			[]string{`<option value="f_2" selected>f_2 (ada@example.com)</option>`}, []string{`<option value="f_1" selected>`}},
		"no telephone number": {[]protocol.PreviewField{{Name: "Email"}, {Name: "Phone", Samples: []string{"+48 601 000 001"}}},
			nil, []string{`<option value="Phone" selected>`}},
		"no date without consent": {[]protocol.PreviewField{{Name: "Email"}, {Name: "ConsentDate"}},
			nil, []string{`<option value="ConsentDate" selected>`}},
		"a field once": {[]protocol.PreviewField{{Name: "mail", Samples: []string{"a@b.example"}}, {Name: "other", Samples: []string{"c@d.example"}}},
			[]string{`<option value="mail" selected>`}, []string{`<option value="other" selected>`}},
	}
	for name, test := range tests {
		w := full("contributor")
		fields(w, test.fields...)
		body := open(t, w).get("/exports/new?name=n&source=crm&connection=shop").Body.String()
		for _, want := range test.want {
			assert.Contains(t, body, want, name)
		}
		for _, not := range test.not {
			assert.NotContains(t, body, not, name)
		}
	}
}

func TestTheFormShowsWhatConsentValuesMean(t *testing.T) {
	w := full("contributor")
	fields(w, protocol.PreviewField{Name: "Email"}, protocol.PreviewField{Name: "Consent", Filled: 4, Values: []protocol.PreviewValue{{Value: "Yes", Count: 1200}, {Value: "ja", Count: 3}}})
	body := open(t, w).get("/exports/new?name=n&source=crm&connection=shop").Body.String()
	assert.Regexp(t, `Yes</th><td class="num">1,200</td><td>consent</td>`, body)
	assert.Regexp(t, `ja</th><td class="num">3</td><td>not declared: no consent</td>`, body)
}

func TestAPreviewSavesNothing(t *testing.T) {
	w := full("contributor")
	b := open(t, w)
	got := b.post("/exports/x/edit", url.Values{"version": {"3"}, "source": {"crm"}, "segment": {hostile}, "map.email": {"Email"}, "then": {"preview"}})
	assert.Equal(t, http.StatusOK, got.Code)
	for _, want := range []string{"The contacts that the first 40 rows become", "38</td>", "Email address is missing", "01.02.2026", "1 Feb 2026"} {
		assert.Contains(t, got.Body.String(), want)
	}
	assert.NotContains(t, w.given(), protocol.ExportEdit)
	assert.Equal(t, int64(3), w.export().Version)

	w.answers[protocol.ExportPreview] = &failure{protocol.ErrFailed, "the source does not answer"}
	got = b.post("/exports/x/edit", url.Values{"version": {"3"}, "source": {"crm"}, "segment": {hostile}, "map.email": {"Email"}, "then": {"preview"}})
	assert.Contains(t, got.Body.String(), "the source does not answer")
	assert.Contains(t, got.Body.String(), `value="save"`, "the form works without a preview")
}

// Every setting of an export has its field, and settings without one stay.
func TestTheFormHasEverySettingOfAnExport(t *testing.T) {
	w := full("admin")
	b := open(t, w)
	form := url.Values{"version": {"3"}, "connection": {"shop"}, "source": {"crm"}, "id": {"Email"}, "segment": {"a", "b"}, "marker.a": {"segment_a"}, "map.email": {"Email"},
		"map.property:loyalty": {"FirstName"}, "property": {"tier:number"}, "property.field": {"FirstName"}, "consent": {"ja, si"}, "optout": {"nein"},
		"refusals": {"none"}, "undated": {"ignore"}, "dateformat": {"dmy"}, "timezone": {"Europe/Warsaw"}, "guard.shrunk": {"30 %"}, "guard.cleared": {"5"},
		"leavers": {"keep"}, "empty": {"clear"}, "fullevery": {"30"}, "lenient": {"yes"}, "runas": {"Grace"}, "then": {"save"}}
	require.Equal(t, http.StatusSeeOther, b.post("/exports/x/edit", form).Code)
	assert.Equal(t, catalogue.ExportSpec{Connection: "shop", Source: "crm", ID: "Email",
		Segments: []catalogue.ExportedSegment{{Segment: "a", Marker: "segment_a"}, {Segment: "b"}},
		Mapping:  contact.Mapping{contact.Email: "Email", "property:loyalty": "FirstName", "property:tier:number": "FirstName"},
		Consent:  contact.ConsentRule{Consent: []string{"ja", "si"}, OptOut: []string{"nein"}, Refusals: "none", UndatedOptOuts: "ignore"},
		Dates:    catalogue.Dates{DateFormat: "dmy", TimeZone: "Europe/Warsaw"}, Guards: map[catalogue.Guard]catalogue.Threshold{"shrunk": 0.3, "cleared": 0.05},
		Leavers: "keep", Empty: "clear", FullEvery: 30, LenientLocalPart: true, RunAs: "Grace"}, w.export().ExportSpec)
	body := b.get("/exports/x/edit").Body.String()
	for name := range form {
		if name != "then" && name != "marker.a" { // the source has no segment a
			assert.Contains(t, body, `name="`+name+`"`)
		}
	}
	delete(form, "map.property:loyalty")
	form.Set("version", "4")
	require.Equal(t, http.StatusSeeOther, b.post("/exports/x/edit", form).Code)
	assert.Equal(t, "FirstName", w.export().Mapping["property:loyalty"], "a form that lacks it leaves it")
	form["map.property:loyalty"], form["version"] = []string{""}, []string{"5"}
	require.Equal(t, http.StatusSeeOther, b.post("/exports/x/edit", form).Code)
	assert.NotContains(t, w.export().Mapping, contact.Attribute("property:loyalty"))
}

func TestAFirstVisitInTheSandboxOffersTheExample(t *testing.T) {
	w := full("admin")
	w.answers[protocol.Overview], w.answers[protocol.ConnectionList], w.answers[protocol.SourceList] = protocol.OverviewAnswer{}, nil, nil
	w.answers[protocol.SourceAdd] = &failure{protocol.ErrExists, "there is one already"}
	b := open(t, w)
	assert.Contains(t, b.get("/").Body.String(), "Set up the example")
	w.orders = nil
	got := b.post("/example", nil)
	assert.Equal(t, http.StatusSeeOther, got.Code)
	assert.Equal(t, "/exports/spring", got.Header().Get("Location"))
	assert.Equal(t, []string{protocol.SourceAdd, protocol.ConnectionAdd, protocol.ExportAdd}, w.given())
	for _, role := range []string{"contributor", "viewer"} {
		w.role = role
		assert.NotContains(t, open(t, w).get("/").Body.String(), "Set up the example")
	}
}

func TestAlertsAreAddedAndChanged(t *testing.T) {
	w := full("admin")
	b := open(t, w)
	mail := url.Values{"name": {"ops"}, "channel": {"mail"}, "on": {"failed", "late"}, "rejects": {"5"}, "late": {"26"}, "export": {"spring"},
		"server": {"smtp.example.com:587"}, "from": {"a@example.com"}, "to": {"b@example.com, c@example.com"}, "user": {"u"}, "password": {"a-password"}}
	require.Equal(t, http.StatusSeeOther, b.post("/records/alerts/new", mail).Code)
	last := func() console.Order { return w.orders[len(w.orders)-1] }
	assert.Equal(t, protocol.AlertAddArgs{Name: "ops", Exports: []string{"spring"}, On: []catalogue.Condition{"failed", "late"}, Rejects: 0.05, Late: 26 * time.Hour}, last().Args)
	assert.Equal(t, []string{"b@example.com", "c@example.com"}, last().Secret.(protocol.AlertSecret).Mail.To)
	assert.Equal(t, "a-password", last().Secret.(protocol.AlertSecret).Mail.Password)

	hook := url.Values{"name": {"chat"}, "channel": {"webhook"}, "on": {"failed"}, "rejects": {"5"}, "credential": {"https://hooks.example.com/secret"}}
	require.Equal(t, http.StatusSeeOther, b.post("/records/alerts/new", hook).Code)
	key := last().Secret.(protocol.AlertSecret).Webhook.Key
	assert.Contains(t, b.get("/records/alerts").Body.String(), key, "it is shown once")
	assert.NotContains(t, b.get("/records/alerts").Body.String(), key)

	mail["late"] = nil
	got := b.post("/records/alerts/new", mail)
	assert.Equal(t, http.StatusUnprocessableEntity, got.Code)
	assert.Contains(t, got.Body.String(), "Late needs a number of hours")
	assert.Contains(t, got.Body.String(), "b@example.com, c@example.com")
	assert.NotContains(t, got.Body.String(), "a-password")

	require.Equal(t, http.StatusSeeOther, b.post("/records/alerts/ops", url.Values{"version": {"2"}, "on": {"parked"}, "rejects": {"7.5"}}).Code)
	assert.Equal(t, protocol.AlertEditArgs{AlertAddArgs: protocol.AlertAddArgs{Name: "ops", On: []catalogue.Condition{"parked"}, Rejects: 0.075}, Version: 2}, last().Args)
}

// Every setting of each kind of source has its field.
func TestTheFormHasEverySettingOfASource(t *testing.T) {
	kinds := map[string]struct {
		form url.Values
		want protocol.SourceSettings
	}{
		"files": {url.Values{"path": {"in"}, "url": {""}, "account": {"a"}, "endpoint": {"e"}, "region": {"r"}, "layout": {"plain"}, "delimiter": {"tab"}, "encoding": {"windows-1252"},
			"columns": {`Mail,"Name, full"`}, "quoteescape": {"backslash"}, "sheet": {"Buyers"}, "timezone": {"Europe/Warsaw"}, "dateformat": {"dmy"}},
			protocol.SourceSettings{Dates: &catalogue.Dates{TimeZone: "Europe/Warsaw", DateFormat: "dmy"}, Files: &catalogue.FilesSettings{Path: "in", Account: "a", Endpoint: "e", Region: "r", Layout: "plain", Delimiter: "tab", Encoding: "windows-1252",
				Columns: []string{"Mail", "Name, full"}, QuoteEscape: "backslash", Sheet: "Buyers"}}},
		"dataverse": {url.Values{"url": {"https://x"}, "auth": {"secret"}, "tenant": {"t"}, "client": {"c"}, "authority": {"https://a"}, "onchange": {"warn"}, "settle": {"-1"}},
			protocol.SourceSettings{Dataverse: &catalogue.DataverseSettings{URL: "https://x", Auth: "secret", Tenant: "t", ClientID: "c", Authority: "https://a", OnChange: "warn", SettleSeconds: -1}}},
		"postgres": {url.Values{"host": {"h"}, "port": {"5433"}, "database": {"d"}, "user": {"u"}, "tls": {"require"}, "ca": {"PEM"}, "schema": {"s"}, "id": {"i"}},
			protocol.SourceSettings{Postgres: &catalogue.PostgresSettings{Host: "h", Port: 5433, Database: "d", User: "u", TLS: "require", CA: "PEM", Schema: "s", ID: "i"}}},
	}
	for kind, test := range kinds {
		w := full("admin")
		b := open(t, w)
		body := b.get("/sources/new?kind=" + kind).Body.String()
		for name := range test.form {
			assert.Contains(t, body, `name="`+name+`"`, kind)
		}
		test.form.Set("name", "crm")
		test.form.Set("kind", kind)
		require.Equal(t, http.StatusSeeOther, b.post("/sources/new", test.form).Code, kind)
		args := w.orders[len(w.orders)-1].Args.(protocol.SourceAddArgs)
		args.Shared = nil
		assert.Equal(t, test.want, args.SourceSettings, kind)
	}
	w := full("admin")
	source := w.answers[protocol.SourceShow].(protocol.SourceAnswer)
	source.Files = &catalogue.FilesSettings{Path: "in", Sheet: "Buyers"}
	w.answers[protocol.SourceShow] = source
	require.Equal(t, http.StatusSeeOther, open(t, w).post("/sources/crm/edit", url.Values{"version": {"4"}, "path": {"out"}}).Code)
	edited := w.orders[len(w.orders)-1]
	assert.Equal(t, int64(4), edited.Args.(protocol.SourceEditArgs).Version)
	assert.Equal(t, catalogue.FilesSettings{Path: "out", Sheet: "Buyers"}, *edited.Args.(protocol.SourceEditArgs).Files, "what the form lacks stays")
	assert.Nil(t, edited.Secret, "the credential stays")
}
