package workflows

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/run"
)

// Progress is the answer of the query "progress".
type Progress struct {
	run.Report
	Sent  int       `json:"sent"`  // contacts in calls that Omnisend has answered
	Since time.Time `json:"since"` // when the phase began
}

// progress is the run as it stands; it holds numbers only.
func (e *exporter) progress() *Progress {
	e.count()
	return &Progress{Report: *e.state.Report, Sent: e.state.Delivery.Sent, Since: e.phaseSince}
}

// count brings the report's buckets up to date while batches are on their way.
// Finish counts exactly.
func (e *exporter) count() {
	r, d := e.state.Report, &e.state.Delivery
	if r.Phase != run.PhaseDeliver && r.Phase != run.PhaseLeavers {
		return
	}
	t := d.Totals
	settled := t.New + t.Changed + t.Refused
	pending := min(max(t.Pending, d.Sent-settled), r.ToSend-settled)
	if d.Leavers {
		pending = 0
	}
	r.Apply(t.New, t.Changed, t.Refused, pending)
	r.Leavers = t.Leavers
}

// enter begins a phase.
func (e *exporter) enter(ctx workflow.Context, p run.Phase) {
	if e.state.Report.Phase != p {
		e.state.Report.Phase = p
		e.phaseSince = workflow.Now(ctx)
	}
	e.show(ctx)
}

// setStatus makes a new status visible everywhere: in the store, as a search
// attribute, on the workflow's page.
func (e *exporter) setStatus(ctx workflow.Context, s run.Status, h *activities.Halt) error {
	r := e.state.Report
	if r.Status == s {
		return nil
	}
	r.Status, r.Reason, r.Action = s, "", ""
	if h != nil {
		r.Reason, r.Action = h.Reason, h.Action
	}
	e.show(ctx)
	if err := workflow.UpsertTypedSearchAttributes(ctx, activities.StatusAttribute.ValueSet(string(s))); err != nil {
		return err
	}
	e.count()
	return workflow.ExecuteActivity(short(ctx, "record: "+string(s)), acts.Record,
		activities.RecordInput{RunID: e.in.RunID, Report: r}).Get(ctx, nil)
}

// show puts the buckets on the workflow's page of the Web UI.
func (e *exporter) show(ctx workflow.Context) {
	e.count()
	workflow.SetCurrentDetails(ctx, Details(e.state.Report, e.state.Delivery.Sent, e.phaseSince, workflow.Now(ctx)))
}

// Details is a run's report in Markdown.
func Details(r *run.Report, sent int, since, now time.Time) string {
	var b strings.Builder
	write(&b, "**%s** (%s)\n\n", r.Status, r.Phase)
	if r.Reason != "" {
		write(&b, "%s\n\n", r.Reason)
	}
	if r.Action != "" {
		write(&b, "_%s_\n\n", r.Action)
	}
	b.WriteString("| segment | read | members | duplicate | invalid | marker |\n|---|---:|---:|---:|---:|---|\n")
	for _, s := range r.Segments {
		write(&b, "| %s | %s | %s | %s | %s | `%s` |\n", s.Segment, count(s.Read), count(s.Members), count(s.Duplicate), count(s.Invalid), s.Marker)
	}
	b.WriteString("\n| contacts | new | changed | unchanged | refused | pending | unsent | leavers | calls |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	write(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", count(r.Contacts), count(r.New), count(r.Changed),
		count(r.Unchanged), count(r.Refused), count(r.Pending), count(r.Unsent), count(r.Leavers), count(r.Calls))
	if r.Phase == run.PhaseDeliver && sent > 0 && now.After(since) {
		rate := float64(sent) / now.Sub(since).Seconds()
		left := time.Duration(float64(max(0, r.ToSend-sent)) / rate * float64(time.Second))
		write(&b, "\n%s of %s contacts sent, %.0f a second, about %s left\n", count(sent), count(r.ToSend), rate, left.Round(time.Second))
	}
	for _, n := range r.Notes {
		write(&b, "\n- %s", n)
	}
	return b.String()
}

// count writes a number with thousands separated, so that a million is seen.
func count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// write appends to a text; fmt.Fprintf could write anywhere, which the
// determinism check cannot tell apart.
func write(b *strings.Builder, format string, args ...any) {
	b.WriteString(fmt.Sprintf(format, args...)) //nolint:staticcheck // see above
}
