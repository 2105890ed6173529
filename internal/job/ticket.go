package job

import (
	"encoding/json"

	"github.com/segment-export/segment-export/internal/protocol"
)

// Ticket is a worker's permission to begin a workflow around which nobody was
// asked for a command: only the holder of the keyring can make one. What it is
// for is bound to it, so that it is good for nothing else. It may be read by
// anybody, so the workflow that brings it must be the one that it names.
func (a *Runs) Ticket(what ...string) ([]byte, error) {
	return a.Keyring.Ticket(ticketContext(what))
}

// CheckTicket refuses a ticket that is not for exactly this.
func (a *Runs) CheckTicket(ticket []byte, what ...string) error {
	if a.Keyring.CheckTicket(ticket, ticketContext(what)) != nil {
		return ErrNotBegun()
	}
	return nil
}

// ticketContext is unambiguous whatever the parts are.
func ticketContext(what []string) string {
	text, _ := json.Marshal(what) // strings are always JSON
	return string(text)
}

// RunTicket are the parts of the ticket of a run.
func RunTicket(id, export string, plan bool) []string {
	return []string{"run", id, protocol.WorkflowID(export, plan)}
}
