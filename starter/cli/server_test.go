package cli

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/mocks"
	"go.temporal.io/sdk/temporal"

	"github.com/segment-export/segment-export/internal/protocol"
)

// scene is a server whose Temporal client is scripted. Its timers have run out
// when they are set.
func scene() (*server, *mocks.Client, *mocks.WorkflowRun) {
	c, r := &mocks.Client{}, &mocks.WorkflowRun{}
	r.On("GetRunID").Return("run").Maybe()
	after := func(time.Duration) <-chan time.Time {
		t := make(chan time.Time, 1)
		t <- time.Time{}
		return t
	}
	return &server{client: c, address: "there:7233", namespace: "ns", after: after}, c, r
}

// never is a timer that does not run out.
func never(time.Duration) <-chan time.Time { return nil }

func history(events int64) *workflowservice.DescribeWorkflowExecutionResponse {
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{HistoryLength: events}}
}

func pollers(n int) *workflowservice.DescribeTaskQueueResponse {
	return &workflowservice.DescribeTaskQueueResponse{Pollers: make([]*taskqueuepb.PollerInfo, n)}
}

var request = protocol.Request{ID: "1234", Name: "source add"}

func TestCarry(t *testing.T) {
	s, c, r := scene()
	s.after = never
	c.On("ExecuteWorkflow", mock.Anything, client.StartWorkflowOptions{
		ID: "command/source-add/1234", TaskQueue: protocol.TaskQueue, WorkflowExecutionTimeout: protocol.Timeout,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE, StaticSummary: "source add crm",
	}, protocol.CommandWorkflowType, request).Return(r, nil)
	r.On("Get", mock.Anything, mock.Anything).Run(func(args mock.Arguments) {
		args.Get(1).(*protocol.Response).Body = []byte(`{"a":1}`)
	}).Return(nil)
	response, err := s.Carry(t.Context(), request, "source add crm")
	require.NoError(t, err)
	require.Equal(t, `{"a":1}`, string(response.Body))
}

func TestARefusedCommandHasAnAnswer(t *testing.T) {
	s, c, r := scene()
	s.after = never
	c.On("ExecuteWorkflow", mock.Anything, mock.Anything, protocol.ReadWorkflowType, mock.Anything).Return(r, nil)
	r.On("Get", mock.Anything, mock.Anything).Run(func(args mock.Arguments) {
		args.Get(1).(*protocol.Response).Refusal = &protocol.Refusal{Class: protocol.ErrNotFound, Message: "no such thing"}
	}).Return(nil)
	_, err := s.Carry(t.Context(), protocol.Request{ID: "1234", Name: protocol.ExportShow}, "export show x")
	var refused *failure
	require.ErrorAs(t, err, &refused)
	require.Equal(t, protocol.ErrNotFound, refused.class)
	require.EqualError(t, err, "no such thing")
}

func TestCarryFailures(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		class string
		want  string
	}{
		{"another type", temporal.NewApplicationError("disk full", "PathError"), protocol.ErrFailed, `"source add" failed: disk full`},
		{"timeout", temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_START_TO_CLOSE, nil), protocol.ErrFailed, "check whether it was done"},
		{"server gone", serviceerror.NewUnavailable("dial tcp: connect: connection refused"), classNoServer, "there:7233 (connection refused)"},
		{"slow", context.DeadlineExceeded, classNoServer, "(no answer in time): if a server runs there, look for the cause in its log"},
		{"no namespace", serviceerror.NewNamespaceNotFound("ns"), classNoServer, `no namespace "ns"`},
		{"not let in", serviceerror.NewPermissionDenied("key", ""), protocol.ErrNotAllowed, "rejects this client"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, mc, r := scene()
			s.after = never
			mc.On("ExecuteWorkflow", mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(r, nil)
			r.On("Get", mock.Anything, mock.Anything).Return(c.err)
			_, err := s.Carry(t.Context(), request, "")
			require.ErrorContains(t, err, c.want)
			require.True(t, isClass(err, c.class), err)
		})
	}
}

// carryUnanswered gives a command whose result comes when the workflow is
// terminated, or the caller loses patience after the described steps.
func carryUnanswered(t *testing.T, polling int, lengths ...int64) (*mocks.Client, error) {
	t.Helper()
	s, c, r := scene()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	terminated := make(chan struct{})
	c.On("ExecuteWorkflow", mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(r, nil)
	r.On("Get", mock.Anything, mock.Anything).Run(func(mock.Arguments) {
		select {
		case <-terminated:
		case <-ctx.Done():
		}
	}).Return(errors.New("terminated"))
	for i, n := range lengths {
		call := c.On("DescribeWorkflowExecution", mock.Anything, "command/source-add/1234", "run").Return(history(n), nil).Once()
		if n > 2 && i == len(lengths)-1 && polling >= 0 {
			call.Run(func(mock.Arguments) { cancel() })
		}
	}
	c.On("DescribeTaskQueue", mock.Anything, protocol.TaskQueue, enumspb.TASK_QUEUE_TYPE_WORKFLOW).Return(pollers(max(0, polling)), nil).Maybe()
	c.On("TerminateWorkflow", mock.Anything, "command/source-add/1234", "run", mock.Anything).
		Run(func(mock.Arguments) { close(terminated) }).Return(nil).Maybe()
	_, err := s.Carry(ctx, request, "")
	return c, err
}

func TestNoWorker(t *testing.T) {
	// Nobody polls: it is taken back at the first look.
	c, err := carryUnanswered(t, -1, 2, 3)
	require.True(t, isClass(err, classNoWorker), err)
	require.ErrorContains(t, err, "changed nothing")
	c.AssertNumberOfCalls(t, "TerminateWorkflow", 1)
	c.AssertNumberOfCalls(t, "DescribeTaskQueue", 1)
}

func TestWorkerOnlyRemembered(t *testing.T) {
	// The server remembers a worker that is dead: a second look takes it back.
	s, mc, r := scene()
	terminated := make(chan struct{})
	mc.On("ExecuteWorkflow", mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(r, nil)
	r.On("Get", mock.Anything, mock.Anything).Run(func(mock.Arguments) { <-terminated }).Return(errors.New("terminated"))
	mc.On("DescribeWorkflowExecution", mock.Anything, mock.Anything, mock.Anything).Return(history(2), nil).Times(2)
	mc.On("DescribeWorkflowExecution", mock.Anything, mock.Anything, mock.Anything).Return(history(3), nil).Once()
	mc.On("DescribeTaskQueue", mock.Anything, mock.Anything, mock.Anything).Return(pollers(1), nil).Once()
	mc.On("TerminateWorkflow", mock.Anything, mock.Anything, mock.Anything, mock.Anything).
		Run(func(mock.Arguments) { close(terminated) }).Return(nil).Once()
	_, err := s.Carry(t.Context(), request, "")
	require.True(t, isClass(err, classNoWorker), err)
	mc.AssertExpectations(t)
}

func TestTakenUpInTheLastMoment(t *testing.T) {
	_, err := carryUnanswered(t, -1, 2, 7)
	require.True(t, isClass(err, protocol.ErrFailed), err)
	require.ErrorContains(t, err, "may have been carried out: check")
}

func TestBegunCommandIsLeftAlone(t *testing.T) {
	c, err := carryUnanswered(t, 1, 5, 8)
	require.True(t, isClass(err, classInterrupted), err)
	c.AssertNotCalled(t, "TerminateWorkflow", mock.Anything, mock.Anything, mock.Anything, mock.Anything)
}

func TestEnded(t *testing.T) {
	for name, last := range map[string]error{
		"completed": nil,
		"failed":    &temporal.WorkflowExecutionError{},
		"forgotten": serviceerror.NewNotFound("gone"),
	} {
		t.Run(name, func(t *testing.T) {
			s, c, r := scene()
			c.On("GetWorkflow", mock.Anything, "export/spring", "").Return(r)
			r.On("Get", mock.Anything, nil).Return(serviceerror.NewUnavailable("restarting")).Times(3)
			r.On("Get", mock.Anything, nil).Return(last).Once()
			require.NoError(t, s.Ended(t.Context(), "export/spring"))
			r.AssertExpectations(t)
		})
	}
	s, c, r := scene()
	s.after = never
	ctx, cancel := context.WithCancel(t.Context())
	c.On("GetWorkflow", mock.Anything, mock.Anything, "").Return(r)
	r.On("Get", mock.Anything, nil).Run(func(mock.Arguments) { cancel() }).Return(errors.New("interrupted"))
	require.ErrorIs(t, s.Ended(ctx, "export/spring"), context.Canceled)
}
