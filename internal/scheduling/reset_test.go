package scheduling

import (
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/mocks"

	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
)

// described is an open workflow of a run, as Temporal describes it.
func described(id string) *workflowservice.DescribeWorkflowExecutionResponse {
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
		Status:    enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING,
		Execution: &commonpb.WorkflowExecution{WorkflowId: "export/spring", RunId: "execution of " + id},
		Memo:      &commonpb.Memo{Fields: map[string]*commonpb.Payload{runIDMemo: {Data: record.Encode(id)}}}}}
}

// A workflow that was reset makes room for the next run of its export.
func TestAResetWorkflowMakesRoom(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("ann@example.com,Ann")
	r := s.Run()
	temporal := &mocks.Client{}
	running := serviceerror.NewWorkflowExecutionAlreadyStarted("", "", "")
	temporal.On("DescribeWorkflowExecution", mock.Anything, "export/spring", "").Return(described(r.RunID), nil)
	temporal.On("TerminateWorkflow", mock.Anything, "export/spring", "execution of "+r.RunID, mock.Anything).Return(nil)
	temporal.On("ExecuteWorkflow", mock.Anything, mock.Anything, protocol.ExportWorkflowType, mock.Anything).Return(nil, running).Twice()
	temporal.On("ExecuteWorkflow", mock.Anything, mock.Anything, protocol.ExportWorkflowType, mock.Anything).Return(nil, nil)
	s.Temporal = temporal
	start := func() error {
		return s.startExport(t.Context(), client.StartWorkflowOptions{ID: "export/spring"}, exportInput{RunID: "next"})
	}
	require.ErrorContains(t, start(), "is closing", "it may end in a moment")
	s.StoreNow.Advance(closingTime)
	require.NoError(t, start())
	temporal.AssertNumberOfCalls(t, "TerminateWorkflow", 1)
}
