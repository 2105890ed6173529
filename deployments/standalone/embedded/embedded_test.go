package embedded

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// childDir makes this test binary a process that serves the folder it names and has a workflow waiting, see child.
const childDir = "EMBEDDED_TEST_DIR"

const (
	taskQueue    = "test"
	greetingName = "go"
)

var (
	exportName = temporal.NewSearchAttributeKeyKeyword("ExportName")
	exportRows = temporal.NewSearchAttributeKeyInt64("ExportRows")
)

// quiet is for the SDK, which writes to the standard output by default.
var quiet = sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		select {} // until killed
	}
	flag.Parse()
	if testing.Short() {
		fmt.Println("tests of the embedded Temporal server are left out with -short")
		return
	}
	os.Exit(m.Run())
}

// greet waits for a signal that says whom.
func greet(ctx workflow.Context) (string, error) {
	if err := workflow.SetQueryHandler(ctx, "waiting", func() (bool, error) { return true, nil }); err != nil {
		return "", err
	}
	var whom string
	workflow.GetSignalChannel(ctx, greetingName).Receive(ctx, &whom)
	return "hello " + whom, nil
}

func attributes() map[string]enumspb.IndexedValueType {
	return map[string]enumspb.IndexedValueType{exportName.GetName(): enumspb.INDEXED_VALUE_TYPE_KEYWORD}
}

func child(dir string) error {
	ctx := context.Background()
	s, err := Start(ctx, Options{Dir: dir, UIPort: -1, SearchAttributes: attributes()})
	if err != nil {
		return err
	}
	c, err := client.Dial(client.Options{HostPort: s.Address(), Logger: quiet})
	if err != nil {
		return err
	}
	w := worker.New(c, taskQueue, worker.Options{})
	w.RegisterWorkflow(greet)
	if err := w.Start(); err != nil {
		return err
	}
	if _, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "greeting", TaskQueue: taskQueue}, greet); err != nil {
		return err
	}
	if _, err := c.QueryWorkflow(ctx, "greeting", "", "waiting"); err != nil {
		return err
	}
	fmt.Println("waiting")
	return nil
}

func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop()) })
	return s
}

// connect returns a client of the server and a worker that greets; both end before the server.
func connect(t *testing.T, s *Server) client.Client {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: s.Address(), Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	w := worker.New(c, taskQueue, worker.Options{})
	w.RegisterWorkflow(greet)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	return c
}

func result(t *testing.T, c client.Client, id string) string {
	t.Helper()
	var said string
	require.NoError(t, c.GetWorkflow(t.Context(), id, "").Get(t.Context(), &said))
	return said
}

// requireListed waits until the list has the workflow: the server writes it after it has answered.
func requireListed(t *testing.T, c client.Client, query, id string) {
	t.Helper()
	require.NoError(t, poll(t.Context(), func() error {
		list, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: query})
		if err != nil {
			return err
		}
		if len(list.GetExecutions()) != 1 {
			return fmt.Errorf("%s: %d workflows", query, len(list.GetExecutions()))
		}
		require.Equal(t, id, list.GetExecutions()[0].GetExecution().GetWorkflowId())
		return nil
	}))
}

func TestServesWorkflowsInMemory(t *testing.T) {
	s := start(t, Options{SearchAttributes: attributes()})
	c := connect(t, s)

	_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: "first", TaskQueue: taskQueue, TypedSearchAttributes: temporal.NewSearchAttributes(exportName.ValueSet("spring")),
	}, greet)
	require.NoError(t, err)
	require.NoError(t, c.SignalWorkflow(t.Context(), "first", "", greetingName, "world"))
	require.Equal(t, "hello world", result(t, c, "first"))
	requireListed(t, c, `ExportName = "spring"`, "first")

	ns, err := c.WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: "default"})
	require.NoError(t, err)
	require.Equal(t, 30*24*time.Hour, ns.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())

	for _, page := range []string{"/", "/api/v1/namespaces/default/workflows"} {
		resp, err := http.Get(s.UIURL() + page)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode, page)
	}
}

func TestStopsTwiceAndGivesTheDirFree(t *testing.T) {
	dir := t.TempDir()
	s, err := Start(t.Context(), Options{Dir: dir, UIPort: -1})
	require.NoError(t, err)
	require.Empty(t, s.UIURL())

	_, err = Start(t.Context(), Options{Dir: dir, UIPort: -1})
	require.ErrorIs(t, err, ErrInUse)

	require.NoError(t, s.Stop())
	require.NoError(t, s.Stop())
	info, err := os.Stat(filepath.Join(dir, databaseFile))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	unlock, err := lock(filepath.Join(dir, lockFile))
	require.NoError(t, err)
	require.NoError(t, unlock())
}

func TestKilledProcessIsCarriedOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a name? with 100% #signs", "made")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "waiting\n", line)

	_, err = Start(t.Context(), Options{Dir: dir})
	require.ErrorIs(t, err, ErrInUse)
	require.ErrorContains(t, err, fmt.Sprintf("process %d", cmd.Process.Pid))

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait(), "killed")

	more := attributes()
	more[exportRows.GetName()] = enumspb.INDEXED_VALUE_TYPE_INT
	s := start(t, Options{Dir: dir, UIPort: -1, SearchAttributes: more, Retention: 48 * time.Hour})
	c := connect(t, s)
	require.NoError(t, c.SignalWorkflow(t.Context(), "greeting", "", greetingName, "again"))
	require.Equal(t, "hello again", result(t, c, "greeting"))

	// An attribute that the file didn't have can be used at once.
	_, err = c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: "second", TaskQueue: taskQueue, TypedSearchAttributes: temporal.NewSearchAttributes(exportRows.ValueSet(7)),
	}, greet)
	require.NoError(t, err)
	requireListed(t, c, `ExportRows > 6`, "second")
	ns, err := c.WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: "default"})
	require.NoError(t, err)
	require.Equal(t, 48*time.Hour, ns.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())
}

func TestRefusesAttributesThatDontFit(t *testing.T) {
	dir := t.TempDir()
	s, err := Start(t.Context(), Options{Dir: dir, UIPort: -1, SearchAttributes: attributes()})
	require.NoError(t, err)
	require.NoError(t, s.Stop())

	_, err = Start(t.Context(), Options{Dir: dir, SearchAttributes: map[string]enumspb.IndexedValueType{
		exportName.GetName(): enumspb.INDEXED_VALUE_TYPE_BOOL,
	}})
	require.ErrorContains(t, err, "search attribute ExportName is a Keyword in this namespace, not a Bool")

	many := map[string]enumspb.IndexedValueType{}
	for i := range 4 {
		many[fmt.Sprintf("Flag%d", i)] = enumspb.INDEXED_VALUE_TYPE_BOOL
	}
	_, err = Start(t.Context(), Options{Dir: dir, SearchAttributes: many})
	require.ErrorContains(t, err, "search attributes of type Bool")
}

func TestRefusesWhereItCannotListen(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, busy.Close()) }()
	port := busy.Addr().(*net.TCPAddr).Port

	for _, o := range []Options{{FrontendPort: port}, {UIPort: port}} {
		_, err = Start(t.Context(), o)
		require.ErrorContains(t, err, busy.Addr().String())
		require.ErrorContains(t, err, "in use")
	}
	_, err = Start(t.Context(), Options{Host: "temporal.example"})
	require.ErrorContains(t, err, `host "temporal.example" is not an IP address`)
}

func TestRefusesNewerFile(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, migrate(t.Context(), filepath.Join(dir, databaseFile)))
	alter(t, filepath.Join(dir, databaseFile), `UPDATE embedded_schema SET version = '99.0' WHERE part = 'main'`)

	_, err := Start(t.Context(), Options{Dir: dir})
	require.ErrorIs(t, err, ErrNewerFile)
	require.True(t, strings.Contains(err.Error(), dir) && strings.Contains(err.Error(), "99.0"), err)
}
