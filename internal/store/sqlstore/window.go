package sqlstore

import (
	"time"

	"github.com/segment-export/segment-export/internal/store"
)

// How a brand's budget is spent. Times are microseconds, as they are stored.
const (
	microsecond = int64(1)
	second      = 1_000_000 * microsecond
	windowSpan  = 60 * second

	// burst is how many slots may be taken at once after a rest, so that a few
	// requests can overlap.
	burst = 8
	// reserve is how much of the time that was not used may be made good for,
	// and catchUp how much faster slots are granted meanwhile. Without a reserve
	// a worker's restart would be lost for the rest of the run, and without a
	// bound a rest would be followed by a minute's calls in a few seconds.
	reserve        = 12 * second
	catchUpPercent = 125

	// fullPercent of the effective limit in the window, and the window counts as
	// full: a 429 then means that others took a little, not that they took much.
	fullPercent = 95
	// A limit that was lowered rises by 5 % of the connection's every 10 s, and is
	// never lower than 5 % of it.
	recoverAfter   = 10 * second
	recoverPerStep = 20
	lowestPart     = 20
	firstBackoff   = 2 * second
	longestBackoff = 60 * second
	// longestPause bounds a pause, whatever the answer said or the clock did.
	longestPause     = int64(store.MaxPause / time.Microsecond)
	answersOfSuccess = burst // more answers than this since a pause restart the backoff
	// answersOfOthers is how few requests are answered between two refusals when
	// others spend the same budget: whatever frees is gone at once. More say that
	// the refusal before was a lone one.
	answersOfOthers = 4
)

// window is what the store remembers of a brand's budget beside its slots. It
// decides; budget.go stores.
//
// The window itself is exact: a slot counts from before its request until 60 s
// after its answer, so wherever in between the far side counts the request, no
// more than the limit fall in any 60 s. Two virtual queues pace what the window
// would let through: steadyAt is when the last slot would be had at the even
// pace of the limit, spacedAt at 125 % of it. A slot is granted while the first
// is not more than a reserve ahead and the second not more than a burst.
type window struct {
	lastSlot    int64
	steadyAt    int64
	spacedAt    int64
	pausedUntil int64
	backoff     int64
	lowered     int64 // 0: not lowered
	loweredAt   int64
}

// effective is the limit in force, and when it next rises if it was lowered.
func (w *window) effective(now, limit int64) (calls, rises int64) {
	if w.lowered == 0 || w.lowered >= limit {
		return limit, 0
	}
	// A clock that was put back must not keep the limit low.
	steps := max(now-w.loweredAt, 0) / recoverAfter
	calls = w.lowered + steps*max(limit/recoverPerStep, 1)
	if calls >= limit {
		return limit, 0
	}
	return calls, w.loweredAt + (steps+1)*recoverAfter
}

// pace is the time between slots, evenly and at most, and how far the even
// queue may be ahead.
func pace(calls int64) (steady, spaced, ahead int64) {
	steady = windowSpan / calls
	return steady, steady * 100 / catchUpPercent, max(reserve, burst*steady)
}

// putBack puts queues and a pause back that are further ahead than can be,
// because the clock was put back or the limit has risen; it says whether any was.
func (w *window) putBack(now, calls int64) bool {
	_, spaced, ahead := pace(calls)
	before := *w
	w.pausedUntil = min(w.pausedUntil, now+longestPause)
	from := max(now, w.pausedUntil)
	w.steadyAt = min(w.steadyAt, from+ahead)
	w.spacedAt = min(w.spacedAt, from+burst*spaced)
	return *w != before
}

// wait is how long nobody may take a slot for the sake of a pause or the pace;
// 0 or less: one may be taken if the window has room.
func (w *window) wait(now, calls int64) int64 {
	if now < w.pausedUntil { // the pace afterwards is that of the limit by then
		return w.pausedUntil - now
	}
	steady, spaced, ahead := pace(calls)
	return max(w.steadyAt+steady-ahead-now, w.spacedAt+spaced-burst*spaced-now)
}

// take notes that a slot is taken.
func (w *window) take(now, calls, inWindow int64) {
	steady, spaced, ahead := pace(calls)
	if inWindow == 0 { // a fresh start has a burst to spend and nothing to catch up with
		w.steadyAt = max(w.steadyAt, now+ahead-burst*steady)
	}
	w.steadyAt = max(w.steadyAt, now) + steady
	w.spacedAt = max(w.spacedAt, now) + spaced
	w.lastSlot++
}

// pause notes a 429. inWindow is our own count, answers how many requests were
// answered since the pause before.
func (w *window) pause(now, wait, limit, inWindow, answers int64) {
	wait = min(wait, longestPause)
	w.pausedUntil = min(w.pausedUntil, now+longestPause) // else the clock was put back
	if now < w.pausedUntil {
		// Requests on their way when it began: the same refusal, told again.
		w.pausedUntil = max(w.pausedUntil, now+wait)
		return
	}
	again := w.pausedUntil > 0 && now-w.pausedUntil < windowSpan && answers <= answersOfOthers
	if wait <= 0 {
		if w.backoff == 0 || answers > answersOfSuccess || now-w.pausedUntil > windowSpan {
			w.backoff = firstBackoff
		} else {
			w.backoff = min(2*w.backoff, longestBackoff)
		}
		wait = w.backoff
	}
	w.pausedUntil = now + wait

	calls, _ := w.effective(now, limit)
	lowered := calls * fullPercent / 100
	if again && inWindow*100 < calls*fullPercent {
		// At most halved at once: early in a run, when the window holds little, it
		// says little about what others take.
		lowered = max(inWindow, calls/2)
	}
	w.lowered = max(lowered, limit/lowestPart, 1)
	w.loweredAt = now

	// Afterwards it begins with one slot at its pace: others were there first.
	calls, _ = w.effective(w.pausedUntil, limit)
	steady, spaced, ahead := pace(calls)
	w.steadyAt = w.pausedUntil + ahead - steady
	w.spacedAt = w.pausedUntil + (burst-1)*spaced
}

// micros turns a duration into what the store counts in, rounded up so that a
// waiter does not come too early.
func micros(d time.Duration) int64 {
	return int64((d + time.Microsecond - 1) / time.Microsecond)
}

// pauseLeft is how long the pause still lasts; 0 when there is none.
func (w *window) pauseLeft(now int64) int64 { return min(max(w.pausedUntil-now, 0), longestPause) }

// resume ends a pause: slots come at their pace from now on.
func (w *window) resume(now, calls int64) {
	w.pausedUntil, w.backoff = now, 0
	steady, spaced, ahead := pace(calls)
	w.steadyAt = min(w.steadyAt, now+ahead-steady)
	w.spacedAt = min(w.spacedAt, now+(burst-1)*spaced)
}
