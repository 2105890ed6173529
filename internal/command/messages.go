package command

import (
	"encoding/json"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/run"
)

// The names of the commands.
const (
	Hello            = "hello" // the worker's public key; needs no proof
	WhoAmI           = "whoami"
	SourceAdd        = "source add"
	SourceList       = "source list"
	SourceShow       = "source show"
	SourceRemove     = "source remove"
	ConnectionAdd    = "connection add"
	ConnectionList   = "connection list"
	ConnectionShow   = "connection show"
	ConnectionEdit   = "connection edit"
	ConnectionRotate = "connection rotate-key"
	ConnectionRemove = "connection remove"
	ExportAdd        = "export add"
	ExportList       = "export list"
	ExportShow       = "export show"
	ExportRemove     = "export remove"
	Plan             = "plan"
	Samples          = "samples" // of a plan that has ended; sealed
	Run              = "run"
	RunsList         = "runs list"
	RunsShow         = "runs show"
	RunsPause        = "runs pause"
	RunsResume       = "runs resume"
	RunsApprove      = "runs approve"
	RunsCancel       = "runs cancel"
	RunsRejects      = "runs rejects" // sealed, paged
)

// HelloAnswer tells who is at the other end.
type HelloAnswer struct {
	PublicKey   string `json:"public_key"`
	Fingerprint string `json:"fingerprint"`
}

// WhoAmIAnswer tells who the worker takes the caller for.
type WhoAmIAnswer struct {
	Name string `json:"name"`
	Role string `json:"role"`
}

// Named selects an object by name.
type Named struct {
	Name string `json:"name"`
}

// SourceAddArgs are the arguments of source add.
type SourceAddArgs struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	Path string `json:"path"` // below the worker's files root
}

// SourceAnswer shows a source and what it has.
type SourceAnswer struct {
	catalogue.Source
	SegmentList []SegmentAnswer `json:"segments"`
}

// SegmentAnswer shows one segment of a source.
type SegmentAnswer struct {
	Name   string   `json:"name"`
	Fields []string `json:"fields,omitempty"`
	Bytes  int64    `json:"bytes"`
	Error  string   `json:"error,omitempty"` // why it cannot be read
}

// ConnectionAddArgs are the arguments of connection add; the key travels sealed.
type ConnectionAddArgs struct {
	Name           string   `json:"name"`
	Brand          string   `json:"brand,omitempty"` // stated, for a key that may not read it
	Agree          bool     `json:"agree"`
	Share          *float64 `json:"share,omitempty"`
	CallsPerMinute *int     `json:"calls_per_minute,omitempty"`
}

// ConnectionEditArgs changes what is not nil.
type ConnectionEditArgs struct {
	Name           string   `json:"name"`
	Share          *float64 `json:"share,omitempty"`
	CallsPerMinute *int     `json:"calls_per_minute,omitempty"`
}

// ConnectionSecret is the sealed part of connection add and rotate-key.
type ConnectionSecret struct {
	Key string `json:"key"`
}

// ExportAddArgs are the arguments of export add.
type ExportAddArgs struct {
	Name       string                 `json:"name"`
	Connection string                 `json:"connection"`
	Source     string                 `json:"source"`
	Segments   []string               `json:"segments"`
	Markers    map[string]string      `json:"markers,omitempty"` // by segment, where the derived one does not suit
	ID         string                 `json:"id,omitempty"`
	Mapping    contact.Mapping        `json:"mapping"`
	Consent    contact.ConsentRule    `json:"consent_rule,omitzero"`
	Leavers    catalogue.LeaverPolicy `json:"leavers,omitempty"`
}

// ExportAnswer shows an export and its last run.
type ExportAnswer struct {
	catalogue.Export
	LastRun *RunAnswer `json:"last_run,omitempty"`
	Notes   []string   `json:"notes,omitempty"`
}

// RunArgs are the arguments of run and plan.
type RunArgs struct {
	Export string `json:"export"`
	Yes    bool   `json:"yes,omitempty"`
	Full   bool   `json:"full,omitempty"`
}

// RunStarted names the workflow that a run became.
type RunStarted struct {
	RunID      string `json:"run_id"`
	WorkflowID string `json:"workflow_id"`
}

// RunsListArgs selects runs.
type RunsListArgs struct {
	Export string    `json:"export,omitempty"`
	Status string    `json:"status,omitempty"`
	Before time.Time `json:"before,omitzero"`
	Limit  int       `json:"limit,omitempty"`
}

// RunRef selects a run by its id, or the newest one of an export.
type RunRef struct {
	Run string `json:"run"` // id, the beginning of one, or an export's name
}

// RunsApproveArgs are the arguments of runs approve.
type RunsApproveArgs struct {
	RunRef
	Guard    catalogue.Guard `json:"guard"`
	Remember bool            `json:"remember,omitempty"`
}

// RunAnswer shows a run.
type RunAnswer struct {
	run.Report
	WorkflowID string    `json:"workflow_id"`
	CreatedAt  time.Time `json:"created_at"`
}

// RejectsArgs selects a page of a run's rejects.
type RejectsArgs struct {
	RunRef
	Page int `json:"page"` // from 0
}

// RejectsPage is one page of rejects; it is sent sealed.
type RejectsPage struct {
	Rejects []Reject `json:"rejects"`
	More    bool     `json:"more"`
	Kept    int      `json:"kept"`  // how many are kept in all
	Total   int      `json:"total"` // how many there were; above Kept when only the first were kept
}

// Reject is one row or contact that was not carried over.
type Reject struct {
	Segment string `json:"segment,omitempty"`
	Row     int64  `json:"row,omitempty"` // line of the file
	ID      string `json:"id,omitempty"`
	Email   string `json:"email,omitempty"` // as the source has it
	Reason  string `json:"reason"`
	Refused bool   `json:"refused,omitempty"` // sent and turned down
}

// SamplesAnswer is what a plan would send; it travels sealed.
type SamplesAnswer struct {
	New     []json.RawMessage `json:"new,omitempty"`
	Changed []json.RawMessage `json:"changed,omitempty"`
	Leavers []json.RawMessage `json:"leavers,omitempty"`
}
