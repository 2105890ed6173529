package scheduling

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	deploymentpb "go.temporal.io/api/deployment/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/mocks"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/store"
)

func TestStuckTellsWhyARunDoesNotGetOn(t *testing.T) {
	running := &workflowpb.WorkflowExecutionInfo{Status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING}
	pinned := &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
		Status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, VersioningInfo: &workflowpb.WorkflowExecutionVersioningInfo{
			DeploymentVersion: &deploymentpb.WorkerDeploymentVersion{DeploymentName: "segment-export", BuildId: "1.0"}}}}
	attempted := func(name string, n int32) *workflowpb.PendingActivityInfo {
		return &workflowpb.PendingActivityInfo{ActivityType: &commonpb.ActivityType{Name: name}, Attempt: n,
			LastFailure: &failurepb.Failure{Message: "the store is out of reach"}}
	}
	for name, c := range map[string]struct {
		answer *workflowservice.DescribeWorkflowExecutionResponse
		err    error
		age    time.Duration
		seen   []protocol.WorkerStatus
		reason string
	}{
		"it gets on": {answer: &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: running,
			PendingActivities:   []*workflowpb.PendingActivityInfo{attempted("Collect", 6)},
			PendingWorkflowTask: &workflowpb.PendingWorkflowTaskInfo{Attempt: 1}}},
		"an activity": {answer: &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: running,
			PendingActivities: []*workflowpb.PendingActivityInfo{attempted("Sweep", 7), attempted("Collect", 38)}},
			reason: "Collect failed 37 times: the store is out of reach"},
		"the workflow": {answer: &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: running,
			PendingWorkflowTask: &workflowpb.PendingWorkflowTaskInfo{Attempt: 8}}, reason: "failed 7 times"},
		"terminated": {answer: &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
			Status: enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED}}, age: time.Hour, reason: "does not run it any more"},
		"pinned": {answer: pinned, seen: []protocol.WorkerStatus{{Build: "2.0"}, {Build: "1.0"}}},
		"pinned to a build that is gone": {answer: pinned, seen: []protocol.WorkerStatus{{Build: "2.0"}, {}},
			reason: "no worker of that build is at work"},
		"workers are not known": {answer: pinned},
		"lost":                  {err: serviceerror.NewNotFound("no such workflow"), age: time.Hour, reason: "does not run it any more"},
		"about to begin":        {err: serviceerror.NewNotFound("no such workflow"), age: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			temporal := &mocks.Client{}
			temporal.On("DescribeWorkflowExecution", mock.Anything, "export/spring", "").Return(c.answer, c.err)
			a := &Scheduler{Temporal: temporal}
			now := time.Now()
			w, err := a.Stuck(context.Background(), store.Run{Export: "spring", CreatedAt: now.Add(-c.age)}, now, c.seen)
			require.NoError(t, err)
			if c.reason == "" {
				require.Empty(t, w)
				return
			}
			require.Contains(t, w.Reason, c.reason)
			require.NotEmpty(t, w.Action)
		})
	}
}
