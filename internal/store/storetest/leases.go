package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/store"
)

var leaseTests = map[string]func(t *testing.T, f fixture){
	"a lease is held by one": func(t *testing.T, f fixture) {
		for _, name := range odd {
			f.lease(t, name)
		}
		start := f.clock.Now()
		f.clock.Advance(10 * time.Second)
		for _, name := range odd {
			lease, err := f.AcquireLease(t.Context(), name, time.Minute)
			require.Zero(t, lease)
			var held *store.LeaseHeldError
			require.ErrorAs(t, err, &held)
			require.Equal(t, store.LeaseHeldError{Name: name, Until: start.Add(time.Minute), In: 50 * time.Second}, *held)
		}
	},
	"it runs out": func(t *testing.T, f fixture) {
		first := f.lease(t, "l")
		f.clock.Advance(time.Minute - time.Microsecond)
		_, err := f.AcquireLease(t.Context(), "l", time.Minute)
		require.ErrorAs(t, err, new(*store.LeaseHeldError))
		f.clock.Advance(time.Microsecond)
		second := f.lease(t, "l")
		require.Greater(t, second.Token, first.Token)
		require.ErrorIs(t, f.RenewLease(t.Context(), first, time.Minute), store.ErrFenced)
	},
	"it is renewed from now": func(t *testing.T, f fixture) {
		lease := f.lease(t, "l")
		for range 3 {
			f.clock.Advance(50 * time.Second)
			require.NoError(t, f.RenewLease(t.Context(), lease, time.Minute))
		}
		_, err := f.AcquireLease(t.Context(), "l", time.Minute)
		var held *store.LeaseHeldError
		require.ErrorAs(t, err, &held)
		require.Equal(t, time.Minute, held.In)
	},
	"one that ran out and that nobody took is its holder's": func(t *testing.T, f fixture) {
		lease := f.lease(t, "l")
		f.clock.Advance(time.Hour)
		require.NoError(t, f.IntendCalls(t.Context(), lease, nil, call("o", "r", 0, 0)))
		require.NoError(t, f.RenewLease(t.Context(), lease, time.Minute))
		_, err := f.AcquireLease(t.Context(), "l", time.Minute)
		require.ErrorAs(t, err, new(*store.LeaseHeldError))
	},
	"one given up is free at once and fences its holder": func(t *testing.T, f fixture) {
		first := f.lease(t, "l")
		for range 2 {
			require.NoError(t, f.ReleaseLease(t.Context(), first))
		}
		require.ErrorIs(t, f.RenewLease(t.Context(), first, time.Minute), store.ErrFenced)
		require.ErrorIs(t, f.CommitStep(t.Context(), store.Step{Run: "r", Name: "s", Lease: first}), store.ErrFenced)
		second := f.lease(t, "l")
		require.Greater(t, second.Token, first.Token)
		require.NoError(t, f.ReleaseLease(t.Context(), first), "a lost one is no error")
		require.NoError(t, f.RenewLease(t.Context(), second, time.Minute), "and releases nothing")
		require.NoError(t, f.ReleaseLease(t.Context(), store.Lease{Name: "never", Token: 1}))
	},
	"the clock is put back after one was given up": func(t *testing.T, f fixture) {
		first := f.lease(t, "l")
		require.NoError(t, f.ReleaseLease(t.Context(), first))
		f.clock.Advance(-10 * time.Hour)
		second := f.lease(t, "l")
		require.Greater(t, second.Token, first.Token)
	},
	"the clock is put back and its holder is gone": func(t *testing.T, f fixture) {
		first := f.lease(t, "l")
		f.clock.Advance(-10 * time.Hour)
		_, err := f.AcquireLease(t.Context(), "l", time.Minute)
		var held *store.LeaseHeldError
		require.ErrorAs(t, err, &held)
		require.Equal(t, store.MaxLease, held.In)
		f.clock.Advance(store.MaxLease)
		require.Greater(t, f.lease(t, "l").Token, first.Token)
		require.ErrorIs(t, f.RenewLease(t.Context(), first, time.Minute), store.ErrFenced)
	},
	"the clock is put back and its holder lives": func(t *testing.T, f fixture) {
		first := f.lease(t, "l")
		f.clock.Advance(-10 * time.Hour)
		_, err := f.AcquireLease(t.Context(), "l", time.Minute)
		require.ErrorAs(t, err, new(*store.LeaseHeldError))
		f.clock.Advance(30 * time.Second)
		require.NoError(t, f.RenewLease(t.Context(), first, time.Minute))
		f.clock.Advance(59 * time.Second)
		_, err = f.AcquireLease(t.Context(), "l", time.Minute)
		require.ErrorAs(t, err, new(*store.LeaseHeldError))
	},
	"none is longer than the longest": func(t *testing.T, f fixture) {
		lease := f.lease(t, "l")
		for _, ttl := range []time.Duration{-1, 0, store.MaxLease + 1} {
			_, err := f.AcquireLease(t.Context(), "other", ttl)
			require.ErrorContains(t, err, "a lease is at most 1m0s long")
			require.ErrorContains(t, f.RenewLease(t.Context(), lease, ttl), "a lease is at most 1m0s long")
		}
	},
	"tokens grow however long ago": func(t *testing.T, f fixture) {
		var last int64
		for range 5 {
			lease := f.lease(t, "l")
			require.Greater(t, lease.Token, last)
			last = lease.Token
			f.clock.Advance(100 * time.Hour)
		}
	},
	"of many who want it, one gets it": func(t *testing.T, f fixture) {
		var last int64
		for range 3 {
			leases := race(8, func(int) store.Lease {
				lease, err := f.AcquireLease(t.Context(), "l", time.Minute)
				if held := new(store.LeaseHeldError); err != nil && !errors.As(err, &held) {
					t.Error(err)
				}
				return lease
			})
			got := slices.IndexFunc(leases, func(l store.Lease) bool { return l.Token > last })
			require.GreaterOrEqual(t, got, 0)
			require.Equal(t, 1, count(leases, func(l store.Lease) bool { return l.Token != 0 }))
			last = leases[got].Token
			f.clock.Advance(time.Minute) // the next round is about one that ran out
		}
	},
	"a holder and its successor": func(t *testing.T, f fixture) {
		// Whichever comes first, either the step was stored before the lease went or
		// it was refused. The holder's is the longer one, so that the lease goes
		// while it is being stored.
		long := make([]store.Blob, 50)
		for i := range long {
			long[i] = store.Blob{Kind: store.BlobPart, Seq: i, Data: some(i, 1000)}
		}
		for i := range 10 {
			name := fmt.Sprint(i)
			lease := f.lease(t, name)
			f.clock.Advance(time.Minute)
			errs := race(2, func(who int) error {
				if who == 0 {
					return f.CommitStep(t.Context(), store.Step{Run: name, Name: "s", Lease: lease, State: []byte("old"), Blobs: long})
				}
				next, err := f.AcquireLease(t.Context(), name, time.Minute)
				if err != nil {
					return err
				}
				return f.CommitStep(t.Context(), store.Step{Run: name, Name: "s", Lease: next, State: []byte("new")})
			})
			require.NoError(t, errs[1])
			if errs[0] != nil {
				require.ErrorIs(t, errs[0], store.ErrFenced)
			}
			requireState(t, f, name, "s", []byte("new"))
		}
	},
}

var turnTests = map[string]func(t *testing.T, f fixture){
	"one run has the turn": func(t *testing.T, f fixture) {
		f.createRun(t, run("r1", "spring"))
		f.createRun(t, run("r2", "summer"))
		requireTurn(t, f, "b", "r1", true)
		requireTurn(t, f, "b", "r1", true)
		requireTurn(t, f, "b", "r2", false)
		requireTurn(t, f, "other", "r2", true)
		require.NoError(t, f.YieldTurn(t.Context(), "b", "r2"), "not its own")
		requireTurn(t, f, "b", "r2", false)
		for range 2 {
			require.NoError(t, f.YieldTurn(t.Context(), "b", "r1"))
		}
		requireTurn(t, f, "b", "r2", true)
		requireTurn(t, f, "b", "r1", false)
	},
	"a run that has ended does not keep it": func(t *testing.T, f fixture) {
		f.createRun(t, run("r1", "spring"))
		f.createRun(t, run("r2", "summer"))
		requireTurn(t, f, "b", "r1", true)
		f.endRun(t, "r1")
		requireTurn(t, f, "b", "r1", false)
		requireTurn(t, f, "b", "r2", true)
		requireTurn(t, f, "b", "r1", false)
	},
	"calls need it": func(t *testing.T, f fixture) {
		f.createRun(t, run("r1", "spring"))
		f.createRun(t, run("r2", "summer"))
		lease := f.lease(t, "l")
		require.NoError(t, f.IntendCalls(t.Context(), lease, nil, call("o1", "r1", 0, 0)))
		requireTurn(t, f, "brand", "r2", false)
		require.ErrorIs(t, f.IntendCalls(t.Context(), lease, nil, call("o2", "r2", 0, 0)), store.ErrFenced)
		require.NoError(t, f.YieldTurn(t.Context(), "brand", "r1"), "kept, as a call is on the way")
		requireTurn(t, f, "brand", "r2", false)
		require.NoError(t, f.SettleCalls(t.Context(), "r1", []store.Settlement{{Origin: "o1", State: store.CallSettled}}))
		require.NoError(t, f.YieldTurn(t.Context(), "brand", "r1"))
		requireTurn(t, f, "brand", "r2", true)
		require.ErrorIs(t, f.IntendCalls(t.Context(), lease, nil, call("o3", "r1", 0, 0)), store.ErrFenced)
	},
	"a run must be known": func(t *testing.T, f fixture) {
		has, err := f.TakeTurn(t.Context(), "b", "r1")
		require.ErrorIs(t, err, store.ErrNotFound)
		require.False(t, has)
		require.NoError(t, f.YieldTurn(t.Context(), "b", "r1"))
	},
	"of many runs one gets it": func(t *testing.T, f fixture) {
		for i := range 8 {
			f.createRun(t, run(fmt.Sprint(i), "spring"))
		}
		for range 3 {
			turns := race(8, func(i int) bool {
				has, err := f.TakeTurn(t.Context(), "b", fmt.Sprint(i))
				if err != nil {
					t.Error(err)
				}
				return has
			})
			has := func(b bool) bool { return b }
			require.Equal(t, 1, count(turns, has))
			winner := fmt.Sprint(slices.IndexFunc(turns, has))
			requireTurn(t, f, "b", winner, true)
			f.endRun(t, winner) // the next round is about one that can be taken over
		}
	},
}

func requireTurn(t *testing.T, f fixture, brand, run string, want bool) {
	t.Helper()
	has, err := f.TakeTurn(t.Context(), brand, run)
	require.NoError(t, err)
	require.Equal(t, want, has)
}
