package protocol

import (
	"time"
)

// The names of the commands about one person. The address travels sealed, and
// so does the answer.
const (
	Explain = "explain"
	Forget  = "forget"
)

// ForgetArgs are the arguments of forget.
type ForgetArgs struct {
	AllowAgain bool `json:"allow_again,omitempty"` // take it back: later runs may carry the address
}

// About names nothing: who may forget anybody is an administrator.
func (ForgetArgs) About(string) []Subject { return nil }

// ExplainAnswer is all that is known of an address; it is sent sealed.
type ExplainAnswer struct {
	Forgotten bool              `json:"forgotten"`
	Exports   []ExplainedExport `json:"exports"`
	Hidden    int               `json:"hidden,omitempty"` // exports that the caller may not use
}

// The verdicts of an explained contact.
const (
	VerdictConfirmed = "confirmed"
	VerdictAdopted   = "adopted" // taken over, never sent
	VerdictRefused   = "refused"
	VerdictUnknown   = "unknown" // never sent by this export, or nothing is remembered
)

// ExplainedExport is what one export knows of an address.
type ExplainedExport struct {
	Export  string    `json:"export"`
	Verdict string    `json:"verdict"`
	At      time.Time `json:"at,omitzero"`       // of the verdict's call
	Markers []string  `json:"markers,omitempty"` // that it carries at Omnisend
	Reason  string    `json:"reason,omitempty"`  // of a refusal
	// Mail and SMS are the statuses that were confirmed last.
	Mail    *ExplainedStatus `json:"mail,omitempty"`
	SMS     *ExplainedStatus `json:"sms,omitempty"`
	LastRun string           `json:"last_run,omitempty"`
	LastAt  time.Time        `json:"last_at,omitzero"` // when that one began to read
	// Rejects are what recent runs did not carry over of this address.
	Rejects []ExplainedReject `json:"rejects,omitempty"`
	// HiddenRuns counts recent runs with a connection or a source that the
	// caller may not use: their rejects are not searched.
	HiddenRuns int    `json:"hidden_runs,omitempty"`
	Next       string `json:"next"` // what a next run does, in a sentence
	// NextStart is the next automatic run of the export; Starts says when it runs
	// automatically, or that it does not.
	NextStart time.Time `json:"next_start,omitzero"`
	Starts    string    `json:"starts"`
}

// ExplainedStatus is a status of a channel that was confirmed, and why it was
// sent.
type ExplainedStatus struct {
	Status    string    `json:"status,omitempty"`    // empty: none was sent, or it is not known whether it took effect
	Date      time.Time `json:"date,omitzero"`       // that was sent with it
	Rule      string    `json:"rule,omitempty"`      // the code of the rule that decided
	Why       string    `json:"why,omitempty"`       // the rule in words
	Consented time.Time `json:"consented,omitzero"`  // the date of the consent that was sent last
	FirstSeen time.Time `json:"first_seen,omitzero"` // when the opt-out that holds was first seen
}

// ExplainedReject is a row or contact of the address that a run left out.
type ExplainedReject struct {
	Run string    `json:"run"`
	At  time.Time `json:"at"`
	Reject
}

// ForgetAnswer tells what was erased; it is sent sealed.
type ForgetAnswer struct {
	Allowed  bool     `json:"allowed,omitempty"` // taken back: later runs may carry the address again
	Ledgers  []string `json:"ledgers,omitempty"` // exports whose ledger knew it
	Rejects  int      `json:"rejects"`           // kept rows that were erased
	Samples  int      `json:"samples"`           // of plans, and differences that verify found
	Contacts int      `json:"contacts"`          // in batches that wait for a verdict
	// OpenRuns had read their segments perhaps before: what they hold goes when
	// they end, and until then the erasure is not complete.
	OpenRuns []string `json:"open_runs,omitempty"`
	Notes    []string `json:"notes,omitempty"`
}
