package scheduling

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/store"
)

// stuckAfter is how many failed attempts in a row are more than
// something that passes: the waits between them come to half a minute.
const stuckAfter = 6

// Stuck looks in Temporal for why an open run does not get on, when these
// workers were seen. It returns what to tell about it, with an empty reason when
// it does.
func (a *Scheduler) Stuck(ctx context.Context, r store.Run, now time.Time, seen []protocol.WorkerStatus) (protocol.AttendStatus, error) {
	var w protocol.AttendStatus
	d, err := a.Temporal.DescribeWorkflowExecution(ctx, protocol.WorkflowID(r.Export, r.Plan), "")
	_, missing := errors.AsType[*serviceerror.NotFound](err)
	switch {
	case err != nil && !missing:
		return w, err
	case missing || d.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		if now.Sub(r.CreatedAt) < time.Minute {
			return w, nil // it is about to begin
		}
		w.Reason = "Temporal does not run it any more: it was terminated there, or Temporal was lost"
		w.Action = "nothing: it ends as failed within the hour; the next run continues from what Omnisend has confirmed"
		return w, nil
	}
	if w.Reason, w.Action = whyStuck(d); w.Reason == "" {
		w.Reason, w.Action = withoutWorker(d, r.ID, seen)
	}
	return w, nil
}

// withoutWorker finds a run that is pinned to a build of which no worker was
// seen: no other one takes it up. Where no worker was seen, nobody knows.
func withoutWorker(d *workflowservice.DescribeWorkflowExecutionResponse, id string, seen []protocol.WorkerStatus) (reason, action string) {
	pinned := d.GetWorkflowExecutionInfo().GetVersioningInfo().GetDeploymentVersion().GetBuildId()
	if pinned == "" || len(seen) == 0 {
		return "", ""
	}
	for _, w := range seen {
		if w.Build == pinned {
			return "", ""
		}
	}
	return fmt.Sprintf("it belongs to build %s, which began it, and no worker of that build is at work", pinned),
		fmt.Sprintf("start one again: worker run --build-id %s, and the run continues (docs/upgrading.md); or give it up: starter runs abandon %s", pinned, id)
}

// whyStuck finds the step that fails again and again.
func whyStuck(d *workflowservice.DescribeWorkflowExecutionResponse) (reason, action string) {
	if n := d.GetPendingWorkflowTask().GetAttempt(); n > stuckAfter {
		return fmt.Sprintf("a fault of this program, or a build that cannot continue what another started: the run's next step failed %d times", n-1),
			"read the logs of the workers; upgrade this program, or return to the previous build: the run then continues automatically"
	}
	var worst *workflowpb.PendingActivityInfo
	for _, p := range d.GetPendingActivities() {
		if p.GetAttempt() > max(stuckAfter, worst.GetAttempt()) {
			worst = p
		}
	}
	if worst == nil {
		return "", ""
	}
	return fmt.Sprintf("%s failed %d times: %s", worst.GetActivityType().GetName(), worst.GetAttempt()-1, worst.GetLastFailure().GetMessage()),
		"nothing is lost: fix the cause, and the run continues automatically; the logs of the workers say more"
}
