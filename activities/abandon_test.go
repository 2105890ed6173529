package activities

import (
	"context"
	"strings"
	"testing"
	"time"

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
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// described is an open workflow of a run, as Temporal describes it.
func described(id string) *workflowservice.DescribeWorkflowExecutionResponse {
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
		Status:    enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING,
		Execution: &commonpb.WorkflowExecution{WorkflowId: "export/spring", RunId: "execution of " + id},
		Memo:      &commonpb.Memo{Fields: map[string]*commonpb.Payload{runIDMemo: {Data: encode(id)}}}}}
}

// lost lets Temporal know no workflow.
func (s *steps) lost() {
	temporal := &mocks.Client{}
	temporal.On("DescribeWorkflowExecution", mock.Anything, mock.Anything, "").Return(nil, serviceerror.NewNotFound("no such workflow"))
	s.Temporal = temporal
}

// cannotFold meets a fault of this program where verdicts are booked.
type cannotFold struct{ store.Store }

func (cannotFold) SettledCalls(context.Context, string) ([]store.Call, error) { panic("odd") }

// A run that was ended in Temporal, and that cannot be finished for a fault of
// this program, does not stop the runs of other exports. The next run over the
// connection that does not meet the fault books its verdicts.
func TestATerminatedRunThatCannotBeFinishedEnds(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("ann@example.com,Ann")
	r := s.begin(run.Request{Yes: true})
	s.upload(r)
	s.sweep(r)
	r.Status = run.Running
	require.NoError(t, s.Record(t.Context(), RecordInput{RunID: r.RunID, Report: r}))
	s.lost()
	all := s.Store
	s.Store = cannotFold{all}
	require.NoError(t, s.ReapTerminated(t.Context()))
	s.Store = all
	ended := s.stored(r.RunID)
	require.Equal(t, run.Failed, ended.Status)
	require.Contains(t, strings.Join(ended.Notes, " "), "a fault of this program")

	next := s.started(run.Request{Yes: true})
	s.Store = cannotFold{all}
	_, err := s.Reconcile(t.Context(), RunInput{RunID: next.RunID})
	var blocked *blockedError
	require.ErrorAs(t, err, &blocked)
	require.Contains(t, blocked.reason, r.RunID)
	require.Contains(t, blocked.action, "starter runs abandon "+r.RunID)
	s.Store = all
	s.reconcile(next.RunID)
	require.Equal(t, 1, s.decide(s.read(next)).Unchanged)
}

// A call whose contacts cannot be read stops the next run, which says so. When
// the old run is given up, the next one sends all contacts.
func TestAbandonARunWithAnUnreadableBlob(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("ann@example.com,Ann", "bob@example.com,Bob")
	require.Equal(t, 2, s.run().New)
	s.write("ann@example.com,Anna", "bob@example.com,Bob")
	r := s.begin(run.Request{Yes: true})
	s.upload(r)
	require.Equal(t, 1, s.finish(r, run.Canceled).Pending)
	require.NoError(t, s.Store.CommitStep(t.Context(), store.Step{Run: r.RunID,
		Blobs: []store.Blob{{Kind: store.BlobBatch, Seq: FirstUpload(0), Data: []byte("damaged")}}}))

	s.write("ann@example.com,Ann", "bob@example.com,Bob") // as the ledger has it
	next := s.started(run.Request{Yes: true})
	_, err := s.Reconcile(t.Context(), RunInput{RunID: next.RunID})
	var blocked *blockedError
	require.ErrorAs(t, err, &blocked)
	require.Contains(t, blocked.reason, "stored data of run "+r.RunID)
	require.Contains(t, blocked.action, "starter runs abandon "+r.RunID)

	abandoned, err := s.runsAbandon(t.Context(), caller{}, protocol.RunRef{Run: r.RunID})
	require.NoError(t, err)
	require.Equal(t, run.Canceled, abandoned.(*protocol.RunAnswer).Status)
	s.reconcile(next.RunID)
	next = s.decide(s.read(next))
	require.Equal(t, 2, next.ToSend)
	s.upload(next)
	s.sweep(next)
	require.Equal(t, 2, s.finish(next, "").Changed)
	require.Equal(t, "Ann", s.at("ann@example.com").Fields["firstName"])
	require.Equal(t, 2, s.run().Unchanged)
	_, err = s.runsAbandon(t.Context(), caller{}, protocol.RunRef{Run: r.RunID})
	require.ErrorContains(t, err, "nothing of it is left")
}

// Calls that Omnisend may still be processing are not given up: nothing can be
// sent beside them.
func TestAbandonWaitsForCallsThatMayBeProcessed(t *testing.T) {
	s := newSteps(t, sandbox.Options{BatchDelay: time.Hour})
	s.write("ann@example.com,Ann")
	r := s.begin(run.Request{Yes: true})
	s.upload(r)
	require.Equal(t, 1, s.finish(r, run.Canceled).Pending)
	ref := protocol.RunRef{Run: r.RunID}
	_, err := s.runsAbandon(t.Context(), caller{}, ref)
	require.ErrorContains(t, err, "abandon it after")
	s.later(processingTime)
	_, err = s.runsAbandon(t.Context(), caller{}, ref)
	require.NoError(t, err)
	require.Equal(t, 1, s.begin(run.Request{Yes: true}).ToSend, "it is not known whether it was taken")
}

// A run whose workflow nobody works on ends, and its workflow with it.
func TestAbandonAnOpenRun(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("ann@example.com,Ann")
	r := s.begin(run.Request{Yes: true})
	s.upload(r)
	r.Status = run.Running
	require.NoError(t, s.Record(t.Context(), RecordInput{RunID: r.RunID, Report: r}))
	temporal := &mocks.Client{}
	temporal.On("DescribeWorkflowExecution", mock.Anything, "export/spring", "").Return(described(r.RunID), nil)
	temporal.On("TerminateWorkflow", mock.Anything, "export/spring", "", mock.Anything).Return(nil)
	s.Temporal = temporal
	ref := protocol.RunRef{Run: r.RunID}
	_, err := s.runsAbandon(t.Context(), caller{}, ref)
	require.ErrorContains(t, err, "starter runs cancel "+r.RunID)

	require.NoError(t, s.controlRun(t.Context(), r.RunID, func(c *run.Control) error { c.Canceled = true; return nil }))
	_, err = s.runsAbandon(t.Context(), caller{}, ref)
	require.NoError(t, err)
	temporal.AssertNumberOfCalls(t, "TerminateWorkflow", 1)
	ended := s.stored(r.RunID)
	require.Equal(t, run.Failed, ended.Status)
	require.Equal(t, 1, ended.Pending)
	require.NoError(t, ended.Check())
	require.Equal(t, 1, s.run().Unchanged, "the next run reconciles it")
}

// A run that has ended is not carried on for a workflow that was reset, but for
// what ended it and may be repeated.
func TestAResetRunIsNotAdmitted(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("ann@example.com,Ann")
	r := s.run()
	g := &admission{activities: s.Activities}
	ctx := context.WithValue(t.Context(), executionKey{}, execution{workflow: "export/spring", first: "workflow of " + r.RunID})
	for name, in := range map[string]any{"Collect": CollectInput{RunID: r.RunID}, "UploadBatch": UploadInput{RunID: r.RunID}, "TakeTurn": RunInput{RunID: r.RunID}} {
		require.ErrorContains(t, g.admit(ctx, name, []any{in}), "has ended (completed)", name)
	}
	ticket, err := s.ticket(runTicket(r.RunID, "spring", false)...)
	require.NoError(t, err)
	_, err = s.Preflight(ctx, PreflightInput{RunID: r.RunID, Ticket: ticket})
	require.ErrorContains(t, err, "has ended (completed)")
	require.NoError(t, g.admit(ctx, "Finish", []any{FinishInput{RunID: r.RunID}}))
	again, err := s.Finish(ctx, FinishInput{RunID: r.RunID, Report: &run.Report{Status: run.Failed}})
	require.NoError(t, err)
	require.Equal(t, run.Completed, again.Status)
	require.Equal(t, 1, again.New)
}

// A workflow that was reset makes room for the next run of its export.
func TestAResetWorkflowMakesRoom(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("ann@example.com,Ann")
	r := s.run()
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
	require.ErrorContains(t, start(), "is closing", "it may end by itself in a moment")
	s.storeNow.Advance(closingTime)
	require.NoError(t, start())
	temporal.AssertNumberOfCalls(t, "TerminateWorkflow", 1)
}
