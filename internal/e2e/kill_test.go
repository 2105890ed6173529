package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/deployments/standalone/program"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/segment/synthetic"
)

// process starts the program itself on the shop's data directory; kill ends it
// as a power cut would.
func (s *shop) process() (kill func()) {
	s.t.Helper()
	self, err := os.Executable()
	require.NoError(s.t, err)
	c := exec.CommandContext(s.t.Context(), self, "--data-dir", s.path("data"), "--files-root", s.dir, "--omnisend-url", s.omnisend,
		"--temporal-port", "0", "--ui-port", "0", "--console-port", "none", "--metrics-address", "127.0.0.1:0", "--output", "json", "--log-level", "error")
	c.Env = append(append(os.Environ(), asStandalone+"=1"), s.env...)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, c.Start())
	line, err := bufio.NewReader(out).ReadBytes('\n')
	require.NoError(s.t, err, "standalone did not start")
	var at program.Ready
	require.NoError(s.t, json.Unmarshal(line, &at))
	s.temporal, s.metrics, s.pid = at.Temporal, at.Metrics, c.Process.Pid
	return func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
}

// moment arms the shop: when the condition holds for the nth time, the request
// in hand is held (after it took effect, if effect says so) until its client is
// gone, and the channel is closed.
func (s *shop) moment(nth int32, effect bool, condition func(*http.Request) bool) <-chan struct{} {
	reached := make(chan struct{})
	var count atomic.Int32
	hook := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !condition(r) || count.Add(1) != nth {
			next.ServeHTTP(w, r)
			return
		}
		if effect {
			next.ServeHTTP(httptest.NewRecorder(), r) // the answer is lost
		}
		// Only once the body is read does the server notice that the client is gone.
		_, _ = io.Copy(io.Discard, r.Body)
		close(reached)
		<-r.Context().Done()
	}
	s.hook.Store(&hook)
	return reached
}

func isUpload(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/batches")
}

func isList(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/batches")
}

// A process that is killed at any moment continues where it was when it is
// started again, and sends at most the calls in flight a second time.
func TestKilledProcessGoesOn(t *testing.T) {
	t.Parallel()
	const window = 4 // uploads in flight
	s := newShop(t, 6000, sandbox.Options{Seed: 5})
	// The same people over and over take a while to read and no longer to send.
	content, err := os.ReadFile(s.path("segments", "spring_buyers.csv"))
	require.NoError(t, err)
	header, rows, _ := bytes.Cut(content, []byte("\n"))
	const repeated = 40
	s.replace(append(append(header, '\n'), bytes.Repeat(rows, repeated)...))

	kill := s.process()
	s.define("--calls-per-minute", "0")
	s.must("run", "spring", "--yes", "--detach")

	// While it reads.
	s.eventually("the run reads", func() bool { return s.show().StartedAt.IsZero() == false })
	kill()
	require.Zero(t, s.sandbox.Stats(omnisendtest.Brand).Batches, "nothing was sent while it was reading")

	moments := []struct {
		name   string
		nth    int32
		effect bool
		at     func(*http.Request) bool
	}{
		{"before a call takes effect", 7, false, isUpload},
		{"after a call took effect, before its answer", 9, true, isUpload},
		{"another call's answer is lost", 5, true, isUpload},
		{"while verdicts are collected", 1, true, func(r *http.Request) bool {
			return isList(r) && s.sandbox.Stats(omnisendtest.Brand).Items >= s.expected.Contacts
		}},
	}
	for _, m := range moments {
		reached := s.moment(m.nth, m.effect, m.at)
		kill = s.process()
		select {
		case <-reached:
		case <-t.Context().Done():
			require.FailNow(t, "never reached: "+m.name)
		}
		kill()
		s.hook.Store(nil)
	}

	kill = s.process()
	defer func() { kill() }()
	code, out, errs := s.starter("runs", "watch", "spring", "--output", "json")
	require.Equal(t, 3, code, "%s%s", out, errs)
	r := s.show()
	require.NoError(t, r.Check())
	require.Equal(t, run.CompletedWithRejects, r.Status)
	e := s.expected
	require.Equal(t, []int{e.Rows * repeated, e.Invalid * repeated, e.Contacts, e.Contacts}, []int{r.Read, r.Invalid, r.Contacts, r.New})

	stats := s.sandbox.Stats(omnisendtest.Brand)
	require.Len(t, s.sandbox.Contacts(omnisendtest.Brand), e.Contacts)
	require.Zero(t, stats.Welcomes+stats.TagsReplaced+stats.Resubscribed)
	twice := 0
	for _, n := range stats.Received {
		twice += n - 1
	}
	t.Logf("%d contacts were sent a second time over %d kills", twice, len(moments)+1)
	require.LessOrEqual(t, twice, 100*window*len(moments))

	// Nothing is left to do.
	code, again := s.run()
	require.Equal(t, 3, code)
	require.Equal(t, e.Contacts, again.Unchanged)
	require.Equal(t, synthetic.Expected{}.Changed, again.Changed)

	// Some leave, and the process is killed while their markers are cleared.
	s.write(5600, synthetic.Variant{})
	reached := s.moment(2, true, isUpload)
	s.must("run", "spring", "--detach")
	select {
	case <-reached:
	case <-t.Context().Done():
		require.FailNow(t, "never reached: markers are cleared")
	}
	kill()
	s.hook.Store(nil)
	kill = s.process()
	code, out, errs = s.starter("runs", "watch", "spring", "--output", "json")
	require.Equal(t, 3, code, "%s%s", out, errs)
	r = s.show()
	require.NoError(t, r.Check())
	// A few change: a stricter consent stood in one of the rows that are gone.
	require.Equal(t, []int{s.expected.Contacts, s.expected.Contacts, 0, e.Contacts - s.expected.Contacts},
		[]int{r.Contacts, r.Unchanged + r.Changed, r.New, r.Leavers})
	require.Equal(t, s.expected.Contacts, s.marked("segment_spring_buyers"), "leavers lose exactly their marker")
	require.Len(t, s.sandbox.Contacts(omnisendtest.Brand), e.Contacts)
	_, again = s.run()
	require.Equal(t, []int{s.expected.Contacts, 0, 0}, []int{again.Unchanged, again.Leavers, again.Calls})
}
