// Command sandbox serves a stand-in for the Omnisend API on this machine, with
// faults to switch on. Its state ends with it, unless it has a data directory.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
)

const (
	defaultKey   = "sandbox-key"
	defaultBrand = "sandbox"
	// A slow answer must not outlive the process by more than this.
	shutdownTime = 5 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args, os.Getenv, os.Stdout, os.Stderr))
}

// run is the whole program: 0 when it was stopped, 1 when it failed, 2 when the
// command line is wrong.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	app := newApp(getenv)
	app.Writer, app.ErrWriter = stdout, stderr
	app.ExitErrHandler = func(*cli.Context, error) {}
	err := app.RunContext(ctx, args)
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(stderr, "sandbox:", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		return 2
	}
	return 1
}

// usageError is a command line that cannot be carried out.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func newApp(getenv func(string) string) *cli.App {
	return &cli.App{
		Name:  "sandbox",
		Usage: "a strict replacement for Omnisend's API on this machine that can simulate faults",
		Description: `Serves the API below /api and its own controls below /sandbox, until it is
interrupted. With --data-dir it keeps contacts, batches and segments for the next
start; without it, it keeps nothing. For example:

   sandbox --listen 127.0.0.1:9900 --batch-delay 2s \
      --fault server_error=0.1 --fault break_after=0.05 --fault too_many=0.05

   curl http://127.0.0.1:9900/sandbox/state
   curl http://127.0.0.1:9900/sandbox/stats?brand=sandbox
   curl -X POST -d '{"fault":"break_after","route":"POST /batches"}' \
      http://127.0.0.1:9900/sandbox/triggers

Keys come from --key-file, one a line (KEY BRAND [PERMISSION,...]), or from
OMNISEND_API_KEY; without either, the key is "sandbox-key" and the brand "sandbox".

Faults: too_many server_error unavailable retired bad_gateway html_page
break_before (without effect), break_after gateway_timeout truncated (after the
effect), slow_answer slow_batch stopped_batch.`,
		HideHelpCommand: true,
		OnUsageError: func(_ *cli.Context, err error, _ bool) error {
			return &usageError{err.Error()}
		},
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "listen", Value: "127.0.0.1:9900", Usage: "`ADDRESS` to serve at; port 0 is any free one"},
			&cli.BoolFlag{Name: "allow-remote", Usage: "allow an address that other machines can reach"},
			&cli.StringFlag{Name: "key-file", Usage: "read keys from `FILE`"},
			&cli.IntFlag{Name: "calls-per-minute", Value: omnisend.CallsPerMinute, Usage: "limit of each brand; 0 is none"},
			&cli.StringFlag{Name: "data-dir", Usage: "keep contacts, batches and segments in `FOLDER`"},
			&cli.BoolFlag{Name: "count-only", Usage: "only count contacts, for benchmarks"},
			&cli.DurationFlag{Name: "batch-delay", Value: time.Second, Usage: "how long a batch takes"},
			&cli.BoolFlag{Name: "track-received", Usage: "count how often each address arrives"},
			&cli.BoolFlag{Name: "as-documented", Usage: "answer as Omnisend's documentation says, without the nulls of the live service"},
			&cli.BoolFlag{Name: "random-list", Usage: "list batches in random order"},
			&cli.StringSliceFlag{Name: "fault", Usage: "`NAME=PROBABILITY`; can be repeated"},
			&cli.DurationFlag{Name: "slow", Value: 2 * time.Second, Usage: "how long a slow_answer takes"},
			&cli.DurationFlag{Name: "slow-batch", Value: 30 * time.Second, Usage: "how much longer a slow_batch takes"},
			&cli.BoolFlag{Name: "mute-retry-after", Usage: "leave retryAfter out of every 429"},
			&cli.Float64Flag{Name: "item-refused", Usage: "share of addresses that are refused"},
			&cli.Float64Flag{Name: "item-busy", Usage: "probability that an item answers 503"},
			&cli.IntFlag{Name: "stop-after-errors", Usage: "stop a batch at this many errors; 0 is never"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "seed of the random numbers"},
			&cli.StringFlag{Name: "output", Value: "text", Usage: "text or json"},
		},
		Action: func(c *cli.Context) error { return serve(c, getenv) },
	}
}

func serve(c *cli.Context, getenv func(string) string) (err error) {
	if c.Args().Present() {
		return &usageError{"unexpected argument: sandbox takes none"}
	}
	output := c.String("output")
	if output != "text" && output != "json" {
		return &usageError{"--output must be text or json"}
	}
	address := c.String("listen")
	if !c.Bool("allow-remote") && !omnisend.IsLoopback("http://"+address) {
		return &usageError{"--listen: other machines can reach this address; to allow it, use --allow-remote"}
	}
	o, err := options(c, getenv)
	if err != nil {
		return err
	}
	if dir := c.String("data-dir"); dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("making the data directory: %w", err)
		}
		o.File = filepath.Join(dir, "sandbox.db")
	}
	sb, err := sandbox.New(o)
	if err != nil {
		return &usageError{err.Error()}
	}
	defer func() { err = errors.Join(err, sb.Close()) }()
	listener, err := (&net.ListenConfig{}).Listen(c.Context, "tcp", address)
	if err != nil {
		return fmt.Errorf("--listen: %w; choose another address, or port 0 for any free one", err)
	}
	// Printed when connections are taken already, so that a waiting script can begin.
	if err := announce(c.App.Writer, output, listener.Addr().String(), o.Keys); err != nil {
		return err
	}
	return serveUntilDone(c.Context, listener, sb)
}

func serveUntilDone(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if server.Shutdown(last) != nil {
		return server.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	return nil
}

func announce(w io.Writer, output, address string, keys []sandbox.Key) error {
	url := "http://" + address + "/api"
	steering := "http://" + address + "/sandbox/state"
	if output == "json" {
		brands := []string{}
		for _, k := range keys {
			brands = append(brands, k.Brand)
		}
		return json.NewEncoder(w).Encode(map[string]any{"url": url, "state": steering, "brands": brands})
	}
	_, err := fmt.Fprintf(w, "Omnisend sandbox at %s (state: %s)\n", url, steering)
	return err
}

func options(c *cli.Context, getenv func(string) string) (sandbox.Options, error) {
	o := sandbox.Options{
		CallsPerMinute: c.Int("calls-per-minute"), BatchDelay: c.Duration("batch-delay"),
		CountOnly: c.Bool("count-only"), TrackReceived: c.Bool("track-received"), RandomList: c.Bool("random-list"),
		AsDocumented: c.Bool("as-documented"),
		Seed:         c.Uint64("seed"),
		Faults: sandbox.Faults{
			Rates:       map[sandbox.Fault]float64{},
			SlowSeconds: c.Duration("slow").Seconds(), SlowBatchSeconds: c.Duration("slow-batch").Seconds(),
			MuteRetryAfter: c.Bool("mute-retry-after"), StopAfterErrors: c.Int("stop-after-errors"),
			ItemRefused: c.Float64("item-refused"), ItemBusy: c.Float64("item-busy"),
		},
	}
	if o.CallsPerMinute < 0 || o.BatchDelay < 0 {
		return o, &usageError{"--calls-per-minute and --batch-delay cannot be negative"}
	}
	for _, one := range c.StringSlice("fault") {
		name, rate, _ := strings.Cut(one, "=")
		n, err := strconv.ParseFloat(rate, 64)
		if err != nil {
			return o, &usageError{fmt.Sprintf("--fault %s: want NAME=PROBABILITY", one)}
		}
		o.Faults.Rates[sandbox.Fault(name)] = n
	}
	var err error
	o.Keys, err = readKeys(c.String("key-file"), getenv)
	return o, err
}

func readKeys(file string, getenv func(string) string) ([]sandbox.Key, error) {
	if file == "" {
		key := getenv("OMNISEND_API_KEY")
		if key == "" {
			key = defaultKey
		}
		return []sandbox.Key{{Key: key, Brand: defaultBrand}}, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	defer func() { _ = f.Close() }()
	var keys []sandbox.Key
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		parts := strings.Fields(lines.Text())
		if len(parts) == 0 || strings.HasPrefix(parts[0], "#") {
			continue
		}
		if len(parts) > 3 {
			return nil, &usageError{fmt.Sprintf("%s:%d: want KEY BRAND [PERMISSION,...]", file, n)}
		}
		k := sandbox.Key{Key: parts[0], Brand: defaultBrand}
		if len(parts) > 1 {
			k.Brand = parts[1]
		}
		if len(parts) > 2 {
			k.Permissions = strings.Split(parts[2], ",")
		}
		keys = append(keys, k)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	if len(keys) == 0 {
		return nil, &usageError{file + " has no key"}
	}
	return keys, nil
}
