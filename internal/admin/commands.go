// Package admin carries out the commands about what is in the catalogue:
// exports, connections, sources, schedules, alerts and who has access.
package admin

import (
	"maps"

	"github.com/segment-export/segment-export/internal/alerting"
	"github.com/segment-export/segment-export/internal/command"
)

// Commands carry the commands out.
type Commands struct {
	*command.Desk

	Alerts   *alerting.Alerts
	Endpoint string // base URL that new connections are bound to
}

// Handlers are the commands by name; each group stands in the file of its noun.
func (a *Commands) Handlers() map[string]command.Handler {
	all := map[string]command.Handler{}
	for _, group := range []map[string]command.Handler{a.accessHandlers(), a.alertHandlers(), a.connectionHandlers(), a.exportHandlers(),
		a.refreshHandlers(), a.scheduleHandlers(), a.sourceHandlers()} {
		maps.Copy(all, group)
	}
	return all
}
