package workflows

import (
	"errors"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/internal/protocol"
)

// Command carries out one command: a worker checks who asks, does it, and the
// answer, or why it was refused, stays on record as the workflow's result. A
// refused command is no failure of the workflow; a fault of the worker is. The
// starter gives it an execution timeout of protocol.Timeout.
func Command(ctx workflow.Context, request protocol.Request) (*protocol.Response, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		ScheduleToCloseTimeout: protocol.Timeout,
		StartToCloseTimeout:    protocol.Timeout,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:        200 * time.Millisecond,
			BackoffCoefficient:     2,
			NonRetryableErrorTypes: protocol.Classes,
		},
		Summary: request.Name,
	})
	var response protocol.Response
	err := workflow.ExecuteActivity(ctx, acts.Command, request).Get(ctx, &response)
	if err == nil {
		return &response, nil
	}
	app, ok := errors.AsType[*temporal.ApplicationError](err)
	if ok && app.Category() == temporal.ApplicationErrorCategoryBenign && slices.Contains(protocol.Classes, app.Type()) {
		return &protocol.Response{Refusal: &protocol.Refusal{Class: app.Type(), Message: app.Message()}}, nil
	}
	return nil, err
}
