package e2e

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/deployments/standalone/embedded"
	"github.com/segment-export/segment-export/deployments/standalone/program"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/segment/files/azuritetest"
	"github.com/segment-export/segment-export/internal/segment/synthetic"
	"github.com/segment-export/segment-export/internal/store"
	"github.com/segment-export/segment-export/internal/store/postgrestest"
	"github.com/segment-export/segment-export/starter/cli"
	"github.com/segment-export/segment-export/worker/service"
)

// asStandalone makes the test binary be the program, so that tests can kill a
// real process without building it again.
const asStandalone = "SEGMENT_EXPORT_TEST_AS_STANDALONE"

// withPartRows makes that program store what it reads in parts of so many rows.
const withPartRows = "SEGMENT_EXPORT_TEST_PART_ROWS"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == temporalCommand {
		runTemporalCommand()
		return
	}
	if os.Getenv(asStandalone) != "" {
		rows, _ := strconv.Atoi(os.Getenv(withPartRows)) // 0 is the product's own
		os.Exit(program.Main(activities.Tuning{PartRows: rows}))
	}
	flag.Parse()
	if testing.Short() {
		fmt.Println("whole runs are left out with -short: they need a server, PostgreSQL, Azurite, Chromium and Prometheus")
		return
	}
	postgrestest.Main(builds.around(azuritetest.Around(m)))
}

// quiet is a logger of Temporal's client that says nothing.
var quiet = sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))

// shop is everything that a whole run needs: a sandbox checked against the
// contract, a folder of segments, an embedded server with a worker, the starter.
type shop struct {
	t        *testing.T
	dir      string
	sandbox  *sandbox.Sandbox
	omnisend string
	temporal string
	env      []string // of the program, beside that of the tests
	metrics  string   // the program's URL for them
	pid      int      // of the program
	uiPort   int      // of embedded.Options
	ui       string   // its URL, when it was asked for
	client   client.Client
	store    store.Store // of the worker in this process
	expected synthetic.Expected
	// alertRoots are what the worker checks mail servers and webhooks against.
	alertRoots *x509.CertPool
	// hook, while it is set, gets every request instead of the sandbox.
	hook atomic.Pointer[func(w http.ResponseWriter, r *http.Request, sandbox http.Handler)]
}

// intercepted lets a test stand between the client and the sandbox.
func (s *shop) intercepted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hook := s.hook.Load(); hook != nil {
			(*hook)(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// newShop serves a sandbox and writes a segment of n invented profiles.
func newShop(t *testing.T, n int, o sandbox.Options) *shop {
	t.Helper()
	s := &shop{t: t, dir: t.TempDir(), uiPort: -1}
	o.Keys = []sandbox.Key{{Key: omnisendtest.Key, Brand: omnisendtest.Brand}}
	o.TrackReceived = true
	var err error
	s.sandbox, err = sandbox.New(o)
	require.NoError(t, err)
	server := httptest.NewServer(s.intercepted(omnisendtest.Checked(t, s.sandbox)))
	t.Cleanup(server.Close)
	s.omnisend = server.URL + "/api"
	require.NoError(t, os.Mkdir(s.path("segments"), 0o750))
	require.NoError(t, os.WriteFile(s.path("key.txt"), []byte(omnisendtest.Key+"\n"), 0o600))
	s.write(n, synthetic.Variant{})
	return s
}

func (s *shop) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// write writes the segment, replacing the file as a data platform would.
func (s *shop) write(n int, v synthetic.Variant) {
	s.t.Helper()
	var b bytes.Buffer
	var err error
	s.expected, err = synthetic.WriteVariant(&b, n, 1, v)
	require.NoError(s.t, err)
	s.replace(b.Bytes())
}

func (s *shop) replace(content []byte) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(s.path("new"), content, 0o600))
	require.NoError(s.t, os.Rename(s.path("new"), s.path("segments", "spring_buyers.csv")))
}

// open starts server and worker in this process.
func (s *shop) open(tuning activities.Tuning) {
	s.t.Helper()
	s.serve()
	w, err := service.Open(s.t.Context(), s.client, service.Options{DataDir: s.path("data"), FilesRoot: s.dir,
		OmnisendURL: s.omnisend, Log: slog.New(slog.DiscardHandler), Tuning: tuning, AlertRoots: s.alertRoots})
	require.NoError(s.t, err)
	s.store = w.Store
	require.NoError(s.t, w.Start(s.t.Context()))
	s.t.Cleanup(func() { require.NoError(s.t, w.Stop()) })
}

// serve starts the server alone in this process.
func (s *shop) serve() {
	s.t.Helper()
	log := slog.New(slog.DiscardHandler)
	server, err := embedded.Start(s.t.Context(), embedded.Options{Dir: s.path("data", "temporal"), UIPort: s.uiPort,
		SearchAttributes: service.SearchAttributes(), Logger: log})
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, server.Stop()) })
	s.temporal, s.ui = server.Address(), server.UIURL()
	s.client, err = client.Dial(client.Options{HostPort: s.temporal, Logger: quiet})
	require.NoError(s.t, err)
	s.t.Cleanup(s.client.Close)
}

// environment is a fixed set of variables.
type environment map[string]string

// LookupEnv finds one.
func (e environment) LookupEnv(name string) (string, bool) {
	v, ok := e[name]
	return v, ok
}

// Environ lists them as the system would.
func (e environment) Environ() []string {
	var all []string
	for k, v := range e {
		all = append(all, k+"="+v)
	}
	return all
}

// starter runs one command line in this process.
func (s *shop) starter(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	var out, errs bytes.Buffer
	// Connect of these options reads the variables of Env.
	o := cli.FromSystem(args, environment{"TEMPORAL_ADDRESS": s.temporal, "SEGMENT_EXPORT_DATA_DIR": s.path("data"),
		"SEGMENT_EXPORT_FAIL_ON": "rejects"})
	o.In, o.Out, o.Err = strings.NewReader(""), &out, &errs
	o.InTerminal, o.OutTerminal, o.ErrTerminal = false, false, false
	code = cli.Run(ctx, o)
	return code, out.String(), errs.String()
}

// must runs a command line that has to succeed.
func (s *shop) must(args ...string) string {
	s.t.Helper()
	code, out, errs := s.starter(args...)
	require.Zero(s.t, code, "%v: %s%s", args, out, errs)
	return out
}

var mapping = []string{"--id", "CustomerId", "--map", "email=Email", "--map", "first-name=FirstName", "--map", "last-name=LastName",
	"--map", "address=Street", "--map", "country=Country", "--map", "state=State", "--map", "city=City", "--map", "postal-code=PostalCode",
	"--map", "consent=EmailConsent", "--map", "consent-date=ConsentDate"}

// define makes source, connection and export.
func (s *shop) define(connection ...string) {
	s.t.Helper()
	s.must("source", "add", "crm", "--kind", "files", "--path", "segments")
	s.must(append([]string{"connection", "add", "Spring shop", "--api-key-file", s.path("key.txt"), "--agree"}, connection...)...)
	s.must(append([]string{"export", "add", "spring", "--connection", "Spring shop", "--source", "crm", "--segment", "spring_buyers"}, mapping...)...)
}

// run runs the export to its end and returns its exit code and report, whose
// equations hold.
func (s *shop) run(args ...string) (int, run.Report) {
	s.t.Helper()
	code, out, errs := s.starter(append([]string{"run", "spring", "--output", "json"}, args...)...)
	var r run.Report
	require.NoError(s.t, json.Unmarshal([]byte(out), &r), "exit code %d: %s%s", code, out, errs)
	require.NotEmpty(s.t, r.RunID, "exit code %d: %s%s", code, out, errs)
	require.NoError(s.t, r.Check())
	require.Empty(s.t, r.Notes)
	return code, r
}

// show returns the report of the newest run.
func (s *shop) show() run.Report {
	s.t.Helper()
	var r run.Report
	require.NoError(s.t, json.Unmarshal([]byte(s.must("runs", "show", "spring", "--output", "json")), &r))
	return r
}

// patience is how long a test waits for what must happen: long, since the race
// detector on a machine with other work turns seconds into minutes.
const patience = 10 * time.Minute

// eventually waits until a condition holds that another process or goroutine
// brings about.
func (s *shop) eventually(what string, condition func() bool) {
	s.t.Helper()
	s.within(patience, what, condition)
}

// within is eventually with a deadline of its own.
func (s *shop) within(timeout time.Duration, what string, condition func() bool) {
	s.t.Helper()
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline.C:
			require.FailNow(s.t, "never happened: "+what)
		case <-tick.C:
		}
	}
}
