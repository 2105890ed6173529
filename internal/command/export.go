package command

import (
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
)

// The names of the commands about exports.
const (
	ExportAdd    = "export add"
	ExportList   = "export list"
	ExportShow   = "export show"
	ExportRemove = "export remove"
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
