package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/segment-export/segment-export/internal/store"
)

var (
	insertCommand = inTx(`INSERT INTO commands (id, workflow_run, begun_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`)
	commandRun    = inTx(`SELECT workflow_run FROM commands WHERE id = $1`)
	// An entry that is replaced keeps its time, and so its place in the list.
	saveAudit = inTx(`INSERT INTO audit (id, at, actor, command, object, outcome, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (id) DO UPDATE SET actor = excluded.actor, command = excluded.command, object = excluded.object,
		outcome = excluded.outcome, detail = excluded.detail`)
	selectAudit = reading(`SELECT id, at, actor, command, object, outcome, detail FROM audit
		WHERE CAST($1 AS BIGINT) = 0 OR at < $1 ORDER BY at DESC, id DESC LIMIT $2`)
)

// BeginCommand enters a command before it is carried out.
func (s *Store) BeginCommand(ctx context.Context, id, workflowRun string) error {
	return s.update(ctx, "entering the command "+id, func(t tx) error {
		now, err := t.now(ctx)
		if err != nil {
			return err
		}
		n, err := t.exec(ctx, insertCommand, id, workflowRun, now)
		if err != nil || n > 0 {
			return err
		}
		var other string
		if err := t.row(ctx, commandRun, id).Scan(&other); err != nil {
			return err
		}
		if other != workflowRun {
			return store.ErrExists
		}
		return nil
	})
}

// AddAudit adds or replaces the entry with that ID.
func (s *Store) AddAudit(ctx context.Context, e store.AuditEntry) error {
	return s.update(ctx, "entering "+e.Command+" in the audit", func(t tx) error {
		now, err := t.now(ctx)
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, saveAudit, e.ID, now, e.Actor, e.Command, e.Object, e.Outcome, nullableText(e.Detail))
		return err
	})
}

// AuditEntries returns entries, newest first.
func (s *Store) AuditEntries(ctx context.Context, before time.Time, limit int) ([]store.AuditEntry, error) {
	entries, err := list(ctx, s, selectAudit, scanAudit, toMicros(before), limited(limit))
	if err != nil {
		return nil, fmt.Errorf("reading the audit: %w", err)
	}
	return entries, nil
}

func scanAudit(row scanner) (store.AuditEntry, error) {
	var e store.AuditEntry
	var at int64
	var detail blob
	err := row.Scan(&e.ID, &at, &e.Actor, &e.Command, &e.Object, &e.Outcome, &detail)
	e.At, e.Detail = fromMicros(at), json.RawMessage(detail)
	return e, err
}
