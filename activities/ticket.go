package activities

import (
	"encoding/json"

	"github.com/segment-export/segment-export/internal/protocol"
)

// ticket is a worker's permission to begin a workflow around which nobody was
// asked for a command: only the holder of the keyring can make one. What it is
// for is bound to it, so that it is good for nothing else. It may be read by
// anybody, so the workflow that brings it must be the one that it names.
func (a *Activities) ticket(what ...string) ([]byte, error) {
	return a.Keyring.Ticket(ticketContext(what))
}

// checkTicket refuses a ticket that is not for exactly this.
func (a *Activities) checkTicket(ticket []byte, what ...string) error {
	if a.Keyring.CheckTicket(ticket, ticketContext(what)) != nil {
		return errNotBegun()
	}
	return nil
}

// ticketContext is unambiguous whatever the parts are.
func ticketContext(what []string) string {
	text, _ := json.Marshal(what) // strings are always JSON
	return string(text)
}

// runTicket are the parts of the ticket of a run.
func runTicket(id, export string, plan bool) []string {
	return []string{"run", id, protocol.WorkflowID(export, plan)}
}
