package activities

import (
	"context"
	"errors"
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"

	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/store"
)

// Anybody who may use the namespace can start any workflow and any activity
// that this worker knows, with any input. So no input is believed:
//
//   - the activities in ungated check on their own whether they may;
//   - every other activity works on a run, and is carried out only for the
//     workflow execution that took that run up, which needs a worker's ticket.

// ungated are the activities that need not belong to a run, with what they
// check instead.
var ungated = map[string]string{
	"Command":   "who gives the command",
	"Preflight": "the run's ticket",
	"Verify":    "the comparison's ticket",
	// It reports what the store says is pending, once.
	"DeliverAlert": "that the notice is pending",
	"Tick":         "what is due by the schedule in the store",
}

// ofRun is the input of an activity that works on a run.
type ofRun interface{ OfRun() string }

// Admission returns the interceptor that lets activities through to a. Every worker
// has it.
func Admission(a *Activities) interceptor.WorkerInterceptor {
	firsts, err := lru.New[string, string](mostFirsts)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &admission{activities: a, firsts: firsts}
}

// mostFirsts is how many workflow runs are remembered: more than are under way
// at once, few enough to take less than a megabyte.
const mostFirsts = 2000

type admission struct {
	interceptor.WorkerInterceptorBase
	activities *Activities
	// firsts holds the first run of each workflow run, by run id. It never
	// changes, so one that is no longer remembered is asked for again.
	firsts *lru.Cache[string, string]
}

// InterceptActivity asks before an activity.
func (g *admission) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &admitted{admission: g}
	i.Next = next
	return i
}

type admitted struct {
	interceptor.ActivityInboundInterceptorBase
	admission *admission
}

// ExecuteActivity carries an activity out if it may be.
func (i *admitted) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	info := activity.GetInfo(ctx)
	if info.WorkflowExecution.RunID == "" { // an activity without a workflow
		return nil, job.ErrNotBegun()
	}
	first, err := i.admission.first(ctx, info.WorkflowExecution.ID, info.WorkflowExecution.RunID)
	if err != nil {
		return nil, err
	}
	ctx = context.WithValue(ctx, executionKey{}, job.Execution{Workflow: info.WorkflowExecution.ID, First: first})
	if _, ok := ungated[info.ActivityType.Name]; !ok {
		if err := i.admission.admit(ctx, info.ActivityType.Name, in.Args); err != nil {
			return nil, err
		}
	}
	return i.Next.ExecuteActivity(ctx, in)
}

// closing are the activities that are carried out for a run that has ended too:
// their first attempt may have ended it, and repeating them changes nothing.
var closing = map[string]bool{"Finish": true, "Record": true}

// admit refuses an activity whose workflow has not taken the run up, or whose
// run has ended: Temporal can reset the workflow of one.
func (g *admission) admit(ctx context.Context, name string, args []any) error {
	var of ofRun
	if len(args) == 1 {
		of, _ = args[0].(ofRun)
	}
	if of == nil {
		return job.ErrNotBegun()
	}
	r, err := g.activities.runs.Store.Run(ctx, of.OfRun())
	if errors.Is(err, store.ErrNotFound) {
		return job.ErrNotKnown()
	}
	if err != nil {
		return err
	}
	if e := executionOf(ctx); r.StartedBy == "" || r.StartedBy != e.First || e.Workflow != protocol.WorkflowID(r.Export, r.Plan) {
		return job.ErrNotBegun()
	}
	if !r.EndedAt.IsZero() && !closing[name] {
		return job.ErrEnded(r)
	}
	return nil
}

// first returns the run with which a workflow execution began: continuing as
// new makes further ones.
func (g *admission) first(ctx context.Context, workflow, run string) (string, error) {
	if first, ok := g.firsts.Get(run); ok {
		return first, nil
	}
	first, err := firstRun(ctx, g.activities.scheduler.Temporal, workflow, run)
	if err != nil {
		return "", fmt.Errorf("who began the workflow: %w", err)
	}
	g.firsts.Add(run, first)
	return first, nil
}

// firstRun reads it from the event that every history begins with.
func firstRun(ctx context.Context, c client.Client, workflow, run string) (string, error) {
	d, err := c.DescribeWorkflowExecution(ctx, workflow, run)
	if err != nil {
		return "", err
	}
	if first := d.GetWorkflowExecutionInfo().GetFirstRunId(); first != "" {
		return first, nil
	}
	// A server of an older release does not say.
	event, err := c.GetWorkflowHistory(ctx, workflow, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT).Next()
	if err != nil {
		return "", err
	}
	return event.GetWorkflowExecutionStartedEventAttributes().GetFirstExecutionRunId(), nil
}

type executionKey struct{}

func executionOf(ctx context.Context) job.Execution {
	e, _ := ctx.Value(executionKey{}).(job.Execution)
	return e
}
