package intake

import (
	"fmt"
	"math"
	"strings"

	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/ledger"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/run"
)

// report puts the numbers into the run's report and asks the guards.
func (d *decider) report(r *run.Report) *run.Report {
	c := d.state.Counts
	for i := range r.Segments {
		s := &r.Segments[i]
		s.Members, s.Duplicate, s.Left = c.Members[i], c.Duplicate[i], c.Left[i]
		r.Duplicate += s.Duplicate
	}
	r.Contacts, r.Unchanged, r.Refused = c.Contacts, c.Unchanged, c.Refused
	r.ToSend, r.Unsent, r.LeaversDue = c.ToSend(), c.ToSend(), c.Leavers
	r.Consent = consentCount(c, r.InvalidOptOuts)
	r.Differences = c.Differences
	for name, cleared := range c.Cleared {
		if cleared.Count > 0 {
			job.AddCounts(&r.Cleared, map[string]int{name: cleared.Count})
		}
	}
	job.MergeReasons(r, c.Reasons)
	if r.Plan {
		r.New, r.Changed, r.Leavers = c.New, c.Changed, c.Leavers
	}
	r.Full, r.Retry, r.Adopt, r.Removes = d.full != "", d.job.Request.Retry, d.job.Request.Adopt, d.job.Request.Remove != ""
	if d.job.Request.IsCanary() {
		r.Canary = &run.Canary{Limit: d.job.Request.Limit, Address: d.only != nil, Sends: d.state.Chosen}
	}
	d.tell(r)
	sends := r.ToSend
	switch {
	case r.Canary != nil:
		sends = r.Canary.Sends
	case r.Adopt:
		sends = 0
	}
	r.PlannedCalls = job.Calls(sends) + job.Calls(c.Leavers)
	if d.conn.CallsPerMinute > 0 {
		minutes := float64(r.PlannedCalls) / (float64(d.conn.CallsPerMinute) * d.conn.Share)
		r.PlannedMinutes = math.Round(100*minutes) / 100
	}
	r.Guards = d.guards(r)
	if most := d.conn.MaxContacts; most > 0 && c.Contacts > most && r.Canary == nil {
		r.OverLimit = most
	}
	return r
}

// guards asks those that concern this kind of run: a canary sends too little
// for any but the first, taking over an audience sends nothing, and removing an
// export is answered for already.
func (d *decider) guards(r *run.Report) []run.GuardResult {
	facts := run.Facts{FirstRun: d.note.LastRun == "", Report: r, LastRead: d.note.LastRead,
		Ledger: d.state.Counts.Ledger, Minutes: r.PlannedMinutes, Calls: r.PlannedCalls}
	for i, s := range r.Segments {
		facts.Segments = append(facts.Segments, run.SegmentFacts{LastMembers: d.note.LastMembers[s.Segment], Carried: d.state.Counts.Carried[i]})
	}
	facts.Consent, facts.Cleared = d.consentFacts(r), map[string]run.Part{}
	for name, c := range d.state.Counts.Cleared {
		facts.Cleared[name] = run.Part(c)
	}
	switch {
	case r.Removes:
		return nil
	case r.Canary != nil:
		facts = run.Facts{FirstRun: facts.FirstRun, Minutes: facts.Minutes, Calls: facts.Calls,
			Report: &run.Report{ToSend: r.Canary.Sends, Consent: run.ConsentCount{Subscribed: d.state.Subscribed}}}
	case r.Adopt:
		facts.FirstRun, facts.Consent, facts.Cleared = false, run.ConsentFacts{}, nil // nothing is sent
	}
	return run.CheckGuards(facts, d.job.Export.Guards)
}

// tell notes what people should know before anything happens.
func (d *decider) tell(r *run.Report) {
	c := d.state.Counts
	if d.full != "" {
		r.Notes = append(r.Notes, "unchanged contacts are sent too, "+d.full)
	}
	if r.NewRules = d.note.Rules.Changed(ledger.RulesOf(d.job.Export, d.job.Source)); len(r.NewRules) > 0 && !r.Removes {
		has := "has"
		if len(r.NewRules) > 1 || strings.HasSuffix(r.NewRules[0], "s") {
			has = "have"
		}
		r.Notes = append(r.Notes, fmt.Sprintf("the %s %s changed since the last complete run: that makes %d of %d contacts changed, and sends them again",
			strings.Join(r.NewRules, ", the "), has, c.Changed, c.Changed+c.Unchanged))
	}
	if !r.Removes {
		r.Notes = append(r.Notes, d.rivals...)
	}
	for i, s := range r.Segments {
		if s.Unreadable == 0 {
			continue
		}
		note := fmt.Sprintf("segment %s has rows that could not be read (%d): a missing contact may be in one of them, so none loses its marker", reason.Names(s.Segment), s.Unreadable)
		if kept := c.Kept[i]; kept > 0 {
			note += fmt.Sprintf(" (contacts that keep it: %d)", kept)
		}
		r.Notes = append(r.Notes, note)
	}
	if d.only != nil && d.state.Chosen == 0 {
		r.Notes = append(r.Notes, "the address is not among the contacts that are due: it is in no segment of the export, invalid, unchanged, or was refused with the same data")
	}
}
