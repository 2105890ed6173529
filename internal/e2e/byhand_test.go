package e2e

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/workflows"
)

// byHand starts a workflow around the starter and returns how it ended.
func (s *shop) byHand(id, workflow string, input any) error {
	s.t.Helper()
	w, err := s.client.ExecuteWorkflow(s.t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: protocol.TaskQueue,
		WorkflowExecutionTimeout: time.Minute}, workflow, input)
	require.NoError(s.t, err)
	var response protocol.Response // of a command; a run's report has none of its fields
	if err := w.Get(s.t.Context(), &response); err != nil || response.Refusal == nil {
		return err
	}
	return temporal.NewApplicationError(response.Refusal.Message, response.Refusal.Class)
}

// begunWith is the input of a workflow, which anybody who may see it can read.
func (s *shop) begunWith(id string) workflows.ExportInput {
	s.t.Helper()
	history := s.client.GetWorkflowHistory(s.t.Context(), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	event, err := history.Next()
	require.NoError(s.t, err)
	var in workflows.ExportInput
	require.NoError(s.t, converter.GetDefaultDataConverter().FromPayloads(event.GetWorkflowExecutionStartedEventAttributes().GetInput(), &in))
	return in
}

// A person who may use the namespace, and nothing else, can start workflows and
// activities and send signals. With a run that waits for an answer, none of it
// sends a single contact, changes the run, or puts an end to it.
func TestWhatIsBegunByHandIsRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t, 300, sandbox.Options{Seed: 5})
	s.open(activities.Tuning{})
	s.define("--calls-per-minute", "0")
	code, parked := s.run() // the guard first-run asks
	require.Equal(t, 4, code)
	execution := protocol.WorkflowID("spring", false)
	known := s.begunWith(execution)
	require.Equal(t, parked.RunID, known.RunID)
	require.NotEmpty(t, known.Ticket)

	passed := known
	passed.State = &workflows.State{Report: &parked, Connection: "Spring shop", Passed: true,
		Since: parked.StartedAt, ExpiresAt: time.Now().Add(time.Hour), Delivery: workflows.Delivery{Batches: []int{1}, Begun: []int{0}}}
	passed.State.Report.Phase, passed.State.Report.Status = run.PhaseDeliver, run.Running
	const refused = "was not started with a worker's permission"
	for name, in := range map[string]workflows.ExportInput{
		"a run that is not known":       {RunID: uuid.NewString(), Ticket: known.Ticket},
		"without a ticket":              {RunID: known.RunID},
		"a ticket of one's own":         {RunID: known.RunID, Ticket: []byte("let me in")},
		"the run's own ticket":          known,
		"as if the guards were passed":  passed,
		"the same and without a ticket": {RunID: known.RunID, State: passed.State},
	} {
		require.ErrorContains(t, s.byHand("export/by-hand", protocol.ExportWorkflowType, in), refused, name)
	}
	for name, in := range map[string]any{
		"UploadBatch": activities.UploadInput{RunID: known.RunID},
		"TakeTurn":    activities.RunInput{RunID: known.RunID},
		"Finish":      activities.FinishInput{RunID: known.RunID, Report: &parked},
		"Record":      activities.RecordInput{RunID: known.RunID, Report: &parked},
		"Preflight":   activities.PreflightInput{RunID: known.RunID, Ticket: known.Ticket},
	} {
		a, err := s.client.ExecuteActivity(t.Context(), client.StartActivityOptions{ID: uuid.NewString(), TaskQueue: protocol.TaskQueue,
			ScheduleToCloseTimeout: time.Minute}, name, in)
		if err == nil {
			require.ErrorContains(t, a.Get(t.Context(), nil), refused, name)
		}
	}
	for _, name := range []string{protocol.ControlSignal, "approve"} {
		require.NoError(t, s.client.SignalWorkflow(t.Context(), execution, "", name, run.Control{Resumes: 9}))
	}
	for _, forged := range []protocol.Request{
		{ID: uuid.NewString(), Name: protocol.RunsApprove, Args: []byte(`{"run":"spring","guard":"first-run"}`), IssuedAt: time.Now()},
		{ID: uuid.NewString(), Name: "runs  approve", Args: []byte(`{"run":"spring","guard":"first-run"}`), IssuedAt: time.Now()},
		{ID: uuid.NewString(), Name: "hello", Args: []byte(`{"run":"spring"}`), IssuedAt: time.Now()},
	} {
		require.Error(t, s.byHand("command/x/"+forged.ID, protocol.CommandWorkflowType, forged), forged.Name)
	}
	now := s.show()
	require.Equal(t, run.Parked, now.Status, now.Reason)
	require.Zero(t, s.sandbox.Stats(omnisendtest.Brand).Batches, "nothing was sent")

	// Even in the place of the run's own workflow, which anybody can end.
	require.NoError(t, s.client.TerminateWorkflow(t.Context(), execution, "", "by hand"))
	require.ErrorContains(t, s.byHand(execution, protocol.ExportWorkflowType, passed), refused)
	require.ErrorContains(t, s.byHand(execution, protocol.ExportWorkflowType, known), refused)
	require.Zero(t, s.sandbox.Stats(omnisendtest.Brand).Batches, "nothing was sent")
	code, _ = s.run("--yes")
	require.LessOrEqual(t, code, 3)
	require.Equal(t, s.expected.Contacts, s.show().New)
}

// A run that has ended is reset in Temporal to where it waited for an answer. It
// sends nothing, and its export runs again.
func TestAResetRunDoesNotBlockItsExport(t *testing.T) {
	t.Parallel()
	s := newShop(t, 300, sandbox.Options{Seed: 5})
	s.open(activities.Tuning{})
	s.define("--calls-per-minute", "0")
	code, parked := s.run()
	require.Equal(t, 4, code)
	s.must("runs", "cancel", "spring")
	s.eventually("the run is canceled", func() bool { return s.show().Status == run.Canceled })

	execution := protocol.WorkflowID("spring", false)
	d, err := s.client.DescribeWorkflowExecution(t.Context(), execution, "")
	require.NoError(t, err)
	history := s.client.GetWorkflowHistory(t.Context(), execution, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	var waits int64
	for history.HasNext() {
		event, err := history.Next()
		require.NoError(t, err)
		if event.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED {
			break
		}
		if event.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			waits = event.GetEventId()
		}
	}
	_, err = s.client.ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{Namespace: "default",
		WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: execution, RunId: d.GetWorkflowExecutionInfo().GetExecution().GetRunId()},
		Reason:            "by hand", RequestId: uuid.NewString(), WorkflowTaskFinishEventId: waits})
	require.NoError(t, err)
	require.Equal(t, run.Canceled, s.show().Status)

	code, r := s.run("--yes")
	require.LessOrEqual(t, code, 3)
	require.NotEqual(t, parked.RunID, r.RunID)
	require.Equal(t, s.expected.Contacts, r.New)
}
