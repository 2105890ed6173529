package run

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/reason"
)

// GuardResult is a guard that asks an operator before anything is sent.
type GuardResult struct {
	Guard   catalogue.Guard `json:"guard"`
	Message string          `json:"message"`
	Value   float64         `json:"value"` // what was found, as a part from 0 to 1
	Limit   float64         `json:"limit"` // what would have passed
}

// defaults are the thresholds of guards that an export does not set.
var defaults = map[catalogue.Guard]catalogue.Threshold{
	catalogue.GuardShrunk:  0.20,
	catalogue.GuardInvalid: 0.20,
	catalogue.GuardLeavers: 0.20,
	catalogue.GuardOptOuts: 0.20,
	catalogue.GuardConsent: 0.20,
	catalogue.GuardCleared: 0.20,
}

// fewest is how many contacts (or rows) there must be before a percentage
// says anything: of five rows, two invalid ones are an accident.
const fewest = 100

// Facts are the numbers that guards look at.
type Facts struct {
	FirstRun bool // nothing was ever confirmed for this export
	Report   *Report
	LastRead int            // contacts of the last complete read; 0 when there was none
	Ledger   int            // contacts in the ledger that carry a marker
	Segments []SegmentFacts // of the report's segments, in their order
	Minutes  float64        // that the calls take at the connection's share; 0 without a limit
	Calls    int            // calls that the run would take
	Consent  ConsentFacts
	Cleared  map[string]Part // by field: values that would be cleared, of those that were sent
}

// SegmentFacts are what a segment is compared with.
type SegmentFacts struct {
	LastMembers int // of the last complete read; 0 when there was none
	Carried     int // contacts in the ledger that carry its marker
}

// segment returns the facts of a segment of the report.
func (f *Facts) segment(i int) SegmentFacts {
	if i < len(f.Segments) {
		return f.Segments[i]
	}
	return SegmentFacts{}
}

// CheckGuards returns the guards that ask, in a fixed order and each once. They
// look at each segment alone, since one can be wrong while the export as a whole
// is almost as before, and then at what the segments together do not explain. A
// cause asks once: contacts missing because a segment shrank are not counted by
// the guard leavers again, nor an empty segment by the guard shrunk.
func CheckGuards(f Facts, thresholds map[catalogue.Guard]catalogue.Threshold) []GuardResult {
	c := check{thresholds: thresholds, asks: map[catalogue.Guard]*GuardResult{}}
	explained := 0
	for i, s := range f.Report.Segments {
		if c.segment(s, f.segment(i)) {
			explained += max(s.Left, f.segment(i).Carried-s.Members)
		}
	}
	c.whole(&f, explained)
	c.consent(&f)
	c.cleared(&f)
	c.firstRun(&f)
	var asks []GuardResult
	for _, g := range []catalogue.Guard{catalogue.GuardEmpty, catalogue.GuardShrunk, catalogue.GuardInvalid, catalogue.GuardLeavers,
		catalogue.GuardOptOuts, catalogue.GuardConsent, catalogue.GuardCleared, catalogue.GuardFirstRun} {
		if r := c.asks[g]; r != nil {
			asks = append(asks, *r)
		}
	}
	return asks
}

// check gathers what the guards ask.
type check struct {
	thresholds map[catalogue.Guard]catalogue.Threshold
	asks       map[catalogue.Guard]*GuardResult
}

func (c *check) limit(g catalogue.Guard) float64 {
	if t, ok := c.thresholds[g]; ok {
		return float64(t)
	}
	return float64(defaults[g])
}

// ask makes a guard ask, or ask about one more thing.
func (c *check) ask(g catalogue.Guard, value float64, format string, args ...any) {
	message := reason.Format(format, args...)
	if r := c.asks[g]; r != nil {
		r.Value, r.Message = max(r.Value, value), string(reason.Clean(r.Message+"; "+string(message)))
		return
	}
	c.asks[g] = &GuardResult{Guard: g, Value: value, Limit: c.limit(g), Message: string(message)}
}

// over says whether a part of a whole is more than a guard lets pass.
func (c *check) over(g catalogue.Guard, part, whole int) (float64, bool) {
	if whole < fewest {
		return 0, false
	}
	value := float64(part) / float64(whole)
	return value, value > c.limit(g)
}

// segment looks at one segment, and says whether members of it being gone was
// asked about.
func (c *check) segment(s SegmentCount, f SegmentFacts) bool {
	if value, over := c.over(catalogue.GuardInvalid, s.Invalid, s.Read); over {
		c.ask(catalogue.GuardInvalid, value, "segment %s: %s of %s rows are invalid (%.0f %%)", s.Segment, count(s.Invalid), count(s.Read), 100*value)
	}
	if s.Read == 0 && c.limit(catalogue.GuardEmpty) < 1 {
		c.ask(catalogue.GuardEmpty, 1, "segment %s has no rows at all; %s contacts carry its marker now", s.Segment, count(f.Carried))
		return true
	}
	asked := false
	missing := max(0, f.LastMembers-s.Members)
	if value, over := c.over(catalogue.GuardShrunk, missing, f.LastMembers); over {
		c.ask(catalogue.GuardShrunk, value, "segment %s has %s members, %.0f %% fewer than the %s of the last complete read",
			s.Segment, count(s.Members), 100*value, count(f.LastMembers))
		asked = true
	}
	replaced := max(0, s.Left-missing)
	if value, over := c.over(catalogue.GuardLeavers, replaced, f.Carried); over {
		c.ask(catalogue.GuardLeavers, value, "segment %s: %s contacts would lose its marker, %s of them replaced by others (%.0f %% of %s)",
			s.Segment, count(s.Left), count(replaced), 100*value, count(f.Carried))
		asked = true
	}
	return asked
}

// whole looks at the export as a whole: segments that each lose few may lose
// many together, and a segment that was taken out of the export loses all. Of
// the contacts that are gone, so many are explained by what was asked already.
func (c *check) whole(f *Facts, explained int) {
	r := f.Report
	if value, over := c.over(catalogue.GuardInvalid, r.Invalid, r.Read); over && c.asks[catalogue.GuardInvalid] == nil {
		c.ask(catalogue.GuardInvalid, value, "%s of %s rows are invalid (%.0f %%)", count(r.Invalid), count(r.Read), 100*value)
	}
	missing := max(0, f.LastRead-r.Contacts)
	if value, over := c.over(catalogue.GuardShrunk, missing, f.LastRead); over && explained < missing {
		c.ask(catalogue.GuardShrunk, value, "%s contacts were read, %.0f %% fewer than the %s of the last complete read",
			count(r.Contacts), 100*value, count(f.LastRead))
	}
	replaced := max(0, r.LeaversDue-max(missing, explained))
	if value, over := c.over(catalogue.GuardLeavers, replaced, f.Ledger); over {
		c.ask(catalogue.GuardLeavers, value, "%s contacts would lose their marker, %s of them replaced by others (%.0f %% of %s)",
			count(r.LeaversDue), count(replaced), 100*value, count(f.Ledger))
	}
}

// cleared looks at each field alone: a column that came empty is one field.
func (c *check) cleared(f *Facts) {
	for _, name := range slices.Sorted(maps.Keys(f.Cleared)) {
		p := f.Cleared[name]
		if value, over := c.over(catalogue.GuardCleared, p.Count, p.Of); over {
			c.ask(catalogue.GuardCleared, value, "%s of %s values of %s would be cleared (%.0f %%)", count(p.Count), count(p.Of), name, 100*value)
		}
	}
}

func (c *check) firstRun(f *Facts) {
	r := f.Report
	if !f.FirstRun || r.ToSend == 0 {
		return
	}
	lasts, unreadable := "", ""
	if f.Minutes > 0 {
		lasts = fmt.Sprintf(" (about %s)", time.Duration(f.Minutes*float64(time.Minute)).Round(time.Second))
	}
	if n := r.Unreadable(); n > 0 {
		unreadable = fmt.Sprintf("; rows that could not be read, and are not among them: %s", count(n))
	}
	c.ask(catalogue.GuardFirstRun, 1,
		"the first run would send %s contacts, %s of them as subscribed, in %s calls%s; they may count as billable at Omnisend and may start its automations%s%s",
		count(r.ToSend), count(r.Consent.Subscribed), count(f.Calls), lasts, unreadable, f.Consent.first(r.Contacts))
}

// Unanswered returns the guards that ask and that nobody has answered: neither
// since, nor the guard first-run when the run was started.
func (r *Report) Unanswered(c Control) []GuardResult {
	var open []GuardResult
	for _, g := range r.Guards {
		if g.Guard == catalogue.GuardFirstRun && r.AnsweredYes {
			continue
		}
		if _, ok := c.Approved[g.Guard]; !ok {
			open = append(open, g)
		}
	}
	return open
}

// count writes a number with its thousands separated, so that a million is seen.
func count(n int) string { return humanize.Comma(int64(n)) }
