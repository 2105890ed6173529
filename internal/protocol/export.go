package protocol

import (
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
)

// The names of the commands about exports.
const (
	ExportAdd       = "export add"
	ExportList      = "export list"
	ExportShow      = "export show"
	ExportEdit      = "export edit"
	ExportDuplicate = "export duplicate"
	ExportAttach    = "export attach"
	ExportDetach    = "export detach"
	ExportRemove    = "export remove"
	ExportReset     = "export reset-ledger"
	ExportCheck     = "export check" // makes the checks of add and edit, and stores nothing
)

// ExportAddArgs are the arguments of export add. A segment without marker gets
// one made of its name.
type ExportAddArgs struct {
	catalogue.ExportSpec

	Name          string `json:"name"`
	CreateSegment bool   `json:"create_segment,omitempty"` // at Omnisend, on each marker
}

// What happens to the markers of an export that is removed.
const (
	MarkersKeep  = "keep"
	MarkersClear = "clear"
)

// ErrMarkers is the class of the refusal to remove an export before the caller
// says what happens to its markers.
const ErrMarkers = "markers"

// ExportRemoveArgs are the arguments of export remove. Markers may be left out
// when no contact carries one.
type ExportRemoveArgs struct {
	Named

	Markers string `json:"markers,omitempty"`
}

// ExportRemoved says whether an export is gone, or a run first clears its markers
// and then removes it.
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
func (a ExportAddArgs) About(string) []Subject { return used(a.ExportSpec) }

// used names what an export uses.
func used(s catalogue.ExportSpec) []Subject {
	about := []Subject{{catalogue.KindSource, s.Source}}
	if s.Connection != "" {
		about = append(about, Subject{catalogue.KindConnection, s.Connection})
	}
	return about
}

// ExportEditArgs are the arguments of export edit: the whole export.
type ExportEditArgs struct {
	catalogue.ExportSpec

	Name          string `json:"name"`
	Version       int64  `json:"version"` // of which it was made; 0: whatever it is now
	CreateSegment bool   `json:"create_segment,omitempty"`
}

// About names the export, and what it uses.
func (a ExportEditArgs) About(string) []Subject {
	return append(used(a.ExportSpec), Subject{catalogue.KindExport, a.Name})
}

// ExportCheckArgs are the arguments of export check: an export as it would be
// stored under the name, new or in place of the one there.
type ExportCheckArgs struct {
	catalogue.ExportSpec

	Name string `json:"name"`
}

// About names what the export would use.
func (a ExportCheckArgs) About(string) []Subject { return used(a.ExportSpec) }

// ExportDuplicateArgs are the arguments of export duplicate.
type ExportDuplicateArgs struct {
	Name    string            `json:"name"`
	As      string            `json:"as"`
	Markers map[string]string `json:"markers,omitempty"` // by segment, where the derived one does not suit
}

// About names the export that is duplicated.
func (a ExportDuplicateArgs) About(string) []Subject {
	return []Subject{{catalogue.KindExport, a.Name}}
}

// ExportAttachArgs are the arguments of export attach.
type ExportAttachArgs struct {
	Name       string `json:"name"`
	Connection string `json:"connection"`
}

// About names the export and the connection.
func (a ExportAttachArgs) About(string) []Subject {
	return []Subject{{catalogue.KindExport, a.Name}, {catalogue.KindConnection, a.Connection}}
}

// What a person may do with an export, as it is shown.
const (
	MayEdit = "edit and run"
	MayView = "view"
)

// ExportAnswer shows an export and its last run.
type ExportAnswer struct {
	catalogue.Export
	LastRun     *RunAnswer `json:"last_run,omitempty"`
	Permissions string     `json:"permissions,omitempty"` // of the person who asks
	Starts      string     `json:"starts,omitempty"`      // when it runs automatically, for people
	Schedule    string     `json:"schedule,omitempty"`    // the same in a word or two, for lists
	Notes       []string   `json:"notes,omitempty"`
}
