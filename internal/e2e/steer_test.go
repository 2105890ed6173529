package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

// sending begins a first run and holds its calls, behind the first few.
func sending(t *testing.T) (*shop, *gate) {
	t.Helper()
	s := newShop(t, 4_000, sandbox.Options{Seed: 5})
	w := s.worker()
	s.define("--calls-per-minute", "0")
	g := s.hold(6)
	s.must("run", "spring", "--yes", "--detach")
	s.holds(g)
	t.Cleanup(func() { s.stopWorker(w) })
	return s, g
}

// A paused run lets what is on its way arrive and begins nothing more, however
// often workers come and go, until it is asked to continue.
func TestPausedRunSendsNothingUntilItGoesOn(t *testing.T) {
	t.Parallel()
	s, g := sending(t)
	require.Contains(t, s.must("runs", "pause", "spring"), "starter runs resume")
	close(g.release)
	arrived := func() run.Report {
		var r run.Report
		s.eventually("what was on its way has its answers", func() bool {
			r = s.show()
			return r.Status == run.Paused && r.Pending == 0
		})
		return r
	}
	r := arrived()
	sent := g.came.Load()
	require.NoError(t, r.Check())
	require.Equal(t, int(sent), r.Calls)
	require.Less(t, r.Delivered, r.Contacts)
	require.Equal(t, r.Contacts-r.Delivered, r.Unsent)
	other := s.worker() // it asks Temporal for work at once
	s.stopWorker(other)
	require.Equal(t, r.Calls, arrived().Calls)
	require.Equal(t, sent, g.came.Load(), "nothing was sent while it was paused")

	s.must("runs", "resume", "spring")
	stats := s.arrived(s.await(patience))
	require.Zero(t, again(stats))
	s.record("paused", protocol.ExportWorkflowType, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)
}

// A run that is canceled in the middle tells what it has not sent, and the
// next one sends that, and nothing of the rest a second time.
func TestCanceledRunLeavesTheRestToTheNext(t *testing.T) {
	t.Parallel()
	s, g := sending(t)
	require.Contains(t, s.must("runs", "cancel", "spring"), "is being canceled")
	close(g.release)
	s.eventually("it is canceled", func() bool { return s.show().Status == run.Canceled })
	r := s.show()
	require.NoError(t, r.Check())
	require.Equal(t, int(g.came.Load()), r.Calls, "what was on its way arrived, and nothing else")
	require.Equal(t, r.Calls, s.sandbox.Stats(omnisendtest.Brand).Route("POST /batches"))
	require.Zero(t, r.Pending)
	require.Equal(t, []int{s.expected.Contacts, s.expected.Contacts - r.Delivered}, []int{r.Contacts, r.Unsent})
	require.Positive(t, r.Delivered)
	require.Positive(t, r.Unsent)
	s.record("canceled", protocol.ExportWorkflowType, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED)

	before := r
	code, r := s.run("--yes")
	require.Equal(t, 3, code, "the invalid rows are still invalid")
	require.Equal(t, []int{before.Delivered, before.Unsent}, []int{r.Unchanged, r.New})
	require.Zero(t, again(s.sandbox.Stats(omnisendtest.Brand)))
}
