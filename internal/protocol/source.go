package protocol

import (
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/segment"
)

// The names of the commands about sources.
const (
	SourceAdd    = "source add"
	SourceList   = "source list"
	SourceShow   = "source show"
	SourceEdit   = "source edit"
	SourceTest   = "source test"
	SourceShare  = "source share"
	SourceOwner  = "source owner"
	SourceRemove = "source remove"
)

// SourceSettings are the settings when a source is added or changed; nil keeps the
// setting, or its default. A credential to store travels sealed, as a
// SourceSecret.
type SourceSettings struct {
	Files      *catalogue.FilesSettings     `json:"files,omitempty"`
	Dataverse  *catalogue.DataverseSettings `json:"dataverse,omitempty"`
	Postgres   *catalogue.PostgresSettings  `json:"postgres,omitempty"`
	Credential *string                      `json:"credential,omitempty"` // a reference; empty: none
	Shared     *catalogue.Sharing           `json:"shared,omitempty"`
	Owner      *string                      `json:"owner,omitempty"`
	Dates      *catalogue.Dates             `json:"dates,omitempty"`
	// Untested stores it even if it cannot be read now.
	Untested bool `json:"untested,omitempty"`
}

// SourceAddArgs are the arguments of source add.
type SourceAddArgs struct {
	SourceSettings

	Name string `json:"name"`
	Kind string `json:"kind"`
}

// About names nothing that is there yet.
func (SourceAddArgs) About(string) []Subject { return nil }

// SourceEditArgs changes what is said.
type SourceEditArgs struct {
	SourceSettings

	Name    string `json:"name"`
	Version int64  `json:"version,omitempty"` // of which it was made; 0: whatever it is now
}

// About names the source.
func (a SourceEditArgs) About(string) []Subject {
	return []Subject{{catalogue.KindSource, a.Name}}
}

// SourceShareArgs are the arguments of source share.
type SourceShareArgs struct {
	Name string            `json:"name"`
	With catalogue.Sharing `json:"with"`
}

// About names the source.
func (a SourceShareArgs) About(string) []Subject {
	return []Subject{{catalogue.KindSource, a.Name}}
}

// SourceOwnerArgs are the arguments of source owner.
type SourceOwnerArgs struct {
	Name string `json:"name"`
	To   string `json:"to"`
}

// About names the source.
func (a SourceOwnerArgs) About(string) []Subject {
	return []Subject{{catalogue.KindSource, a.Name}}
}

// SourceShowArgs are the arguments of source show.
type SourceShowArgs struct {
	Name    string `json:"name"`
	Segment string `json:"segment,omitempty"` // only this one, with all its fields
	Stored  bool   `json:"stored,omitempty"`  // only what is stored: the source is not asked
	// Rows shows the first rows of segments to those who may export them. The
	// answer must be sealed then.
	Rows bool `json:"rows,omitempty"`
}

// About names the source.
func (a SourceShowArgs) About(string) []Subject {
	return []Subject{{catalogue.KindSource, a.Name}}
}

// SourceSecret is the sealed part of source add and edit.
type SourceSecret struct {
	Credential []byte `json:"credential"`
}

// SourceAnswer shows a source and what it has.
type SourceAnswer struct {
	catalogue.Source

	SegmentList []SegmentAnswer `json:"segments"`
	Fields      []string        `json:"fields,omitempty"` // that all its segments have, in this order
	Notes       []string        `json:"notes,omitempty"`
}

// SegmentAnswer shows one segment of a source.
type SegmentAnswer struct {
	Name        string    `json:"name"`
	Title       string    `json:"title,omitempty"`
	Members     *int64    `json:"members,omitempty"` // when it was last refreshed; nil: the source does not tell
	RefreshedAt time.Time `json:"refreshed_at,omitzero"`
	Bytes       int64     `json:"bytes,omitempty"`
	Fields      []string  `json:"fields,omitempty"` // where they are not those that all have
	Error       string    `json:"error,omitempty"`  // why it cannot be read

	How      []string                `json:"how,omitempty"`      // how the source reads it, when it has to guess
	Looked   int                     `json:"looked,omitempty"`   // rows that were looked at for that
	Problems map[segment.Problem]int `json:"problems,omitempty"` // of some of these
	Rows     [][]string              `json:"rows,omitempty"`     // the first ones: the values of the fields, cut where they are long
}

// SourceTested is what a test of a source found out.
type SourceTested struct {
	Name   string          `json:"name"`
	OK     bool            `json:"ok"` // runs would not stop at any of the checks
	Checks []segment.Check `json:"checks"`
}
