package run

import (
	"time"

	"github.com/segment-export/segment-export/internal/reason"
)

// HaltKind says what must happen before an activity is worth trying again.
type HaltKind string

// The kinds of halts.
const (
	HaltWait HaltKind = "wait" // time must pass: the budget is used up, or a 429
	HaltPark HaltKind = "park" // an operator must fix something
	HaltSkip HaltKind = "skip" // this run must not happen
	HaltFail HaltKind = "fail" // it cannot be fixed for this run
	HaltStop HaltKind = "stop" // a user wants nothing sent any more
)

// Halt is why an activity stopped short of its end. It is not an error: nothing
// went wrong that a retry would fix.
type Halt struct {
	Kind   HaltKind      `json:"kind"`
	Reason reason.Text   `json:"reason,omitempty"` // a sentence, nothing personal
	Action reason.Text   `json:"action,omitempty"` // what to do about it
	Wait   time.Duration `json:"wait,omitempty"`   // of HaltWait
}
