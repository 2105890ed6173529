package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/segment-export/segment-export/internal/store"
)

var (
	saveState = inTx(`INSERT INTO states (run, name, data) VALUES ($1, $2, $3)
		ON CONFLICT (run, name) DO UPDATE SET data = excluded.data`)
	selectState = reading(`SELECT data FROM states WHERE run = $1 AND name = $2`)
	deleteState = inTx(`DELETE FROM states WHERE run = $1`)

	// A blob that is replaced keeps its time: what is personal in it grows no
	// younger when something is taken out of it.
	saveBlob = inTx(`INSERT INTO blobs (run, kind, grp, seq, stored_at, data) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (run, kind, grp, seq) DO UPDATE SET data = excluded.data`)
	selectBlobs = reading(`SELECT grp, seq, data FROM blobs WHERE run = $1 AND kind = $2 AND grp = $3 ORDER BY seq`)
	selectBlob  = reading(`SELECT grp, seq, data FROM blobs WHERE run = $1 AND kind = $2 AND grp = $3 AND seq = $4`)
	dropBlobs   = inTx(`DELETE FROM blobs WHERE run = $1 AND kind = $2`)
	dropOthers  = inTx(`DELETE FROM blobs WHERE run = $1 AND kind NOT IN
		(SELECT CAST(value->>'k' AS TEXT) FROM jsonb_array_elements(CAST($2 AS jsonb)))`)
	runsWith    = reading(`SELECT DISTINCT run FROM blobs WHERE kind = $1`)
	expireBlobs = inTx(`DELETE FROM blobs WHERE kind = $1 AND stored_at < $2`)
)

// CommitStep stores one step of a run's progress.
func (s *Store) CommitStep(ctx context.Context, step store.Step) error {
	return s.update(ctx, "storing the step "+step.Name+" of the run "+step.Run, func(t tx) error {
		if step.Lease != (store.Lease{}) {
			if err := t.holds(ctx, step.Lease); err != nil {
				return err
			}
		}
		for _, kind := range step.Drop {
			if _, err := t.exec(ctx, dropBlobs, step.Run, string(kind)); err != nil {
				return err
			}
		}
		if err := t.saveBlobs(ctx, step.Run, step.Blobs); err != nil {
			return err
		}
		if step.Name == "" {
			return nil
		}
		_, err := t.exec(ctx, saveState, step.Run, step.Name, present(step.State))
		return err
	})
}

func (t tx) saveBlobs(ctx context.Context, run string, blobs []store.Blob) error {
	if len(blobs) == 0 {
		return nil
	}
	now, err := t.now(ctx)
	if err != nil {
		return err
	}
	for _, b := range blobs {
		if _, err := t.exec(ctx, saveBlob, run, string(b.Kind), b.Group, b.Seq, now, present(b.Data)); err != nil {
			return err
		}
	}
	return nil
}

// StepState returns the state stored last under that name.
func (s *Store) StepState(ctx context.Context, run, name string) ([]byte, error) {
	state, err := optional(s.row(ctx, selectState, run, name))
	if err != nil {
		return nil, fmt.Errorf("reading the state %s of the run %s: %w", name, run, err)
	}
	return state, nil
}

// Blobs returns the blobs of a kind and group in order.
func (s *Store) Blobs(ctx context.Context, run string, kind store.BlobKind, group int) ([]store.Blob, error) {
	blobs, err := list(ctx, s, selectBlobs, scanBlob(kind), run, string(kind), group)
	if err != nil {
		return nil, fmt.Errorf("reading the %s blobs of the run %s: %w", kind, run, err)
	}
	return blobs, nil
}

// Blob returns one blob.
func (s *Store) Blob(ctx context.Context, run string, kind store.BlobKind, group, seq int) (store.Blob, error) {
	b, err := scanBlob(kind)(s.row(ctx, selectBlob, run, string(kind), group, seq))
	if err != nil {
		return store.Blob{}, fmt.Errorf("reading the %s blob %d/%d of the run %s: %w", kind, group, seq, run, notFound(err))
	}
	return b, nil
}

func scanBlob(kind store.BlobKind) func(scanner) (store.Blob, error) {
	return func(row scanner) (store.Blob, error) {
		b := store.Blob{Kind: kind}
		var data blob
		err := row.Scan(&b.Group, &b.Seq, &data)
		b.Data = data
		return b, err
	}
}

// DropSpool removes a run's states, and its blobs but those to keep.
func (s *Store) DropSpool(ctx context.Context, run string, keep ...store.BlobKind) error {
	type kept struct {
		Kind store.BlobKind `json:"k"`
	}
	kinds := make([]kept, len(keep))
	for i, kind := range keep {
		kinds[i] = kept{kind}
	}
	list, err := json.Marshal(kinds)
	if err != nil {
		return err
	}
	return s.update(ctx, "removing the spool of the run "+run, func(t tx) error {
		if _, err := t.exec(ctx, deleteState, run); err != nil {
			return err
		}
		_, err := t.exec(ctx, dropOthers, run, string(list))
		return err
	})
}

// ExpireSpool removes old blobs of one kind.
func (s *Store) ExpireSpool(ctx context.Context, kind store.BlobKind, before time.Time) (int, error) {
	return s.exec(ctx, "removing old "+string(kind)+" blobs", expireBlobs, string(kind), toMicros(before))
}

// RunsWith returns the runs that have blobs of a kind.
func (s *Store) RunsWith(ctx context.Context, kind store.BlobKind) ([]string, error) {
	runs, err := list(ctx, s, runsWith, func(row scanner) (string, error) {
		var run string
		err := row.Scan(&run)
		return run, err
	}, string(kind))
	if err != nil {
		return nil, fmt.Errorf("listing runs with %s blobs: %w", kind, err)
	}
	return runs, nil
}

// present is bytes as an argument where NULL has no place.
func present(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// optional reads bytes that may not be there: nil then.
func optional(row *sql.Row) ([]byte, error) {
	var data blob
	if err := row.Scan(&data); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	return data, nil
}
