package catalogue

import (
	"fmt"
	"slices"
	"time"
)

// Withdrawal is the record that an agreement to the transfer of personal data
// was taken back.
type Withdrawal struct {
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Agreed *Consent  `json:"agreed,omitempty"` // what was withdrawn
	// Finish are the ids of runs that were open then and may finish.
	Finish []string `json:"finish,omitempty"`
}

// Stop is the record that a connection was stopped.
type Stop struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// Agree puts an agreement to the statement in force on record.
func (c *Connection) Agree(by string, at time.Time) {
	c.Consent = &Consent{By: by, At: at, Version: TransferStatementVersion, Wording: TransferStatement}
	c.Withdrawn = nil
}

// Withdraw takes the agreement back; the runs named may finish.
func (c *Connection) Withdraw(by string, at time.Time, finish []string) {
	c.Withdrawn = &Withdrawal{By: by, At: at, Agreed: c.Consent, Finish: finish}
	c.Consent = nil
}

// Barred says why a run may send nothing over the connection, and what to do
// about it; nothing when it may.
func (c *Connection) Barred(runID string) (reason, action string) {
	switch {
	case c.Stopped != nil:
		return fmt.Sprintf("the connection %q was stopped", c.Name),
			fmt.Sprintf("an administrator can start it again: starter connection start %q", c.Name)
	case c.Consent != nil:
		return "", ""
	case c.Withdrawn == nil:
		return fmt.Sprintf("nobody has agreed to the transfer of personal data over the connection %q", c.Name),
			fmt.Sprintf("an administrator can agree to it: starter connection edit %q --agree", c.Name)
	case slices.Contains(c.Withdrawn.Finish, runID):
		return "", ""
	}
	return fmt.Sprintf("the agreement to the transfer of personal data over the connection %q was withdrawn", c.Name),
		fmt.Sprintf("an administrator can agree to it again: starter connection edit %q --agree", c.Name)
}
