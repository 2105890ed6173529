package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/store"
)

var forgottenTests = map[string]func(t *testing.T, f fixture){
	"digests are kept until they are allowed again": func(t *testing.T, f fixture) {
		all, err := f.Forgotten(t.Context())
		require.NoError(t, err)
		require.Empty(t, all)
		one, two := some(1, 16), some(2, 16)
		for _, d := range [][]byte{two, one, two} {
			require.NoError(t, f.Forget(t.Context(), d))
		}
		all, err = f.Forgotten(t.Context())
		require.NoError(t, err)
		require.ElementsMatch(t, [][]byte{one, two}, all)
		for _, was := range []bool{true, false} {
			there, err := f.AllowAgain(t.Context(), two)
			require.NoError(t, err)
			require.Equal(t, was, there)
		}
		all, err = f.Forgotten(t.Context())
		require.NoError(t, err)
		require.Equal(t, [][]byte{one}, all)
	},
}

// ended makes a run with a call in each of these states, and ends it.
func (f fixture) ended(t *testing.T, id, export string, settle bool) {
	t.Helper()
	f.createRun(t, run(id, export))
	lease := f.lease(t, "lease of "+id)
	calls := []store.Call{
		{Origin: id + "/void", Run: id, Export: export, Brand: "brand", Count: 1, State: store.CallIntended},
		{Origin: id + "/open", Run: id, Export: export, Brand: "brand", Batch: 1, Count: 1, State: store.CallIntended},
	}
	require.NoError(t, f.IntendCalls(t.Context(), lease, nil, calls...))
	settled := []store.Settlement{{Origin: id + "/void", State: store.CallVoid}}
	if settle {
		settled = append(settled, store.Settlement{Origin: id + "/open", State: store.CallSettled, Verdict: store.Verdict{New: 1}})
	}
	require.NoError(t, f.SettleCalls(t.Context(), id, settled))
	if settle {
		require.NoError(t, f.MarkFolded(t.Context(), id, []string{id + "/open"}))
	}
	require.NoError(t, f.CommitStep(t.Context(), store.Step{Run: id, Name: "s", State: []byte("s"), Blobs: []store.Blob{{Kind: store.BlobReject}}}))
	f.endRun(t, id)
	require.NoError(t, f.ReleaseLease(t.Context(), lease))
}

func (f fixture) calls(t *testing.T, id string) int {
	t.Helper()
	totals, err := f.Totals(t.Context(), id)
	require.NoError(t, err)
	return totals.Calls
}

var retentionTests = map[string]func(t *testing.T, f fixture){
	"calls of runs that ended long ago": func(t *testing.T, f fixture) {
		f.ended(t, "done", "spring", true)
		f.ended(t, "open", "summer", false)
		f.createRun(t, run("open too", "autumn"))
		f.clock.Advance(time.Hour)
		n, err := f.ExpireCalls(t.Context(), f.clock.Now().Add(-2*time.Hour))
		require.NoError(t, err)
		require.Zero(t, n, "too young")
		n, err = f.ExpireCalls(t.Context(), f.clock.Now())
		require.NoError(t, err)
		require.Equal(t, 3, n)
		require.Equal(t, []int{0, 1}, []int{f.calls(t, "done"), f.calls(t, "open")}, "one without a verdict stays")
		_, err = f.Run(t.Context(), "done")
		require.NoError(t, err)
	},
	"runs with all that is kept of them": func(t *testing.T, f fixture) {
		for _, id := range []string{"old", "unsettled"} {
			f.ended(t, id, "spring", id == "old")
			f.clock.Advance(time.Minute)
		}
		f.createRun(t, run("parked", "spring"))
		f.clock.Advance(time.Minute)
		f.ended(t, "newest", "spring", true)
		plan := run("plan", "spring")
		plan.Plan = true
		f.createRun(t, plan)
		f.endRun(t, "plan")
		took, err := f.TakeTurn(t.Context(), "brand", "parked")
		require.NoError(t, err)
		require.True(t, took)
		f.clock.Advance(time.Hour)
		n, err := f.ExpireRuns(t.Context(), f.clock.Now().Add(-2*time.Hour))
		require.NoError(t, err)
		require.Zero(t, n)
		n, err = f.ExpireRuns(t.Context(), f.clock.Now())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		_, err = f.Run(t.Context(), "old")
		require.ErrorIs(t, err, store.ErrNotFound)
		require.Zero(t, f.calls(t, "old"))
		state, err := f.StepState(t.Context(), "old", "s")
		require.NoError(t, err)
		require.Nil(t, state)
		for _, id := range []string{"unsettled", "parked", "newest", "plan"} {
			_, err := f.Run(t.Context(), id)
			require.NoError(t, err, id)
		}
		with, err := f.RunsWith(t.Context(), store.BlobReject)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"unsettled", "newest"}, with)
	},
	"commands and the audit, however many": func(t *testing.T, f fixture) {
		const many = 1200
		for i := range many {
			require.NoError(t, f.BeginCommand(t.Context(), fmt.Sprint(i), "w"))
		}
		require.NoError(t, f.AddAudit(t.Context(), store.AuditEntry{ID: "old", Actor: "ana"}))
		f.clock.Advance(time.Hour)
		require.NoError(t, f.AddAudit(t.Context(), store.AuditEntry{ID: "new", Actor: "ana"}))
		require.NoError(t, f.BeginCommand(t.Context(), "new", "w"))
		n, err := f.ExpireCommands(t.Context(), f.clock.Now())
		require.NoError(t, err)
		require.Equal(t, many, n)
		require.ErrorIs(t, f.BeginCommand(t.Context(), "new", "other"), store.ErrExists)
		n, err = f.ExpireAudit(t.Context(), f.clock.Now())
		require.NoError(t, err)
		require.Equal(t, 1, n)
	},
}
