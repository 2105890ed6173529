// Package workflows says what happens in a run and in which order. It is
// deterministic and does no I/O: whatever touches the world is an activity.
package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/activities"
)

// acts names the activities for workflow code; it is never called.
var acts *activities.Activities

// retried is the policy of every activity of a run: for ever, since whatever
// ends a run for good is a result, or an error of a type named here.
var retried = &temporal.RetryPolicy{
	InitialInterval:        time.Second,
	BackoffCoefficient:     2,
	MaximumInterval:        30 * time.Second,
	NonRetryableErrorTypes: []string{activities.ErrorFail},
}

// short is for activities that touch the store, or ask something once. They
// heartbeat while they run.
func short(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: time.Minute,
		HeartbeatTimeout:    activities.HeartbeatTimeout,
		RetryPolicy:         retried,
		Summary:             summary,
	})
}

// long is for activities that work for a while and say so: a worker that was
// killed is noticed within the heartbeat timeout.
func long(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 30 * time.Minute,
		HeartbeatTimeout:    activities.HeartbeatTimeout,
		RetryPolicy:         retried,
		WaitForCancellation: true,
		Summary:             summary,
	})
}
