package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"

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
	auditPlace = reading(`SELECT at FROM audit WHERE id = $1`)
	// The casts tell PostgreSQL the types of parameters that are only compared
	// with constants.
	selectAudit = reading(`SELECT id, at, actor, command, object, outcome, detail FROM audit
		WHERE ($1 = '' OR actor = $1) AND ($2 = '' OR command = $2 OR command LIKE $2 || ' %')
		AND ($3 = '' OR object = $3 OR id IN (SELECT command FROM audit_changes WHERE name = $3))
		AND at >= CAST($4 AS BIGINT)
		AND ($5 = '' OR at < CAST($6 AS BIGINT) OR at = CAST($6 AS BIGINT) AND id < $5)
		ORDER BY at DESC, id DESC LIMIT $7`)
	selectChanges = reading(`SELECT command, kind, name, before, after, secret FROM audit_changes WHERE command IN
		(SELECT CAST(value->>'c' AS TEXT) FROM jsonb_array_elements(CAST($1 AS jsonb))) ORDER BY command, kind, name`)
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
func (s *Store) AuditEntries(ctx context.Context, f store.AuditFilter) ([]store.AuditEntry, error) {
	var past int64
	if f.Past != "" {
		if err := s.row(ctx, auditPlace, f.Past).Scan(&past); err != nil {
			return nil, fmt.Errorf("reading the audit past %s: %w", f.Past, notFound(err))
		}
	}
	entries, err := list(ctx, s, selectAudit, scanAudit, f.Actor, f.Command, f.Object, toMicros(f.Since), f.Past, past, limited(f.Limit))
	if err == nil {
		err = s.addChanges(ctx, entries)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the audit: %w", err)
	}
	return entries, nil
}

// addChanges fills in what the commands of the entries changed.
func (s *Store) addChanges(ctx context.Context, entries []store.AuditEntry) error {
	type id struct {
		Command string `json:"c"`
	}
	ids, places := make([]id, len(entries)), map[string]int{}
	for i, e := range entries {
		ids[i], places[e.ID] = id{e.ID}, i
	}
	raw, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	changes, err := list(ctx, s, selectChanges, scanChange, string(raw))
	for _, c := range changes {
		e := &entries[places[c.command]]
		e.Changes = append(e.Changes, c.AuditChange)
	}
	return err
}

func scanAudit(row scanner) (store.AuditEntry, error) {
	var e store.AuditEntry
	var at int64
	var detail blob
	err := row.Scan(&e.ID, &at, &e.Actor, &e.Command, &e.Object, &e.Outcome, &detail)
	e.At, e.Detail = fromMicros(at), json.RawMessage(detail)
	return e, err
}

type changeRow struct {
	store.AuditChange

	command string
}

func scanChange(row scanner) (changeRow, error) {
	var c changeRow
	var before, after blob
	var secret int64
	err := row.Scan(&c.command, &c.Kind, &c.Name, &before, &after, &secret)
	c.Before, c.After, c.Secret = json.RawMessage(before), json.RawMessage(after), secret != 0
	return c, err
}
