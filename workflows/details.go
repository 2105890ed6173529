package workflows

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/scheduling"
)

// progress answers a query: it changes nothing of the run, whose state must
// follow from its history alone. It holds numbers only.
func (e *exporter) progress() *protocol.Progress {
	p := &protocol.Progress{Report: counted(*e.state.Report, &e.state.Delivery), Sent: e.state.Delivery.Sent, Since: e.state.Since}
	if e.canceled && !p.Status.Ended() {
		p.Status = run.Canceling
	}
	return p
}

// count brings the report's buckets up to date while batches are on their way.
// Finish counts exactly.
func (e *exporter) count() { *e.state.Report = counted(*e.state.Report, &e.state.Delivery) }

// counted returns the report with the buckets of the delivery so far.
func counted(r run.Report, d *Delivery) run.Report {
	if r.Phase != run.PhaseDeliver && r.Phase != run.PhaseLeavers {
		return r
	}
	t := d.Totals
	settled := t.New + t.Changed + t.Refused
	pending := min(max(t.Pending, d.Sent-settled), r.ToSend-settled)
	if d.Leavers {
		pending = 0
	}
	r.Apply(t.New, t.Changed, t.Refused, pending)
	r.Leavers = t.Leavers
	return r
}

// enter begins a phase.
func (e *exporter) enter(ctx workflow.Context, p run.Phase) {
	if e.state.Report.Phase != p {
		e.leave(ctx)
		e.state.Report.Phase = p
		e.restartPace(ctx)
	}
	e.show(ctx)
}

// leave notes how long the phase took that is over.
func (e *exporter) leave(ctx workflow.Context) {
	now := workflow.Now(ctx)
	e.state.Report.Phases = append(e.state.Report.Phases, run.PhaseTime{Phase: e.state.Report.Phase, Seconds: now.Sub(e.state.Since).Seconds()})
	e.state.Since = now
}

// setStatus makes a new status visible everywhere: in the store, as a search
// attribute, on the workflow's page.
func (e *exporter) setStatus(ctx workflow.Context, s run.Status, h *activities.Halt) error {
	r := e.state.Report
	if r.Status == s {
		return nil
	}
	if s == run.Running {
		e.restartPace(ctx) // time in which nothing was to be sent says nothing of the rate
	}
	r.Status, r.Reason, r.Action = s, "", ""
	if h != nil {
		r.Reason, r.Action = h.Reason, h.Action
	}
	e.show(ctx)
	if err := workflow.UpsertTypedSearchAttributes(ctx, scheduling.StatusAttribute.ValueSet(string(s))); err != nil {
		return err
	}
	e.count()
	return workflow.ExecuteActivity(short(ctx, "record: "+string(s)), acts.Record,
		activities.RecordInput{RunID: e.in.RunID, Report: r}).Get(ctx, nil)
}

// restartPace measures the rate of sending from now on.
func (e *exporter) restartPace(ctx workflow.Context) {
	e.state.Delivery.Since, e.state.Delivery.SentBefore = workflow.Now(ctx), e.state.Delivery.Sent
}

// show puts the buckets on the workflow's page of the Web UI.
func (e *exporter) show(ctx workflow.Context) {
	e.count()
	workflow.SetCurrentDetails(ctx, Details(e.state.Report, &e.state.Delivery, workflow.Now(ctx)))
}

// Details is a run's report in Markdown. The Web UI gives it half its width,
// about 500 pixels, and cuts off what is wider, so tables are narrow.
func Details(r *run.Report, d *Delivery, now time.Time) string {
	var b strings.Builder
	write(&b, "**%s**", r.Status)
	if r.Phase != run.PhaseEnded {
		write(&b, " (%s)", r.Phase)
	}
	b.WriteString("\n\n")
	if r.Reason != "" {
		write(&b, "%s\n\n", prose(string(r.Reason)))
	}
	if r.Action != "" {
		write(&b, "**To do:** %s\n\n", prose(string(r.Action)))
	}
	if r.Phase == run.PhaseDeliver {
		write(&b, "%s of %s contacts sent%s\n\n", count(d.Sent), count(r.ToSend), pace(r, d, now))
	}
	if r.Phase == run.PhaseDecide && !r.Status.Ended() {
		write(&b, "To send: %s. Markers to clear: %s. Calls: %s.\n\n", count(r.ToSend), count(r.LeaversDue), count(r.PlannedCalls))
	}
	write(&b, "| contacts | %s |\n|---|---:|\n", count(r.Contacts))
	for _, bucket := range []struct {
		name string
		n    int
	}{{"new", r.New}, {"changed", r.Changed}, {"unchanged", r.Unchanged}, {"refused", r.Refused}, {"pending", r.Pending}, {"unsent", r.Unsent}} {
		write(&b, "| %s | %s |\n", bucket.name, count(bucket.n))
	}
	write(&b, "\nCalls: %s. Leavers: %s.\n\n", count(r.Calls), count(r.Leavers))
	if len(r.Segments) > 0 {
		b.WriteString("| segment | read | members | duplicate | invalid |\n|---|---:|---:|---:|---:|\n")
		for _, s := range r.Segments {
			write(&b, "| %s | %s | %s | %s | %s |\n", prose(s.Segment), count(s.Read), count(s.Members), count(s.Duplicate), count(s.Invalid))
		}
		b.WriteString("\n")
		for _, s := range r.Segments {
			write(&b, "- %s is marked by %s\n", prose(s.Segment), code(s.Marker))
		}
	}
	for _, n := range r.Notes {
		write(&b, "- %s\n", prose(n))
	}
	return b.String()
}

// pace is how fast contacts are being sent, since sending last started or
// continued, and how long the rest will take, or what is waited for when all are sent;
// nothing while that can't be said.
func pace(r *run.Report, d *Delivery, now time.Time) string {
	lately := d.Sent - d.SentBefore
	if d.Sent >= r.ToSend && r.Pending > 0 {
		return ", " + reason.Count(r.Pending, "verdict", "verdicts") + " to come"
	}
	if r.Status != run.Running || lately <= 0 || d.Since.IsZero() || !now.After(d.Since) {
		return ""
	}
	if d.Sent >= r.ToSend {
		if d.Open == 0 {
			return ""
		}
		return ", the verdicts on " + count(d.Open) + " calls are still to come"
	}
	rate := float64(lately) / now.Sub(d.Since).Seconds()
	left := time.Duration(float64(r.ToSend-d.Sent) / rate * float64(time.Second))
	return fmt.Sprintf(", %s a second, about %s left", count(int(math.Round(rate))), left.Round(time.Second))
}

var (
	// commands are what a reader may copy: the Web UI makes its dashes and
	// quotes typographic, except in code.
	commands = regexp.MustCompile(`\bstarter (?:"(?:[^"\\]|\\.)*"|[^;,)"])+|--[a-z][a-z-]*`)
	// meaning is what Markdown gives a meaning to within a line.
	meaning = regexp.MustCompile("[\\\\`*_\\[\\]<>|~&#]")
)

// prose writes a text, which may hold names that users chose and commands,
// as Markdown.
func prose(text string) string {
	var b strings.Builder
	at := 0
	for _, found := range commands.FindAllStringIndex(text, -1) {
		b.WriteString(meaning.ReplaceAllString(text[at:found[0]], `\$0`))
		b.WriteString(code(text[found[0]:found[1]]))
		at = found[1]
	}
	b.WriteString(meaning.ReplaceAllString(text[at:], `\$0`))
	return b.String()
}

// code writes a text as code, as it is.
func code(text string) string {
	fence := "`"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		return fence + " " + text + " " + fence
	}
	return fence + text + fence
}

// count writes a number with thousands separated, so that a million is seen.
func count(n int) string { return humanize.Comma(int64(n)) }

// write appends to a text; fmt.Fprintf could write anywhere, which the
// determinism check cannot tell apart.
func write(b *strings.Builder, format string, args ...any) {
	b.WriteString(fmt.Sprintf(format, args...)) //nolint:staticcheck // see above
}
