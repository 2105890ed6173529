package protocol

import (
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
)

// The names of the commands that compare an export's ledger with the account.
const (
	Verify       = "verify"
	VerifyResult = "verify result" // of one that has ended; sealed
)

// The number of contacts that are compared unless told, and at most: each one
// is a request out of the brand's budget.
const (
	VerifySample = 100
	VerifyMost   = 2000
)

// VerifyArgs are the arguments of verify.
type VerifyArgs struct {
	Export string `json:"export"`
	Sample int    `json:"sample,omitempty"` // 0: VerifySample
}

// About names the export.
func (a VerifyArgs) About(string) []Subject {
	return []Subject{{catalogue.KindExport, a.Export}}
}

// VerifyStarted names the workflow that compares.
type VerifyStarted struct {
	ID         string `json:"id"`
	WorkflowID string `json:"workflow_id"`
	Sample     int    `json:"sample"`
}

// VerifyRef selects a comparison.
type VerifyRef struct {
	Export string `json:"export"`
	ID     string `json:"id"`
}

// About names the export.
func (r VerifyRef) About(string) []Subject {
	return []Subject{{catalogue.KindExport, r.Export}}
}

// VerifyAnswer is what a comparison has found; it is sent sealed.
type VerifyAnswer struct {
	Export      string             `json:"export"`
	Ledger      int                `json:"ledger"` // contacts that should carry a marker
	Sample      int                `json:"sample"` // to be compared
	Checked     int                `json:"checked"`
	Differences []VerifyDifference `json:"differences"`
	Problem     string             `json:"problem,omitempty"` // why it ended before the sample did
}

// VerifyDifference is a contact that the account has otherwise than was
// confirmed.
type VerifyDifference struct {
	Email       string    `json:"email"`
	Gone        bool      `json:"gone,omitempty"`     // the account has no such contact
	Missing     []string  `json:"missing,omitempty"`  // markers that it does not carry
	Statuses    []string  `json:"statuses,omitempty"` // channels that stand otherwise, in words
	ConfirmedAt time.Time `json:"confirmed_at"`
}
