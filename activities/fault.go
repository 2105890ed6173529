package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/store"
)

// ErrorFault is the type of application errors of an activity that met a fault
// of this program.
const ErrorFault = "Fault"

// blockedError is an error that no repetition mends, and an operator can: the
// run parks. Another worker may do better, for instance one with a newer keyring,
// so it is attempted as often as a fault of this program.
type blockedError struct {
	reason string // nothing personal
	action string
	cause  error
}

func (e *blockedError) Error() string { return e.reason }
func (e *blockedError) Unwrap() error { return e.cause }

// unreadable is the error of a piece of a run's stored data that cannot be read.
func unreadable(runID string, kind store.BlobKind, cause error) error {
	return &blockedError{cause: cause, reason: fmt.Sprintf("stored data of run %s (%s) cannot be read: %v", runID, kind, cause),
		action: fmt.Sprintf("restore the store or its keyring from a backup, then resume; or give that run up with: starter runs abandon %s", runID)}
}

// FaultAction is what to do about a run that met a fault of this program.
const FaultAction = "report it with the stack from that log; upgrade this program, or go back to the release before; then resume"

// faultAttempts are how often an activity is attempted that meets a fault of
// this program: another worker may be of another build, and some faults happen
// once. After that its workflow is told. What is not named here is tried for
// ever, since its workflow could do nothing about it: without Control and Record
// a run could not even be seen to be parked, and a tick that gave up would be a
// run that never begins.
var faultAttempts = map[string]int32{
	"Preflight": 4, "Reconcile": 4, "Collect": 4, "Decide": 4, "Adopt": 4, "TakeTurn": 4, "UploadBatch": 4, "Sweep": 4, "Finish": 4,
	"Verify": 4,
	// Somebody waits for the answer.
	"Command": 2,
}

// Faults returns the interceptor that makes errors of panics. Every worker has
// it, around the others.
func Faults(a *Activities) interceptor.WorkerInterceptor { return &faults{activities: a} }

type faults struct {
	interceptor.WorkerInterceptorBase
	activities *Activities
}

// InterceptActivity stands around an activity.
func (f *faults) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &faultsInbound{faults: f}
	i.Next = next
	return i
}

type faultsInbound struct {
	interceptor.ActivityInboundInterceptorBase
	faults *faults
}

// ExecuteActivity carries an activity out.
func (i *faultsInbound) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (result any, err error) {
	err = fault.Guard(func() error {
		var err error
		result, err = i.Next.ExecuteActivity(ctx, in)
		return err
	})
	b, blocked := errors.AsType[*blockedError](err)
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return nil, i.faults.activities.faulty(ctx, f, b)
	}
	if blocked {
		return nil, i.faults.activities.parks(ctx, b.reason, b.action)
	}
	return result, bounded(err)
}

// bounded makes an error whose text is too long, or is not one line, one whose
// text is neither: it is kept in Temporal.
func bounded(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, activity.ErrResultPending) {
		return err
	}
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		if clean := string(reason.Clean(app.Message())); clean != app.Message() {
			return temporal.NewApplicationErrorWithOptions(clean, app.Type(), temporal.ApplicationErrorOptions{
				NonRetryable: app.NonRetryable(), NextRetryDelay: app.NextRetryDelay(), Category: app.Category()})
		}
		return err
	}
	if clean := string(reason.Clean(err.Error())); clean != err.Error() {
		return errors.New(clean)
	}
	return err
}

// faulty logs and counts a fault, and makes what the activity ends with of it.
// Where the fault blocks something that can be got round, b says how.
func (a *Activities) faulty(ctx context.Context, f *fault.Error, b *blockedError) error {
	NoteFault(ctx, a, f)
	what, action := f.Error(), FaultAction
	if b != nil {
		what, action = b.reason, b.action
	}
	return a.parks(ctx, fmt.Sprintf("%s in %s; the log of worker %s at %s has its stack", what, activity.GetInfo(ctx).ActivityType.Name,
		a.Worker, time.Now().UTC().Format(time.DateTime+" MST")), action)
}

// parks is what an activity ends with that only an operator can help: after the
// last attempt its run parks.
func (a *Activities) parks(ctx context.Context, message, action string) error {
	info := activity.GetInfo(ctx)
	most, bounded := faultAttempts[info.ActivityType.Name]
	last := bounded && info.Attempt >= most
	if last && info.ActivityType.Name == "Command" {
		return temporal.NewNonRetryableApplicationError(message, protocol.ErrFailed, nil)
	}
	return temporal.NewApplicationErrorWithOptions(message, ErrorFault, temporal.ApplicationErrorOptions{NonRetryable: last, Details: []any{action}})
}

// NoteFault logs and counts a fault of this program. It is no method, which
// Temporal would take for an activity.
func NoteFault(ctx context.Context, a *Activities, f *fault.Error) {
	a.Work.Fault()
	a.Log.ErrorContext(ctx, f.Error(), "stack", f.Stack)
}
