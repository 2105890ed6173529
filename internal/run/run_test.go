package run

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
)

func names(asks []GuardResult) []catalogue.Guard {
	var n []catalogue.Guard
	for _, a := range asks {
		n = append(n, a.Guard)
	}
	return n
}

func TestGuards(t *testing.T) {
	report := func(read, invalid, contacts, toSend, leavers int) *Report {
		return &Report{Segments: []SegmentCount{{Segment: "buyers", Read: read, Members: contacts, Invalid: invalid, Left: leavers}}, Read: read, Invalid: invalid,
			Contacts: contacts, ToSend: toSend, LeaversDue: leavers}
	}
	tests := map[string]struct {
		facts      Facts
		thresholds map[catalogue.Guard]catalogue.Threshold
		asks       []catalogue.Guard
	}{
		"an ordinary refresh":                   {facts: Facts{Report: report(1000, 10, 990, 20, 5), LastRead: 985, Ledger: 985}},
		"the first run":                         {facts: Facts{FirstRun: true, Report: report(5, 0, 5, 5, 0)}, asks: []catalogue.Guard{catalogue.GuardFirstRun}},
		"a first run with nothing to send":      {facts: Facts{FirstRun: true, Report: report(5, 5, 0, 0, 0)}},
		"an emptied segment asks once":          {facts: Facts{Report: report(0, 0, 0, 0, 1000), LastRead: 1000, Ledger: 1000}, asks: []catalogue.Guard{catalogue.GuardEmpty}},
		"empty counts however few there were":   {facts: Facts{Report: report(0, 0, 0, 0, 3), LastRead: 3, Ledger: 3}, asks: []catalogue.Guard{catalogue.GuardEmpty}},
		"a quarter as long asks once":           {facts: Facts{Report: report(250, 0, 250, 0, 750), LastRead: 1000, Ledger: 1000}, asks: []catalogue.Guard{catalogue.GuardShrunk}},
		"exactly 20 % fewer pass":               {facts: Facts{Report: report(800, 0, 800, 0, 200), LastRead: 1000, Ledger: 1000}},
		"a little more than 20 % fewer ask":     {facts: Facts{Report: report(799, 0, 799, 0, 201), LastRead: 1000, Ledger: 1000}, asks: []catalogue.Guard{catalogue.GuardShrunk}},
		"others instead of them":                {facts: Facts{Report: report(1000, 0, 1000, 300, 300), LastRead: 1000, Ledger: 1000}, asks: []catalogue.Guard{catalogue.GuardLeavers}},
		"fewer and others are two questions":    {facts: Facts{Report: report(700, 0, 700, 300, 600), LastRead: 1000, Ledger: 1000}, asks: []catalogue.Guard{catalogue.GuardShrunk, catalogue.GuardLeavers}},
		"many invalid":                          {facts: Facts{Report: report(100, 21, 79, 0, 0)}, asks: []catalogue.Guard{catalogue.GuardInvalid}},
		"percentages mean nothing below 100":    {facts: Facts{Report: report(99, 50, 49, 0, 50), LastRead: 99, Ledger: 99}},
		"a remembered threshold":                {facts: Facts{Report: report(250, 0, 250, 0, 750), LastRead: 1000, Ledger: 1000}, thresholds: map[catalogue.Guard]catalogue.Threshold{catalogue.GuardShrunk: 0.75}},
		"empty can be remembered":               {facts: Facts{Report: report(0, 0, 0, 0, 3), LastRead: 3, Ledger: 3}, thresholds: map[catalogue.Guard]catalogue.Threshold{catalogue.GuardEmpty: 1}},
		"a shrunken remembered still asks more": {facts: Facts{Report: report(200, 0, 200, 0, 800), LastRead: 1000, Ledger: 1000}, thresholds: map[catalogue.Guard]catalogue.Threshold{catalogue.GuardShrunk: 0.75}, asks: []catalogue.Guard{catalogue.GuardShrunk}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.facts.Segments = []SegmentFacts{{LastMembers: tt.facts.LastRead, Carried: tt.facts.Ledger}}
			asks := CheckGuards(tt.facts, tt.thresholds)
			require.Equal(t, tt.asks, names(asks))
			for _, a := range asks {
				require.NotEmpty(t, a.Message)
			}
		})
	}
}

// What an operator approves is read at a glance, at a million too.
func TestGuardsSayTheirNumbers(t *testing.T) {
	first := Facts{FirstRun: true, Calls: 10_000, Minutes: 25.004, Report: &Report{ToSend: 1_000_000, Consent: ConsentCount{Subscribed: 612_345}}}
	require.Equal(t, "the first run would send 1,000,000 contacts, 612,345 of them as subscribed, in 10,000 calls (about 25m0s); "+
		"they may count as billable at Omnisend and may start its automations", CheckGuards(first, nil)[0].Message)
	first.Minutes = 0
	require.Contains(t, CheckGuards(first, nil)[0].Message, "in 10,000 calls; they may", "without a limit nobody knows how long")

	shrunk := Facts{Report: &Report{Contacts: 250_000}, LastRead: 1_000_000}
	require.Equal(t, "250,000 contacts were read, 75 % fewer than the 1,000,000 of the last complete read", CheckGuards(shrunk, nil)[0].Message)
	leavers := Facts{Report: &Report{LeaversDue: 3_000}, Ledger: 10_000}
	require.Equal(t, "3,000 contacts would lose their marker, 3,000 of them replaced by others (30 % of 10,000)", CheckGuards(leavers, nil)[0].Message)
	invalid := Facts{Report: &Report{Read: 4_000, Invalid: 2_000}}
	require.Equal(t, "2,000 of 4,000 rows are invalid (50 %)", CheckGuards(invalid, nil)[0].Message)
	empty := Facts{Report: &Report{Segments: []SegmentCount{{Segment: "buyers"}}}, Segments: []SegmentFacts{{Carried: 12_345}}}
	require.Equal(t, "segment buyers has no rows at all; 12,345 contacts carry its marker now", CheckGuards(empty, nil)[0].Message)
}

// One segment of two can be wrong while the export as a whole is as before.
func TestGuardsLookAtEachSegment(t *testing.T) {
	tests := map[string]struct {
		first, second SegmentCount
		contacts      int
		leavers       int // in no segment any more
		asks          []catalogue.Guard
		says          string
	}{
		"as before": {first: SegmentCount{Read: 542, Members: 542}, second: SegmentCount{Read: 600, Members: 600}, contacts: 600},
		"one shrinks to almost nothing": {first: SegmentCount{Read: 5, Members: 5, Left: 537}, second: SegmentCount{Read: 600, Members: 600}, contacts: 600,
			asks: []catalogue.Guard{catalogue.GuardShrunk}, says: "segment first has 5 members, 99 % fewer than the 542 of the last complete read"},
		"others instead of them": {first: SegmentCount{Read: 542, Members: 542, Left: 200}, second: SegmentCount{Read: 600, Members: 600}, contacts: 600,
			asks: []catalogue.Guard{catalogue.GuardLeavers}, says: "segment first: 200 contacts would lose its marker, 200 of them replaced by others (37 % of 542)"},
		"one is empty": {first: SegmentCount{Left: 542}, second: SegmentCount{Read: 600, Members: 600}, contacts: 600,
			asks: []catalogue.Guard{catalogue.GuardEmpty}, says: "segment first has no rows at all; 542 contacts carry its marker now"},
		"one has many invalid rows": {first: SegmentCount{Read: 542, Members: 542}, second: SegmentCount{Read: 800, Members: 600, Invalid: 200}, contacts: 600,
			asks: []catalogue.Guard{catalogue.GuardInvalid}, says: "segment second: 200 of 800 rows are invalid (25 %)"},
		"both ask in one question": {first: SegmentCount{Read: 5, Members: 5, Left: 537}, second: SegmentCount{Read: 7, Members: 7, Left: 593}, contacts: 12, leavers: 588,
			asks: []catalogue.Guard{catalogue.GuardShrunk}, says: "segment first has 5 members, 99 % fewer than the 542 of the last complete read; " +
				"segment second has 7 members, 99 % fewer than the 600 of the last complete read"},
		"each loses a little, and together they lose much": {first: SegmentCount{Read: 442, Members: 442, Left: 100}, second: SegmentCount{Read: 500, Members: 500, Left: 100}, contacts: 420, leavers: 180,
			asks: []catalogue.Guard{catalogue.GuardShrunk}, says: "420 contacts were read, 30 % fewer than the 600 of the last complete read"},
		"a segment was taken out": {first: SegmentCount{Read: 542, Members: 542}, second: SegmentCount{Read: 600, Members: 600}, contacts: 600, leavers: 300,
			asks: []catalogue.Guard{catalogue.GuardLeavers}, says: "300 contacts would lose their marker, 300 of them replaced by others (50 % of 600)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.first.Segment, tt.second.Segment = "first", "second"
			asks := CheckGuards(Facts{LastRead: 600, Ledger: 600, Segments: []SegmentFacts{{542, 542}, {600, 600}},
				Report: &Report{Segments: []SegmentCount{tt.first, tt.second}, Read: tt.first.Read + tt.second.Read,
					Invalid: tt.first.Invalid + tt.second.Invalid, Contacts: tt.contacts, LeaversDue: tt.leavers}}, nil)
			require.Equal(t, tt.asks, names(asks))
			if tt.says != "" {
				require.Equal(t, tt.says, asks[0].Message)
			}
		})
	}
}

func TestReportAddsUp(t *testing.T) {
	good := func() *Report {
		r := &Report{Status: Completed, Read: 10, Duplicate: 1, Invalid: 1, Contacts: 8, ToSend: 6, Unchanged: 1,
			Segments: []SegmentCount{{Segment: "a", Read: 10, Members: 8, Duplicate: 1, Invalid: 1}}}
		r.Apply(3, 2, 1, 0)
		return r
	}
	r := good()
	require.NoError(t, r.Check())
	require.Equal(t, 5, r.Delivered)
	require.Equal(t, 2, r.Refused, "one was refused before with the same data, one now")
	r.Apply(3, 2, 1, 0)
	require.Equal(t, 2, r.Refused, "applying again changes nothing")

	broken := &Report{Status: Failed, Read: 5, Invalid: 2, Segments: []SegmentCount{{Segment: "a", Read: 5, Invalid: 2}}}
	require.Error(t, broken.Check())
	broken.DropUndecided()
	require.NoError(t, broken.Check())
	require.Equal(t, 2, broken.Read)
	require.Contains(t, broken.Notes[0], "3 valid rows")
	r.DropUndecided()
	require.Empty(t, r.Notes, "decided rows stay")

	for name, spoil := range map[string]func(*Report){
		"a row too many":           func(r *Report) { r.Segments[0].Read++ },
		"a sum that is off":        func(r *Report) { r.Read++ },
		"a contact lost":           func(r *Report) { r.Unchanged-- },
		"delivered is not the sum": func(r *Report) { r.New-- },
		"completed with pending":   func(r *Report) { r.Apply(3, 2, 0, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			r := good()
			spoil(r)
			require.Error(t, r.Check())
		})
	}
}
