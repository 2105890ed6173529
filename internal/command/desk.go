// Package command is the way of a command: it finds out who asks and whether
// they may, lets the command's handler carry it out, and enters it in the audit.
package command

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/scheduling"
)

// Desk takes commands.
type Desk struct {
	*scheduling.Scheduler

	Worker   string // what this worker is called in Temporal
	handlers map[string]Handler
}

// New returns a desk that takes the commands of introduction.
func New(s *scheduling.Scheduler, worker string) *Desk {
	d := &Desk{Scheduler: s, Worker: worker}
	d.handlers = map[string]Handler{
		protocol.Hello:  Without(d.hello),
		protocol.WhoAmI: Without(d.whoAmI),
	}
	return d
}

// Add lets the desk take more commands. It is called before the first command.
func (d *Desk) Add(handlers map[string]Handler) { maps.Copy(d.handlers, handlers) }

// Names lists the commands that the desk takes.
func (d *Desk) Names() []string {
	return slices.Sorted(maps.Keys(d.handlers))
}

// About lists what a command with these arguments is about.
func (d *Desk) About(name string, args json.RawMessage) ([]protocol.Subject, error) {
	about, _, err := d.handlers[name].read(Caller{Request: &protocol.Request{Name: name, Args: args}})
	return about, err
}
