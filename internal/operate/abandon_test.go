package operate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/mocks"

	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// described is an open workflow of a run, as Temporal describes it.
func described(id string) *workflowservice.DescribeWorkflowExecutionResponse {
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
		Status:    enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING,
		Execution: &commonpb.WorkflowExecution{WorkflowId: "export/spring", RunId: "execution of " + id},
		Memo:      &commonpb.Memo{Fields: map[string]*commonpb.Payload{"run_id": {Data: record.Encode(id)}}}}}
}

// A call whose contacts cannot be read stops the next run, which says so. When
// the old run is given up, the next one sends all contacts.
func TestAbandonARunWithAnUnreadableBlob(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("ann@example.com,Ann", "bob@example.com,Bob")
	require.Equal(t, 2, s.Run().New)
	s.Write("ann@example.com,Anna", "bob@example.com,Bob")
	r := s.Begin(run.Request{Yes: true})
	s.Upload(r)
	require.Equal(t, 1, s.Finish(r, run.Canceled).Pending)
	require.NoError(t, s.Store.CommitStep(t.Context(), store.Step{Run: r.RunID,
		Blobs: []store.Blob{{Kind: store.BlobBatch, Seq: job.FirstUpload(0), Data: []byte("damaged")}}}))

	s.Write("ann@example.com,Ann", "bob@example.com,Bob") // as the ledger has it
	next := s.Started(run.Request{Yes: true})
	_, err := s.Delivery.Reconcile(t.Context(), job.RunInput{RunID: next.RunID})
	var blocked *fault.BlockedError
	require.ErrorAs(t, err, &blocked)
	require.Contains(t, blocked.Reason, "stored data of run "+r.RunID)
	require.Contains(t, blocked.Action, "starter runs abandon "+r.RunID)

	abandoned, err := s.runsAbandon(t.Context(), command.Caller{}, protocol.RunRef{Run: r.RunID})
	require.NoError(t, err)
	require.Equal(t, run.Canceled, abandoned.(*protocol.RunAnswer).Status)
	s.Reconcile(next.RunID)
	next = s.Decide(s.Read(next))
	require.Equal(t, 2, next.ToSend)
	s.Upload(next)
	s.Sweep(next)
	require.Equal(t, 2, s.Finish(next, "").Changed)
	require.Equal(t, "Ann", s.At("ann@example.com").Fields["firstName"])
	require.Equal(t, 2, s.Run().Unchanged)
	_, err = s.runsAbandon(t.Context(), command.Caller{}, protocol.RunRef{Run: r.RunID})
	require.ErrorContains(t, err, "nothing of it is left")
}

// Calls that Omnisend may still be processing are not given up: nothing can be
// sent beside them.
func TestAbandonWaitsForCallsThatMayBeProcessed(t *testing.T) {
	s := newSteps(t, sandbox.Options{BatchDelay: time.Hour})
	s.Write("ann@example.com,Ann")
	r := s.Begin(run.Request{Yes: true})
	s.Upload(r)
	require.Equal(t, 1, s.Finish(r, run.Canceled).Pending)
	ref := protocol.RunRef{Run: r.RunID}
	_, err := s.runsAbandon(t.Context(), command.Caller{}, ref)
	require.ErrorContains(t, err, "abandon it after")
	s.Later(delivery.ProcessingTime)
	_, err = s.runsAbandon(t.Context(), command.Caller{}, ref)
	require.NoError(t, err)
	require.Equal(t, 1, s.Begin(run.Request{Yes: true}).ToSend, "it is not known whether it was taken")
}

// A run whose workflow nobody works on ends, and its workflow with it.
func TestAbandonAnOpenRun(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("ann@example.com,Ann")
	r := s.Begin(run.Request{Yes: true})
	s.Upload(r)
	r.Status = run.Running
	require.NoError(t, s.Delivery.Record(t.Context(), delivery.RecordInput{RunID: r.RunID, Report: r}))
	temporal := &mocks.Client{}
	temporal.On("DescribeWorkflowExecution", mock.Anything, "export/spring", "").Return(described(r.RunID), nil)
	temporal.On("TerminateWorkflow", mock.Anything, "export/spring", "", mock.Anything).Return(nil)
	s.Temporal = temporal
	ref := protocol.RunRef{Run: r.RunID}
	_, err := s.runsAbandon(t.Context(), command.Caller{}, ref)
	require.ErrorContains(t, err, "starter runs cancel "+r.RunID)

	require.NoError(t, s.ControlRun(t.Context(), r.RunID, func(c *run.Control) error { c.Canceled = true; return nil }))
	_, err = s.runsAbandon(t.Context(), command.Caller{}, ref)
	require.NoError(t, err)
	temporal.AssertNumberOfCalls(t, "TerminateWorkflow", 1)
	ended := s.Stored(r.RunID)
	require.Equal(t, run.Failed, ended.Status)
	require.Equal(t, 1, ended.Pending)
	require.NoError(t, ended.Check())
	require.Equal(t, 1, s.Run().Unchanged, "the next run reconciles it")
}
