package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/segment-export/segment-export/internal/store"
)

// forgetLeases is how long a lease is remembered after its end. Its token must
// outlive every process that might still act on it.
const forgetLeases = 24 * time.Hour

var (
	// A few old leases go with each new one, so that the table stays as small as
	// the work in progress. A lease that was given up has the time of that as a
	// negative number: it is free even if the clock is put back.
	purgeLeases = inTx(`DELETE FROM leases WHERE name IN
		(SELECT name FROM leases WHERE until > $1 AND until < $2 ORDER BY until LIMIT 20 FOR UPDATE SKIP LOCKED)`)
	// No lease can end that late: the clock was put back. Its holder, if it still
	// lives, renews it before this end.
	clampLease = inTx(`UPDATE leases SET until = $2 WHERE name = $1 AND until > $2`)
	// The token is at least the time, so that it grows even when the lease had
	// been forgotten.
	acquireLease = inTx(`INSERT INTO leases (name, token, until) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET until = excluded.until,
		token = CASE WHEN leases.token >= excluded.token THEN leases.token + 1 ELSE excluded.token END
		WHERE leases.until <= $2`)
	leaseRow = inTx(`SELECT token, until FROM leases WHERE name = $1`)
	holdRow  = inTx(`SELECT token FROM leases WHERE name = $1 FOR SHARE`)

	renewLease   = inTx(`UPDATE leases SET until = $3 WHERE name = $1 AND token = $2`)
	releaseLease = inTx(`UPDATE leases SET until = $3, token = token + 1 WHERE name = $1 AND token = $2`)

	insertTurn = inTx(`INSERT INTO turns (brand, run) VALUES ($1, $2) ON CONFLICT (brand) DO NOTHING`)
	lockTurn   = inTx(`SELECT run FROM turns WHERE brand = $1 FOR UPDATE`)
	runEnded   = inTx(`SELECT ended_at FROM runs WHERE id = $1`)
	passTurn   = inTx(`UPDATE turns SET run = $2 WHERE brand = $1`)
	openCalls  = inTx(`SELECT COUNT(*) FROM calls WHERE run = $1 AND state IN ('intended', 'answered')`)
	yieldTurn  = inTx(`DELETE FROM turns WHERE brand = $1 AND run = $2`)
)

// AcquireLease takes the lease for ttl.
func (s *Store) AcquireLease(ctx context.Context, name string, ttl time.Duration) (store.Lease, error) {
	if err := checkLease(name, ttl); err != nil {
		return store.Lease{}, err
	}
	lease := store.Lease{Name: name}
	var held *store.LeaseHeldError // no error of the transaction, which may have set an end right
	err := s.update(ctx, "taking the lease "+name, func(t tx) error {
		held = nil
		now, err := t.now(ctx)
		if err != nil {
			return err
		}
		old := now - forgetLeases.Microseconds()
		if _, err := t.exec(ctx, purgeLeases, -old, old); err != nil {
			return err
		}
		if _, err := t.exec(ctx, clampLease, name, now+store.MaxLease.Microseconds()); err != nil {
			return err
		}
		n, err := t.exec(ctx, acquireLease, name, now, now+ttl.Microseconds())
		if err != nil {
			return err
		}
		var until int64
		if err := t.row(ctx, leaseRow, name).Scan(&lease.Token, &until); err != nil {
			return err
		}
		if n == 0 {
			held = &store.LeaseHeldError{
				Name: name, Until: fromMicros(until), In: time.Duration(until-now) * time.Microsecond,
			}
		}
		return nil
	})
	if err != nil {
		return store.Lease{}, err
	}
	if held != nil {
		return store.Lease{}, held
	}
	return lease, nil
}

func checkLease(name string, ttl time.Duration) error {
	if ttl <= 0 || ttl > store.MaxLease {
		return fmt.Errorf("the lease %s cannot be held for %s: a lease is at most %s long", name, ttl, store.MaxLease)
	}
	return nil
}

// RenewLease extends the lease by ttl from now.
func (s *Store) RenewLease(ctx context.Context, l store.Lease, ttl time.Duration) error {
	if err := checkLease(l.Name, ttl); err != nil {
		return err
	}
	return s.update(ctx, "renewing the lease "+l.Name, func(t tx) error {
		now, err := t.now(ctx)
		if err != nil {
			return err
		}
		n, err := t.exec(ctx, renewLease, l.Name, l.Token, now+ttl.Microseconds())
		if err == nil && n == 0 {
			return store.ErrFenced
		}
		return err
	})
}

// ReleaseLease gives the lease up. The token grows at once, so that the
// former holder is fenced.
func (s *Store) ReleaseLease(ctx context.Context, l store.Lease) error {
	return s.update(ctx, "giving up the lease "+l.Name, func(t tx) error {
		now, err := t.now(ctx)
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, releaseLease, l.Name, l.Token, -now)
		return err
	})
}

// holds refuses a lease that has changed hands, and keeps it from changing
// hands until the transaction ends. One that ran out and that nobody took is
// still its holder's: nobody can have acted on it in between.
func (t tx) holds(ctx context.Context, l store.Lease) error {
	var token int64
	err := t.row(ctx, holdRow, l.Name).Scan(&token)
	if errors.Is(err, sql.ErrNoRows) || err == nil && token != l.Token {
		return store.ErrFenced
	}
	return err
}

// TakeTurn gives the brand's turn to the run if it is free.
func (s *Store) TakeTurn(ctx context.Context, brand, run string) (bool, error) {
	var has bool
	err := s.update(ctx, "taking the turn of the brand "+brand, func(t tx) (err error) {
		has = false
		var endedAt int64
		if err := t.row(ctx, runEnded, run).Scan(&endedAt); err != nil || endedAt != 0 {
			return notFound(err)
		}
		has, err = t.takeTurn(ctx, brand, run)
		return err
	})
	return has && err == nil, err
}

// takeTurn gives the brand's turn to a run that has not ended, if it is free, and
// keeps others from changing that until the transaction ends.
func (t tx) takeTurn(ctx context.Context, brand, run string) (bool, error) {
	n, err := t.exec(ctx, insertTurn, brand, run)
	if err != nil || n > 0 {
		return err == nil, err
	}
	var holder string
	err = t.row(ctx, lockTurn, brand).Scan(&holder)
	if errors.Is(err, sql.ErrNoRows) { // given back at this moment: next time
		return false, nil
	}
	if err != nil || holder == run {
		return err == nil, err
	}
	var endedAt int64
	err = t.row(ctx, runEnded, holder).Scan(&endedAt)
	switch {
	case errors.Is(err, sql.ErrNoRows): // it is gone
	case err != nil || endedAt == 0:
		return false, err
	}
	_, err = t.exec(ctx, passTurn, brand, run)
	return err == nil, err
}

// YieldTurn gives the turn back, unless the run has calls on the way.
func (s *Store) YieldTurn(ctx context.Context, brand, run string) error {
	return s.update(ctx, "giving back the turn of the brand "+brand, func(t tx) error {
		var holder string
		err := t.row(ctx, lockTurn, brand).Scan(&holder)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil || holder != run {
			return err
		}
		var open int
		if err := t.row(ctx, openCalls, run).Scan(&open); err != nil || open > 0 {
			return err
		}
		_, err = t.exec(ctx, yieldTurn, brand, run)
		return err
	})
}
