package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/segment-export/segment-export/internal/logging"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/worker/service"
)

// openObserved is open with metrics, health and everything logged to worker.log;
// it returns the URL of the first two.
func (s *shop) openObserved() string {
	s.t.Helper()
	file, err := os.Create(s.path("worker.log"))
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, file.Close()) })
	log, err := logging.New(file, "json", "debug")
	require.NoError(s.t, err)
	if s.client == nil {
		s.serve()
	}
	telemetry, err := service.NewTelemetry()
	require.NoError(s.t, err)
	s.client, err = client.Dial(client.Options{HostPort: s.temporal, Logger: sdklog.NewStructuredLogger(log), MetricsHandler: telemetry.Handler})
	require.NoError(s.t, err)
	s.t.Cleanup(s.client.Close)
	w, err := service.Open(s.t.Context(), s.client, service.Options{DataDir: s.path("data"), FilesRoot: s.dir,
		OmnisendURL: s.omnisend, Log: log, Telemetry: telemetry})
	require.NoError(s.t, err)
	endpoint, err := w.Serve(s.t.Context(), "127.0.0.1:0", telemetry)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, endpoint.Close()) })
	require.NoError(s.t, w.Start(s.t.Context()))
	s.t.Cleanup(func() { require.NoError(s.t, w.Stop()) })
	return "http://" + endpoint.Address()
}

func (s *shop) get(url string) (int, string) {
	s.t.Helper()
	r, err := http.Get(url) //nolint:noctx // of a test, on this machine
	require.NoError(s.t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(s.t, err)
	return r.StatusCode, string(body)
}

// A run can be seen from outside: in the metrics, in the probes, in the log, and
// with starter status; whom it is about cannot.
func TestARunIsSeenFromOutside(t *testing.T) {
	t.Parallel()
	s := newShop(t, 500, sandbox.Options{Seed: 5})
	url := s.openObserved()
	s.define("--share", "1")
	_, r := s.run("--yes")
	code, body := s.get(url + "/readyz")
	require.Equal(t, http.StatusOK, code, body)

	_, scraped := s.get(url + "/metrics")
	for _, want := range []string{
		`segment_export_runs_ended_total{export="spring",status="completed with rejects"} 1`,
		`segment_export_last_run_status{export="spring",status="completed with rejects"} 1`,
		`segment_export_omnisend_requests_total{operation="create_batch",outcome="ok"} `,
		`segment_export_budget_slots_total{connection="Spring shop"} `,
		`temporal_activity_execution_latency_seconds`,
		`temporal_worker_task_slots_available`,
		"segment_export_state_up 1",
	} {
		require.Contains(t, scraped, want)
	}
	require.NotContains(t, scraped, "@example", "nothing personal")
	logged, err := os.ReadFile(s.path("worker.log"))
	require.NoError(t, err)
	require.Contains(t, string(logged), `"level":"DEBUG"`)
	require.Contains(t, string(logged), `"run":"`+r.RunID+`"`)
	for _, secret := range s.private() {
		require.NotContains(t, strings.ToLower(string(logged)), secret)
	}
	var status protocol.StatusAnswer
	require.NoError(t, json.Unmarshal([]byte(s.must("status", "--output", "json")), &status))
	require.Empty(t, status.Problems)
	require.Len(t, status.Workers, 1)
	require.Equal(t, r.RunID, status.Exports[0].Last.RunID)
	require.Equal(t, "Spring shop", status.Budgets[0].Connection)
	require.Equal(t, 400, status.Budgets[0].Limit)
	require.Positive(t, status.Budgets[0].Used)
}
