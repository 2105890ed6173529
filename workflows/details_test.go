package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

func TestDetails(t *testing.T) {
	began := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	r := &run.Report{Status: run.Running, Phase: run.PhaseDeliver, Contacts: 1_234_567, ToSend: 12_000, New: 8000, Unsent: 4000, Unchanged: 1_222_567, Calls: 90,
		Segments: []run.SegmentCount{{Segment: "a|b_c", Read: 1_234_569, Members: 1_234_567, Duplicate: 2, Marker: "segment_a"}}}
	d := &Delivery{Sent: 9000, SentBefore: 6000, Since: began}
	require.Equal(t, "**running** (deliver)\n\n9,000 of 12,000 contacts sent, 300 a second, about 10s left\n\n"+
		"| contacts | 1,234,567 |\n|---|---:|\n| new | 8,000 |\n| changed | 0 |\n| unchanged | 1,222,567 |\n| refused | 0 |\n| pending | 0 |\n| unsent | 4,000 |\n"+
		"\nCalls: 90. Leavers: 0.\n\n"+
		"| segment | read | members | duplicate | invalid |\n|---|---:|---:|---:|---:|\n| a\\|b\\_c | 1,234,569 | 1,234,567 | 2 | 0 |\n"+
		"\n- a\\|b\\_c is marked by `segment_a`\n",
		Details(r, d, began.Add(10*time.Second)))

	d.Sent, d.Open = 12_000, 3
	require.Contains(t, Details(r, d, began.Add(10*time.Second)), "12,000 of 12,000 contacts sent, the verdicts on 3 calls are still to come\n")
	d.Sent, d.Open = 9000, 0

	r.Status, r.Reason, r.Action = run.Parked, "the key of <Shop> is refused", `rotate it (starter connection rotate-key "a (b)"), then resume; look with: starter runs show 1 --full`
	details := Details(r, d, began.Add(10*time.Second))
	require.Contains(t, details, `the key of \<Shop\> is refused`)
	require.Contains(t, details, "**To do:** rotate it (`starter connection rotate-key \"a (b)\"`), then resume; look with: `starter runs show 1 --full`\n")
	require.Contains(t, details, "9,000 of 12,000 contacts sent\n", "nothing is being sent, so there is no rate")
}

// A query is answered between two tasks of the workflow, and never while its
// history is replayed: what it changed would be unlike in the two.
func TestAskingForProgressChangesNothing(t *testing.T) {
	e := &exporter{state: &State{Report: &run.Report{Status: run.Running, Phase: run.PhaseDeliver, Contacts: 30, ToSend: 30, Unsent: 30},
		Delivery: Delivery{Sent: 20, Totals: store.CallTotals{New: 10}}}}
	before := *e.state.Report
	p := e.progress()
	require.Equal(t, []int{10, 10, 10}, []int{p.Delivered, p.Pending, p.Unsent})
	require.Equal(t, before, *e.state.Report)
}

func TestProse(t *testing.T) {
	for text, markdown := range map[string]string{
		"plain, with 5 % and a dash - so":                    "plain, with 5 % and a dash - so",
		"raise --max-contacts":                               "raise `--max-contacts`",
		"begin with: starter run EXPORT":                     "begin with: `starter run EXPORT`",
		"see (starter runs show \"it's a\\\"b\") or *that*":  "see (`starter runs show \"it's a\\\"b\"`) or \\*that\\*",
		"starter run a`b":                                    "`` starter run a`b ``",
		"the restarter, the starter's key: [x](javascript:)": "the restarter, the starter's key: \\[x\\](javascript:)",
	} {
		require.Equal(t, markdown, prose(text))
	}
}

// A run shows which verdicts may never come, and until when it asks for them.
func TestVerdictsThatMayNeverCome(t *testing.T) {
	l := &delivering{exporter: &exporter{state: &State{Report: &run.Report{Status: run.Running}}}}
	until := time.Date(2026, 11, 1, 12, 10, 0, 0, time.UTC)
	l.sayMissing(activities.SweepResult{Missing: 3, MissingUntil: until})
	require.EqualValues(t, "Omnisend does not find the batches of 3 calls that it took; they are asked for until 12:10:00 UTC, then their contacts are sent again", l.state.Report.Reason)
	l.sayMissing(activities.SweepResult{})
	require.Empty(t, l.state.Report.Reason)
	l.state.Report.Status, l.state.Report.Reason = run.Parked, "the key"
	l.sayMissing(activities.SweepResult{Missing: 3, MissingUntil: until})
	require.EqualValues(t, "the key", l.state.Report.Reason)
}
