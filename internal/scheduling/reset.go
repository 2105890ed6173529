package scheduling

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/store"
)

// closingTime is how long the workflow of a run that has ended may take to close,
// unless it was reset after that.
const closingTime = 20 * time.Second

// alreadyStarted says that a workflow was not started since one of its id is
// running.
func alreadyStarted(err error) bool {
	_, running := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err)
	return running
}

// startExport starts the workflow of a run. One of a run that has ended makes
// room for it.
func (a *Scheduler) startExport(ctx context.Context, options client.StartWorkflowOptions, in exportInput) error {
	_, err := a.Temporal.ExecuteWorkflow(ctx, options, protocol.ExportWorkflowType, in)
	if !alreadyStarted(err) {
		return err
	}
	d, describe := a.Temporal.DescribeWorkflowExecution(ctx, options.ID, "")
	if describe != nil {
		return describe
	}
	if runOf(d) == in.RunID {
		return err
	}
	ended, reset := a.endReset(ctx, d)
	if reset != nil {
		return reset
	}
	if ended {
		_, err = a.Temporal.ExecuteWorkflow(ctx, options, protocol.ExportWorkflowType, in)
	}
	return err
}

// endReset ends a running workflow whose run has ended, and says whether it did.
// It was reset in Temporal: nothing is carried out for it any more, but it would
// keep the next run of its export from starting.
func (a *Scheduler) endReset(ctx context.Context, d *workflowservice.DescribeWorkflowExecutionResponse) (bool, error) {
	r, err := a.Store.Run(ctx, runOf(d))
	if errors.Is(err, store.ErrNotFound) || err == nil && r.EndedAt.IsZero() {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	now, err := a.Store.Now(ctx)
	if err != nil {
		return false, err
	}
	reset := d.GetWorkflowExtendedInfo().GetLastResetTime().AsTime()
	if now.Sub(r.EndedAt) < closingTime && !reset.After(r.EndedAt) {
		return false, fmt.Errorf("run %s has just ended and its workflow is closing", r.ID)
	}
	e := d.GetWorkflowExecutionInfo().GetExecution()
	err = a.Temporal.TerminateWorkflow(ctx, e.GetWorkflowId(), e.GetRunId(),
		fmt.Sprintf("run %s has ended (%s); another run of the export begins", r.ID, r.Status))
	if _, closed := errors.AsType[*serviceerror.NotFound](err); closed {
		err = nil
	}
	return err == nil, err
}

// runOf returns the id of the run that a workflow works on; empty when it does
// not say.
func runOf(d *workflowservice.DescribeWorkflowExecutionResponse) string {
	id, err := record.Decode[string](d.GetWorkflowExecutionInfo().GetMemo().GetFields()[runIDMemo].GetData())
	if err != nil {
		return ""
	}
	return id
}

// running says whether a workflow is open and works on the run.
func running(d *workflowservice.DescribeWorkflowExecutionResponse, id string) bool {
	return d.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING && runOf(d) == id
}
