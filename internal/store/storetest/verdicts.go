package storetest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/store"
)

// intend records calls of run r in batches of ten.
func (f fixture) intend(t *testing.T, run string, n int) []store.Call {
	t.Helper()
	var calls []store.Call
	for i := range n {
		calls = append(calls, call(fmt.Sprintf("%s-%03d", run, i), run, i/10, i%10*100))
	}
	require.NoError(t, f.IntendCalls(t.Context(), f.lease(t, "l-"+run), nil, calls...))
	for i := range calls {
		calls[i].IntendedAt = f.clock.Now()
	}
	return calls
}

func settled(origin string, v store.Verdict) store.Settlement {
	return store.Settlement{Origin: origin, State: store.CallSettled, Verdict: v}
}

var verdictTests = map[string]func(t *testing.T, f fixture){
	"verdicts are recorded with what goes again": func(t *testing.T, f fixture) {
		calls := f.intend(t, "r", 3)
		verdicts := []store.Verdict{
			{New: 50, Changed: 30, Leavers: 20},
			{New: 47, Changed: 30, Leavers: 20, Refused: []store.Refusal{{Item: 103, Reason: "bad_email"}, {Item: 150, Reason: `"`}}, Moved: []int{101}},
			{},
		}
		blob := store.Blob{Kind: store.BlobBatch, Seq: 9, Data: []byte("again")}
		settlements := []store.Settlement{settled("r-000", verdicts[0]), settled("r-001", verdicts[1]), {Origin: "r-002", State: store.CallVoid}}
		for i, s := range settlements {
			calls[i].State, calls[i].Verdict = s.State, s.Verdict
		}
		for range 2 {
			require.NoError(t, f.SettleCalls(t.Context(), "r", settlements, blob))
			requireBatch(t, f, "r", 0, calls...)
			requireBlobs(t, f, "r", store.BlobBatch, 0, blob)
		}
	},
	"a verdict is final": func(t *testing.T, f fixture) {
		calls := f.intend(t, "r", 2)
		first := []store.Settlement{settled("r-000", store.Verdict{New: 1}), {Origin: "r-001", State: store.CallVoid}}
		require.NoError(t, f.SettleCalls(t.Context(), "r", first))
		require.NoError(t, f.SettleCalls(t.Context(), "r", []store.Settlement{
			{Origin: "r-000", State: store.CallVoid}, settled("r-001", store.Verdict{New: 2}),
		}))
		calls[0].State, calls[0].Verdict, calls[1].State = store.CallSettled, store.Verdict{New: 1}, store.CallVoid
		requireBatch(t, f, "r", 0, calls...)
	},
	"unknown calls are left out": func(t *testing.T, f fixture) {
		calls := f.intend(t, "r", 1)
		require.NoError(t, f.SettleCalls(t.Context(), "r", []store.Settlement{settled("unknown", store.Verdict{New: 1})}))
		require.NoError(t, f.MarkFolded(t.Context(), "r", []string{"unknown"}))
		requireBatch(t, f, "r", 0, calls...)
	},
	"only a verdict settles": func(t *testing.T, f fixture) {
		calls := f.intend(t, "r", 2)
		for _, state := range []store.CallState{"", store.CallIntended, store.CallAnswered, "done"} {
			require.Error(t, f.SettleCalls(t.Context(), "r", []store.Settlement{
				settled("r-000", store.Verdict{New: 1}), {Origin: "r-001", State: state},
			}))
		}
		requireBatch(t, f, "r", 0, calls...)
	},
	"none, and blobs only": func(t *testing.T, f fixture) {
		require.NoError(t, f.SettleCalls(t.Context(), "r", nil))
		blob := store.Blob{Kind: store.BlobReject, Data: []byte("x")}
		require.NoError(t, f.SettleCalls(t.Context(), "r", nil, blob))
		requireBlobs(t, f, "r", store.BlobReject, 0, blob)
	},
	"250 at once": func(t *testing.T, f fixture) {
		calls := f.intend(t, "r", 300)
		var settlements []store.Settlement
		for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(250) {
			settlements = append(settlements, settled(calls[i].Origin, store.Verdict{New: i, Moved: []int{i}}))
		}
		require.NoError(t, f.SettleCalls(t.Context(), "r", settlements))
		got, err := f.SettledCalls(t.Context(), "r")
		require.NoError(t, err)
		require.Len(t, got, 250)
		for i := range got {
			calls[i].State, calls[i].Verdict = store.CallSettled, store.Verdict{New: i, Moved: []int{i}}
		}
		require.Equal(t, calls[:250], got)
	},
	"settled calls until they are folded": func(t *testing.T, f fixture) {
		f.intend(t, "r", 25)
		f.intend(t, "s", 1)
		var settlements []store.Settlement
		for i := 24; i >= 20; i-- {
			settlements = append(settlements, settled(fmt.Sprintf("r-%03d", i), store.Verdict{New: i}))
		}
		settlements = append(settlements, settled("r-003", store.Verdict{}), store.Settlement{Origin: "r-004", State: store.CallVoid})
		require.NoError(t, f.SettleCalls(t.Context(), "r", settlements))
		require.NoError(t, f.SettleCalls(t.Context(), "s", []store.Settlement{settled("s-000", store.Verdict{})}))
		requireSettled(t, f, "r", "r-003", "r-020", "r-021", "r-022", "r-023", "r-024")
		for range 2 {
			require.NoError(t, f.MarkFolded(t.Context(), "r", []string{"r-021", "r-003", "r-005", "unknown"}))
			requireSettled(t, f, "r", "r-020", "r-022", "r-023", "r-024")
			requireSettled(t, f, "s", "s-000")
		}
		require.NoError(t, f.MarkFolded(t.Context(), "r", nil))
		// One that had no verdict was not folded with the others.
		require.NoError(t, f.SettleCalls(t.Context(), "r", []store.Settlement{settled("r-005", store.Verdict{})}))
		requireSettled(t, f, "r", "r-005", "r-020", "r-022", "r-023", "r-024")
	},
	"totals": func(t *testing.T, f fixture) {
		requireTotals(t, f, store.CallTotals{})
		f.intend(t, "s", 4)
		f.intend(t, "r", 6)
		require.NoError(t, f.IntendCalls(t.Context(), f.lease(t, "l"), &store.Call{Origin: "r-005", BatchID: "b"}))
		requireTotals(t, f, store.CallTotals{Calls: 6, Unsettled: 6, Pending: 480})
		require.NoError(t, f.SettleCalls(t.Context(), "r", []store.Settlement{
			settled("r-000", store.Verdict{New: 50, Changed: 30, Leavers: 20}),
			settled("r-001", store.Verdict{New: 40, Changed: 20, Leavers: 10, Refused: make([]store.Refusal, 29), Moved: []int{1}}),
			{Origin: "r-002", State: store.CallVoid, Verdict: store.Verdict{New: 5, Refused: make([]store.Refusal, 3)}},
		}))
		require.NoError(t, f.MarkFolded(t.Context(), "r", []string{"r-000"}))
		requireTotals(t, f, store.CallTotals{Calls: 6, Unsettled: 3, Pending: 240, New: 90, Changed: 50, Leavers: 30, LeaversRefused: 29})
	},
	"runs that are not in the ledger": func(t *testing.T, f fixture) {
		for _, id := range []string{"unsettled", "settled", "folded", "void", "none", "plan", "running"} {
			f.clock.Advance(time.Millisecond)
			f.createRun(t, run(id, "spring"))
			if id != "none" {
				f.intend(t, id, 2)
			}
			if id != "running" {
				f.endRun(t, id)
			}
		}
		other := run("elsewhere", "spring")
		other.Brand = "other"
		f.createRun(t, other)
		elsewhere := call("e", "elsewhere", 0, 0)
		elsewhere.Brand = "other"
		require.NoError(t, f.IntendCalls(t.Context(), f.lease(t, "l"), nil, elsewhere))
		f.endRun(t, "elsewhere")
		for _, id := range []string{"settled", "folded"} {
			require.NoError(t, f.SettleCalls(t.Context(), id, []store.Settlement{
				settled(id+"-000", store.Verdict{New: 1}), {Origin: id + "-001", State: store.CallVoid},
			}))
		}
		for _, id := range []string{"void", "plan"} {
			require.NoError(t, f.SettleCalls(t.Context(), id, []store.Settlement{
				{Origin: id + "-000", State: store.CallVoid}, {Origin: id + "-001", State: store.CallVoid},
			}))
		}
		require.NoError(t, f.MarkFolded(t.Context(), "folded", []string{"folded-000"}))
		requireUnfolded(t, f, "brand", "unsettled", "settled")
		requireUnfolded(t, f, "other", "elsewhere")
		requireUnfolded(t, f, "none")
	},
	"verdicts of many at once": func(t *testing.T, f fixture) {
		calls := f.intend(t, "r", 100)
		errs := race(6, func(i int) error {
			var settlements []store.Settlement
			for j := range calls {
				at := j
				if i%2 == 1 {
					at = len(calls) - 1 - j
				}
				settlements = append(settlements, settled(calls[at].Origin, store.Verdict{New: 1}))
			}
			return f.SettleCalls(t.Context(), "r", settlements)
		})
		require.Equal(t, 6, count(errs, succeeded), "%v", errs)
		requireTotals(t, f, store.CallTotals{Calls: 100, New: 100})
	},
}

func requireSettled(t *testing.T, f fixture, run string, want ...string) {
	t.Helper()
	calls, err := f.SettledCalls(t.Context(), run)
	require.NoError(t, err)
	requireOrigins(t, calls, want...)
}

func requireTotals(t *testing.T, f fixture, want store.CallTotals) {
	t.Helper()
	totals, err := f.Totals(t.Context(), "r")
	require.NoError(t, err)
	require.Equal(t, want, totals)
}

func requireUnfolded(t *testing.T, f fixture, brand string, want ...string) {
	t.Helper()
	runs, err := f.UnfoldedRuns(t.Context(), brand)
	require.NoError(t, err)
	require.Equal(t, want, runs)
}
