package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/alerting"
)

// Alert delivers one notice, however long its receiver is away: at first every
// few seconds, later every 10 minutes, until the execution's own timeout.
func Alert(ctx workflow.Context, in activities.AlertInput) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: alerting.Timeout + 15*time.Second,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: 5 * time.Second, BackoffCoefficient: 2, MaximumInterval: 10 * time.Minute,
			NonRetryableErrorTypes: []string{activities.ErrorFail},
		},
		Summary: "deliver",
	})
	return workflow.ExecuteActivity(ctx, acts.DeliverAlert, in).Get(ctx, nil)
}
