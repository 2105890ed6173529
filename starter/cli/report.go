package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

// report writes what is known of a run, for people.
func report(p *page, a *protocol.RunAnswer) {
	heading(p, a)
	canary(p, a.Canary)
	segments(p, a)
	buckets(p, &a.Report)
	consent(p, a.Consent)
	counts(p, "Not sent as subscribed, by reason", a.Consent.Notes)
	counts(p, "Values left out, in rows", a.LeftOut)
	counts(p, "Addresses corrected, in rows", a.Corrected)
	counts(p, "Values emptied at the source and cleared", a.Cleared)
	counts(p, "Rejects, by reason", a.Reasons)
	advice(p, a.Reasons)
	if isForecast(&a.Report) {
		plan(p, &a.Report)
	}
	changes(p, a)
	phases(p, &a.Report)
	if len(a.Notes) > 0 {
		p.line("Notes:")
		for _, n := range a.Notes {
			p.line("  - %s", n)
		}
	}
}

// consent says how contacts stand, and how many opt-outs change nothing.
func consent(p *page, c run.ConsentCount) {
	of := ""
	var parts []string
	for _, part := range []struct {
		n    int
		name string
	}{{c.Undated, "undated"}, {c.Withdrawn, "withdrawn"}, {c.Refusals, "dated refusals"}} {
		if part.n > 0 {
			parts = append(parts, count(part.n)+" "+part.name)
		}
	}
	if len(parts) > 0 {
		of = " (" + strings.Join(parts, ", ") + ")"
	}
	p.line("Consent: %s subscribed, %s unsubscribed%s, %s non-subscribed", count(c.Subscribed), count(c.Unsubscribed), of, count(c.NonSubscribed))
	p.line("Opt-outs without effect: %s", count(c.WithoutEffect))
}

// options says what each choice of the export's two options of consent would do.
func options(p *page, c run.ConsentCount) {
	if c.UndatedOptOuts > 0 {
		p.line("Undated opt-outs: %s (first-seen: unsubscribed from when the export first saw them; ignore: left as Omnisend has them)", count(c.UndatedOptOuts))
	}
	if c.DatedRefusals > 0 {
		p.line("Dated refusals: %s (opt-out: unsubscribed at their date; none: non-subscribed)", count(c.DatedRefusals))
	}
}

// advice says what to do about reasons that have more to say than their code.
func advice(p *page, reasons map[string]int) {
	first := true
	for _, name := range slices.Sorted(maps.Keys(reasons)) {
		if text := contact.Reason(name).Advice(); text != "" && reasons[name] > 0 {
			if first {
				p.line("What they mean:")
			}
			first = false
			p.line("  %s: %s", name, text)
		}
	}
}

// canary says that a run sends only a part.
func canary(p *page, c *run.Canary) {
	if c == nil {
		return
	}
	whom := "at most " + plural(c.Limit, "contact", "contacts")
	if c.Address {
		whom = "only one address"
	}
	p.line("This is a test run: it sends %s (chosen: %s), the rest counts as unsent, and leavers keep their markers", whom, count(c.Sends))
	p.line("")
}

// phases says how long each phase took.
func phases(p *page, r *run.Report) {
	var parts []string
	for _, t := range r.Phases {
		parts = append(parts, fmt.Sprintf("%s %s", t.Phase, duration(time.Duration(t.Seconds*float64(time.Second)))))
	}
	if len(parts) > 0 {
		p.line("Time by phase: %s", strings.Join(parts, ", "))
	}
}

func heading(p *page, a *protocol.RunAnswer) {
	what := "Run"
	if a.Plan {
		what = "Plan"
	}
	p.line("%s of %s: %s", what, a.Export, a.Status)
	started := a.StartedAt
	if started.IsZero() {
		started = a.CreatedAt
	}
	times := p.time(started)
	if a.EndedAt != nil {
		times += fmt.Sprintf(" to %s (took %s)", p.time(*a.EndedAt), duration(a.EndedAt.Sub(started)))
	}
	phase := ""
	if !a.Status.Ended() {
		phase = string(a.Phase)
	}
	p.fields("run", a.RunID, "workflow", a.WorkflowID, "by", begunBy(a), "time", times, "phase", phase, "reason", string(a.Reason), "do", string(a.Action))
	p.line("")
}

func segments(p *page, a *protocol.RunAnswer) {
	if len(a.Segments) == 0 {
		return
	}
	var rows [][]any
	for _, s := range a.Segments {
		rows = append(rows, []any{s.Segment, s.Read, s.Members, s.Duplicate, s.Invalid, s.Left, s.Marker})
	}
	p.table([]string{"segment", "read", "members", "duplicate", "invalid", "left", "marker"}, rows)
	p.line("")
}

// isForecast says that the numbers of a report are of what would be sent: it is a
// plan, or a run that has compared everything and sent nothing yet.
func isForecast(r *run.Report) bool {
	return r.Plan || r.Phase == run.PhaseDecide && !r.Status.Ended()
}

// buckets writes where the contacts are, which add up.
func buckets(p *page, r *run.Report) {
	type bucket struct {
		name string
		n    int
	}
	var all []bucket
	switch {
	case r.Plan:
		all = []bucket{{"contacts", r.Contacts}, {"  new", r.New}, {"  changed", r.Changed}, {"  unchanged", r.Unchanged},
			{"  refused before", r.Refused}, {"to send", r.ToSend}, {"markers to clear", r.LeaversDue}, {"calls", r.PlannedCalls}}
	case isForecast(r):
		all = []bucket{{"contacts", r.Contacts}, {"  to send", r.ToSend}, {"  unchanged", r.Unchanged}, {"  refused before", r.Refused},
			{"markers to clear", r.LeaversDue}, {"calls", r.PlannedCalls}}
	default:
		all = []bucket{{"contacts", r.Contacts}, {"  delivered", r.Delivered}, {"    new", r.New}, {"    changed", r.Changed},
			{"  unchanged", r.Unchanged}, {"  refused", r.Refused}, {"  pending", r.Pending}, {"  unsent", r.Unsent},
			{"markers cleared", r.Leavers}, {"calls", r.Calls}}
	}
	names, numbers := 0, 0
	for _, b := range all {
		names, numbers = max(names, len(b.name)), max(numbers, len(count(b.n)))
	}
	for _, b := range all {
		p.line("%-*s  %*s", names, b.name, numbers, count(b.n))
	}
	p.line("")
}

// plan writes what a run would do that has not sent anything.
func plan(p *page, r *run.Report) {
	if r.Plan && !r.Status.Complete() {
		return // it has not found out
	}
	would, nothing := "A run would take", "A run would send nothing"
	if !r.Plan {
		would, nothing = "It would take", "It would send nothing"
	}
	if r.ToSend+r.LeaversDue > 0 {
		minutes := ""
		if r.PlannedMinutes > 0 {
			minutes = ", about " + duration(time.Duration(r.PlannedMinutes*float64(time.Minute)))
		}
		p.line("%s %s%s", would, plural(r.PlannedCalls, "call", "calls"), minutes)
	} else {
		p.line("%s", nothing)
	}
	options(p, r.Consent)
	counts(p, "Changed contacts differ in", r.Differences)
	if r.Plan && len(r.Guards) > 0 { // a run has them as its reason
		p.line("A run would park and ask:")
		for _, g := range r.Guards {
			p.line("  - guard %s: %s", g.Guard, g.Message)
		}
	}
}

// counts writes numbers by name, the largest first.
func counts(p *page, title string, m map[string]int) {
	if len(m) == 0 {
		return
	}
	p.line("%s:", title)
	names := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
	})
	width := len(count(m[names[0]]))
	for _, n := range names {
		p.line("  %*s  %s", width, count(m[n]), n)
	}
}

// begunBy says who or what began a run.
func begunBy(a *protocol.RunAnswer) string {
	if !a.Trigger.Automatic() {
		return a.Actor
	}
	return strings.TrimPrefix(fmt.Sprintf("%s, %s", a.Actor, a.Trigger), "schedule, ")
}
