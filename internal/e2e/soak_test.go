//go:build soak

package e2e

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
)

// A run at Omnisend's own limit, while everything goes wrong that a run can
// recover from alone, and one worker is killed and another one stopped.
func TestSoak(t *testing.T) {
	const limit = 400
	s := newShop(t, 60_000, sandbox.Options{CallsPerMinute: limit, BatchDelay: 2 * time.Second, Seed: 1})
	s.serve()
	workers := s.workers(3)
	s.define("--share", "1", "--calls-per-minute", strconv.Itoa(limit))
	faults := sandbox.Faults{Rates: map[sandbox.Fault]float64{}, SlowSeconds: 2, SlowBatchSeconds: 10, ItemBusy: 0.002, ItemRefused: 0.002}
	for _, f := range []sandbox.Fault{sandbox.TooMany, sandbox.ServerError, sandbox.Unavailable, sandbox.BadGateway, sandbox.HTMLPage,
		sandbox.BreakBefore, sandbox.BreakAfter, sandbox.GatewayTimeout, sandbox.Truncated,
		sandbox.SlowAnswer, sandbox.SlowBatch, sandbox.StoppedBatch} {
		faults.Rates[f] = 0.05
	}
	require.NoError(t, s.sandbox.SetFaults(faults))
	s.must("run", "spring", "--yes", "--detach")
	began := time.Now()
	for at := 100; at <= 600; at += 100 {
		s.sent(at)
		t.Logf("%d calls taken after %s", at, time.Since(began).Round(time.Second))
		switch at {
		case 200:
			killed, _ := s.uploading(workers)
			killed.kill()
			workers = slices.DeleteFunc(workers, func(w *worker) bool { return w == killed })
		case 400:
			stopped, _ := s.uploading(workers)
			require.Zero(t, stopped.stop())
		}
	}

	r := s.await(20 * time.Minute)
	stats := s.arrived(r)
	t.Logf("%s: %d new, %d refused (%v), %d contacts sent again", r.EndedAt.Sub(r.StartedAt), r.New, r.Refused, r.Reasons, again(stats))
	t.Logf("%d requests, peak %d in 60 s, %d answers 429, %d batches, %d items", stats.Total(), stats.Peak, stats.TooMany, stats.Batches, stats.Items)
	for route, byStatus := range stats.Calls {
		t.Logf("%s %v", route, byStatus)
	}
	require.LessOrEqual(t, stats.Peak, limit)
	require.Positive(t, stats.TooMany)
}
