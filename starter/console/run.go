package console

import (
	"encoding/csv"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

// runView is what a run's page shows.
type runView struct {
	*protocol.RunAnswer

	Now     time.Time
	Live    bool // the page changes while it is looked at
	Silent  time.Duration
	Buckets []piece
	Bar     template.HTML
	Consent []piece
	Percent int    // of all to send
	Rate    int    // contacts a second
	Left    string // how long delivery still takes; empty: not known
	Asks    []run.GuardResult
	Acts    []string // what the visitor may do with the run
	WebUI   string
}

// Shown names the buttons and questions of the page, which changes whole when
// they do.
func (v runView) Shown() string {
	shown := strings.Join(v.Acts, ",")
	for _, g := range v.Asks {
		shown += "," + string(g.Guard)
	}
	return shown
}

// run shows one run.
func (q *request) run() error {
	var a protocol.RunAnswer
	id := q.r.PathValue("run")
	if err := ask(q, Order{Name: protocol.RunsShow, Args: protocol.RunRef{Run: id}, Object: id}, &a); err != nil {
		return err
	}
	v := q.runView(&a, nil)
	reload := 0
	if v.Live {
		reload = runReload
	}
	title := q.texts.say("run.title", a.Export)
	if a.Plan {
		title = q.texts.say("plan.title", a.Export)
	}
	return q.show("run", view{Title: title, Section: "runs", Command: "starter runs show " + a.RunID, Reload: reload, Content: v})
}

// runReload is after how many seconds a browser without JavaScript loads a run
// again that is not over.
const runReload = 5

// runView works out what is shown of a run. progress is nil for a run that is
// over, or when no worker answers.
func (q *request) runView(a *protocol.RunAnswer, progress *protocol.Progress) runView {
	v := runView{RunAnswer: a, Now: q.Now(), Live: !a.Status.Ended()}
	if q.WebUI != "" {
		v.WebUI = q.WebUI + "/workflows/" + template.URLQueryEscaper(a.WorkflowID)
	}
	sent := 0
	if progress != nil {
		sent = progress.Sent
		v.Rate, v.Left = pace(progress, v.Now)
	}
	if a.ToSend > 0 {
		v.Percent = percent(max(sent, a.Delivered+a.Refused), a.ToSend)
	}
	v.Buckets = []piece{
		{"good", q.texts.say("bucket.new"), a.New},
		{"good2", q.texts.say("bucket.changed"), a.Changed},
		{"calm", q.texts.say("bucket.unchanged"), a.Unchanged},
		{"bad", q.texts.say("bucket.refused"), a.Refused},
		{"busy", q.texts.say("bucket.pending"), a.Pending},
		{"wait", q.texts.say("bucket.unsent"), a.Unsent},
	}
	if a.Plan { // nothing is sent: the same contacts stand in new and changed
		v.Buckets = v.Buckets[:4]
	}
	v.Bar = stack(v.Buckets)
	consent := a.Consent
	v.Consent = []piece{
		{"good", q.texts.say("consent.subscribed"), consent.Subscribed},
		{"calm", q.texts.say("consent.nonsubscribed"), consent.NonSubscribed},
		{"bad", q.texts.say("consent.unsubscribed"), consent.Unsubscribed},
	}
	if a.Status == run.Parked {
		for _, g := range a.Guards {
			if strings.Contains(string(a.Reason), g.Message) {
				v.Asks = append(v.Asks, g)
			}
		}
	}
	v.Acts = q.acts(a)
	return v
}

// pace is how many contacts a second the phase brings, and how long is left.
func pace(p *protocol.Progress, now time.Time) (perSecond int, left string) {
	spent := now.Sub(p.Since)
	if p.Phase != run.PhaseDeliver || p.Sent == 0 || spent < time.Second {
		return 0, ""
	}
	rate := float64(p.Sent) / spent.Seconds()
	return int(rate), duration(time.Duration(float64(max(0, p.ToSend-p.Sent)) / rate * float64(time.Second)))
}

// acts are the buttons for the run; the worker decides in any case.
func (q *request) acts(a *protocol.RunAnswer) []string {
	if !q.contributes() {
		return nil
	}
	switch {
	case a.Status.Complete() && !a.Plan && a.Refused > 0:
		return []string{"retry"}
	case a.Status.Ended():
		return nil
	case a.Status == run.Parked && len(a.Guards) > 0:
		return []string{"approve", "cancel"}
	case a.Status == run.Parked || a.Status == run.Paused:
		return []string{"resume", "cancel"}
	}
	return []string{"pause", "cancel"}
}

// steer carries out the button that was pressed on a run's page.
func (q *request) steer() error {
	if err := q.form(); err != nil {
		return err
	}
	ref := protocol.RunRef{Run: q.r.PathValue("run")}
	names := map[string]string{"pause": protocol.RunsPause, "resume": protocol.RunsResume, "cancel": protocol.RunsCancel, "retry": protocol.RunsRetry}
	button := q.r.PostForm.Get("do")
	if button == "approve" {
		for _, guard := range q.r.PostForm["guard"] {
			args := protocol.RunsApproveArgs{RunRef: ref, Guard: catalogue.Guard(guard), Remember: q.r.PostForm.Get("remember") != ""}
			if err := act(q, Order{Name: protocol.RunsApprove, Args: args, Object: ref.Run}, &ignored{}); err != nil {
				return err
			}
		}
		return q.done(address("runs", ref.Run), "run.done.approve")
	}
	name, ok := names[button]
	if !ok {
		return &invalid{q.texts.say("form.unreadable")}
	}
	if button == "retry" {
		var started protocol.RunStarted
		if err := act(q, Order{Name: name, Args: ref, Object: ref.Run}, &started); err != nil {
			return err
		}
		return q.done(address("runs", started.RunID), "run.done.retry")
	}
	if err := act(q, Order{Name: name, Args: ref, Object: ref.Run}, &ignored{}); err != nil {
		return err
	}
	return q.done(address("runs", ref.Run), "run.done."+button)
}

// rejects shows the rows that a run did not carry over, or gives them as CSV.
func (q *request) rejects() error {
	ref := protocol.RunRef{Run: q.r.PathValue("run")}
	number, err := strconv.Atoi(q.r.URL.Query().Get("page"))
	if err != nil || number < 0 {
		number = 0
	}
	if q.r.URL.Query().Get("as") == "csv" {
		return q.rejectsCSV(ref)
	}
	var page protocol.RejectsPage
	if err := act(q, Order{Name: protocol.RunsRejects, Args: protocol.RejectsArgs{RunRef: ref, Page: number}, Object: ref.Run, Personal: true}, &page); err != nil {
		return err
	}
	reason := q.r.URL.Query().Get("reason")
	if reason != "" {
		page.Rejects = slices.DeleteFunc(page.Rejects, func(r protocol.Reject) bool { return r.Reason != reason })
	}
	type content struct {
		protocol.RejectsPage
		Run    string
		Number int
		Reason string
	}
	return q.show("rejects", view{Title: q.texts.say("rejects.title"), Section: "runs", Command: "starter runs rejects " + ref.Run,
		Content: content{page, ref.Run, number, reason}})
}

// mostCSVPages bounds the file of rejects; a run keeps fewer.
const mostCSVPages = 1000

func (q *request) rejectsCSV(ref protocol.RunRef) error {
	q.w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	q.w.Header().Set("Content-Disposition", `attachment; filename="rejects.csv"`)
	out := csv.NewWriter(q.w)
	_ = out.Write([]string{"segment", "row", "id", "email", "reason", "refused", "said"})
	for number := range mostCSVPages {
		var page protocol.RejectsPage
		if err := act(q, Order{Name: protocol.RunsRejects, Args: protocol.RejectsArgs{RunRef: ref, Page: number}, Object: ref.Run, Personal: true}, &page); err != nil {
			if number == 0 {
				q.w.Header().Del("Content-Disposition")
				return err
			}
			q.Log.WarnContext(q.ctx(), "the download of rejects was interrupted", "error", err)
			panic(http.ErrAbortHandler) // the browser sees a broken download, not a short file
		}
		for _, r := range page.Rejects {
			_ = out.Write([]string{cell(r.Segment), strconv.FormatInt(r.Row, 10), cell(r.ID), cell(r.Email), r.Reason, strconv.FormatBool(r.Refused), cell(r.Said)})
		}
		out.Flush()
		if !page.More {
			return nil
		}
	}
	return nil
}

// cell keeps a spreadsheet from taking a value for a formula.
func cell(text string) string {
	if text != "" && strings.ContainsAny(text[:1], "=+-@\t\r") || strings.HasPrefix(text, "＝") || strings.HasPrefix(text, "＋") ||
		strings.HasPrefix(text, "－") || strings.HasPrefix(text, "＠") {
		return "'" + text
	}
	return text
}

// samples shows what a plan would send.
func (q *request) samples() error {
	ref := protocol.RunRef{Run: q.r.PathValue("run")}
	var a protocol.SamplesAnswer
	if err := act(q, Order{Name: protocol.Samples, Args: ref, Object: ref.Run, Personal: true}, &a); err != nil {
		return err
	}
	type sample struct {
		Differs string
		JSON    string
	}
	pretty := func(raw json.RawMessage) string {
		var v any
		if json.Unmarshal(raw, &v) != nil {
			return string(raw)
		}
		text, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return string(raw)
		}
		return string(text)
	}
	list := func(all []json.RawMessage) (samples []sample) {
		for _, raw := range all {
			samples = append(samples, sample{JSON: pretty(raw)})
		}
		return samples
	}
	content := struct {
		Run          string
		New, Leavers []sample
		Changed      []sample
		Invalid      []protocol.Reject
	}{Run: ref.Run, New: list(a.New), Leavers: list(a.Leavers), Invalid: a.Invalid}
	for _, c := range a.Changed {
		content.Changed = append(content.Changed, sample{strings.Join(c.Differs, ", "), pretty(c.Contact)})
	}
	return q.show("samples", view{Title: q.texts.say("samples.title"), Section: "runs", Command: "starter plan EXPORT", Content: content})
}
