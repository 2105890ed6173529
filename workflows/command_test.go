package workflows

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/store"
)

// awayStore is a store that is out of reach.
type awayStore struct {
	store.Store
	asked int
}

func (s *awayStore) Ping(context.Context) error {
	s.asked++
	return errors.New("connection refused: postgres://who:secret@store")
}

// Who only looks is soon told that the store is away; who changes something has
// the whole time of a command for it to come back. Either way the sentence is
// for people, and the cause stays in the worker's log.
func TestACommandSaysThatTheStoreIsAway(t *testing.T) {
	for name, patient := range map[string]bool{protocol.WhoAmI: false, protocol.RunsList: false, protocol.ConnectionRemove: true, protocol.Run: true} {
		t.Run(name, func(t *testing.T) {
			var suite testsuite.WorkflowTestSuite
			suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
			env := suite.NewTestWorkflowEnvironment()
			env.SetWorkerOptions(unhurried)
			away := &awayStore{}
			acts := activities.New(activities.Dependencies{Worker: "7@one", Dependencies: job.Dependencies{Store: away, Log: slog.New(slog.DiscardHandler)}})
			env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{activities.Faults(acts)}})
			env.RegisterActivity(acts)
			env.ExecuteWorkflow(Command, protocol.Request{ID: "c", Name: name})
			if patient {
				app, ok := errors.AsType[*temporal.ApplicationError](env.GetWorkflowError())
				require.True(t, ok, "%v", env.GetWorkflowError())
				require.Contains(t, app.Message(), "the worker 7@one does not reach its store")
				require.NotContains(t, env.GetWorkflowError().Error(), "secret")
			} else {
				require.NoError(t, env.GetWorkflowError())
				var response protocol.Response
				require.NoError(t, env.GetWorkflowResult(&response))
				require.Equal(t, protocol.ErrFailed, response.Refusal.Class)
				require.Contains(t, response.Refusal.Message, "the worker 7@one does not reach its store")
				require.NotContains(t, response.Refusal.Message, "secret")
			}
			if patient {
				require.Greater(t, away.asked, 5, "it is asked for as long as a command may take")
			} else {
				require.Equal(t, 5, away.asked, "it may have been gone for a moment only")
			}
		})
	}
}
