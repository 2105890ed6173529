package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"github.com/segment-export/segment-export/internal/alerting"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/reason"
)

// ErrorFail is the type of application errors that no retry can fix.
const ErrorFail = "Fail"

// ErrorFault is the type of application errors of an activity that met a fault
// of this program.
const ErrorFault = "Fault"

// faultAttempts are how often an activity is attempted that meets a fault of
// this program: another worker may be of another build, and some faults happen
// once. After that its workflow gets the error. What is not named here is tried for
// ever, since its workflow could do nothing about it: without Control and Record
// a run could not even be seen to be parked, and a tick that gave up would be a
// run that never begins.
var faultAttempts = map[string]int32{
	"Preflight": 4, "Reconcile": 4, "Collect": 4, "Decide": 4, "Adopt": 4, "TakeTurn": 4, "UploadBatch": 4, "Sweep": 4, "Finish": 4,
	"Verify": 4,
	// A person waits for the answer.
	"Command": 2,
}

// Faults returns the interceptor that makes errors of panics, and says what each
// error means to Temporal. Every worker has
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
	b, blocked := errors.AsType[*fault.BlockedError](err)
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return nil, i.faults.activities.faulty(ctx, f, b)
	}
	if blocked {
		return nil, i.faults.activities.parks(ctx, b.Reason, b.Action)
	}
	return result, bounded(outcome(err))
}

// outcome makes of an error what it means to Temporal; one that it does not know
// is retried.
func outcome(err error) error {
	if final, ok := errors.AsType[*job.FinalError](err); ok {
		return temporal.NewNonRetryableApplicationError(final.Message, ErrorFail, nil)
	}
	if permanent, ok := errors.AsType[*alerting.PermanentError](err); ok {
		return temporal.NewNonRetryableApplicationError(permanent.Message, ErrorFail, nil)
	}
	if refusal, ok := errors.AsType[*protocol.RefusalError](err); ok {
		return refused(refusal.Message, refusal.Class)
	}
	if invalid, ok := errors.AsType[*catalogue.Error](err); ok {
		return refused(invalid.Message, protocol.ErrUsage)
	}
	return err
}

// refused is an error for the caller of a command. Nothing is wrong with the
// worker, so Temporal's client does not log it as if there were.
func refused(message, class string) error {
	return temporal.NewApplicationErrorWithOptions(message, class, temporal.ApplicationErrorOptions{
		NonRetryable: true, Category: temporal.ApplicationErrorCategoryBenign})
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
func (a *Activities) faulty(ctx context.Context, f *fault.Error, b *fault.BlockedError) error {
	a.runs.NoteFault(ctx, f)
	what, action := f.Error(), fault.Action
	if b != nil {
		what, action = b.Reason, b.Action
	}
	return a.parks(ctx, fmt.Sprintf("%s in %s; the log of worker %s at %s has its stack", what, activity.GetInfo(ctx).ActivityType.Name,
		a.desk.Worker, time.Now().UTC().Format(time.DateTime+" MST")), action)
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
