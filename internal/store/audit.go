package store

import (
	"context"
	"encoding/json"
	"time"
)

// AuditEntry says who did what to which object.
type AuditEntry struct {
	ID      string // the command's id: the same command is entered once
	At      time.Time
	Actor   string
	Command string          // "connection add"
	Object  string          // its name
	Outcome string          // "done", or the class of the refusal
	Detail  json.RawMessage // the command's arguments; nothing secret or personal
	Changes []AuditChange   // read back: what the command changed, by kind and name
}

// AuditChange is an object of the catalogue before and after a command.
type AuditChange struct {
	Kind   string
	Name   string
	Before json.RawMessage // nil: there was none
	After  json.RawMessage // nil: there is none any more
	Secret bool            // its secret was stored or replaced
}

// AuditFilter selects entries; zero values select all.
type AuditFilter struct {
	Actor   string
	Command string    // this command, or all of a group: "connection"
	Object  string    // the name of what the command named or changed
	Since   time.Time // not before
	Past    string    // the id of an entry: only those older than it
	Limit   int       // 0: 50
}

// Audit keeps what was done.
type Audit interface {
	// BeginCommand enters a command before it is carried out, with the workflow
	// execution that carries it out; ErrExists when another execution used the
	// same id. The same execution may call it again.
	BeginCommand(ctx context.Context, id, workflowRun string) error
	// AddAudit adds or replaces the entry with that ID; At is set by the store
	// when it is added. Changes are not stored here: each object's change is.
	AddAudit(ctx context.Context, e AuditEntry) error
	// AuditEntries returns entries, newest first. A Past that is not known is
	// ErrNotFound.
	AuditEntries(ctx context.Context, f AuditFilter) ([]AuditEntry, error)
}
