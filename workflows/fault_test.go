package workflows

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

// broken makes one activity panic, as a fault of this program would, until it is
// fixed.
type broken struct {
	interceptor.WorkerInterceptorBase
	w        *world
	activity string
	attempts int
}

func (b *broken) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &brokenInbound{interceptor.ActivityInboundInterceptorBase{Next: next}, b}
}

type brokenInbound struct {
	interceptor.ActivityInboundInterceptorBase
	broken *broken
}

func (i *brokenInbound) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	b := i.broken
	b.w.mu.Lock()
	faulty := b.activity == activity.GetInfo(ctx).ActivityType.Name
	if faulty {
		b.attempts++
	}
	b.w.mu.Unlock()
	if faulty {
		panic("ann@example.com came in an odd shape")
	}
	return i.Next.ExecuteActivity(ctx, in)
}

// A fault of this program in any step parks the run, which says what to do. It
// continues from there when another build has taken over.
func TestFaultParksAndResumeGoesOn(t *testing.T) {
	for _, name := range []string{"Preflight", "Reconcile", "Collect", "Decide", "TakeTurn", "UploadBatch", "Sweep", "Finish"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var log bytes.Buffer
			acts := activities.New(activities.Dependencies{Worker: "7@shop", Dependencies: job.Dependencies{Log: slog.New(slog.NewTextHandler(&log, nil))}})
			b := &broken{w: w, activity: name}
			w.env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{activities.Faults(acts), b}})
			w.later(time.Hour/2, func() {
				p, err := w.env.QueryWorkflow(protocol.ProgressQuery)
				require.NoError(t, err)
				var progress protocol.Progress
				require.NoError(t, p.Get(&progress))
				require.Equal(t, run.Parked, progress.Status)
				require.Regexp(t, `^a fault of this program \(a panic with a string\) in `+name+`; the log of worker 7@shop at .* UTC has its stack$`, progress.Reason)
				require.Contains(t, progress.Action, "then resume")
				require.GreaterOrEqual(t, b.attempts, 4, "it may have been a fault that happens once")
				b.activity = ""
				w.decide(func(c *run.Control) { c.Resumes++ })
			})
			require.NoError(t, w.run(t, ExportInput{Window: 1}))
			require.Equal(t, run.Parked, w.recorded[0])
			require.Equal(t, run.Completed, w.finished.Status)
			require.Empty(t, w.finished.Reason)
			require.ElementsMatch(t, []int{0, 1, 2}, w.batches)
			require.NoError(t, w.finished.Check())
			require.Contains(t, log.String(), "brokenInbound")
			require.NotContains(t, log.String(), "ann@example.com")
		})
	}
}

// unfinished is a run whose finishing meets a fault of this program until it is
// fixed.
func unfinished(t *testing.T) (*world, *broken) {
	w := newWorld(t)
	acts := activities.New(activities.Dependencies{Dependencies: job.Dependencies{Log: slog.New(slog.DiscardHandler)}})
	b := &broken{w: w, activity: "Finish"}
	w.env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{activities.Faults(acts), b}})
	return w, b
}

// A run that has delivered everything finishes when the fault is fixed. Until then
// others have the connection.
func TestFaultWhileFinishingIsTriedAgain(t *testing.T) {
	w, b := unfinished(t)
	w.later(90*time.Minute, func() { b.activity = "" })
	require.NoError(t, w.run(t, ExportInput{Window: 1}))
	require.Equal(t, []run.Status{run.Parked, run.Parked}, w.recorded)
	require.Equal(t, run.Completed, w.finished.Status)
	require.Equal(t, 8, b.attempts)
	require.Contains(t, w.order, "yield")
}

// A run that cannot be finished ends all the same when it is canceled or expires.
// The next run books its verdicts.
func TestFaultWhileFinishingLeavesAWayOut(t *testing.T) {
	for status, what := range map[run.Status]func(w *world){
		run.Canceled: func(w *world) { w.later(2*time.Hour, w.env.CancelWorkflow) },
		run.Expired:  func(*world) {},
	} {
		t.Run(string(status), func(t *testing.T) {
			w, _ := unfinished(t)
			what(w)
			require.Error(t, w.run(t, ExportInput{Window: 1}))
			require.Nil(t, w.finished)
			require.Equal(t, status, w.last.Status)
			require.Equal(t, run.PhaseEnded, w.last.Phase)
			require.Contains(t, w.last.Reason, "a fault of this program")
			require.NoError(t, w.last.Check())
			if status == run.Canceled {
				require.Less(t, len(w.recorded), 5, "it does not wait for its expiry")
			}
		})
	}
}

// A run that was cut short does not wait for the fix.
func TestFaultWhileFinishingACanceledRun(t *testing.T) {
	w, b := unfinished(t)
	w.upload = func(int) *activities.UploadResult {
		w.env.CancelWorkflow()
		return nil
	}
	require.Error(t, w.run(t, ExportInput{Window: 1}))
	require.Equal(t, []run.Status{run.Canceled}, w.recorded)
	require.Equal(t, 4, b.attempts)
	require.Contains(t, w.last.Notes[len(w.last.Notes)-1], "is not booked yet")
}

// A person waits for a command: it is tried once more, and then says what is
// wrong.
func TestFaultInACommandIsAnswered(t *testing.T) {
	w := newWorld(t)
	w.env.RegisterWorkflow(Command)
	acts := activities.New(activities.Dependencies{Worker: "7@shop", Dependencies: job.Dependencies{Log: slog.New(slog.DiscardHandler)}})
	b := &broken{w: w, activity: "Command"}
	w.env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{activities.Faults(acts), b}})
	w.env.ExecuteWorkflow(Command, protocol.Request{Name: protocol.WhoAmI})
	var app *temporal.ApplicationError
	require.ErrorAs(t, w.env.GetWorkflowError(), &app)
	require.Equal(t, protocol.ErrFailed, app.Type())
	require.Contains(t, app.Message(), "the log of worker 7@shop")
	require.Equal(t, 2, b.attempts)
}
