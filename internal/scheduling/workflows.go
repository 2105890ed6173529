package scheduling

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/segment-export/segment-export/internal/alerting"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/store"
)

// IsOpen tells whether Temporal still runs the workflow of a run.
func (a *Scheduler) IsOpen(ctx context.Context, r store.Run) (bool, error) {
	d, err := a.Temporal.DescribeWorkflowExecution(ctx, protocol.WorkflowID(r.Export, r.Plan), "")
	if isGone(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return running(d, r.ID), nil
}

// isGone says that Temporal does not have what it was asked about.
func isGone(err error) bool {
	_, gone := errors.AsType[*serviceerror.NotFound](err)
	return gone
}

// Terminate ends the workflow of a run at once; no error when it has ended.
func (a *Scheduler) Terminate(ctx context.Context, r store.Run, reason string) error {
	err := a.Temporal.TerminateWorkflow(ctx, protocol.WorkflowID(r.Export, r.Plan), "", reason)
	if isGone(err) {
		return nil
	}
	return err
}

// Cancel asks the workflow of a run to end; errGone when it has ended.
func (a *Scheduler) Cancel(ctx context.Context, r store.Run) error {
	err := a.Temporal.CancelWorkflow(ctx, protocol.WorkflowID(r.Export, r.Plan), "")
	if isGone(err) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}

// ErrGone is the error of a workflow that has ended.
var ErrGone = errors.New("the workflow has ended")

// Signal asks the workflow of a run to look at what was decided about it.
func (a *Scheduler) Signal(ctx context.Context, r store.Run) error {
	return a.Temporal.SignalWorkflow(ctx, protocol.WorkflowID(r.Export, r.Plan), "", protocol.ControlSignal, nil)
}

// StartTick starts the workflow of a tick that a command made due. It may be
// repeated with the same id.
func (a *Scheduler) StartTick(ctx context.Context, id, schedule string) error {
	_, err := a.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: protocol.TaskQueue,
		WorkflowExecutionErrorWhenAlreadyStarted: true, StaticSummary: "The system refresh, asked for by a command"},
		protocol.TickWorkflowType, TickInput{Schedule: schedule})
	if alreadyStarted(err) {
		return nil
	}
	return err
}

// verifyTime is the longest time that a comparison may take.
const verifyTime = time.Hour

// StartVerify starts the workflow of a comparison, or says that another one of
// the export is running. It may be repeated.
func (a *Scheduler) StartVerify(ctx context.Context, in delivery.VerifyInput, e catalogue.Export) (other bool, err error) {
	_, err = a.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: in.WorkflowID(), TaskQueue: protocol.TaskQueue, WorkflowExecutionTimeout: verifyTime,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		Memo:                                     map[string]any{runIDMemo: in.ID},
		StaticSummary:                            fmt.Sprintf("Compare %s with %s", e.Name, e.Connection),
	}, protocol.VerifyWorkflowType, in)
	if !alreadyStarted(err) {
		return false, err
	}
	d, err := a.Temporal.DescribeWorkflowExecution(ctx, in.WorkflowID(), "")
	return err == nil && runOf(d) != in.ID, err
}

// StartAlert starts the workflow that delivers a notice. Temporal refuses to
// deliver the same one twice.
func (a *Scheduler) StartAlert(ctx context.Context, in alerting.AlertInput, summary string) error {
	_, err := a.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: fmt.Sprintf("alert/%s/%d", in.State, in.Seq), TaskQueue: protocol.TaskQueue,
		WorkflowExecutionTimeout:                 alerting.Kept,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		StaticSummary:                            summary,
	}, protocol.AlertWorkflowType, in)
	if alreadyStarted(err) {
		return nil
	}
	return err
}

// runIDMemo is the memo field of a run's workflow that holds our run id.
const runIDMemo = "run_id"
