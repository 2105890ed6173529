package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/internal/command"
)

// Command carries out one command of the command line: a worker checks who
// asks, does it, and its answer stays on record as the workflow's result. The
// starter gives it an execution timeout of command.Timeout.
func Command(ctx workflow.Context, request command.Request) (*command.Response, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		ScheduleToCloseTimeout: command.Timeout,
		StartToCloseTimeout:    command.Timeout,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    200 * time.Millisecond,
			BackoffCoefficient: 2,
			NonRetryableErrorTypes: []string{command.ErrUsage, command.ErrNotFound, command.ErrExists,
				command.ErrConflict, command.ErrNotAllowed, command.ErrFailed, command.ErrMarkers},
		},
		Summary: request.Name,
	})
	var response command.Response
	err := workflow.ExecuteActivity(ctx, acts.Command, request).Get(ctx, &response)
	if err != nil {
		return nil, err
	}
	return &response, nil
}
