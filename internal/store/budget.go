package store

import (
	"context"
	"time"
)

// MaxPause is the longest pause of a brand. Omnisend's window is a minute: an
// answer that asks for more than this is wrong, or is given again.
const MaxPause = 5 * time.Minute

// Budget is the sliding window of calls that all runs on all workers share for
// one brand. A slot is taken before each request and frees 60 s after the
// request's answer came, by the store's clock; a slot whose holder died frees
// 60 s after the longest time that a request may take.
type Budget interface {
	// TakeSlot takes a slot if one is free and none must be waited for. Else it
	// takes nothing and says how long to wait before asking again: for one waiter
	// exactly, so let one of a process wait for all. After a rest a few slots may be
	// had at once; then they come at the pace of the limit, and up to 25 % faster
	// to make up for a stall of a few seconds.
	TakeSlot(ctx context.Context, brand string, limit Limit) (SlotGrant, error)
	// FreeSlot notes that the answer came: the slot frees 60 s from now. Told
	// twice, the first time counts.
	FreeSlot(ctx context.Context, brand string, slot int64) error
	// PauseBrand lets nobody take a slot for that long, MaxPause at most: Omnisend
	// answered 429. A wait of 0 is one that Omnisend did not name: 2 s, doubled with each 429 in a
	// row up to 60 s. A pause is never made shorter, and a 429 told during one is
	// part of it. The limit that TakeSlot grants is lowered too:
	// by 5 % for a lone 429; when others evidently spend the same budget, since the
	// next 429 comes within a minute and after 4 answers at most, to what our own
	// window held if that was not full (by half at most, never under 5 % of the
	// connection's limit). It recovers by 5 % of the limit every 10 s.
	PauseBrand(ctx context.Context, brand string, wait time.Duration, limit Limit) error
	// ResumeBrand ends a pause at once and returns what was left of it; 0 when
	// there was none. The limit stays as far lowered as it was.
	ResumeBrand(ctx context.Context, brand string, limit Limit) (time.Duration, error)
	// BudgetHour returns the minutes of the last hour in which a brand made calls or
	// was refused, the oldest first.
	BudgetHour(ctx context.Context, brand string) ([]BudgetMinute, error)
	// BudgetState tells how a brand's budget stands.
	BudgetState(ctx context.Context, brand string, limit Limit) (BudgetState, error)
}

// Limit is a brand's limit as its connection sets it.
type Limit struct {
	Calls int // calls in any 60 s, share applied; must be above 0
}

// SlotGrant is the answer of TakeSlot.
type SlotGrant struct {
	Slot int64         // 0: none taken
	Wait time.Duration // when none was taken; above 0
}

// BudgetState is how a brand's budget stands.
type BudgetState struct {
	InWindow  int           // slots taken and not free yet
	Effective int           // the limit in force, after adaptation
	Paused    time.Duration // until anybody may take a slot again
}

// BudgetMinute is what happened to a brand's budget in one minute.
type BudgetMinute struct {
	At      time.Time // the minute's start, UTC
	Calls   int       // slots taken
	Refused int       // 429s that began a pause
	Limit   int       // in force at the last of them, after adaptation
}
