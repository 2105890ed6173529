package e2e

import (
	"bytes"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
)

// grace is how long a worker may take to end after SIGTERM, see
// docs/upgrading.md.
const grace = time.Minute

// gate lets some uploads through and holds all that follow. One whose caller
// gives up meanwhile never arrives.
type gate struct {
	open    int32 // how many pass
	came    atomic.Int32
	release chan struct{} // closed: those that are held continue
	drop    bool          // those that are held never get an answer
}

func (g *gate) hook(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if isUpload(r) && g.came.Add(1) > g.open {
		body, err := io.ReadAll(r.Body) // only then does the context end with the caller
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		select {
		case <-g.release:
		case <-r.Context().Done():
		}
		if g.drop || r.Context().Err() != nil {
			panic(http.ErrAbortHandler)
		}
	}
	next.ServeHTTP(w, r)
}

// holds sets the gate in place and waits until it holds as many uploads as are
// in flight at once.
func (s *shop) holds(g *gate) {
	s.t.Helper()
	const window = 4
	s.eventually("every upload in flight is held", func() bool { return g.came.Load() >= g.open+window })
}

// terminate sends SIGTERM and waits until the worker has heard it.
func (w *worker) terminate(s *shop) {
	w.t.Helper()
	require.NoError(w.t, w.cmd.Process.Signal(syscall.SIGTERM))
	s.eventually("the worker has heard it", func() bool { return strings.Contains(w.said(), "stopping") })
}

// A worker that gets SIGTERM waits for the answers of its calls, keeps them, and
// begins no other; one whose calls are never answered ends all the same. What
// is left is another's.
func TestSIGTERMEndsCallsInFlightAndBeginsNone(t *testing.T) {
	t.Parallel()
	s := newShop(t, 4_000, sandbox.Options{Seed: 5})
	s.serve()
	first := s.workers(1)[0]
	s.define("--calls-per-minute", "0")
	another := func(name string) *worker {
		cmd := exec.Command(first.cmd.Path, first.cmd.Args[1:]...)
		cmd.Env = first.cmd.Env
		return s.start(name, cmd)
	}

	answered := &gate{open: 6, release: make(chan struct{})}
	hook := answered.hook
	s.hook.Store(&hook)
	s.must("run", "spring", "--yes", "--detach")
	s.holds(answered)
	first.terminate(s)
	require.False(t, first.gone(), "it waits for the answers")
	held := answered.came.Load()
	close(answered.release)
	<-first.ended
	require.Zero(t, first.cmd.ProcessState.ExitCode(), first.said())
	require.Equal(t, held, answered.came.Load(), "no call started after SIGTERM")

	silent := &gate{open: 3, release: make(chan struct{}), drop: true}
	hook2 := silent.hook
	s.hook.Store(&hook2)
	second := another("second")
	s.holds(silent)
	second.terminate(s)
	s.within(grace, "the worker ends without the answers", second.gone)
	require.Zero(t, second.cmd.ProcessState.ExitCode(), second.said())
	s.hook.Store(nil)
	close(silent.release)

	another("third")
	r := s.await(patience)
	stats := s.arrived(r)
	require.Equal(t, s.expected.Contacts, r.New)
	require.Equal(t, r.Calls, stats.Route("POST /batches"), "those without an answer never arrived, and were made again")
	require.Zero(t, again(stats))
}
