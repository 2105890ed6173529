package fault

// BlockedError is an error that no retry fixes, and an operator can: the
// run parks. Another worker may do better, for instance one with a newer keyring,
// so it is attempted as often as a fault of this program.
type BlockedError struct {
	Reason string // nothing personal
	Action string
	Cause  error
}

func (e *BlockedError) Error() string { return e.Reason }

func (e *BlockedError) Unwrap() error { return e.Cause }

// Action is what to do about a run that met a fault of this program.
const Action = "report it with the stack from that log; upgrade this program, or go back to the release before; then resume"
