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
		return &Report{Segments: []SegmentCount{{Segment: "buyers", Read: read}}, Read: read, Invalid: invalid,
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
			asks := CheckGuards(tt.facts, tt.thresholds)
			require.Equal(t, tt.asks, names(asks))
			for _, a := range asks {
				require.NotEmpty(t, a.Message)
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
