package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/internal/protocol"
)

// Command carries out one command of the command line: a worker checks who
// asks, does it, and its answer stays on record as the workflow's result. The
// starter gives it an execution timeout of protocol.Timeout.
func Command(ctx workflow.Context, request protocol.Request) (*protocol.Response, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		ScheduleToCloseTimeout: protocol.Timeout,
		StartToCloseTimeout:    protocol.Timeout,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    200 * time.Millisecond,
			BackoffCoefficient: 2,
			NonRetryableErrorTypes: []string{protocol.ErrUsage, protocol.ErrNotFound, protocol.ErrExists,
				protocol.ErrConflict, protocol.ErrNotAllowed, protocol.ErrFailed, protocol.ErrMarkers},
		},
		Summary: request.Name,
	})
	var response protocol.Response
	err := workflow.ExecuteActivity(ctx, acts.Command, request).Get(ctx, &response)
	if err != nil {
		return nil, err
	}
	return &response, nil
}
