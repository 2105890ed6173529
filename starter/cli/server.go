package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/protocol"
)

// Server is what the starter wants of a Temporal server. Its errors are
// failures with a class, except where ctx ended.
type Server interface {
	// Carry has a worker carry out a command and waits for its answer. A
	// request is carried at most once.
	Carry(ctx context.Context, request protocol.Request, summary string) (*protocol.Response, error)
	// Progress asks a running workflow how far it is. Any error may pass: a
	// worker or the server may be restarting.
	Progress(ctx context.Context, workflowID string) (*protocol.Progress, error)
	// Ended returns when the workflow has ended, however it did, or ctx has. It
	// bears a server that goes away and comes back.
	Ended(ctx context.Context, workflowID string) error
	// Where says which server and namespace it is.
	Where() string
	Close()
}

const (
	// defaultAddress is where standalone listens.
	defaultAddress = "127.0.0.1:7233"
	// dialTimeout is the time to reach a server.
	dialTimeout = 5 * time.Second
	// queryTimeout is the time for an answer about progress: without a worker
	// there is none.
	queryTimeout = 5 * time.Second
	// impatience is how long a command may wait for a worker to take it up
	// before it is asked whether there is one.
	impatience = 2 * time.Second
	// patience is how long it may wait when there seems to be a worker: the
	// server remembers one that was killed for minutes.
	patience = 10 * time.Second
)

// temporalClient is the part of client.Client that is used.
type temporalClient interface {
	ExecuteWorkflow(ctx context.Context, options client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
	GetWorkflow(ctx context.Context, workflowID string, runID string) client.WorkflowRun
	QueryWorkflow(ctx context.Context, workflowID string, runID string, queryType string, args ...any) (converter.EncodedValue, error)
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
	DescribeTaskQueue(ctx context.Context, taskqueue string, taskqueueType enumspb.TaskQueueType) (*workflowservice.DescribeTaskQueueResponse, error)
	TerminateWorkflow(ctx context.Context, workflowID string, runID string, reason string, details ...any) error
	Close()
}

type server struct {
	client    temporalClient
	address   string
	namespace string
	remote    bool // reached by TLS or with an API key: not a standalone
	after     func(time.Duration) <-chan time.Time
}

// dial connects by the settings that all Temporal clients share.
func dial(ctx context.Context, env envconfig.EnvLookup, logs io.Writer, verbose bool) (Server, error) {
	options, err := envconfig.LoadClientOptions(envconfig.LoadClientOptionsRequest{EnvLookup: env})
	if err != nil {
		return nil, usage("Temporal client settings: %v", err)
	}
	if options.HostPort == "" {
		options.HostPort = defaultAddress
	}
	if options.Namespace == "" {
		options.Namespace = client.DefaultNamespace
	}
	options.Logger = log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	if verbose {
		options.Logger = log.NewStructuredLogger(slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelWarn})))
	}
	options.Identity = "starter" // the default one names user and machine
	dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := client.DialContext(dialCtx, options)
	s := &server{client: c, address: options.HostPort, namespace: options.Namespace, after: time.After,
		remote: options.ConnectionOptions.TLS != nil || options.Credentials != nil}
	if err != nil {
		return nil, s.classify(ctx, err)
	}
	return s, nil
}

func (s *server) Close() { s.client.Close() }

func (s *server) Where() string { return s.address + ", namespace " + s.namespace }

func (s *server) Carry(ctx context.Context, request protocol.Request, summary string) (*protocol.Response, error) {
	id := protocol.CommandWorkflowIDPrefix + strings.ReplaceAll(request.Name, " ", "-") + "/" + request.ID
	start, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	run, err := s.client.ExecuteWorkflow(start, client.StartWorkflowOptions{
		ID:                       id,
		TaskQueue:                protocol.TaskQueue,
		WorkflowExecutionTimeout: protocol.Timeout,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		StaticSummary:            summary,
	}, workflowType(request.Name), request)
	if err != nil {
		return nil, s.classify(ctx, err)
	}
	type result struct {
		response protocol.Response
		err      error
	}
	results := make(chan result, 1)
	go func() {
		var r result
		r.err = run.Get(ctx, &r.response)
		results <- r
	}()
	last := false
	var withdrawn error
	timer := s.after(impatience)
	for {
		select {
		case r := <-results:
			if withdrawn != nil {
				return nil, withdrawn
			}
			switch {
			case r.err == nil && r.response.Refusal != nil:
				return nil, fail(r.response.Refusal.Class, "%s", r.response.Refusal.Message)
			case r.err == nil:
				return &r.response, nil
			case ctx.Err() != nil: // waiting for the result was interrupted too
				return nil, interrupted(request.Name)
			}
			return nil, s.commandFailure(ctx, request.Name, r.err)
		case <-ctx.Done():
			return nil, interrupted(request.Name)
		case <-timer:
			timer = nil
			if withdrawn = s.withdrawUnseen(ctx, id, run.GetRunID(), last); withdrawn == nil && !last {
				last, timer = true, s.after(patience-impatience)
			}
		}
	}
}

// workflowType is the type of the workflow that carries out a command. Those
// that change nothing have one of their own, so that lists can leave them out.
func workflowType(command string) string {
	if access.Reads(command) {
		return protocol.ReadWorkflowType
	}
	return protocol.CommandWorkflowType
}

func interrupted(command string) error {
	return fail(classInterrupted, "interrupted: the worker may or may not carry out %q", command)
}

// withdrawUnseen takes a command back that no worker has started, if there is no
// worker or the patience is over, and says so. A command that was started, or of
// which the state is not known, is left alone.
func (s *server) withdrawUnseen(ctx context.Context, id, runID string, last bool) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	d, err := s.client.DescribeWorkflowExecution(ctx, id, runID)
	// The history of a workflow that nobody has looked at has two events: it
	// was started, and a task for it waits.
	if err != nil || d.GetWorkflowExecutionInfo().GetHistoryLength() > 2 {
		return nil
	}
	if !last {
		q, err := s.client.DescribeTaskQueue(ctx, protocol.TaskQueue, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
		if err != nil || len(q.GetPollers()) > 0 {
			return nil
		}
	}
	if err := s.client.TerminateWorkflow(ctx, id, runID, "no worker took it up"); err != nil {
		return nil // it has just ended: its result says how
	}
	// A worker may have taken it up in the last moment: the history then has
	// more than start, waiting task and termination.
	if d, err := s.client.DescribeWorkflowExecution(ctx, id, runID); err != nil || d.GetWorkflowExecutionInfo().GetHistoryLength() > 3 {
		return fail(protocol.ErrFailed, "no worker answered in time. The command may have been carried out: check before you repeat it")
	}
	return fail(classNoWorker, "no worker is running for %s (namespace %s, task queue %s). Start one with: standalone, or: worker run. The command was withdrawn and changed nothing",
		s.address, s.namespace, protocol.TaskQueue)
}

// commandFailure puts the end of a command into words.
func (s *server) commandFailure(ctx context.Context, name string, err error) error {
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return fail(protocol.ErrFailed, "%q failed: %s", name, app.Message())
	}
	if _, ok := errors.AsType[*temporal.TimeoutError](err); ok {
		return fail(protocol.ErrFailed, "%q had no answer within %v and was stopped: check whether it was done before you repeat it", name, protocol.Timeout)
	}
	if _, ok := errors.AsType[*temporal.TerminatedError](err); ok {
		return fail(protocol.ErrFailed, "%q was terminated in Temporal", name)
	}
	return s.classify(ctx, err)
}

func (s *server) Progress(ctx context.Context, workflowID string) (*protocol.Progress, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	// Without a run id: a run that continues as new has another one.
	value, err := s.client.QueryWorkflow(ctx, workflowID, "", protocol.ProgressQuery)
	if err != nil {
		return nil, err
	}
	var p protocol.Progress
	return &p, value.Get(&p)
}

func (s *server) Ended(ctx context.Context, workflowID string) error {
	for {
		err := s.client.GetWorkflow(ctx, workflowID, "").Get(ctx, nil)
		if err == nil {
			return nil
		}
		if _, ok := errors.AsType[*temporal.WorkflowExecutionError](err); ok {
			return nil
		}
		if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.after(time.Second):
		}
	}
}

// classify puts an error of the Temporal client into words.
func (s *server) classify(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, ok := errors.AsType[*serviceerror.NamespaceNotFound](err); ok {
		return fail(classNoServer, "the Temporal server at %s has no namespace %q: set TEMPORAL_NAMESPACE", s.address, s.namespace)
	}
	if _, ok := errors.AsType[*serviceerror.PermissionDenied](err); ok || grpcstatus.Code(err) == codes.Unauthenticated {
		return fail(protocol.ErrNotAllowed, "the Temporal server at %s rejects this client (namespace %s): %v", s.address, s.namespace, err)
	}
	hint := "start one with: standalone --data-dir DIR, or set TEMPORAL_ADDRESS"
	if s.remote {
		hint = "check TEMPORAL_ADDRESS, the certificates of TEMPORAL_TLS_*, and the network"
	}
	why := cause(err)
	if why == noAnswer {
		hint = "if a server runs there, look for the cause in its log, such as a full disk; if not, " + hint
	}
	return fail(classNoServer, "no Temporal server answers at %s (%s): %s", s.address, why, hint)
}

// noAnswer is the cause when the listener says nothing.
const noAnswer = "no answer in time"

// cause is why a server does not answer, without the wrappings of the layers
// in between where it is an everyday one.
func cause(err error) string {
	if _, ok := errors.AsType[*serviceerror.DeadlineExceeded](err); ok || errors.Is(err, context.DeadlineExceeded) {
		return noAnswer
	}
	text := err.Error()
	for _, everyday := range []string{"connection refused", "no such host", "no route to host", "i/o timeout"} {
		if strings.Contains(text, everyday) {
			return everyday
		}
	}
	return text
}
