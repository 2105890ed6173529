package activities

import (
	"bytes"
	"context"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/metrics"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/store"
)

// faultyStore panics where a run is looked up, and where a batch is.
type faultyStore struct{ store.Store }

func (faultyStore) Run(context.Context, string) (store.Run, error) { panic("ann@example.com") }

func (faultyStore) StepState(context.Context, string, string) ([]byte, error) {
	panic("ann@example.com")
}

// A panic ends neither the process nor the work: on the activity's own goroutine
// (Control) as on the one that works under a lease (UploadBatch). It is counted,
// and logged with its stack and without its value.
func TestPanicsOfActivitiesAreFaults(t *testing.T) {
	for name, do := range map[string]func(a *Activities) (activity, input any){
		"Control":     func(a *Activities) (any, any) { return a.Control, job.RunInput{RunID: "run-1"} },
		"UploadBatch": func(a *Activities) (any, any) { return a.UploadBatch, delivery.UploadInput{RunID: "run-1"} },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSteps(t, sandbox.Options{})
			var log bytes.Buffer
			registry := prometheus.NewPedanticRegistry()
			s.Store, s.Log, s.Work = faultyStore{s.Store}, slog.New(slog.NewTextHandler(&log, nil)), metrics.NewWork(registry)
			a := s.activities()
			var suite testsuite.WorkflowTestSuite
			env := suite.NewTestActivityEnvironment()
			env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{Faults(a)}})
			env.RegisterActivity(a)
			activity, input := do(a)
			_, err := env.ExecuteActivity(activity, input)
			var app *temporal.ApplicationError
			require.ErrorAs(t, err, &app)
			require.Equal(t, ErrorFault, app.Type())
			require.False(t, app.NonRetryable(), "another worker may do better")
			require.Regexp(t, `^a fault of this program \(a panic with a string\) in `+name+`; the log of worker 7@shop at .* UTC has its stack$`, app.Message())
			require.Contains(t, log.String(), "faultyStore")
			require.NotContains(t, log.String()+err.Error(), "ann@example.com")
			require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP segment_export_faults_total Faults of this program that this worker met: panics. The log has their stacks.
# TYPE segment_export_faults_total counter
segment_export_faults_total 1
`), "segment_export_faults_total"))
		})
	}
}

// The activities of which it is said how often they are attempted are there.
func TestAttemptsAreOfActivities(t *testing.T) {
	for name := range faultAttempts {
		_, ok := reflect.TypeFor[*Activities]().MethodByName(name)
		require.True(t, ok, name)
	}
}
