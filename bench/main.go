// Command bench measures whole exports: an embedded Temporal server, a worker
// and the sandbox as processes of their own on this machine, a segment of any
// size, a first run and then refreshes. It prints a table and writes it as JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/segment-export/segment-export/deployments/standalone/embedded"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/segment/synthetic"
	"github.com/segment-export/segment-export/worker/service"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	app := &cli.App{
		Name:        "bench",
		Usage:       "measures whole exports against the sandbox",
		Description: "Example:\n  bench --size 1000000 --rpm 400",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "size", Value: 50_000, Usage: "profiles of the segment"},
			&cli.IntFlag{Name: "rpm", Value: 0, Usage: "calls a minute that the sandbox takes; 0 is no limit"},
			&cli.StringFlag{Name: "bin", Value: "bin", Usage: "folder of the built programs"},
			&cli.StringSliceFlag{Name: "fault", Usage: "a fault of the sandbox, NAME=PROBABILITY; with any, contacts are checked and stored"},
			&cli.StringFlag{Name: "json", Value: "bench/result.json", Usage: "file that the figures are written to"},
			&cli.BoolFlag{Name: "first-only", Usage: "no refreshes after the first run"},
		},
		Action: func(c *cli.Context) error { return bench(c.Context, c) },
	}
	if err := app.RunContext(ctx, os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

// figures are what one run came to.
type figures struct {
	Run         string     `json:"run"`
	Seconds     float64    `json:"seconds"`
	PerSecond   float64    `json:"profiles_per_second"`
	Report      run.Report `json:"report"`
	Uploads     int        `json:"upload_calls"`
	OtherCalls  int        `json:"other_calls"` // lists, items, brand: everything that is no upload
	Refused     int        `json:"calls_429"`
	Bytes       int64      `json:"bytes"`
	PeakWindow  int        `json:"peak_calls_in_60_s"`
	Events      int64      `json:"history_events"`
	PeakMiB     float64    `json:"worker_peak_mib"`
	WorkerCPU   float64    `json:"worker_cpu_seconds"`
	ServerCPU   float64    `json:"server_cpu_seconds"`
	SandboxCPU  float64    `json:"sandbox_cpu_seconds"`
	LedgerBytes int64      `json:"store_bytes"`
}

// bed is what a measurement runs on.
type bed struct {
	dir     string
	bin     string
	api     string
	server  *embedded.Server
	client  client.Client
	worker  *exec.Cmd
	sandbox *exec.Cmd
	size    int
	last    sandbox.Stats
}

func bench(ctx context.Context, c *cli.Context) (err error) {
	dir, err := os.MkdirTemp("", "segment-export-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bed{dir: dir, bin: c.String("bin"), size: c.Int("size")}
	defer b.stop()
	if err := b.start(ctx, c.Int("rpm"), c.StringSlice("fault")); err != nil {
		return err
	}
	var all []figures
	variants := []struct {
		name    string
		variant synthetic.Variant
	}{{"first run", synthetic.Variant{}}, {"nothing changed", synthetic.Variant{}}, {"1 % changed", synthetic.Variant{Change: 0.01}}}
	if c.Bool("first-only") {
		variants = variants[:1]
	}
	for _, v := range variants {
		if err := b.generate(v.variant); err != nil {
			return err
		}
		f, err := b.measure(ctx, v.name)
		if err != nil {
			return err
		}
		all = append(all, f)
	}
	return show(c, all)
}

func (b *bed) start(ctx context.Context, rpm int, faults []string) error {
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if b.server, err = embedded.Start(ctx, embedded.Options{Dir: filepath.Join(b.dir, "temporal"), UIPort: -1,
		SearchAttributes: service.SearchAttributes(), Logger: quiet}); err != nil {
		return err
	}
	if b.client, err = client.Dial(client.Options{HostPort: b.server.Address(), Logger: log.NewStructuredLogger(quiet)}); err != nil {
		return err
	}
	args := []string{"--listen", "127.0.0.1:0", "--calls-per-minute", strconv.Itoa(rpm), "--output", "json"}
	if len(faults) == 0 {
		args = append(args, "--count-only")
	}
	for _, f := range faults {
		args = append(args, "--fault", f)
	}
	b.sandbox = exec.CommandContext(ctx, filepath.Join(b.bin, "sandbox"), args...)
	out, err := b.sandbox.StdoutPipe()
	if err != nil {
		return err
	}
	if err := b.sandbox.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the sandbox did not start: %w", err)
	}
	var ready struct{ URL string }
	if err := json.Unmarshal(line, &ready); err != nil {
		return err
	}
	b.api = ready.URL
	b.worker = b.command(ctx, "worker", "run", "--data-dir", filepath.Join(b.dir, "data"), "--files-root", b.dir,
		"--omnisend-url", b.api, "--log-level", "warn")
	b.worker.Stderr = os.Stderr
	if err := b.worker.Start(); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(b.dir, "segments"), 0o750); err != nil {
		return err
	}
	if err := b.generate(synthetic.Variant{}); err != nil {
		return err
	}
	for try := 0; ; try++ { // the worker makes its identity when it is up
		if err = b.starter(ctx, nil, "source", "add", "files", "--kind", "files", "--path", "segments"); err == nil {
			break
		}
		if try == 20 {
			return err
		}
		time.Sleep(250 * time.Millisecond)
	}
	if err := b.starter(ctx, nil, "connection", "add", "shop", "--agree", "--share", "1", "--calls-per-minute", strconv.Itoa(rpm),
		"--max-contacts", strconv.Itoa(max(b.size, 1))); err != nil {
		return err
	}
	return b.starter(ctx, nil, "export", "add", "bench", "--connection", "shop", "--source", "files", "--segment", "bench", "--id", "CustomerId",
		"--map", "email=Email", "--map", "first-name=FirstName", "--map", "last-name=LastName", "--map", "address=Street", "--map", "country=Country",
		"--map", "state=State", "--map", "city=City", "--map", "postal-code=PostalCode", "--map", "consent=EmailConsent", "--map", "consent-date=ConsentDate")
}

func (b *bed) stop() {
	for _, p := range []*exec.Cmd{b.worker, b.sandbox} {
		if p != nil && p.Process != nil {
			_ = p.Process.Signal(syscall.SIGTERM)
			_ = p.Wait()
		}
	}
	if b.client != nil {
		b.client.Close()
	}
	if b.server != nil {
		_ = b.server.Stop()
	}
}

func (b *bed) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, filepath.Join(b.bin, name), args...)
	c.Env = append(os.Environ(), "TEMPORAL_ADDRESS="+b.server.Address(), "SEGMENT_EXPORT_DATA_DIR="+filepath.Join(b.dir, "data"), "OMNISEND_API_KEY=sandbox-key")
	return c
}

// starter runs the starter; its progress is shown, its answer read into answer.
func (b *bed) starter(ctx context.Context, answer any, args ...string) error {
	c := b.command(ctx, "starter", append(args, "--output", "json")...)
	if answer != nil {
		c.Stderr = os.Stderr
	}
	out, err := c.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 3) {
		return fmt.Errorf("starter %s: %w: %s", strings.Join(args, " "), err, out)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(out, answer)
}

func (b *bed) generate(v synthetic.Variant) error {
	path := filepath.Join(b.dir, "segments", "bench.csv")
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	if _, err := synthetic.WriteVariant(f, b.size, 1, v); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (b *bed) measure(ctx context.Context, name string) (figures, error) {
	f := figures{Run: name}
	worker, server, box := cpu(b.worker.Process.Pid), cpu(os.Getpid()), cpu(b.sandbox.Process.Pid)
	if err := b.starter(ctx, &f.Report, "run", "bench", "--yes"); err != nil {
		return f, err
	}
	f.WorkerCPU, f.ServerCPU, f.SandboxCPU = cpu(b.worker.Process.Pid)-worker, cpu(os.Getpid())-server, cpu(b.sandbox.Process.Pid)-box
	if err := f.Report.Check(); err != nil {
		return f, err
	}
	f.Seconds = f.Report.EndedAt.Sub(f.Report.StartedAt).Seconds()
	f.PerSecond = float64(f.Report.Read) / f.Seconds
	stats, err := b.stats(ctx)
	if err != nil {
		return f, err
	}
	f.Uploads = stats.Route("POST /batches") - b.last.Route("POST /batches")
	f.OtherCalls = stats.Total() - b.last.Total() - f.Uploads
	f.Refused, f.Bytes, f.PeakWindow = stats.TooMany-b.last.TooMany, stats.Bytes-b.last.Bytes, stats.Peak
	b.last = stats
	f.PeakMiB = peakMiB(b.worker.Process.Pid)
	for _, file := range []string{"store.db", "store.db-wal"} {
		if info, err := os.Stat(filepath.Join(b.dir, "data", file)); err == nil {
			f.LedgerBytes += info.Size()
		}
	}
	f.Events, err = b.events(ctx, f.Report.StartedAt)
	return f, err
}

func (b *bed) stats(ctx context.Context) (sandbox.Stats, error) {
	var s sandbox.Stats
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(b.api, "/api")+"/sandbox/stats?brand=sandbox", nil)
	if err != nil {
		return s, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return s, err
	}
	defer answer.Body.Close()
	return s, json.NewDecoder(answer.Body).Decode(&s)
}

// events counts the history of the run's workflow, continued runs included.
func (b *bed) events(ctx context.Context, since time.Time) (int64, error) {
	var sum int64
	list, err := b.client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Query: fmt.Sprintf("WorkflowId = 'export/bench' AND StartTime >= '%s'", since.Add(-2*time.Second).Format(time.RFC3339)),
	})
	if err != nil {
		return 0, err
	}
	for _, e := range list.GetExecutions() {
		d, err := b.client.DescribeWorkflowExecution(ctx, e.GetExecution().GetWorkflowId(), e.GetExecution().GetRunId())
		if err != nil {
			return 0, err
		}
		sum += d.GetWorkflowExecutionInfo().GetHistoryLength()
	}
	return sum, nil
}

// peakMiB is the most memory that a process had, by the kernel's account.
func peakMiB(pid int) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}

// cpu is the processor time of a process in seconds; the kernel counts it in
// hundredths.
func cpu(pid int) float64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}

func show(c *cli.Context, all []figures) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.SetOutputMirror(os.Stdout)
	t.AppendHeader(table.Row{"run", "profiles", "seconds", "profiles/s", "upload calls", "other calls", "429", "peak/60 s", "MB sent", "events", "worker MiB", "CPU s worker", "server", "sandbox", "store MB"})
	for _, f := range all {
		t.AppendRow(table.Row{f.Run, f.Report.Read, fmt.Sprintf("%.1f", f.Seconds), fmt.Sprintf("%.0f", f.PerSecond), f.Uploads, f.OtherCalls, f.Refused,
			f.PeakWindow, f.Bytes / 1_000_000, f.Events, fmt.Sprintf("%.0f", f.PeakMiB), fmt.Sprintf("%.1f", f.WorkerCPU),
			fmt.Sprintf("%.1f", f.ServerCPU), fmt.Sprintf("%.1f", f.SandboxCPU), f.LedgerBytes / 1_000_000})
	}
	t.Render()
	fmt.Fprintf(os.Stdout, "%d profiles, %d calls a minute (0: no limit), %s/%s, %d CPUs, %s\n", c.Int("size"), c.Int("rpm"), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(c.String("json"), append(data, '\n'), 0o600)
}
