package job

import (
	"errors"
	"fmt"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// notAdmitted is why something is not carried out for a workflow.
const notAdmitted = "this run was not started with a worker's permission; start runs with: starter run EXPORT"

// notKnown is why something is not carried out for a run that is not in the
// store.
const notKnown = "the store does not know this run: it was not started with a worker's permission, or the store was lost or replaced since; " +
	"restore the store from a backup, or start runs with: starter run EXPORT"

// ErrNotKnown is the final error of a run that is not in the store.
func ErrNotKnown() error { return &FinalError{notKnown} }

// ErrEnded is the final error of a run that has ended.
func ErrEnded(r store.Run) error {
	return &FinalError{fmt.Sprintf("run %s has ended (%s): nothing more is done for it; begin another with: starter run %q", r.ID, r.Status, r.Export)}
}

// ErrNotBegun is the final error of a workflow that has not taken the run up.
func ErrNotBegun() error { return &FinalError{notAdmitted} }

// Unreadable is the error of a piece of a run's stored data that cannot be read.
func Unreadable(runID string, kind store.BlobKind, cause error) error {
	return &fault.BlockedError{Cause: cause, Reason: fmt.Sprintf("stored data of run %s (%s) cannot be read: %v", runID, kind, cause),
		Action: fmt.Sprintf("restore the store or its keyring from a backup, then resume; or give that run up with: starter runs abandon %s", runID)}
}

// FinalError is an error that no retry fixes.
type FinalError struct{ Message string }

func (e *FinalError) Error() string { return e.Message }

// ErrNotPermitted is the final error of a step that the store does not permit.
func ErrNotPermitted(why string) error {
	return &FinalError{"the store does not permit this step of the run: " + why}
}

// Gone fails a run whose export or source is not there any more.
func Gone(err error) (*run.Halt, error) {
	if errors.Is(err, store.ErrNotFound) {
		return &run.Halt{Kind: run.HaltFail, Reason: reason.Text(err.Error())}, nil
	}
	return nil, err
}
