package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/starter/console"
)

var now = time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)

// failure is what the worker of these tests refuses with.
type failure struct{ class, message string }

func (f *failure) Error() string { return f.message }
func (f *failure) Class() string { return f.class }

// worker answers commands from a table and remembers what it was asked.
type worker struct {
	mu       sync.Mutex
	role     string
	answers  map[string]any // an error is a refusal
	orders   []console.Order
	progress *protocol.Progress
	people   map[string]string // names by token
}

func (w *worker) Call(_ context.Context, do console.Order) (json.RawMessage, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.orders = append(w.orders, do)
	if do.Token != "" { // a stand-in for the verification that a worker does
		name := w.people[do.Token]
		if name == "" {
			return nil, &failure{protocol.ErrNotAllowed, "the token was not accepted"}
		}
		if do.Name == protocol.WhoAmI {
			return json.Marshal(protocol.WhoAmIAnswer{Name: name, Role: w.role})
		}
	}
	if do.Name == protocol.WhoAmI {
		return json.Marshal(protocol.WhoAmIAnswer{Name: "Ada", Role: w.role})
	}
	role, err := access.ParseRole(w.role)
	if err != nil {
		return nil, err
	}
	if err := access.Check(access.Principal{Name: "Ada", Role: role}, do.Name); err != nil {
		return nil, &failure{protocol.ErrNotAllowed, err.Error()}
	}
	if do.Name == protocol.ExportEdit {
		if err := w.edit(do.Args.(protocol.ExportEditArgs)); err != nil {
			return nil, err
		}
	}
	answer, ok := w.answers[do.Name]
	if !ok {
		return json.RawMessage("null"), nil
	}
	if err, failed := answer.(error); failed {
		return nil, err
	}
	return json.Marshal(answer)
}

// export is the export as the worker has it.
func (w *worker) export() protocol.ExportAnswer {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.answers[protocol.ExportShow].(protocol.ExportAnswer)
}

// edit changes the export as a worker does: only from its present version.
func (w *worker) edit(args protocol.ExportEditArgs) error {
	export := w.answers[protocol.ExportShow].(protocol.ExportAnswer)
	if args.Version != export.Version {
		return &failure{protocol.ErrConflict, "the export was changed since"}
	}
	export.ExportSpec, export.Version = args.ExportSpec, export.Version+1
	export.UpdatedBy, export.UpdatedAt = "Grace", now
	w.answers[protocol.ExportShow] = export
	return nil
}

func (w *worker) Progress(context.Context, string) (*protocol.Progress, error) {
	if w.progress == nil {
		return nil, errors.New("no worker")
	}
	return w.progress, nil
}

// given are the names of the commands that were given, who is who apart.
func (w *worker) given() (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.orders {
		if o.Name != protocol.WhoAmI {
			names = append(names, o.Name)
		}
	}
	return names
}

// browser is one that keeps its cookies and follows no redirect.
type browser struct {
	t       *testing.T
	handler http.Handler
	cookies []*http.Cookie
}

const host = "127.0.0.1:8234"

func open(t *testing.T, w *worker) *browser {
	t.Helper()
	c := serve(t, w, host)
	b := &browser{t: t, handler: c}
	require.Equal(t, http.StatusSeeOther, b.get(c.LoginPath()).Code)
	return b
}

// serve is a console in front of a worker.
func serve(t *testing.T, w *worker, host string) *console.Console {
	t.Helper()
	c, err := console.New(console.Options{Worker: w, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
		Every: func(time.Duration) (<-chan time.Time, func()) { return make(chan time.Time), func() {} }, Hosts: []string{host}, Sandbox: true, Example: "examples/segments"})
	require.NoError(t, err)
	return c
}

func (b *browser) do(r *http.Request) *httptest.ResponseRecorder {
	r.Host = host
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	b.cookies = append(b.cookies, w.Result().Cookies()...)
	return w
}

func (b *browser) get(path string) *httptest.ResponseRecorder {
	return b.do(httptest.NewRequest(http.MethodGet, path, nil))
}

func (b *browser) post(path string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

// hostile is a name as nobody should give one: HTML, a mark that turns the
// direction of the text after it, quotes, Hebrew, and 200 characters without a
// place to break.
var hostile = `<script>alert(1)</script>` + "\u202e" + `"'&` + "\u05e9\u05dc\u05d5\u05dd" + strings.Repeat("n", 164) + "end"

func full(role string) *worker {
	report := run.Report{Export: hostile, RunID: "r-1", Status: run.Parked, Phase: run.PhaseDecide, Contacts: 10, ToSend: 8, Unsent: 8, Unchanged: 2, Read: 12,
		Reason: "guard first-run: the first run would send 8 contacts.", StartedAt: now.Add(-time.Minute), Reasons: map[string]int{"email_missing": 2},
		Guards: []run.GuardResult{{Guard: catalogue.GuardFirstRun, Message: "the first run would send 8 contacts"}}}
	answer := protocol.RunAnswer{Report: report, WorkflowID: "export/x", CreatedAt: now}
	export := protocol.ExportAnswer{Permissions: protocol.MayEdit}
	if role == "viewer" {
		export.Permissions = protocol.MayView
	}
	export.Name, export.Source, export.Connection, export.Version = hostile, "crm", "shop", 3
	export.Segments = []catalogue.ExportedSegment{{Segment: hostile, Marker: "segment_x"}}
	export.Mapping = contact.Mapping{contact.Email: "Email", contact.ConsentFlag: hostile, "property:loyalty": "Email"}
	export.Starts = hostile
	export.LastRun = &answer
	return &worker{role: role, answers: map[string]any{
		protocol.Status: protocol.StatusAnswer{Workers: []protocol.WorkerStatus{{Identity: "w"}}, Attend: []protocol.AttendStatus{{Export: hostile, RunID: "r-1", Status: run.Parked, Reason: "waits"}}},
		protocol.Overview: protocol.OverviewAnswer{All: 1, Found: 1, Page: 1, Pages: 1, Cards: []protocol.ExportCard{{Name: hostile, Segments: []string{hostile}, Source: "crm", Connection: "shop",
			Permissions: export.Permissions, Next: now.Add(time.Hour), Runs: []protocol.RunBrief{{RunID: "r-1", Status: run.Parked, At: now.Add(-time.Minute), Delivered: 8, Rejected: 2}, {RunID: "r-0", Status: run.Completed, At: now.Add(-time.Hour)}}}}},
		protocol.ExportList:     []protocol.ExportAnswer{export},
		protocol.ExportShow:     export,
		protocol.RunsList:       protocol.RunsPage{Runs: []*protocol.RunAnswer{&answer}},
		protocol.RunsShow:       answer,
		protocol.ConnectionList: []catalogue.Connection{{Meta: catalogue.Meta{Name: "shop"}, BrandID: "b", BrandName: hostile}},
		protocol.ConnectionShow: protocol.ConnectionAnswer{Connection: catalogue.Connection{Meta: catalogue.Meta{Name: "shop"}, BrandID: "b", CallsPerMinute: 400, Share: 0.75},
			Hour: []protocol.BudgetMinute{{At: now.Add(-30 * time.Minute), Calls: 120, Limit: 300}, {At: now.Add(-2 * time.Minute), Calls: 290, Refused: 1, Limit: 285}}},
		protocol.SourceList: []catalogue.Source{{Meta: catalogue.Meta{Name: "crm"}, Type: catalogue.TypeFiles}},
		protocol.SourceShow: protocol.SourceAnswer{Source: catalogue.Source{Meta: catalogue.Meta{Name: "crm"}, Type: catalogue.TypeFiles}, SegmentList: []protocol.SegmentAnswer{{Name: hostile}}, Fields: []string{"Email", "FirstName", hostile}},
		protocol.ExportPreview: protocol.PreviewAnswer{Rows: 40, More: true, Fields: []protocol.PreviewField{{Name: "Email", Filled: 40, Samples: []string{"ada@example.com"}},
			{Name: hostile, Filled: 40, Samples: []string{hostile, "no"}, Values: []protocol.PreviewValue{{Value: "yes", Count: 30}, {Value: hostile, Count: 10}}}},
			Result: &protocol.PreviewOutcome{Contacts: 38, Subscribed: 20, NonSubscribed: 18, Invalid: map[string]int{"email_missing": 2}, Notes: map[string]int{"consent_without_date": 10},
				LeftOut: map[string]int{"phone invalid": 3}, Dates: []contact.DateSample{{Text: "01.02.2026", Read: "1 Feb 2026"}}}},
		protocol.ScheduleShow: []protocol.ScheduleAnswer{{Export: hostile, Mode: protocol.ModeRefresh}},
		protocol.RefreshShow:  protocol.RefreshAnswer{Starts: "never"},
		protocol.Audit:        protocol.AuditPage{Entries: []protocol.AuditAnswer{{ID: "1", Actor: "Ada", Command: "run", Object: hostile}}},
		protocol.AccessList:   []protocol.PersonAnswer{{Name: hostile, Role: "viewer"}},
		protocol.AlertList:    []catalogue.Alert{{Meta: catalogue.Meta{Name: hostile}}},
		protocol.AlertShow:    catalogue.Alert{Meta: catalogue.Meta{Name: hostile, Version: 2}, Channel: catalogue.ChannelMail, Target: hostile, On: []catalogue.Condition{catalogue.ConditionFailed}, Rejects: 0.05, Late: 26 * time.Hour},
		protocol.RunsRejects:  protocol.RejectsPage{Rejects: []protocol.Reject{{Segment: "s", Row: 3, Email: "=cmd@x", Reason: "email_invalid"}}, Total: 1, Kept: 1},
		protocol.Explain:      protocol.ExplainAnswer{Exports: []protocol.ExplainedExport{{Export: hostile, Verdict: "confirmed", Next: "nothing"}}},
		protocol.Run:          protocol.RunStarted{RunID: "r-2"},
		protocol.Plan:         protocol.RunStarted{RunID: "r-3"},
	}}
}

// pages are all that can be looked at.
var pages = []string{"/", "/runs", "/runs/r-1", "/runs/r-1/rejects", "/runs/r-1/samples", "/exports", "/exports/x", "/exports/x/edit", "/exports/new",
	"/exports/new?name=a&source=crm", "/connections", "/connections/new", "/connections/shop", "/sources", "/sources/new", "/sources/new?kind=dataverse",
	"/sources/new?kind=postgres", "/sources/crm", "/schedules", "/schedules?zone=Europe/Warsaw", "/records", "/records/people", "/records/person", "/records/alerts", "/records/alerts/new", "/records/alerts/new?channel=webhook", "/records/alerts/ops",
	"/sources/crm/edit"}

func TestEveryPageRendersForEveryRole(t *testing.T) {
	for _, role := range []string{"viewer", "contributor", "admin"} {
		b := open(t, full(role))
		for _, path := range pages {
			w := b.get(path)
			if w.Code == http.StatusForbidden {
				assert.NotEqual(t, "admin", role, path)
				continue // TestRolesSeeAndMayDoWhatTheyMay has these
			}
			require.Equal(t, http.StatusOK, w.Code, "%s as %s: %s", path, role, w.Body)
			body := w.Body.String()
			assert.NotContains(t, body, "<script>alert", path)
			assert.Contains(t, body, "</html>", path)
			assert.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'", path)
			assert.Equal(t, "no-store", w.Header().Get("Cache-Control"), path)
			for _, address := range regexp.MustCompile(`(?:src|href|action)="([^"]*)"`).FindAllStringSubmatch(body, -1) {
				assert.Regexp(t, `^(/|\?|#)`, address[1], "%s loads or leads elsewhere", path)
			}
		}
	}
}

func TestNothingIsShownWithoutALogin(t *testing.T) {
	w := full("admin")
	b := open(t, w)
	w.orders = nil
	stranger := &browser{t: t, handler: b.handler}
	for _, path := range pages {
		assert.Equal(t, http.StatusUnauthorized, stranger.get(path).Code, path)
	}
	assert.Equal(t, http.StatusUnauthorized, stranger.post("/runs/r-1", url.Values{"do": {"cancel"}}).Code)
	assert.Empty(t, w.given(), "no command is given for a stranger")
}

func TestALoginAddressWorksOnce(t *testing.T) {
	c, err := console.New(console.Options{Worker: full("admin"), Log: slog.Default(), Now: func() time.Time { return now }, Hosts: []string{host}, Sandbox: true, Example: "examples/segments"})
	require.NoError(t, err)
	old, path := c.LoginPath(), c.LoginPath()
	assert.Equal(t, http.StatusForbidden, (&browser{handler: c}).get(old).Code, "a newer address replaces it")
	assert.Equal(t, http.StatusSeeOther, (&browser{handler: c}).get(path).Code)
	assert.Equal(t, http.StatusForbidden, (&browser{handler: c}).get(path).Code)
	var last int
	for range 20 {
		last = (&browser{handler: c}).get("/login?once=guess").Code
	}
	assert.Equal(t, http.StatusTooManyRequests, last)
}

func TestOtherSitesAndNamesAreRefused(t *testing.T) {
	w := full("admin")
	b := open(t, w)
	w.orders = nil
	r := httptest.NewRequest(http.MethodPost, "/runs/r-1", strings.NewReader("do=cancel"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	assert.Equal(t, http.StatusForbidden, b.do(r).Code)
	r = httptest.NewRequest(http.MethodGet, "/", nil)
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	r.Host = "evil.example:8234"
	out := httptest.NewRecorder()
	b.handler.ServeHTTP(out, r)
	assert.Equal(t, http.StatusMisdirectedRequest, out.Code)
	assert.Empty(t, w.given())
}

func TestButtonsGiveCommands(t *testing.T) {
	tests := []struct {
		path string
		form url.Values
		want string
		to   string
	}{
		{"/runs/r-1", url.Values{"do": {"cancel"}}, protocol.RunsCancel, "/runs/r-1"},
		{"/runs/r-1", url.Values{"do": {"approve"}, "guard": {"first-run"}}, protocol.RunsApprove, "/runs/r-1"},
		{"/exports/x", url.Values{"do": {"run"}}, protocol.Run, "/runs/r-2"},
		{"/exports/x", url.Values{"do": {"plan"}}, protocol.Plan, "/runs/r-3"},
		{"/exports/new", url.Values{"name": {"x"}, "segment": {"a"}, "map.email": {"Email"}}, protocol.ExportAdd, "/exports/x"},
		{"/exports/x/remove", url.Values{"confirm": {"x"}, "markers": {"keep"}}, protocol.ExportRemove, "/exports"},
		{"/connections/new", url.Values{"name": {"shop"}, "key": {"secret-key"}, "agree": {"yes"}}, protocol.ConnectionAdd, "/connections/shop"},
		{"/connections/shop", url.Values{"do": {"stop"}}, protocol.ConnectionStop, "/connections/shop"},
		{"/sources/new", url.Values{"name": {"crm"}, "kind": {"files"}, "path": {"in"}}, protocol.SourceAdd, "/sources/crm"},
		{"/schedules", url.Values{"do": {"set"}, "export": {"x"}, "every": {"day"}, "at": {"06:00"}, "tz": {"UTC"}}, protocol.ScheduleSet, "/exports/x"},
	}
	for _, test := range tests {
		w := full("admin")
		b := open(t, w)
		got := b.post(test.path, test.form)
		require.Equal(t, http.StatusSeeOther, got.Code, "%s %v: %s", test.path, test.form, got.Body)
		assert.Equal(t, test.to, got.Header().Get("Location"))
		assert.Contains(t, w.given(), test.want)
		for _, o := range w.orders {
			raw, err := json.Marshal(o.Args)
			require.NoError(t, err)
			assert.NotContains(t, string(raw), "secret-key", "a secret travels sealed")
		}
	}
}

func TestWhatCannotBeUndoneNeedsTheNameTyped(t *testing.T) {
	w := full("admin")
	b := open(t, w)
	w.orders = nil
	for _, path := range []string{"/exports/x/remove", "/connections/x/remove", "/sources/x/remove"} {
		assert.Equal(t, http.StatusUnprocessableEntity, b.post(path, url.Values{"confirm": {"y"}}).Code, path)
	}
	assert.Equal(t, http.StatusUnprocessableEntity, b.post("/records/person", url.Values{"do": {"forget"}, "email": {"a@b.example"}, "confirm": {"no"}}).Code)
	assert.Empty(t, w.given())
}

func TestRefusalsBecomePages(t *testing.T) {
	for class, status := range map[string]int{protocol.ErrNotAllowed: 403, protocol.ErrNotFound: 404, protocol.ErrConflict: 409, protocol.ErrUsage: 422, "no worker": 503} {
		w := full("viewer")
		w.answers[protocol.RunsShow] = &failure{class, "the worker said no"}
		got := open(t, w).get("/runs/r-1")
		assert.Equal(t, status, got.Code)
		assert.Contains(t, got.Body.String(), "the worker said no")
	}
}

func TestAStaleFormKeepsWhatWasTyped(t *testing.T) {
	w := full("contributor")
	b := open(t, w)
	form := url.Values{"version": {"2"}, "base": {`{"source":"crm","mapping":{"email":"Mail"}}`}, "source": {"crm"}, "segment": {hostile}, "map.email": {"Email"}, "consent": {"Y"}}
	got := b.post("/exports/x/edit", form)
	assert.Equal(t, http.StatusUnprocessableEntity, got.Code)
	for _, want := range []string{"after you opened this form", "mapping.email", "&#34;Mail&#34;", "&#34;Email&#34;", `value="Y"`, `name="version" value="3"`} {
		assert.Contains(t, got.Body.String(), want)
	}
	form.Set("version", "3")
	assert.Equal(t, http.StatusSeeOther, b.post("/exports/x/edit", form).Code, "saved again, knowing what was changed")
}

func TestPagesShareAnswersForSeconds(t *testing.T) {
	w := full("viewer")
	b := open(t, w)
	w.orders = nil
	for range 5 {
		require.Equal(t, http.StatusOK, b.get("/exports").Code)
	}
	assert.Equal(t, []string{protocol.Overview}, w.given())
}

// However many exports and runs there are, a page gives the same few commands,
// and fits into one answer of each.
func TestPagesGiveAFixedNumberOfCommands(t *testing.T) {
	w := full("admin")
	cards := make([]protocol.ExportCard, 30)
	for i := range cards {
		cards[i] = protocol.ExportCard{Name: fmt.Sprintf("export %d", i), Segments: []string{"s"}, Connection: "shop"}
		for r := range protocol.RunsPerCard {
			cards[i].Runs = append(cards[i].Runs, protocol.RunBrief{RunID: fmt.Sprintf("run-%d-%d", i, r), Status: run.Completed, At: now, Delivered: 5000, Rejected: 10})
		}
	}
	w.answers[protocol.Overview] = protocol.OverviewAnswer{All: 1000, Found: 1000, Page: 2, Pages: 34, Cards: cards}
	for page, want := range map[string][]string{
		"/":                   {protocol.Overview, protocol.Status},
		"/?page=2&find=ex":    {protocol.Overview, protocol.Status},
		"/runs":               {protocol.RunsList},
		"/exports":            {protocol.Overview},
		"/exports/x":          {protocol.ExportShow, protocol.RunsList, protocol.ScheduleShow},
		"/exports/x/edit":     {protocol.ConnectionList, protocol.ExportPreview, protocol.ExportShow, protocol.SourceList, protocol.SourceShow},
		"/connections":        {protocol.ConnectionList},
		"/connections/shop":   {protocol.ConnectionShow, protocol.Status},
		"/sources":            {protocol.SourceList},
		"/schedules":          {protocol.RefreshShow, protocol.ScheduleShow},
		"/records":            {protocol.Audit},
		"/runs/r-1":           {protocol.RunsShow},
		"/records/alerts/ops": {protocol.AlertShow, protocol.ExportList},
	} {
		b := open(t, w)
		w.orders = nil
		require.Equal(t, http.StatusOK, b.get(page).Code, page)
		given := w.given()
		slices.Sort(given)
		assert.Equal(t, want, given, page)
	}
	body := open(t, w).get("/?page=2").Body.String()
	for _, want := range []string{"Exports (1,000)", "Page 2 of 34", `href="?page=3`, `href="?page=1`} {
		assert.Contains(t, body, want)
	}
	assert.Equal(t, 30, strings.Count(body, `<svg class="spark"`))
}

func BenchmarkHome(b *testing.B) {
	w := full("admin")
	cards := make([]protocol.ExportCard, 30)
	for i := range cards {
		cards[i] = protocol.ExportCard{Name: fmt.Sprintf("export %d", i), Segments: []string{"s"}, Runs: make([]protocol.RunBrief, protocol.RunsPerCard)}
	}
	w.answers[protocol.Overview] = protocol.OverviewAnswer{All: 1000, Found: 1000, Page: 1, Pages: 34, Cards: cards}
	at := now
	c, err := console.New(console.Options{Worker: w, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return at }, Hosts: []string{host}})
	require.NoError(b, err)
	home := &browser{handler: c}
	home.get(c.LoginPath())
	for b.Loop() {
		at = at.Add(time.Minute) // nothing is cached
		w.orders = nil
		home.get("/")
	}
}

func TestRejectsAsCSVAreNoFormulas(t *testing.T) {
	got := open(t, full("contributor")).get("/runs/r-1/rejects?as=csv")
	assert.Equal(t, "segment,row,id,email,reason,refused,said\ns,3,,'=cmd@x,email_invalid,false,\n", got.Body.String())
}

// TestEveryTextIsThere looks for texts without words and words without a place.
func TestEveryTextIsThere(t *testing.T) {
	raw, err := os.ReadFile("texts/en.json")
	require.NoError(t, err)
	var texts map[string]string
	require.NoError(t, json.Unmarshal(raw, &texts))
	files, err := filepath.Glob("templates/*.html")
	require.NoError(t, err)
	code, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var all strings.Builder
	for _, f := range append(files, code...) {
		content, err := os.ReadFile(f)
		require.NoError(t, err)
		all.Write(content)
	}
	source := all.String()
	for _, key := range regexp.MustCompile(`(?:\bt "|say\("|Label" "|Help" ")([a-z0-9.]+)"`).FindAllStringSubmatch(source, -1) {
		if !strings.HasSuffix(key[1], ".") {
			_, ok := texts[key[1]]
			assert.True(t, ok, "%s has no words", key[1])
		}
	}
	for key := range texts {
		if group, _, _ := strings.Cut(key, "."); group == "reason" || group == "note" || group == "leftout" || group == "number" || group == "guard" || group == "means" {
			continue // codes of the worker
		}
		prefix := key[:strings.LastIndex(key, ".")+1]
		assert.True(t, strings.Contains(source, `"`+key+`"`) || prefix != "" && strings.Contains(source, `"`+prefix+`"`) ||
			strings.HasSuffix(key, ".provider") || strings.HasSuffix(key, ".what") || strings.HasSuffix(key, ".title"), "%s has no place", key)
	}
}

// A plan sends nothing, so that its contacts are in the bar once.
func TestThePlotOfAPlanCountsEachContactOnce(t *testing.T) {
	w := full("contributor")
	answer := w.answers[protocol.RunsShow].(protocol.RunAnswer)
	answer.Plan, answer.Status, answer.Guards, answer.Contacts, answer.New, answer.Unsent, answer.Unchanged = true, run.Completed, nil, 10, 8, 8, 2
	w.answers[protocol.RunsShow] = answer
	body := open(t, w).get("/runs/r-1").Body.String()
	assert.Contains(t, body, "New at Omnisend</th>")
	assert.NotContains(t, body, "Not sent yet")
}

func TestAWatchedRunThatAsksIsLoadedAgain(t *testing.T) {
	w := full("contributor")
	answer := w.answers[protocol.RunsShow].(protocol.RunAnswer)
	parked := answer.Report
	running := answer
	running.Status, running.Reason, running.Guards = run.Running, "", nil
	w.answers[protocol.RunsShow] = running
	w.progress = &protocol.Progress{Report: parked}
	b := open(t, w)
	assert.Regexp(t, `/events\?shown=pause(,|%2c|%2C)cancel"`, b.get("/runs/r-1").Body.String())
	got := b.get("/runs/r-1/events?shown=pause,cancel")
	assert.Equal(t, "text/event-stream", got.Header().Get("Content-Type"))
	assert.Contains(t, got.Body.String(), "event: over")
}

// A source's page says how each segment is read, with its first rows and what is
// wrong with others.
func TestHowASegmentIsRead(t *testing.T) {
	w := full("admin")
	w.answers[protocol.SourceShow] = protocol.SourceAnswer{Source: catalogue.Source{Meta: catalogue.Meta{Name: "crm"}, Type: catalogue.TypeFiles},
		Fields: []string{"Email", "City"}, SegmentList: []protocol.SegmentAnswer{{Name: "people", How: []string{"CSV", "semicolon between columns"}, Looked: 7,
			Problems: map[segment.Problem]int{"misplaced_quote": 2}, Rows: [][]string{{"a@example.com", "<b>Oslo"}}}}}
	b := open(t, w)
	require.Contains(t, b.get("/sources/crm").Body.String(), `<a href="?rows">`)
	page := b.get("/sources/crm?rows").Body.String()
	require.NotContains(t, page, `<a href="?rows">`)
	require.Equal(t, protocol.SourceShowArgs{Name: "crm", Rows: true}, w.orders[len(w.orders)-1].Args)
	for _, text := range []string{"Read as: CSV, semicolon between columns. Rows looked at: 7.", "A quote is not doubled or not closed: 2", "set --quote-escape backslash", `<th scope="col">City</th>`, "<td>a@example.com</td><td>&lt;b&gt;Oslo</td>"} {
		assert.Contains(t, page, text)
	}
}
