package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/converter"

	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store/postgrestest"
)

// documented runs the command of docs/upgrading.md that begins with these
// words, for a build, and returns what it printed.
func (s *shop) documented(command, build string) (output string, err error) {
	s.t.Helper()
	page, err := os.ReadFile(root + "/docs/upgrading.md")
	require.NoError(s.t, err)
	_, rest, found := strings.Cut(string(page), "\n"+command)
	require.True(s.t, found, "the page has no %q", command)
	line, _, _ := strings.Cut(command+rest, "\n")
	temporal := filepath.Join(s.dir, temporalCommand)
	if _, err := os.Lstat(temporal); err != nil {
		self, err := os.Executable()
		require.NoError(s.t, err)
		require.NoError(s.t, os.Symlink(self, temporal))
	}
	cmd := exec.CommandContext(s.t.Context(), "sh", "-c", strings.ReplaceAll(line, " 2.0", " "+build))
	cmd.Env = append(os.Environ(), "PATH="+s.dir+":"+os.Getenv("PATH"), "TEMPORAL_ADDRESS="+s.temporal)
	all, err := cmd.CombinedOutput()
	return string(all), err
}

// current makes a build the one that new runs and commands go to. The server
// knows it a moment after its worker is ready.
func (s *shop) current(build string) {
	s.t.Helper()
	s.eventually("build "+build+" is current", func() bool {
		_, err := s.documented("temporal worker deployment set-current-version", build)
		return err == nil
	})
}

// history is what the export's newest run tells of the builds that worked on it.
type history struct {
	pinned  string // the build that it belongs to
	began   bool   // the incompatible release has started it
	uploads int    // handed out by the present release
	later   int    // and by the compatible one
}

// newestRun reads the export's newest run in Temporal.
func (s *shop) newestRun() (h history) {
	s.t.Helper()
	execution := protocol.WorkflowID("spring", false)
	d, err := s.client.DescribeWorkflowExecution(s.t.Context(), execution, "")
	require.NoError(s.t, err)
	h.pinned = d.GetWorkflowExecutionInfo().GetVersioningInfo().GetDeploymentVersion().GetBuildId()
	events := s.client.GetWorkflowHistory(s.t.Context(), execution, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(s.t, err)
		if timer := event.GetTimerStartedEventAttributes(); timer.GetStartToFireTimeout().AsDuration() == laterPause {
			h.began = true
		}
		var summary string
		if p := event.GetUserMetadata().GetSummary(); p != nil {
			require.NoError(s.t, converter.GetDefaultDataConverter().FromPayload(p, &summary))
		}
		switch {
		case strings.HasPrefix(summary, laterSummary):
			h.later++
		case strings.HasPrefix(summary, "upload batch "):
			h.uploads++
		}
	}
	return h
}

// hold puts a gate before uploads, behind the first n.
func (s *shop) hold(n int32) *gate {
	g := &gate{open: n, release: make(chan struct{})}
	hook := g.hook
	s.hook.Store(&hook)
	return g
}

// inStore reads one number from the workers' store.
func (s *shop) inStore(store, query string) (n int) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), store)
	require.NoError(s.t, err)
	require.NoError(s.t, conn.QueryRow(s.t.Context(), query).Scan(&n))
	require.NoError(s.t, conn.Close(s.t.Context()))
	return n
}

// upgradable serves a shop whose store is at the present release. The others
// are built before anything is held that has to be answered in time.
func upgradable(t *testing.T, profiles int, others ...*release) (s *shop, store string) {
	t.Helper()
	s = newShop(t, profiles, sandbox.Options{Seed: 5})
	s.serve()
	store = postgrestest.Database(t)
	output, err := s.migrate(present, store)
	require.NoError(t, err, output)
	for _, other := range others {
		s.built(other)
	}
	return s, store
}

// Builds that cannot continue one another's runs are side by side. The store
// is migrated in the middle of the old one's run, the new one becomes current in
// it, and is taken back in the middle of its own: each run ends on the build
// that began it, and nothing is lost or sent twice.
func TestUpgradeAndDowngradeInMidRun(t *testing.T) {
	t.Parallel()
	s, store := upgradable(t, 4_000, incompatible)
	old := s.beside("old", present, store, "--build-id", "1.0")
	s.current("1.0")
	s.define("--calls-per-minute", "0")
	ended := func(build string, later bool) run.Report {
		t.Helper()
		r := s.await(patience)
		require.True(t, r.Status.Complete(), "%s: %s", r.Status, r.Reason)
		h := s.newestRun()
		require.Equal(t, build, h.pinned)
		require.Equal(t, later, h.began)
		return r
	}

	g := s.hold(3)
	s.must("run", "spring", "--yes", "--detach")
	s.holds(g)
	output, err := s.migrate(incompatible, store)
	require.NoError(t, err, output)
	number, err := newest()
	require.NoError(t, err)
	require.Equal(t, number+1, s.inStore(store, "SELECT MAX(version_id) FROM schema_version"))
	require.Equal(t, http.StatusOK, old.probe("readyz"), "it bears the migrated store")
	next := s.beside("new", incompatible, store, "--build-id", "2.0")
	s.current("2.0") // the starter's commands go to 2.0 from here on
	require.Equal(t, run.Running, s.show().Status)
	close(g.release)
	r := ended("1.0", false)
	require.Equal(t, s.expected.Contacts, r.New)
	require.Zero(t, again(s.arrived(r)), "nothing is sent twice")
	described, err := s.documented("temporal worker deployment describe", "")
	require.NoError(t, err, described)
	require.Contains(t, described, "1.0 drain")

	g = s.hold(3)
	s.must("run", "spring", "--yes", "--full", "--detach")
	s.holds(g)
	s.current("1.0")
	close(g.release)
	r = ended("2.0", true)
	require.Equal(t, s.expected.Contacts, r.Delivered)
	require.Equal(t, s.expected.Contacts, again(s.sandbox.Stats(omnisendtest.Brand)), "once for each run")
	s.hook.Store(nil)
	_, r = s.run()
	require.Zero(t, r.Calls)
	ended("1.0", false)
	require.Equal(t, s.inStore(store, "SELECT COUNT(*) FROM calls"), s.inStore(store, "SELECT COUNT(*) FROM calls WHERE later = 7"))

	// The old build is gone for good; the next run goes to the new one.
	s.current("2.0")
	require.Zero(t, old.stop(), old.said())
	_, r = s.run()
	require.Zero(t, r.Calls)
	ended("2.0", true)
	require.Zero(t, next.stop(), next.said())
}

// The only worker of a build dies in the middle of its run and does not come
// back. The run cannot be canceled any more; it is abandoned. The next one, of
// another build, collects what the target has confirmed and sends the rest.
func TestAbandonARunOfABuildWithoutWorkers(t *testing.T) {
	t.Parallel()
	s, store := upgradable(t, 4_000, incompatible)
	old := s.beside("old", present, store, "--build-id", "1.0")
	s.current("1.0")
	s.define("--calls-per-minute", "0")
	g := s.hold(6)
	s.must("run", "spring", "--yes", "--detach")
	s.holds(g)
	output, err := s.migrate(incompatible, store)
	require.NoError(t, err, output)
	next := s.beside("new", incompatible, store, "--build-id", "2.0")
	s.current("2.0")
	old.kill()
	s.hook.Store(nil)
	close(g.release)

	code, _, stderr := s.starter("run", "spring", "--yes")
	require.NotZero(t, code)
	require.Contains(t, stderr, "is already running")
	code, _, stderr = s.starter("runs", "abandon", "spring")
	require.NotZero(t, code, "it can still be canceled, as far as is known")
	require.Contains(t, stderr, "starter runs cancel")
	s.must("runs", "cancel", "spring")
	s.must("runs", "abandon", "spring")
	abandoned := s.show()
	require.Equal(t, run.Failed, abandoned.Status)
	require.NoError(t, abandoned.Check())
	require.Equal(t, s.expected.Contacts, abandoned.Contacts)
	require.Positive(t, abandoned.Pending)

	_, r := s.run("--yes")
	require.True(t, r.Status.Complete(), "%s: %s", r.Status, r.Reason)
	require.Equal(t, "2.0", s.newestRun().pinned)
	require.Positive(t, r.Unchanged, "what had arrived")
	require.Equal(t, s.expected.Contacts, r.Unchanged+r.Delivered+r.Refused)
	require.Len(t, s.sandbox.Contacts(omnisendtest.Brand), s.expected.Contacts)
	require.Zero(t, again(s.sandbox.Stats(omnisendtest.Brand)), "nothing is sent twice")
	require.Zero(t, next.stop(), next.said())
}

// Without build ids a worker is replaced in mid-run by one of a later release,
// that one by the old one, it by one whose workflow does something more behind
// a version marker, and that by one that does the same without a marker: until
// the old one is back, from then on with a build id, the run waits.
func TestReplacedWorkersGoOnWithARun(t *testing.T) {
	t.Parallel()
	s, store := upgradable(t, 4_000, compatible, marked, incompatible)
	w := s.beside("first", present, store)
	s.define("--calls-per-minute", "0")
	g := s.hold(6)
	s.must("run", "spring", "--yes", "--detach")
	s.holds(g)
	output, err := s.migrate(compatible, store)
	require.NoError(t, err, output)
	// replace ends the worker as docs/upgrading.md says, while calls are in flight.
	replace := func(name string, by *release, open int32) {
		t.Helper()
		w.terminate(s)
		before := g
		if open > 0 {
			g = s.hold(open)
		}
		close(before.release)
		<-w.ended
		require.Zero(t, w.cmd.ProcessState.ExitCode(), w.said())
		w = s.beside(name, by, store)
		if open > 0 {
			s.holds(g)
		}
	}
	replace("upgraded", compatible, 3)
	replace("taken back", present, 3)
	h := s.newestRun()
	require.Positive(t, h.uploads)
	require.Positive(t, h.later, "the later release has continued it")

	replace("marked", marked, 3)
	require.NotContains(t, w.said(), "[TMPRL1100]")
	replace("another", incompatible, 0)
	s.eventually("the worker says what is wrong", func() bool {
		return strings.Contains(w.said(), "[TMPRL1100]") && strings.Contains(w.said(), protocol.WorkflowID("spring", false))
	})
	// At once: the longer it fails, the longer Temporal waits before it tries again.
	require.Zero(t, w.stop(), w.said())
	s.beside("back", present, store, "--build-id", "1.0")
	s.current("1.0")
	r := s.await(patience)
	require.Equal(t, "1.0", s.newestRun().pinned, "from here on it stays there")
	stats := s.arrived(r)
	require.Equal(t, s.expected.Contacts, r.New)
	require.Equal(t, r.Calls, stats.Route("POST /batches"))
	require.Zero(t, again(stats), "nothing is sent twice")
}

// A store that was migrated to what the old worker cannot bear makes it stop,
// in mid-run too, and say so; it does not start again, and a worker of the new
// release continues the run.
func TestWorkerStopsWhenTheStoreOutgrowsIt(t *testing.T) {
	t.Parallel()
	s, store := upgradable(t, 4_000, unbearable)
	old := s.beside("old", present, store)
	s.define("--calls-per-minute", "0")
	g := s.hold(3)
	s.must("run", "spring", "--yes", "--detach")
	s.holds(g)
	output, err := s.migrate(unbearable, store)
	require.NoError(t, err, output)
	require.Equal(t, http.StatusServiceUnavailable, old.probe("readyz"))
	s.eventually("the worker stops", func() bool { return strings.Contains(old.said(), "stopping") })
	close(g.release)
	<-old.ended
	const sentence = "made by a newer program"
	require.Equal(t, 1, old.cmd.ProcessState.ExitCode())
	require.Contains(t, old.said(), "worker: the store's schema is version")
	require.Contains(t, old.said(), sentence)
	output, err = s.migrate(present, store)
	require.Error(t, err)
	require.Contains(t, output, sentence)
	old = s.begin("again", present, store)
	<-old.ended
	require.Equal(t, 1, old.cmd.ProcessState.ExitCode())
	require.Contains(t, old.said(), sentence)

	s.beside("new", unbearable, store)
	r := s.await(patience)
	stats := s.arrived(r)
	require.Equal(t, s.expected.Contacts, r.New)
	require.Equal(t, r.Calls, stats.Route("POST /batches"))
	require.Zero(t, again(stats), "nothing is sent twice")
}
