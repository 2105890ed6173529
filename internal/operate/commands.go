// Package operate carries out the commands about runs, about what they have kept
// of people, and about the whole.
package operate

import (
	"maps"

	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/protocol"
)

// Commands carry the commands out.
type Commands struct {
	*command.Desk

	Disk func() (*protocol.DiskStatus, error) // nil: it is not measured
}

// Handlers are the commands by name; each group stands in the file of its noun.
func (a *Commands) Handlers() map[string]command.Handler {
	all := map[string]command.Handler{}
	for _, group := range []map[string]command.Handler{a.runHandlers(), a.personHandlers(), a.verifyHandlers(), a.statusHandlers()} {
		maps.Copy(all, group)
	}
	return all
}
