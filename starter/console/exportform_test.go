package console_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/protocol"
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
	for _, want := range []string{"What the first 40 rows become", "38</td>", "E-mail address is missing", "01.02.2026", "1 Feb 2026"} {
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
	w.answers[protocol.ExportList], w.answers[protocol.ConnectionList], w.answers[protocol.SourceList] = nil, nil, nil
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
