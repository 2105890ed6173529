package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/segment-export/segment-export/internal/store"
)

const windowColumns = `last_slot, steady_at, spaced_at, paused_until, backoff, lowered, lowered_at`

var (
	insertWindow = inTx(`INSERT INTO budgets (brand) VALUES ($1) ON CONFLICT (brand) DO NOTHING`)
	lockWindow   = inTx(`SELECT ` + windowColumns + ` FROM budgets WHERE brand = $1 FOR UPDATE`)
	readWindow   = reading(`SELECT ` + windowColumns + ` FROM budgets WHERE brand = $1`)
	saveWindow   = inTx(`UPDATE budgets SET last_slot = $2, steady_at = $3, spaced_at = $4, paused_until = $5,
		backoff = $6, lowered = $7, lowered_at = $8 WHERE brand = $1`)

	// A slot ends strictly after 60 s, so that the calls at both ends of a minute
	// are not more than the limit either.
	dropSlots  = inTx(`DELETE FROM slots WHERE brand = $1 AND free_at < $2`)
	countSlots = inTx(`SELECT COUNT(*), COALESCE(MAX(free_at), 0) FROM slots WHERE brand = $1 AND free_at >= $2`)
	clampSlots = inTx(`UPDATE slots SET free_at = $2 WHERE brand = $1 AND free_at > $2`)
	nthSlot    = inTx(`SELECT free_at FROM slots WHERE brand = $1 AND free_at >= $2 ORDER BY free_at LIMIT 1 OFFSET $3`)
	insertSlot = inTx(`INSERT INTO slots (brand, slot, taken_at, free_at) VALUES ($1, $2, $3, $4)`)
	answerSlot = inTx(`UPDATE slots SET answered_at = $3, free_at = $4 WHERE brand = $1 AND slot = $2 AND answered_at = 0`)
	// What is in the window, and how much of it was taken since some time and
	// answered.
	weighSlots = inTx(`SELECT COUNT(*), COALESCE(SUM(CASE WHEN answered_at > 0 AND taken_at >= $3 THEN 1 ELSE 0 END), 0)
		FROM slots WHERE brand = $1 AND free_at >= $2`)
	noteMinute = inTx(`INSERT INTO budget_minutes (brand, minute, calls, refused, granted) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (brand, minute) DO UPDATE SET calls = budget_minutes.calls + excluded.calls,
		refused = budget_minutes.refused + excluded.refused, granted = excluded.granted`)
	dropMinutes = inTx(`DELETE FROM budget_minutes WHERE brand = $1 AND minute < $2`)
	readMinutes = reading(`SELECT minute, calls, refused, granted FROM budget_minutes WHERE brand = $1 AND minute > $2 AND minute <= $3 ORDER BY minute`)
	readSlots   = reading(`SELECT COUNT(*) FROM slots WHERE brand = $1 AND free_at >= $2`)
)

// errNoLimit refuses to share out a budget without a size.
var errNoLimit = errors.New("the limit of calls a minute is not above 0")

// TakeSlot takes a slot if one is free.
func (s *Store) TakeSlot(ctx context.Context, brand string, limit store.Limit) (store.SlotGrant, error) {
	if limit.Calls < 1 {
		return store.SlotGrant{}, errNoLimit
	}
	var grant store.SlotGrant
	err := s.update(ctx, "taking a slot of the brand "+brand, func(t tx) error {
		w, err := t.lockWindow(ctx, brand)
		if err != nil {
			return err
		}
		now, err := t.now(ctx)
		if err != nil {
			return err
		}
		inWindow, err := t.slots(ctx, brand, now)
		if err != nil {
			return err
		}
		calls, rises := w.effective(now, int64(limit.Calls))
		changed := w.putBack(now, calls)
		wait := w.wait(now, calls)
		if inWindow >= calls {
			room, err := t.room(ctx, brand, now, inWindow-calls)
			if err != nil {
				return err
			}
			if rises > 0 {
				room = min(room, rises-now)
			}
			wait = max(wait, room)
		}
		if wait > 0 {
			grant = store.SlotGrant{Wait: time.Duration(wait) * time.Microsecond}
			if changed {
				return t.saveWindow(ctx, brand, w)
			}
			return nil
		}
		w.take(now, calls, inWindow)
		grant = store.SlotGrant{Slot: w.lastSlot}
		if _, err := t.exec(ctx, insertSlot, brand, w.lastSlot, now, now+s.hold()); err != nil {
			return err
		}
		if err := t.noteMinute(ctx, brand, now, store.BudgetMinute{Calls: 1, Limit: int(calls)}); err != nil {
			return err
		}
		if w.lastSlot%minutesDropped == 0 {
			if _, err := t.exec(ctx, dropMinutes, brand, now-hour); err != nil {
				return err
			}
		}
		return t.saveWindow(ctx, brand, w)
	})
	if err != nil {
		return store.SlotGrant{}, err
	}
	return grant, nil
}

const (
	hour = 60 * windowSpan
	// minutesDropped is how many slots are taken before minutes that are over an
	// hour old are dropped again.
	minutesDropped = 64
)

// noteMinute adds to what the minute of now holds.
func (t tx) noteMinute(ctx context.Context, brand string, now int64, add store.BudgetMinute) error {
	_, err := t.exec(ctx, noteMinute, brand, now-now%windowSpan, add.Calls, add.Refused, add.Limit)
	return err
}

// BudgetHour returns the minutes of the last hour.
func (s *Store) BudgetHour(ctx context.Context, brand string) ([]store.BudgetMinute, error) {
	now, err := s.micros(ctx, s.read)
	if err != nil {
		return nil, err
	}
	all, err := list(ctx, s, readMinutes, scanMinute, brand, now-hour, now)
	if err != nil {
		return nil, fmt.Errorf("reading the last hour of the brand %s: %w", brand, err)
	}
	return all, nil
}

func scanMinute(row scanner) (store.BudgetMinute, error) {
	var at int64
	var m store.BudgetMinute
	err := row.Scan(&at, &m.Calls, &m.Refused, &m.Limit)
	m.At = fromMicros(at)
	return m, err
}

// hold is how long a slot counts whose holder never says that the answer came.
func (s *Store) hold() int64 { return micros(s.opts.RequestTimeout) + windowSpan }

// slots removes the slots that are free and counts the others.
func (t tx) slots(ctx context.Context, brand string, now int64) (int64, error) {
	if _, err := t.exec(ctx, dropSlots, brand, now); err != nil {
		return 0, err
	}
	var count, last int64
	if err := t.row(ctx, countSlots, brand, now).Scan(&count, &last); err != nil {
		return 0, err
	}
	// No slot can end that late: the clock was put back, and exports must not
	// stand still until it has caught up.
	if last > now+micros(maxRequestTimeout)+windowSpan {
		if _, err := t.exec(ctx, clampSlots, brand, now+t.s.hold()); err != nil {
			return 0, err
		}
	}
	return count, nil
}

// room is how long it takes until the window has room, when so many slots must
// end before the one that makes it. A slot that is not answered yet may end 60 s
// from now at the earliest.
func (t tx) room(ctx context.Context, brand string, now, before int64) (int64, error) {
	var freeAt int64
	if err := t.row(ctx, nthSlot, brand, now, before).Scan(&freeAt); err != nil {
		return 0, err
	}
	return min(freeAt-now, windowSpan) + microsecond, nil
}

// FreeSlot notes that the answer came. A slot that ended already is no error.
func (s *Store) FreeSlot(ctx context.Context, brand string, slot int64) error {
	return s.update(ctx, "freeing a slot of the brand "+brand, func(t tx) error {
		now, err := t.now(ctx)
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, answerSlot, brand, slot, now, now+windowSpan)
		return err
	})
}

// PauseBrand lets nobody take a slot for a while.
func (s *Store) PauseBrand(ctx context.Context, brand string, wait time.Duration, limit store.Limit) error {
	if limit.Calls < 1 {
		return errNoLimit
	}
	return s.update(ctx, "pausing the brand "+brand, func(t tx) error {
		w, err := t.lockWindow(ctx, brand)
		if err != nil {
			return err
		}
		now, err := t.now(ctx)
		if err != nil {
			return err
		}
		var inWindow, answers int64
		if err := t.row(ctx, weighSlots, brand, now, w.pausedUntil).Scan(&inWindow, &answers); err != nil {
			return err
		}
		fresh := now >= w.pausedUntil // else it is the same refusal, reported again
		w.pause(now, micros(wait), int64(limit.Calls), inWindow, answers)
		if fresh {
			calls, _ := w.effective(now, int64(limit.Calls))
			if err := t.noteMinute(ctx, brand, now, store.BudgetMinute{Refused: 1, Limit: int(calls)}); err != nil {
				return err
			}
		}
		return t.saveWindow(ctx, brand, w)
	})
}

// ResumeBrand ends a pause.
func (s *Store) ResumeBrand(ctx context.Context, brand string, limit store.Limit) (time.Duration, error) {
	if limit.Calls < 1 {
		return 0, errNoLimit
	}
	var left int64
	err := s.update(ctx, "ending the pause of the brand "+brand, func(t tx) error {
		w, err := t.lockWindow(ctx, brand)
		if err != nil {
			return err
		}
		now, err := t.now(ctx)
		if err != nil {
			return err
		}
		if left = w.pauseLeft(now); left == 0 {
			return nil
		}
		calls, _ := w.effective(now, int64(limit.Calls))
		w.resume(now, calls)
		return t.saveWindow(ctx, brand, w)
	})
	return time.Duration(left) * time.Microsecond, err
}

// BudgetState tells how a brand's budget stands.
func (s *Store) BudgetState(ctx context.Context, brand string, limit store.Limit) (store.BudgetState, error) {
	what := "reading the budget of the brand " + brand
	now, err := s.micros(ctx, s.read)
	if err != nil {
		return store.BudgetState{}, err
	}
	w, err := scanWindow(s.row(ctx, readWindow, brand))
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return store.BudgetState{}, fmt.Errorf("%s: %w", what, err)
	}
	var inWindow int
	if err := s.row(ctx, readSlots, brand, now).Scan(&inWindow); err != nil {
		return store.BudgetState{}, fmt.Errorf("%s: %w", what, err)
	}
	calls, _ := w.effective(now, int64(limit.Calls))
	paused := time.Duration(w.pauseLeft(now)) * time.Microsecond
	return store.BudgetState{InWindow: inWindow, Effective: int(calls), Paused: paused}, nil
}

// lockWindow reads a brand's window and keeps it from others until the
// transaction ends.
func (t tx) lockWindow(ctx context.Context, brand string) (*window, error) {
	w, err := scanWindow(t.row(ctx, lockWindow, brand))
	if !errors.Is(err, sql.ErrNoRows) {
		return w, err
	}
	if _, err := t.exec(ctx, insertWindow, brand); err != nil {
		return nil, err
	}
	return scanWindow(t.row(ctx, lockWindow, brand))
}

func scanWindow(row scanner) (*window, error) {
	w := new(window)
	err := row.Scan(&w.lastSlot, &w.steadyAt, &w.spacedAt, &w.pausedUntil, &w.backoff, &w.lowered, &w.loweredAt)
	return w, err
}

func (t tx) saveWindow(ctx context.Context, brand string, w *window) error {
	_, err := t.exec(ctx, saveWindow, brand, w.lastSlot, w.steadyAt, w.spacedAt, w.pausedUntil, w.backoff, w.lowered, w.loweredAt)
	return err
}
