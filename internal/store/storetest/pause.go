package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/store"
)

func (f fixture) pause(t *testing.T, wait time.Duration, calls int) store.BudgetState {
	t.Helper()
	require.NoError(t, f.PauseBrand(t.Context(), "b", wait, store.Limit{Calls: calls}))
	return f.state(t, "b", calls)
}

// pauseTwice tells two refusals with nothing answered between them.
func (f fixture) pauseTwice(t *testing.T, calls int) store.BudgetState {
	t.Helper()
	f.clock.Advance(f.pause(t, time.Second, calls).Paused)
	return f.pause(t, time.Second, calls)
}

var pauseTests = map[string]func(t *testing.T, f fixture){
	"nobody takes a slot meanwhile": func(t *testing.T, f fixture) {
		require.Equal(t, 30*time.Second, f.pause(t, 30*time.Second, 300).Paused)
		require.Equal(t, 30*time.Second, f.take(t, "b", 300).Wait)
		require.NotZero(t, f.take(t, "other", 300).Slot)
		f.clock.Advance(20 * time.Second)
		require.Equal(t, 10*time.Second, f.take(t, "b", 300).Wait)
		f.clock.Advance(10 * time.Second)
		require.Zero(t, f.state(t, "b", 300).Paused)
		require.NotZero(t, f.take(t, "b", 300).Slot)
		require.Zero(t, f.take(t, "b", 300).Slot, "it begins gently")
	},
	"a pause is made longer, never shorter": func(t *testing.T, f fixture) {
		f.pause(t, 30*time.Second, 300)
		require.Equal(t, 30*time.Second, f.pause(t, 10*time.Second, 300).Paused)
		require.Equal(t, 30*time.Second, f.pause(t, 0, 300).Paused)
		require.Equal(t, 40*time.Second, f.pause(t, 40*time.Second, 300).Paused)
	},
	"no pause is longer than the longest": func(t *testing.T, f fixture) {
		require.Equal(t, store.MaxPause, f.pause(t, 1000*time.Hour, 300).Paused)
		f.clock.Advance(time.Minute)
		require.Equal(t, store.MaxPause, f.pause(t, 1000*time.Hour, 300).Paused, "told again")
	},
	"the clock is put back during one": func(t *testing.T, f fixture) {
		f.pause(t, 30*time.Second, 300)
		f.clock.Advance(-10 * time.Hour)
		require.Equal(t, store.MaxPause, f.state(t, "b", 300).Paused)
		require.Equal(t, store.MaxPause, f.take(t, "b", 300).Wait)
		f.clock.Advance(store.MaxPause)
		require.Less(t, f.take(t, "b", 300).Wait, time.Second, "its pace, and no pause")
	},
	"it is lifted": func(t *testing.T, f fixture) {
		limit := store.Limit{Calls: 300}
		left, err := f.ResumeBrand(t.Context(), "b", limit)
		require.NoError(t, err)
		require.Zero(t, left)
		lowered := f.pause(t, 3*time.Minute, 300).Effective
		f.clock.Advance(time.Minute)
		left, err = f.ResumeBrand(t.Context(), "b", limit)
		require.NoError(t, err)
		require.Equal(t, 2*time.Minute, left)
		require.Zero(t, f.state(t, "b", 300).Paused)
		require.GreaterOrEqual(t, f.state(t, "b", 300).Effective, lowered)
		require.NotZero(t, f.take(t, "b", 300).Slot)
		require.Zero(t, f.take(t, "b", 300).Slot, "it begins gently")
		left, err = f.ResumeBrand(t.Context(), "b", limit)
		require.NoError(t, err)
		require.Zero(t, left)
		require.Equal(t, 2*time.Second, f.pause(t, 0, 300).Paused, "and the next is a first one")
	},
	"without a time it doubles up to a minute": func(t *testing.T, f fixture) {
		for _, want := range []time.Duration{2, 4, 8, 16, 32, 60, 60} {
			paused := f.pause(t, 0, 300).Paused
			require.Equal(t, want*time.Second, paused)
			f.clock.Advance(paused)
			f.free(t, "b", f.takeOne(t, "b", 300)) // refused as well
		}
		for range 10 { // and these are not
			f.free(t, "b", f.takeOne(t, "b", 300))
		}
		require.Equal(t, 2*time.Second, f.pause(t, 0, 300).Paused)
		f.clock.Advance(3 * time.Second)
		require.Equal(t, 4*time.Second, f.pause(t, 0, 300).Paused)
		f.clock.Advance(5 * time.Minute) // a long rest is as good
		require.Equal(t, 2*time.Second, f.pause(t, 0, 300).Paused)
	},
	"others spend the budget: the limit is lowered to what was ours": func(t *testing.T, f fixture) {
		for range 200 {
			f.free(t, "b", f.takeOne(t, "b", 300))
		}
		state := f.pauseTwice(t, 300)
		require.Equal(t, store.BudgetState{InWindow: 200, Effective: 200, Paused: time.Second}, state)
		require.Equal(t, state, f.pause(t, time.Second, 300), "told again by a request on its way")
	},
	"it is halved at most, and recovers": func(t *testing.T, f fixture) {
		f.free(t, "b", f.takeOne(t, "b", 300))
		half := 285 / 2
		require.Equal(t, half, f.pauseTwice(t, 300).Effective)
		f.clock.Advance(10*time.Second - 1)
		require.Equal(t, half, f.state(t, "b", 300).Effective)
		f.clock.Advance(1)
		require.Equal(t, half+15, f.state(t, "b", 300).Effective)
		f.clock.Advance(80 * time.Second)
		require.Equal(t, half+135, f.state(t, "b", 300).Effective)
		f.clock.Advance(time.Hour)
		require.Equal(t, 300, f.state(t, "b", 300).Effective)
		require.Equal(t, 100, f.state(t, "b", 100).Effective, "never above what is asked")
	},
	"never under 5 %, at least 1": func(t *testing.T, f fixture) {
		for _, c := range []struct{ calls, least int }{{300, 15}, {10, 1}, {1, 1}} {
			var state store.BudgetState
			for range 12 {
				state = f.pause(t, time.Second, c.calls)
				f.clock.Advance(time.Second)
			}
			require.Equal(t, c.least, state.Effective)
			require.NotZero(t, f.takeOne(t, "b", c.calls))
			f.clock.Advance(time.Hour)
		}
	},
	"a full window gives up a little": func(t *testing.T, f fixture) {
		for range 100 {
			f.free(t, "b", f.takeOne(t, "b", 100))
		}
		require.Equal(t, 95, f.pause(t, time.Second, 100).Effective)
	},
	"the lowered limit is kept to": func(t *testing.T, f fixture) {
		for range 30 {
			f.free(t, "b", f.takeOne(t, "b", 60))
		}
		f.clock.Advance(2 * window)
		state := f.pauseTwice(t, 60)
		require.Equal(t, 28, state.Effective)
		f.clock.Advance(state.Paused)
		start := f.clock.Now()
		taken := 0
		for f.clock.Now().Sub(start) < window {
			f.free(t, "b", f.takeOne(t, "b", 60))
			taken++
		}
		require.Less(t, taken, 50, "it rises by 3 every 10 s")
		require.Greater(t, taken, 30)
	},
}
