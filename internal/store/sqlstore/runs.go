package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/segment-export/segment-export/internal/store"
)

const runColumns = `id, export, connection, brand, plan, status, started_by, created_at, started_at, ended_at,
	report, request, control`

// defaultList is how many rows a list returns without a limit.
const defaultList = 50

var (
	insertRun = inTx(`INSERT INTO runs
		(id, export, connection, brand, plan, status, created_at, report, request, control)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING`)
	takeUpRun  = inTx(`UPDATE runs SET started_by = $2, started_at = $3 WHERE id = $1 AND started_by = ''`)
	startedRun = inTx(`SELECT ` + runColumns + ` FROM runs WHERE id = $1`)
	selectRun  = reading(`SELECT ` + runColumns + ` FROM runs WHERE id = $1`)
	saveRun    = inTx(`UPDATE runs SET status = CASE WHEN ended_at = 0 THEN $2 ELSE status END,
		report = CASE WHEN ended_at = 0 THEN $3 ELSE report END,
		ended_at = CASE WHEN ended_at = 0 THEN CAST($4 AS BIGINT) ELSE ended_at END WHERE id = $1`)
	lockReport   = inTx(`SELECT report FROM runs WHERE id = $1 FOR UPDATE`)
	amendReport  = inTx(`UPDATE runs SET report = $2 WHERE id = $1`)
	lockControl  = inTx(`SELECT control FROM runs WHERE id = $1 FOR UPDATE`)
	saveControl  = inTx(`UPDATE runs SET control = $2 WHERE id = $1`)
	selectRuns   = selectRunsWhere(`$1 = ''`)
	selectRunsOf = selectRunsWhere(`export = $1`)
)

// selectRunsWhere lists runs. Those of one export have a statement of their own:
// with a condition for both, the index of an export's runs would not be used.
// The casts tell PostgreSQL that a parameter compared with a constant is not
// limited to the constant's type.
func selectRunsWhere(export string) *query {
	return reading(`SELECT ` + runColumns + ` FROM runs
		WHERE ` + export + ` AND ($2 = '' OR status = $2) AND (plan = 0 OR CAST($3 AS BIGINT) = 1)
		AND (CAST($4 AS BIGINT) = 0 OR created_at < $4) AND created_at >= CAST($5 AS BIGINT)
		AND (CAST($6 AS BIGINT) = 0 OR created_at < $6 OR created_at = $6 AND id < $7)
		ORDER BY created_at DESC, id DESC LIMIT $8`)
}

// CreateRun stores a run that has been allowed.
func (s *Store) CreateRun(ctx context.Context, r store.Run) error {
	return s.update(ctx, "creating the run "+r.ID, func(t tx) error {
		now, err := t.now(ctx)
		if err != nil {
			return err
		}
		n, err := t.exec(ctx, insertRun, r.ID, r.Export, r.Connection, r.Brand, number(r.Plan), r.Status, now,
			nullableText(r.Report), nullableText(r.Request), nullableText(r.Control))
		if err == nil && n == 0 {
			return store.ErrExists
		}
		return err
	})
}

// StartRun marks the run as taken up by that workflow execution.
func (s *Store) StartRun(ctx context.Context, id, workflowRun string) (store.Run, error) {
	if workflowRun == "" {
		return store.Run{}, errors.New("starting the run " + id + ": no workflow execution was named")
	}
	var run store.Run
	err := s.update(ctx, "starting the run "+id, func(t tx) error {
		now, err := t.now(ctx)
		if err != nil {
			return err
		}
		if _, err := t.exec(ctx, takeUpRun, id, workflowRun, now); err != nil {
			return err
		}
		found, err := scanRun(t.row(ctx, startedRun, id))
		if err != nil {
			return notFound(err)
		}
		if found.StartedBy != workflowRun {
			return fmt.Errorf("another workflow execution took it up: %w", store.ErrExists)
		}
		run = found
		return nil
	})
	return run, err
}

// Run returns one run.
func (s *Store) Run(ctx context.Context, id string) (store.Run, error) {
	found, err := scanRun(s.row(ctx, selectRun, id))
	if err != nil {
		return store.Run{}, fmt.Errorf("reading the run %s: %w", id, notFound(err))
	}
	return found, nil
}

// SaveRun replaces a run's status and report.
func (s *Store) SaveRun(ctx context.Context, id, status string, report json.RawMessage, ended bool) error {
	return s.update(ctx, "saving the run "+id, func(t tx) error {
		var endedAt int64
		if ended {
			now, err := t.now(ctx)
			if err != nil {
				return err
			}
			endedAt = now
		}
		n, err := t.exec(ctx, saveRun, id, status, nullableText(report), endedAt)
		if err == nil && n == 0 {
			return store.ErrNotFound
		}
		return err
	})
}

// AmendReport applies change to a run's report. The error of change is returned
// as it is.
func (s *Store) AmendReport(ctx context.Context, id string, change func(json.RawMessage) (json.RawMessage, error)) error {
	return s.amend(ctx, "amending the report of the run "+id, id, lockReport, amendReport, change)
}

// ControlRun applies change to what operators have decided about a run. The
// error of change is returned as it is.
func (s *Store) ControlRun(ctx context.Context, id string, change func(json.RawMessage) (json.RawMessage, error)) error {
	return s.amend(ctx, "controlling the run "+id, id, lockControl, saveControl, change)
}

// amend applies change to one column of a run.
func (s *Store) amend(ctx context.Context, what, id string, lock, save *query, change func(json.RawMessage) (json.RawMessage, error)) error {
	var refused error
	err := s.update(ctx, what, func(t tx) error {
		var stored blob
		if err := t.row(ctx, lock, id).Scan(&stored); err != nil {
			return notFound(err)
		}
		var changed json.RawMessage
		if changed, refused = change(json.RawMessage(stored)); refused != nil {
			return refused
		}
		_, err := t.exec(ctx, save, id, nullableText(changed))
		return err
	})
	if refused != nil {
		return refused
	}
	return err
}

// ListRuns returns runs, newest first.
func (s *Store) ListRuns(ctx context.Context, f store.RunFilter) ([]store.Run, error) {
	statement := selectRuns
	if f.Export != "" {
		statement = selectRunsOf
	}
	found, err := list(ctx, s, statement, scanRun, f.Export, f.Status, number(f.Plans), toMicros(f.Before),
		toMicros(f.Since), toMicros(f.After.CreatedAt), f.After.ID, limited(f.Limit))
	if err != nil {
		return nil, fmt.Errorf("listing runs: %w", err)
	}
	return found, nil
}

func limited(limit int) int {
	if limit <= 0 {
		return defaultList
	}
	return limit
}

func scanRun(row scanner) (store.Run, error) {
	var r store.Run
	var plan, created, started, ended int64
	var report, request, control blob
	err := row.Scan(&r.ID, &r.Export, &r.Connection, &r.Brand, &plan, &r.Status, &r.StartedBy, &created, &started, &ended,
		&report, &request, &control)
	r.Plan, r.Started = plan != 0, r.StartedBy != ""
	r.CreatedAt, r.StartedAt, r.EndedAt = fromMicros(created), fromMicros(started), fromMicros(ended)
	r.Report, r.Request, r.Control = json.RawMessage(report), json.RawMessage(request), json.RawMessage(control)
	return r, err
}
