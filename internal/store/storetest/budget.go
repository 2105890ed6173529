package storetest

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/store"
)

// window is what the far side counts in.
const window = time.Minute

func (f fixture) take(t *testing.T, brand string, calls int) store.SlotGrant {
	t.Helper()
	grant, err := f.TakeSlot(t.Context(), brand, store.Limit{Calls: calls})
	require.NoError(t, err)
	require.NotEqual(t, grant.Slot == 0, grant.Wait == 0, "%+v", grant)
	require.GreaterOrEqual(t, grant.Wait, time.Duration(0))
	return grant
}

// takeOne waits, by the clock, until it has a slot.
func (f fixture) takeOne(t *testing.T, brand string, calls int) int64 {
	t.Helper()
	for {
		grant := f.take(t, brand, calls)
		if grant.Slot != 0 {
			return grant.Slot
		}
		f.clock.Advance(grant.Wait)
	}
}

func (f fixture) free(t *testing.T, brand string, slot int64) {
	t.Helper()
	require.NoError(t, f.FreeSlot(t.Context(), brand, slot))
}

func (f fixture) state(t *testing.T, brand string, calls int) store.BudgetState {
	t.Helper()
	state, err := f.BudgetState(t.Context(), brand, store.Limit{Calls: calls})
	require.NoError(t, err)
	return state
}

var budgetTests = map[string]func(t *testing.T, f fixture){
	"the minutes of the last hour": func(t *testing.T, f fixture) {
		hour := func() []store.BudgetMinute {
			minutes, err := f.BudgetHour(t.Context(), "b")
			require.NoError(t, err)
			return minutes
		}
		require.Empty(t, hour())
		f.clock.Advance(f.clock.Now().Truncate(time.Minute).Add(time.Minute).Sub(f.clock.Now()))
		first := f.clock.Now().UTC()
		f.takeOne(t, "b", 600)
		f.takeOne(t, "b", 600)
		f.takeOne(t, "other", 600)
		require.Equal(t, []store.BudgetMinute{{At: first, Calls: 2, Limit: 600}}, hour())
		f.clock.Advance(2 * time.Minute)
		require.NoError(t, f.PauseBrand(t.Context(), "b", time.Second, store.Limit{Calls: 600}))
		require.NoError(t, f.PauseBrand(t.Context(), "b", time.Second, store.Limit{Calls: 600}), "a part of the same pause")
		require.Equal(t, []store.BudgetMinute{{At: first, Calls: 2, Limit: 600}, {At: first.Add(2 * time.Minute), Refused: 1, Limit: 570}}, hour())
		f.clock.Advance(58*time.Minute + time.Second)
		require.Len(t, hour(), 1, "an hour and no more")
		for range 70 {
			f.takeOne(t, "b", 600)
		}
		require.LessOrEqual(t, len(hour()), 3)
	},
	"a slot counts until 60 s after its answer": func(t *testing.T, f fixture) {
		require.Equal(t, store.BudgetState{Effective: 1}, f.state(t, "b", 1))
		slot := f.take(t, "b", 1).Slot
		require.NotZero(t, slot)
		require.Equal(t, store.BudgetState{InWindow: 1, Effective: 1}, f.state(t, "b", 1))
		f.clock.Advance(10 * time.Second)
		f.free(t, "b", slot)
		f.clock.Advance(time.Second)
		f.free(t, "b", slot) // told again, it does not count for longer
		wait := f.take(t, "b", 1).Wait
		require.Greater(t, wait, 59*time.Second)
		require.Less(t, wait, 59*time.Second+time.Millisecond)
		f.clock.Advance(wait - time.Microsecond)
		require.Equal(t, time.Microsecond, f.take(t, "b", 1).Wait, "exact")
		f.clock.Advance(time.Microsecond)
		require.NotZero(t, f.take(t, "b", 1).Slot)
	},
	"a slot whose holder died": func(t *testing.T, f fixture) {
		start := f.clock.Now()
		f.takeOne(t, "b", 1)
		second := f.takeOne(t, "b", 1)
		passed := f.clock.Now().Sub(start)
		require.Greater(t, passed, RequestTimeout+window)
		require.Less(t, passed, RequestTimeout+window+time.Millisecond)
		f.clock.Advance(RequestTimeout + window + time.Second)
		require.Zero(t, f.state(t, "b", 1).InWindow)
		third := f.takeOne(t, "b", 1)
		f.free(t, "b", second) // far too late, and of no effect
		require.Equal(t, 1, f.state(t, "b", 1).InWindow)
		f.free(t, "b", third)
		f.free(t, "b", 12345)
	},
	"brands and odd names do not share": func(t *testing.T, f fixture) {
		for _, brand := range odd {
			require.NotZero(t, f.take(t, brand, 1).Slot)
			require.Zero(t, f.take(t, brand, 1).Slot)
		}
	},
	"a few at once, then at a pace": func(t *testing.T, f fixture) {
		taken := 0
		for f.take(t, "b", 300).Slot != 0 {
			taken++
		}
		require.Greater(t, taken, 1)
		require.LessOrEqual(t, taken, 10)
		most := 60.0 / 300 * float64(time.Second)
		for range 30 {
			grant := f.take(t, "b", 300)
			require.LessOrEqual(t, float64(grant.Wait), most)
			f.clock.Advance(grant.Wait)
			require.NotZero(t, f.take(t, "b", 300).Slot, "a waiter waits once")
		}
	},
	"what a stall lost is made good, not in a burst": func(t *testing.T, f fixture) {
		start := f.clock.Now()
		for range 100 {
			f.free(t, "b", f.takeOne(t, "b", 300))
		}
		f.clock.Advance(5 * time.Second)
		stalled := f.clock.Now()
		n := 100
		for f.clock.Now().Sub(start) < window-2*time.Second {
			f.free(t, "b", f.takeOne(t, "b", 300))
			n++
			pace := float64(n-100) / (f.clock.Now().Sub(stalled).Seconds() + 2)
			require.LessOrEqual(t, pace, 300.0/60*1.25)
		}
		require.InDelta(t, 58*5, n, 10)
	},
	"a limit must be above 0": func(t *testing.T, f fixture) {
		for _, calls := range []int{0, -1} {
			_, err := f.TakeSlot(t.Context(), "b", store.Limit{Calls: calls})
			require.Error(t, err)
			require.Error(t, f.PauseBrand(t.Context(), "b", time.Second, store.Limit{Calls: calls}))
			_, err = f.ResumeBrand(t.Context(), "b", store.Limit{Calls: calls})
			require.Error(t, err)
		}
	},
	"a limit may change": func(t *testing.T, f fixture) {
		for range 20 {
			f.free(t, "b", f.takeOne(t, "b", 300))
		}
		wait := f.take(t, "b", 10).Wait
		require.Greater(t, wait, 50*time.Second, "eleven slots must end first")
		f.clock.Advance(wait)
		require.NotZero(t, f.take(t, "b", 10).Slot)
		require.Zero(t, f.take(t, "b", 10).Slot)
		require.Less(t, f.take(t, "b", 300).Wait, time.Second)
	},
	"a clock put back does not stop a brand": func(t *testing.T, f fixture) {
		for range 3 {
			f.free(t, "b", f.takeOne(t, "b", 3))
		}
		f.clock.Advance(-48 * time.Hour)
		start := f.clock.Now()
		f.takeOne(t, "b", 3)
		require.Less(t, f.clock.Now().Sub(start), 3*window)
	},
	"of many who want the last slot, one gets it": func(t *testing.T, f fixture) {
		for _, calls := range []int{1, 5} {
			brand := strconv.Itoa(calls)
			grants := race(16, func(int) store.SlotGrant {
				grant, err := f.TakeSlot(t.Context(), brand, store.Limit{Calls: calls})
				if err != nil {
					t.Error(err)
				}
				return grant
			})
			var slots []int64
			for _, g := range grants {
				if g.Slot != 0 {
					slots = append(slots, g.Slot)
				}
			}
			require.Len(t, slots, calls)
			slices.Sort(slots)
			require.Len(t, slices.Compact(slots), calls, "each its own")
		}
	},
	"never more than the limit in any minute": func(t *testing.T, f fixture) {
		for _, c := range []struct {
			calls   int
			workers int
		}{{1, 2}, {7, 3}, {60, 5}, {300, 4}} {
			brand := strconv.Itoa(c.calls)
			far := &farSide{random: rand.New(rand.NewPCG(uint64(c.calls), 7)), calls: c.calls}
			far.simulate(t, f, brand, c.workers, 4*window, func() (time.Duration, bool) {
				switch far.random.IntN(20) {
				case 0: // a stall
					return time.Duration(far.random.Int64N(int64(RequestTimeout))), true
				case 1: // a worker that dies
					return time.Duration(far.random.Int64N(int64(RequestTimeout))), false
				}
				return time.Duration(far.random.Int64N(int64(300 * time.Millisecond))), true
			})
			require.LessOrEqual(t, far.peak(), c.calls)
		}
	},
	"a lone refusal costs little": func(t *testing.T, f fixture) {
		for range 40 {
			f.free(t, "b", f.takeOne(t, "b", 300))
		}
		require.NoError(t, f.PauseBrand(t.Context(), "b", time.Second, store.Limit{Calls: 300}))
		require.Equal(t, 285, f.state(t, "b", 300).Effective)
		f.clock.Advance(10 * time.Second)
		require.Equal(t, 300, f.state(t, "b", 300).Effective)
	},
	"others spend the same budget, and stop": func(t *testing.T, f fixture) {
		const calls, far = 300, 400 // ours, and what the far side takes of all together
		others := func(passed time.Duration) bool { return passed > 2*window && passed < 6*window }
		s := &shared{limit: far, others: others, perSecond: 5} // 300 a minute
		s.simulate(t, f, "b", calls, 10*window)
		free := far - 300
		require.InDelta(t, 300, s.accepted(window, 2*window), 15, "alone, the share is used")
		require.GreaterOrEqual(t, s.accepted(3*window, 6*window), 3*free*6/10, "most of what others leave is used")
		require.LessOrEqual(t, s.refused(3*window, 6*window), 3*free/4, "it does not ask in vain all the time")
		require.GreaterOrEqual(t, s.accepted(9*window, 10*window), 285, "it recovers when they stop")
	},
	"the limit is used": func(t *testing.T, f fixture) {
		for _, calls := range []int{20, 300} {
			const minutes = 6
			far := &farSide{random: rand.New(rand.NewPCG(1, 1)), calls: calls}
			far.simulate(t, f, strconv.Itoa(calls), 3, minutes*window, func() (time.Duration, bool) {
				return 100 * time.Millisecond, true
			})
			require.Equal(t, calls, far.peak())
			require.GreaterOrEqual(t, len(far.arrivals), calls*minutes*98/100)
		}
	},
}

// farSide plays workers that share a brand's budget, by the clock, and notes
// when their requests arrive.
type farSide struct {
	random   *rand.Rand
	calls    int
	arrivals []time.Time
	events   events
}

type event struct {
	at   time.Time
	slot int64 // to be freed first, if not 0
}

// simulate lets each worker take a slot, make its request, wait for the answer
// and continue, for so long. request says how long one takes, and whether its
// worker lives to see the answer; another takes its place.
func (s *farSide) simulate(t *testing.T, f fixture, brand string, workers int, length time.Duration, request func() (time.Duration, bool)) {
	t.Helper()
	end := f.clock.Now().Add(length)
	for range workers {
		heap.Push(&s.events, event{at: f.clock.Now()})
	}
	for {
		next := heap.Pop(&s.events).(event) //nolint:forcetypeassert // nothing else is in it
		if next.at.After(end) {
			s.events = nil
			return
		}
		f.clock.Advance(next.at.Sub(f.clock.Now()))
		if next.slot != 0 {
			f.free(t, brand, next.slot)
		}
		grant := f.take(t, brand, s.calls)
		if grant.Slot == 0 {
			heap.Push(&s.events, event{at: next.at.Add(grant.Wait)})
			continue
		}
		took, lives := request()
		s.arrivals = append(s.arrivals, next.at.Add(time.Duration(s.random.Int64N(int64(took)+1))))
		answered := event{at: next.at.Add(took), slot: grant.Slot}
		if !lives {
			answered.slot = 0
		}
		heap.Push(&s.events, answered)
	}
}

// peak is the most requests that arrived in any 60 s, both ends included.
func (s *farSide) peak() int {
	slices.SortFunc(s.arrivals, time.Time.Compare)
	peak, from := 0, 0
	for i, at := range s.arrivals {
		for at.Sub(s.arrivals[from]) > window {
			from++
		}
		peak = max(peak, i-from+1)
	}
	return peak
}

// events are in order of time.
type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) } //nolint:forcetypeassert // as above

func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// shared plays the far side's window that others spend too, by the clock: each
// request is answered at once, with 429 while the window is full.
type shared struct {
	limit     int
	others    func(passed time.Duration) bool // whether they are at work
	perSecond int                             // requests of theirs
	window    []time.Time                     // accepted, of all
	ours      []answered
	start     time.Time
}

type answered struct {
	after time.Duration // since the start
	ok    bool
}

func (s *shared) take(now time.Time) bool {
	for len(s.window) > 0 && now.Sub(s.window[0]) >= window {
		s.window = s.window[1:]
	}
	if len(s.window) >= s.limit {
		return false
	}
	s.window = append(s.window, now)
	return true
}

func (s *shared) simulate(t *testing.T, f fixture, brand string, calls int, length time.Duration) {
	t.Helper()
	s.start = f.clock.Now()
	next := s.start // when the others ask next
	for f.clock.Now().Sub(s.start) < length {
		for !next.After(f.clock.Now()) {
			if s.others(next.Sub(s.start)) {
				s.take(next)
			}
			next = next.Add(time.Second / time.Duration(s.perSecond))
		}
		grant := f.take(t, brand, calls)
		if grant.Slot == 0 {
			f.clock.Advance(min(grant.Wait, max(next.Sub(f.clock.Now()), time.Microsecond)))
			continue
		}
		now := f.clock.Now()
		ok := s.take(now)
		f.free(t, brand, grant.Slot)
		s.ours = append(s.ours, answered{now.Sub(s.start), ok})
		if !ok {
			wait := s.window[0].Add(window).Sub(now).Round(time.Second) + time.Second
			require.NoError(t, f.PauseBrand(t.Context(), brand, wait, store.Limit{Calls: calls}))
		}
	}
}

// accepted counts our requests that were taken in a span of the time.
func (s *shared) accepted(from, to time.Duration) int { return s.count(from, to, true) }

// refused counts those that met a 429.
func (s *shared) refused(from, to time.Duration) int { return s.count(from, to, false) }

func (s *shared) count(from, to time.Duration, ok bool) int {
	n := 0
	for _, a := range s.ours {
		if a.ok == ok && a.after >= from && a.after < to {
			n++
		}
	}
	return n
}
