package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/converter"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store/postgrestest"
)

// worker is a process of the program worker.
type worker struct {
	t       *testing.T
	cmd     *exec.Cmd
	log     string
	ended   chan struct{} // closed when the process has
	address string        // of its metrics and probes, if it serves them
}

// workers starts n processes of the program at the same moment, with one keyring
// between them and PostgreSQL as their store.
func (s *shop) workers(n int) []*worker {
	s.t.Helper()
	store := postgrestest.Database(s.t)
	output, err := s.migrate(present, store)
	require.NoError(s.t, err, output)
	var all []*worker
	for i := range n {
		all = append(all, s.begin(fmt.Sprintf("worker-%d", i), present, store))
	}
	for _, w := range all {
		s.eventually("a worker is ready", func() bool { return w.gone() || strings.Contains(w.said(), "ready") })
		require.False(s.t, w.gone(), "it ended: %s", w.said())
	}
	return all
}

// start starts a worker's process, which ends with the test.
func (s *shop) start(name string, cmd *exec.Cmd) *worker {
	s.t.Helper()
	w := &worker{t: s.t, cmd: cmd, log: s.path(name + ".log"), ended: make(chan struct{})}
	log, err := os.Create(w.log)
	require.NoError(s.t, err)
	cmd.Stderr = log
	require.NoError(s.t, cmd.Start())
	go func() {
		defer close(w.ended)
		_ = cmd.Wait() // exitCode tells how
		_ = log.Close()
	}()
	s.t.Cleanup(func() {
		w.kill()
		if s.t.Failed() {
			s.t.Logf("%s:\n%s", filepath.Base(w.log), w.said())
		}
	})
	return w
}

// probe asks the worker's endpoint and returns the answer's status, 0 when
// there is none.
func (w *worker) probe(path string) int {
	r, err := http.Get("http://" + w.address + "/" + path) //nolint:noctx // on this machine
	if err != nil {
		return 0
	}
	_ = r.Body.Close()
	return r.StatusCode
}

// said is the worker's log.
func (w *worker) said() string {
	w.t.Helper()
	log, err := os.ReadFile(w.log)
	require.NoError(w.t, err)
	return string(log)
}

func (w *worker) gone() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}

// kill ends the process as a loss of power would.
func (w *worker) kill() {
	_ = w.cmd.Process.Kill() // it may have ended already
	<-w.ended
}

// stop asks the process to end and returns its exit code.
func (w *worker) stop() int {
	w.t.Helper()
	require.NoError(w.t, w.cmd.Process.Signal(syscall.SIGTERM))
	<-w.ended
	return w.cmd.ProcessState.ExitCode()
}

// inHand returns the batches that each of the workers is uploading.
func (s *shop) inHand(workers []*worker) map[*worker][]int {
	s.t.Helper()
	execution := protocol.WorkflowID("spring", false)
	d, err := s.client.DescribeWorkflowExecution(s.t.Context(), execution, "")
	require.NoError(s.t, err)
	batches := map[string]int{} // by activity id
	history := s.client.GetWorkflowHistory(s.t.Context(), execution, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for history.HasNext() {
		event, err := history.Next()
		require.NoError(s.t, err)
		if scheduled := event.GetActivityTaskScheduledEventAttributes(); scheduled.GetActivityType().GetName() == "UploadBatch" {
			var in activities.UploadInput
			require.NoError(s.t, converter.GetDefaultDataConverter().FromPayloads(scheduled.GetInput(), &in))
			batches[scheduled.GetActivityId()] = in.Batch
		}
	}
	found := map[*worker][]int{}
	for _, p := range d.GetPendingActivities() {
		batch, uploads := batches[p.GetActivityId()]
		if !uploads || p.GetState() != enumspb.PENDING_ACTIVITY_STATE_STARTED {
			continue
		}
		for _, w := range workers {
			if strings.HasPrefix(p.GetLastWorkerIdentity(), strconv.Itoa(w.cmd.Process.Pid)+"@") {
				found[w] = append(found[w], batch)
			}
		}
	}
	return found
}

// uploading waits for one of the workers to upload something, and returns it
// with the batches that it works on.
func (s *shop) uploading(workers []*worker) (*worker, []int) {
	s.t.Helper()
	var busy *worker
	var batches []int
	s.eventually("one of the workers uploads", func() bool {
		for w, b := range s.inHand(workers) {
			busy, batches = w, b
		}
		return busy != nil
	})
	return busy, batches
}

// sent waits until the target has taken n calls.
func (s *shop) sent(n int) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("%d calls are made", n), func() bool { return s.sandbox.Stats(omnisendtest.Brand).Batches >= n })
}

// await waits for the end of the run, for which nobody does anything, and
// returns its report, whose equations hold.
func (s *shop) await(timeout time.Duration) run.Report {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), timeout)
	defer cancel()
	var r run.Report
	require.NoError(s.t, s.client.GetWorkflow(ctx, protocol.WorkflowID("spring", false), "").Get(ctx, &r))
	require.NoError(s.t, r.Check())
	return r
}

// arrived holds a report of a first run, and what the target has, against the
// segment.
func (s *shop) arrived(r run.Report) sandbox.Stats {
	s.t.Helper()
	e := s.expected
	require.Equal(s.t, run.CompletedWithRejects, r.Status, "invalid rows are rejects")
	require.Equal(s.t, []int{e.Rows, e.Invalid, e.Duplicate, e.Contacts, e.Contacts},
		[]int{r.Read, r.Invalid, r.Duplicate, r.Contacts, r.New + r.Refused})
	require.Equal(s.t, []int{e.Subscribed, e.Unsubscribed, e.NonSubscribed},
		[]int{r.Consent.Subscribed, r.Consent.Unsubscribed, r.Consent.NonSubscribed})
	stats := s.sandbox.Stats(omnisendtest.Brand)
	require.Zero(s.t, stats.Welcomes)
	require.Zero(s.t, stats.TagsReplaced)
	require.Zero(s.t, stats.Resubscribed)
	require.Len(s.t, s.sandbox.Contacts(omnisendtest.Brand), r.New)
	require.Len(s.t, stats.Received, e.Contacts)
	require.Zero(s.t, stats.Overlaps, "no contact is in two unconfirmed calls")
	return stats
}

// again counts the contacts that were sent more than once.
func again(stats sandbox.Stats) int {
	n := 0
	for _, times := range stats.Received {
		n += times - 1
	}
	return n
}

// logStandstill tells how long each of the batches had to wait between two of
// its calls at most.
func (s *shop) logStandstill(what string, batches []int) {
	s.t.Helper()
	s.sandbox.SetCallsPerMinute(0)
	require.NoError(s.t, s.sandbox.SetFaults(sandbox.Faults{}))
	api, err := omnisend.New(omnisend.Options{BaseURL: s.omnisend, Key: omnisendtest.Key, Timeout: time.Minute})
	require.NoError(s.t, err)
	defer api.CloseIdle()
	all, err := omnisendtest.AllBatches(s.t.Context(), api)
	require.NoError(s.t, err)
	for _, batch := range batches {
		var calls []time.Time
		for _, b := range all {
			if parts := strings.Split(b.Origin, "/"); len(parts) == 4 && parts[2] == strconv.Itoa(batch) {
				calls = append(calls, b.CreatedAt)
			}
		}
		slices.SortFunc(calls, time.Time.Compare)
		var longest time.Duration
		for i := 1; i < len(calls); i++ {
			longest = max(longest, calls[i].Sub(calls[i-1]))
		}
		s.t.Logf("%s: batch %d, %d calls, stood still for %s", what, batch, len(calls), longest)
	}
}

// Two of three workers are killed while they upload.
func TestRunOutlivesTwoOfThreeWorkers(t *testing.T) {
	t.Parallel()
	s := newShop(t, 12_000, sandbox.Options{BatchDelay: 500 * time.Millisecond,
		Faults: sandbox.Faults{Rates: map[sandbox.Fault]float64{sandbox.SlowAnswer: 1}, SlowSeconds: 0.5}})
	s.serve()
	workers := s.workers(3)
	s.define("--calls-per-minute", "0")
	s.must("run", "spring", "--yes", "--detach")
	lost := map[string][]int{}
	for _, at := range []int{25, 70} {
		s.sent(at)
		victim, batches := s.uploading(workers)
		victim.kill()
		lost[fmt.Sprintf("killed after %d calls", at)] = batches
		workers = slices.DeleteFunc(workers, func(w *worker) bool { return w == victim })
	}
	r := s.await(patience)
	stats := s.arrived(r)
	require.Equal(t, s.expected.Contacts, r.New)
	// A call whose answer died with its worker is looked for before it is made
	// again, and this target's list shows what it has taken.
	require.Zero(t, again(stats))
	t.Logf("%s, %d calls", r.EndedAt.Sub(r.StartedAt), stats.Total())
	for what, batches := range lost {
		s.logStandstill(what, batches)
	}
}

// A worker that is asked to stop ends its calls in flight, and the other one
// continues with its batches.
func TestStoppedWorkerHandsOver(t *testing.T) {
	t.Parallel()
	s := newShop(t, 10_000, sandbox.Options{BatchDelay: 200 * time.Millisecond,
		Faults: sandbox.Faults{Rates: map[sandbox.Fault]float64{sandbox.SlowAnswer: 1}, SlowSeconds: 0.3}})
	s.serve()
	workers := s.workers(2)
	s.define("--calls-per-minute", "0")
	s.must("run", "spring", "--yes", "--detach")
	s.sent(20)
	stopped, batches := s.uploading(workers)
	began := time.Now()
	require.Zero(t, stopped.stop())
	t.Logf("it took %s to stop", time.Since(began))
	r := s.await(patience)
	stats := s.arrived(r)
	require.Equal(t, s.expected.Contacts, r.New)
	require.Zero(t, again(stats))
	require.Equal(t, r.Calls, stats.Route("POST /batches"))
	t.Logf("%s", r.EndedAt.Sub(r.StartedAt))
	s.logStandstill("stopped in order", batches)
}
