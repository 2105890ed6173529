package command

import (
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
)

// The names of the commands about exports.
const (
	ExportAdd    = "export add"
	ExportList   = "export list"
	ExportShow   = "export show"
	ExportEdit   = "export edit"
	ExportRemove = "export remove"
	ExportReset  = "export reset-ledger"
)

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
	FullEvery  int                    `json:"full_every,omitempty"` // days
}

// ExportEditArgs changes what is not nil.
type ExportEditArgs struct {
	Name      string `json:"name"`
	FullEvery *int   `json:"full_every,omitempty"`
}

// About names the export.
func (a ExportEditArgs) About(string) []Subject {
	return []Subject{{catalogue.KindExport, a.Name}}
}

// What becomes of the markers of an export that is removed.
const (
	MarkersKeep  = "keep"
	MarkersClear = "clear"
)

// ErrMarkers is the class of the refusal to remove an export before it is said
// what becomes of its markers.
const ErrMarkers = "markers"

// ExportRemoveArgs are the arguments of export remove. Markers may be left out
// when no contact carries one.
type ExportRemoveArgs struct {
	Named

	Markers string `json:"markers,omitempty"`
}

// ExportRemoved tells what became of an export: it is gone, or a run clears its
// markers and removes it then.
type ExportRemoved struct {
	ExportAnswer

	Run *RunStarted `json:"run,omitempty"`
}

// LedgerCounts is what an export's ledger holds.
type LedgerCounts struct {
	Contacts int            `json:"contacts"`
	Marked   int            `json:"marked"`            // carry a marker of the export
	Refused  int            `json:"refused"`           // were turned down with the data they had last
	Markers  map[string]int `json:"markers,omitempty"` // by custom property
	LastFull time.Time      `json:"last_full,omitzero"`
}

// ExportResetAnswer tells what a ledger held that is gone now.
type ExportResetAnswer struct {
	Name  string       `json:"name"`
	Held  LedgerCounts `json:"held"`
	Notes []string     `json:"notes,omitempty"`
}

// About names the connection and the source that it uses.
func (a ExportAddArgs) About(string) []Subject {
	return []Subject{{catalogue.KindConnection, a.Connection}, {catalogue.KindSource, a.Source}}
}

// ExportAnswer shows an export and its last run.
type ExportAnswer struct {
	catalogue.Export
	LastRun *RunAnswer `json:"last_run,omitempty"`
	Notes   []string   `json:"notes,omitempty"`
}
