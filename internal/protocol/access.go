package protocol

import (
	"encoding/json"
	"time"
)

// The names of the commands about people and what they did.
const (
	AccessList    = "access list"
	AccessRevoke  = "access revoke"
	AccessRestore = "access restore"
	Audit         = "audit"
)

// PersonArgs selects a person who was seen. Names of people travel sealed: this
// is the sealed part of access revoke and restore.
type PersonArgs struct {
	Name string `json:"name"`
}

// PersonAnswer shows a person who was seen; it travels sealed.
type PersonAnswer struct {
	Name    string    `json:"name"`
	Role    string    `json:"role"` // that their groups give now
	Groups  []string  `json:"groups"`
	SeenAt  time.Time `json:"seen_at"`
	Revoked bool      `json:"revoked"`
	RunsAs  []string  `json:"runs_as,omitempty"` // exports whose runs act as them
}

// AuditArgs selects a page of the audit; it travels sealed.
type AuditArgs struct {
	Actor   string    `json:"actor,omitempty"`
	Object  string    `json:"object,omitempty"`
	Command string    `json:"command,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	Past    string    `json:"past,omitempty"` // the id of an entry: older ones
	Limit   int       `json:"limit,omitempty"`
}

// AuditPage is a page of the audit, newest first; it travels sealed.
type AuditPage struct {
	Entries []AuditAnswer `json:"entries"`
	More    bool          `json:"more"` // older ones
}

// AuditAnswer says who did what to which object.
type AuditAnswer struct {
	ID      string          `json:"id"`
	At      time.Time       `json:"at"`
	Actor   string          `json:"actor"` // empty: nobody has proven to be anybody
	Command string          `json:"command"`
	Object  string          `json:"object,omitempty"`
	Outcome string          `json:"outcome"` // done, or the class of the refusal
	Args    json.RawMessage `json:"args,omitempty"`
	Changes []AuditChange   `json:"changes,omitempty"`
}

// AuditChange is an object that was changed, with the fields that were.
type AuditChange struct {
	Kind   string       `json:"kind"`
	Name   string       `json:"name"`
	What   string       `json:"what"`             // added, changed, removed
	Secret bool         `json:"secret,omitempty"` // its secret was stored or replaced
	Fields []AuditField `json:"fields,omitempty"`
}

// AuditField is a field before and after.
type AuditField struct {
	Field  string          `json:"field"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}
