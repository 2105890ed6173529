package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/server/common/config"

	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
)

// seen returns the workers that starter status tells of, and whether it could
// find out: for some moments after a restart Temporal cannot tell.
func (s *shop) seen() (workers []protocol.WorkerStatus, ok bool) {
	s.t.Helper()
	code, out, _ := s.starter("status", "--output", "json")
	if code != 0 {
		return nil, false
	}
	var status protocol.StatusAnswer
	require.NoError(s.t, json.Unmarshal([]byte(out), &status))
	return status.Workers, len(status.Problems) == 0
}

// The server takes its dynamic config from where compose.yaml puts it.
func TestComposePutsTheDynamicConfigWhereTemporalLooks(t *testing.T) {
	t.Setenv("DB", "postgres12") // without a database there is no configuration
	defaults, err := config.Load(config.WithEmbedded())
	require.NoError(t, err)
	require.Equal(t, dynamicConfigPath, defaults.DynamicConfigClient.Filepath)
}

// The topology of compose.yaml, with a third worker: PostgreSQL, Temporal's
// server on it, workers. In mid-run a worker is killed, another one stopped,
// Temporal restarted, and the store's connections cut. There are more calls to
// make than the brand's limit allows in a minute.
func TestTopologyOutlivesItsParts(t *testing.T) {
	t.Parallel()
	const limit = 60
	s := newShop(t, 6500, sandbox.Options{CallsPerMinute: limit, BatchDelay: 300 * time.Millisecond,
		Faults: sandbox.Faults{Rates: map[sandbox.Fault]float64{sandbox.SlowAnswer: 1}, SlowSeconds: 0.5}})
	c := s.compose()
	c.up()
	workers := c.workers(3)
	s.define("--share", "1", "--calls-per-minute", strconv.Itoa(limit))
	s.must("plan", "spring")
	known, ok := s.seen()
	require.True(t, ok)
	require.Len(t, known, 3)

	s.must("run", "spring", "--yes", "--detach")
	lose := func(w *worker) {
		workers = slices.DeleteFunc(workers, func(other *worker) bool { return other == w })
	}
	s.sent(8)
	killed, batches := s.uploading(workers)
	killed.kill()
	lose(killed)

	s.sent(16)
	c.query("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'segment_export'")

	s.sent(24)
	stopped, _ := s.uploading(workers)
	began := time.Now()
	require.Zero(t, stopped.stop())
	took := time.Since(began)
	require.Less(t, took, c.file.Services["worker-1"].StopGracePeriod)
	lose(stopped)

	s.sent(32)
	left := workers[0]
	c.stopTemporal()
	s.eventually("the worker is not ready", func() bool { return left.probe("readyz") == http.StatusServiceUnavailable })
	require.Equal(t, http.StatusOK, left.probe("livez"), "starting it again would not help")
	c.startTemporal()
	s.eventually("the worker is ready again", func() bool { return left.probe("readyz") == http.StatusOK })
	s.eventually("status tells of the worker that is left", func() bool {
		known, ok := s.seen()
		return ok && len(known) == 1
	})
	require.Less(t, s.sandbox.Stats(omnisendtest.Brand).Batches*100, s.expected.Contacts, "the run is under way")

	r := s.await(patience)
	stats := s.arrived(r)
	require.Equal(t, s.expected.Contacts, r.New)
	require.Greater(t, stats.Total(), limit)
	require.LessOrEqual(t, stats.Peak, limit)
	require.Zero(t, stats.TooMany)
	require.Zero(t, again(stats), "a call whose answer was lost is looked for before it is made again")
	t.Logf("%s, %d calls, peak %d in 60 s; stopped in %s", r.EndedAt.Sub(r.StartedAt), stats.Total(), stats.Peak, took)
	s.logStandstill("killed", batches)
}
