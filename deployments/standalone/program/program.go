// Package program is the program standalone: a Temporal server, its Web UI, the
// console and a worker in one process on one machine, kept in SQLite files under
// one directory.
package program

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/deployments/standalone/embedded"
	"github.com/segment-export/segment-export/internal/localfile"
	"github.com/segment-export/segment-export/internal/logging"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/secretref"
	starter "github.com/segment-export/segment-export/starter/cli"
	"github.com/segment-export/segment-export/worker/service"
)

// The sandbox's only key and brand, for anybody who tries things out.
const (
	sandboxKey   = "sandbox-key"
	sandboxBrand = "sandbox"
	// exampleSegments is where the repository has the example, below the files root.
	exampleSegments = "examples/segments"
)

// Main runs the program with the command line of the process until a signal
// ends it, and returns the exit code. Tuning is the zero value but in tests.
func Main(t activities.Tuning) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := newApp(t).RunContext(ctx, os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "standalone:", err)
		return 1
	}
	return 0
}

func newApp(t activities.Tuning) *cli.App {
	return service.ShortUsage(&cli.App{
		Name:            "standalone",
		Usage:           "a Temporal server, its Web UI and a worker in one process",
		HideHelpCommand: true,
		Description: "It keeps all data under --data-dir. After a stop or a crash, start it with the same directory: runs\n" +
			"continue where they stopped. It listens on this machine only.\n\n" +
			"Examples:\n" +
			"  standalone --sandbox                               try it out without an Omnisend account\n" +
			"  standalone --data-dir /var/lib/segment-export --files-root /data/segments",
		SliceFlagSeparator: service.RoleSeparator,
		Commands:           []*cli.Command{service.KeyringCommand("standalone"), backupCommand()},
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "data-dir", EnvVars: []string{"SEGMENT_EXPORT_DATA_DIR"}, Usage: "`DIR` for all data (default: the user's data directory)"},
			&cli.StringFlag{Name: "files-root", Value: ".", Usage: "`DIR` that holds the folders of file sources"},
			&cli.StringFlag{Name: "secrets-dir", Value: secretref.DefaultDir, Usage: "`DIR` with mounted secrets, which credentials name as file:NAME"},
			&cli.StringFlag{Name: "omnisend-url", Value: omnisend.DefaultURL, Usage: "base `URL` of Omnisend's API for new connections"},
			&cli.BoolFlag{Name: "sandbox", Usage: "serve a sandbox and use it in place of Omnisend; it keeps its contacts in the data directory; its API key is " + sandboxKey},
			&cli.IntFlag{Name: "sandbox-port", Value: 9900, Usage: "port of the sandbox; 0 is any free one"},
			&cli.IntFlag{Name: "temporal-port", Value: 7233, Usage: "port of the Temporal server; 0 is any free one"},
			&cli.IntFlag{Name: "ui-port", Value: 8233, Usage: "port of the Web UI; 0 is any free one"},
			&cli.StringFlag{Name: "metrics-address", Value: "127.0.0.1:9464", EnvVars: []string{"SEGMENT_EXPORT_METRICS_ADDRESS"},
				Usage: "serve /metrics, /livez and /readyz at `HOST:PORT`, or none; if the default port is in use, any free one"},
			&cli.StringFlag{Name: "console-port", Value: defaultConsolePort, Usage: "serve the console at `PORT` of 127.0.0.1, or none; 0 is any free one; if the default port is in use, any free one"},
			&cli.StringFlag{Name: "output", Value: "text", Usage: "format of the addresses that are printed when everything is ready: text or json"},
			&cli.StringFlag{Name: "log-format", Value: "text", Usage: "text or json"},
			&cli.StringFlag{Name: "log-level", Value: "warn", Usage: "debug, info, warn or error"},
		}, slices.Concat(service.IdentityFlags(), service.RetentionFlags())...),
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return fmt.Errorf("unexpected argument %q (see --help)", c.Args().First())
			}
			if o := c.String("output"); o != "text" && o != "json" {
				return fmt.Errorf("--output %q is not text or json", o)
			}
			logger, err := logging.New(os.Stderr, c.String("log-format"), c.String("log-level"))
			if err != nil {
				return err
			}
			return serve(c, logger, t)
		},
	})
}

// Ready is what the program prints with --output json when everything can be used.
type Ready struct {
	Temporal string `json:"temporal_address"`
	UI       string `json:"ui_url"`
	Omnisend string `json:"omnisend_url"`
	Metrics  string `json:"metrics_url,omitempty"`
	DataDir  string `json:"data_dir"`
	Sandbox  bool   `json:"sandbox"`
}

func serve(c *cli.Context, logger *slog.Logger, t activities.Tuning) (err error) {
	var stops []func() error
	defer func() {
		for _, stop := range slices.Backward(stops) {
			err = errors.Join(err, stop())
		}
	}()
	dir := c.String("data-dir")
	if dir == "" {
		if dir, err = localfile.Default(); err != nil {
			return err
		}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := localfile.CheckWhole(dir); err != nil {
		return err
	}
	retention, err := service.RetentionOf(c)
	if err != nil {
		return err
	}
	url := c.String("omnisend-url")
	if c.Bool("sandbox") {
		at, stop, err := serveSandbox(c.Context, dir, c.Int("sandbox-port"), logger)
		if err != nil {
			return err
		}
		stops = append(stops, stop)
		url = at
	}
	server, err := embedded.Start(c.Context, embedded.Options{
		Dir: filepath.Join(dir, temporalDir), FrontendPort: c.Int("temporal-port"), UIPort: c.Int("ui-port"),
		SearchAttributes: service.SearchAttributes(), Logger: logger,
	})
	if err != nil {
		return withFlag(err)
	}
	stops = append(stops, server.Stop)
	identity, err := service.IdentityFrom(c)
	if err != nil {
		return err
	}
	telemetry, err := service.NewTelemetry()
	if err != nil {
		return err
	}
	temporal, err := client.DialContext(c.Context, client.Options{HostPort: server.Address(), Logger: log.NewStructuredLogger(logger),
		MetricsHandler: telemetry.Handler})
	if err != nil {
		return fmt.Errorf("connect to the Temporal server: %w", err)
	}
	stops = append(stops, func() error { temporal.Close(); return nil })
	s, err := service.Open(c.Context, temporal, service.Options{DataDir: dir, Identity: identity, Retention: retention, FilesRoot: c.String("files-root"), SecretsDir: c.String("secrets-dir"), OmnisendURL: url, Log: logger,
		Telemetry: telemetry, Tuning: t})
	if err != nil {
		return err
	}
	metrics := ""
	if address := c.String("metrics-address"); address != "none" {
		endpoint, err := s.Serve(c.Context, address, telemetry)
		if errors.Is(err, syscall.EADDRINUSE) && !c.IsSet("metrics-address") {
			// Nobody asked for that port: another standalone on this machine has it.
			endpoint, err = s.Serve(c.Context, "127.0.0.1:0", telemetry)
		}
		if err != nil {
			return errors.Join(err, s.Stop())
		}
		metrics = "http://" + endpoint.Address() + "/metrics"
		stops = append(stops, endpoint.Close)
	}
	stops = append(stops, s.Stop)
	if err := s.Start(c.Context); err != nil {
		return err
	}
	r := Ready{Temporal: server.Address(), UI: server.UIURL(), Omnisend: url, Metrics: metrics, DataDir: dir, Sandbox: c.Bool("sandbox")}
	if err := announce(c.App.Writer, c.String("output"), r); err != nil {
		return err
	}
	stopConsole, err := serveConsole(c, r)
	if err != nil {
		return err
	}
	select {
	case <-c.Done():
	case err = <-s.Outgrown():
	}
	stopConsole()
	s.Drain()
	fmt.Fprintln(os.Stderr, "stopping: calls in flight finish, runs continue at the next start")
	return err
}

// withFlag names the flag of a port that cannot be used.
func withFlag(err error) error {
	e, ok := errors.AsType[*embedded.PortError](err)
	if !ok {
		return err
	}
	flag := "--temporal-port"
	if e.Option == "UIPort" {
		flag = "--ui-port"
	}
	return fmt.Errorf("%s: %w; choose another one, or 0 for any free port", flag, e.Err)
}

func announce(w io.Writer, output string, r Ready) error {
	if output == "json" {
		return json.NewEncoder(w).Encode(r)
	}
	text := fmt.Sprintf("ready\n  Temporal   %s\n  Web UI     %s\n  Omnisend   %s\n", r.Temporal, r.UI, r.Omnisend)
	if r.Metrics != "" {
		text += fmt.Sprintf("  metrics    %s\n", r.Metrics)
	}
	text += fmt.Sprintf("  data       %s\n", r.DataDir)
	if r.Sandbox {
		text = strings.TrimSuffix(text, "\n") + fmt.Sprintf("\n  (a sandbox: its API key is %s)\n", sandboxKey)
	}
	_, err := io.WriteString(w, text)
	return err
}

const (
	defaultConsolePort = "8234"
	noConsole          = "none"
)

// serveConsole serves the pages of the console as the owner of the data directory,
// until stop is called. Where people identify themselves with tokens there is no
// such identity, and no console.
func serveConsole(c *cli.Context, r Ready) (stop func(), err error) {
	port := c.String("console-port")
	if port == noConsole || c.String("identity") != service.IdentityFile {
		return func() {}, nil
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return nil, fmt.Errorf("--console-port %q is not a port number or none", port)
	}
	args := []string{"console", "--web-ui", r.UI + "/namespaces/default"}
	if c.IsSet("console-port") {
		args = append(args, "--port", port)
	}
	if r.Sandbox {
		args = append(args, "--sandbox")
		if _, err := os.Stat(filepath.Join(c.String("files-root"), filepath.FromSlash(exampleSegments))); err == nil {
			args = append(args, "--example", exampleSegments)
		}
	}
	o := starter.FromSystem(args, consoleEnvironment{"TEMPORAL_ADDRESS": r.Temporal, localfile.Variable: r.DataDir})
	o.Out = os.Stderr
	ctx, cancel := context.WithCancel(c.Context)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		starter.Run(ctx, o) // says what is wrong, such as a port in use
	}()
	return func() { cancel(); <-ended }, nil
}

// consoleEnvironment is all that the console's command line finds in its environment.
type consoleEnvironment map[string]string

// Environ lists the variables.
func (e consoleEnvironment) Environ() []string {
	var all []string
	for name, value := range e {
		all = append(all, name+"="+value)
	}
	return all
}

// LookupEnv returns a variable.
func (e consoleEnvironment) LookupEnv(name string) (string, bool) {
	value, ok := e[name]
	return value, ok
}

// sandboxFile is where the sandbox keeps its state, in the data directory.
const sandboxFile = "sandbox.db"

// serveSandbox serves the stand-in for Omnisend on this machine.
func serveSandbox(ctx context.Context, dir string, port int, logger *slog.Logger) (url string, stop func() error, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return "", nil, fmt.Errorf("--sandbox-port: %w; choose another one, or 0 for any free port", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, errors.Join(err, listener.Close())
	}
	sb, err := sandbox.New(sandbox.Options{Keys: []sandbox.Key{{Key: sandboxKey, Brand: sandboxBrand}},
		CallsPerMinute: omnisend.CallsPerMinute, BatchDelay: time.Second, Seed: 1, File: filepath.Join(dir, sandboxFile)})
	if err != nil {
		return "", nil, errors.Join(err, listener.Close())
	}
	server := &http.Server{Handler: sb, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn)}
	go func() { _ = server.Serve(listener) }() // ends with ErrServerClosed
	return "http://" + listener.Addr().String() + "/api", func() error { return errors.Join(server.Close(), sb.Close()) }, nil
}
