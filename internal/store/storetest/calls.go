package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/store"
)

// call is one of 100 contacts that nothing is known of yet.
func call(origin, run string, batch, first int) store.Call {
	return store.Call{
		Origin: origin, Run: run, Export: "spring", Brand: "brand", Batch: batch, First: first, Count: 100,
		New: 50, Changed: 30, Leavers: 20, State: store.CallIntended,
	}
}

var callTests = map[string]func(t *testing.T, f fixture){
	"a call is intended and answered": func(t *testing.T, f fixture) {
		lease := f.lease(t, "l")
		one, two := call("o1", "r", 7, 0), call("o2", "r", 7, 100)
		one.IntendedAt = f.clock.Now()
		require.NoError(t, f.IntendCalls(t.Context(), lease, nil, call("o1", "r", 7, 0)))
		requireBatch(t, f, "r", 7, one)

		f.clock.Advance(time.Second)
		two.IntendedAt = f.clock.Now()
		one.State, one.BatchID, one.AnsweredAt = store.CallAnswered, "batch-1", f.clock.Now()
		require.NoError(t, f.IntendCalls(t.Context(), lease, &store.Call{Origin: "o1", BatchID: "batch-1"}, call("o2", "r", 7, 100)))
		requireBatch(t, f, "r", 7, one, two)

		f.clock.Advance(time.Second)
		two.State, two.BatchID, two.AnsweredAt = store.CallAnswered, "batch-2", f.clock.Now()
		for range 2 { // the second time nothing changes
			require.NoError(t, f.IntendCalls(t.Context(), lease, &store.Call{Origin: "o2", BatchID: "batch-2"}))
			requireBatch(t, f, "r", 7, one, two)
			f.clock.Advance(time.Second)
		}
	},
	"a call that is known is left as it is": func(t *testing.T, f fixture) {
		lease := f.lease(t, "l")
		require.NoError(t, f.IntendCalls(t.Context(), lease, nil, call("o1", "r", 0, 0)))
		want := call("o1", "r", 0, 0)
		want.IntendedAt = f.clock.Now()
		want.State, want.BatchID, want.AnsweredAt = store.CallAnswered, "b", f.clock.Now()
		require.NoError(t, f.IntendCalls(t.Context(), lease, &store.Call{Origin: "o1", BatchID: "b"}))
		f.clock.Advance(time.Second)
		require.NoError(t, f.IntendCalls(t.Context(), lease, nil, call("o1", "r", 5, 500), call("o2", "r", 0, 100)))
		second := call("o2", "r", 0, 100)
		second.IntendedAt = f.clock.Now()
		requireBatch(t, f, "r", 0, want, second)
		requireBatch(t, f, "r", 5)
	},
	"an answer does not undo a verdict": func(t *testing.T, f fixture) {
		lease := f.lease(t, "l")
		require.NoError(t, f.IntendCalls(t.Context(), lease, nil, call("o1", "r", 0, 0)))
		require.NoError(t, f.SettleCalls(t.Context(), "r", []store.Settlement{{Origin: "o1", State: store.CallVoid}}))
		require.NoError(t, f.IntendCalls(t.Context(), lease, &store.Call{Origin: "o1", BatchID: "b"}))
		want := call("o1", "r", 0, 0)
		want.State, want.IntendedAt = store.CallVoid, f.clock.Now()
		requireBatch(t, f, "r", 0, want)
	},
	"the answer of a call never intended": func(t *testing.T, f fixture) {
		err := f.IntendCalls(t.Context(), f.lease(t, "l"), &store.Call{Origin: "o1", BatchID: "b"}, call("o2", "r", 0, 0))
		require.ErrorIs(t, err, store.ErrNotFound)
		requireBatch(t, f, "r", 0)
	},
	"without the lease nothing is stored": func(t *testing.T, f fixture) {
		lost := f.lease(t, "l")
		require.NoError(t, f.IntendCalls(t.Context(), lost, nil, call("o1", "r", 0, 0)))
		want := call("o1", "r", 0, 0)
		want.IntendedAt = f.clock.Now()
		f.clock.Advance(2 * time.Minute)
		f.lease(t, "l")
		for _, lease := range []store.Lease{lost, {}, {Name: "never", Token: 1}} {
			err := f.IntendCalls(t.Context(), lease, &store.Call{Origin: "o1", BatchID: "b"}, call("o2", "r", 0, 100))
			require.ErrorIs(t, err, store.ErrFenced)
		}
		requireBatch(t, f, "r", 0, want)
	},
	"the calls of a batch are in order": func(t *testing.T, f fixture) {
		lease := f.lease(t, "l")
		var want []store.Call
		for _, c := range []store.Call{call("c", "r", 1, 100), call("b", "r", 1, 100), call("a", "r", 1, 0), call("x", "r", 2, 0), call("y", "s", 1, 0)} {
			f.clock.Advance(time.Second)
			require.NoError(t, f.IntendCalls(t.Context(), lease, nil, c))
			c.IntendedAt = f.clock.Now()
			want = append(want, c)
		}
		require.NoError(t, f.SettleCalls(t.Context(), "r", []store.Settlement{{Origin: "b", State: store.CallVoid}}))
		want[1].State = store.CallVoid
		requireBatch(t, f, "r", 1, want[2], want[0], want[1])
	},
	"unsettled ones, oldest first": func(t *testing.T, f fixture) {
		lease := f.lease(t, "l")
		for i, run := range []string{"r", "s", "r", "s", "r"} {
			f.clock.Advance(time.Second)
			require.NoError(t, f.IntendCalls(t.Context(), lease, nil, call(fmt.Sprint(9-i), run, i, 0)))
		}
		other := call("x", "r", 0, 0)
		other.Brand = "other"
		require.NoError(t, f.IntendCalls(t.Context(), lease, &store.Call{Origin: "8", BatchID: "b"}, other))
		requireUnsettled(t, f, "brand", "", 100, "9", "8", "7", "6", "5")
		requireUnsettled(t, f, "brand", "", 2, "9", "8")
		requireUnsettled(t, f, "brand", "s", 100, "8", "6")
		requireUnsettled(t, f, "brand", "r", 2, "9", "7")
		requireUnsettled(t, f, "brand", "", 0, "9", "8", "7", "6", "5")
		requireUnsettled(t, f, "other", "", 100, "x")
		requireUnsettled(t, f, "none", "", 100)
		require.NoError(t, f.SettleCalls(t.Context(), "r", []store.Settlement{
			{Origin: "9", State: store.CallSettled}, {Origin: "7", State: store.CallVoid},
		}))
		requireUnsettled(t, f, "brand", "", 100, "8", "6", "5")
	},
	"zero values and odd names": func(t *testing.T, f fixture) {
		lease := f.lease(t, "l")
		for i, name := range odd {
			want := store.Call{Origin: name, Run: name, Export: name, Brand: name, Batch: i}
			require.NoError(t, f.IntendCalls(t.Context(), lease, nil, want))
			require.NoError(t, f.IntendCalls(t.Context(), lease, &store.Call{Origin: name, BatchID: name}))
			want.State, want.BatchID, want.IntendedAt, want.AnsweredAt = store.CallAnswered, name, f.clock.Now(), f.clock.Now()
			requireBatch(t, f, name, i, want)
			verdict := store.Verdict{Refused: []store.Refusal{{Reason: name}}}
			require.NoError(t, f.SettleCalls(t.Context(), name, []store.Settlement{{Origin: name, State: store.CallSettled, Verdict: verdict}}))
			want.State, want.Verdict = store.CallSettled, verdict
			requireBatch(t, f, name, i, want)
			require.NoError(t, f.MarkFolded(t.Context(), name, []string{name}))
			want.Folded = true
			requireBatch(t, f, name, i, want)
		}
	},
	"many batches at once": func(t *testing.T, f fixture) {
		lease := f.lease(t, "l")
		errs := race(8, func(batch int) error {
			var answered *store.Call
			for i := range 10 {
				next := call(fmt.Sprint(batch, "/", i), "r", batch, i*100)
				if err := f.IntendCalls(t.Context(), lease, answered, next); err != nil {
					return err
				}
				answered = &store.Call{Origin: next.Origin, BatchID: "b" + next.Origin}
			}
			return f.IntendCalls(t.Context(), lease, answered)
		})
		require.Equal(t, 8, count(errs, succeeded), "%v", errs)
		totals, err := f.Totals(t.Context(), "r")
		require.NoError(t, err)
		require.Equal(t, store.CallTotals{Calls: 80, Unsettled: 80, Pending: 6400}, totals)
	},
}

func requireBatch(t *testing.T, f fixture, run string, batch int, want ...store.Call) {
	t.Helper()
	calls, err := f.CallsOfBatch(t.Context(), run, batch)
	require.NoError(t, err)
	require.Equal(t, want, calls)
}

func requireUnsettled(t *testing.T, f fixture, brand, run string, limit int, want ...string) {
	t.Helper()
	calls, err := f.Unsettled(t.Context(), brand, run, limit)
	require.NoError(t, err)
	requireOrigins(t, calls, want...)
}

func requireOrigins(t *testing.T, calls []store.Call, want ...string) {
	t.Helper()
	var got []string
	for i := range calls {
		got = append(got, calls[i].Origin)
	}
	require.Equal(t, want, got)
}
