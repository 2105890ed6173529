package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/segment-export/segment-export/deployments/standalone/embedded"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/segment/synthetic"
	"github.com/segment-export/segment-export/internal/store/postgrestest"
	"github.com/segment-export/segment-export/worker/service"
)

// setup says what is measured.
type setup struct {
	bin     string
	size    int
	rpm     int
	faults  []string
	store   string
	workers int
}

func (s setup) check() error {
	switch {
	case s.size < 1 || s.workers < 1:
		return errors.New("the size and the number of workers begin at 1")
	case s.store != "sqlite" && s.store != "postgres":
		return fmt.Errorf("there is no store %q: sqlite or postgres", s.store)
	case s.store == "sqlite" && s.workers > 1:
		return errors.New("an SQLite store has one worker: add --store postgres")
	}
	return nil
}

// bed is what a measurement runs on.
type bed struct {
	setup

	dir      string
	api      string
	server   *embedded.Server
	client   client.Client
	postgres *postgrestest.Server // nil: SQLite
	dsn      string
	running  []*exec.Cmd // the workers
	sandbox  *exec.Cmd
	last     sandbox.Stats
}

func (b *bed) start(ctx context.Context) error {
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if b.server, err = embedded.Start(ctx, embedded.Options{Dir: filepath.Join(b.dir, "temporal"), UIPort: -1,
		SearchAttributes: service.SearchAttributes(), Logger: quiet}); err != nil {
		return err
	}
	if b.client, err = client.Dial(client.Options{HostPort: b.server.Address(), Logger: log.NewStructuredLogger(quiet)}); err != nil {
		return err
	}
	if err := b.startSandbox(ctx); err != nil {
		return err
	}
	if err := b.startStore(ctx); err != nil {
		return err
	}
	for range b.workers {
		w := b.command(ctx, "worker", "run", "--files-root", b.dir, "--omnisend-url", b.api, "--log-level", "warn")
		w.Stderr = os.Stderr
		if err := w.Start(); err != nil {
			return err
		}
		b.running = append(b.running, w)
	}
	if err := os.Mkdir(filepath.Join(b.dir, "segments"), 0o750); err != nil {
		return err
	}
	if err := b.generate(synthetic.Variant{}); err != nil {
		return err
	}
	return b.setUp(ctx)
}

func (b *bed) startSandbox(ctx context.Context) error {
	args := []string{"--listen", "127.0.0.1:0", "--calls-per-minute", strconv.Itoa(b.rpm), "--output", "json"}
	if len(b.faults) == 0 {
		args = append(args, "--count-only")
	}
	for _, f := range b.faults {
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
	err = json.Unmarshal(line, &ready)
	b.api = ready.URL
	return err
}

// startStore makes the database of several workers; a single one makes its file.
func (b *bed) startStore(ctx context.Context) error {
	if b.store != "postgres" {
		return nil
	}
	var err error
	if b.postgres, err = postgrestest.Start(); err != nil {
		return err
	}
	if b.dsn, err = b.postgres.Database(ctx); err != nil {
		return err
	}
	if out, err := b.command(ctx, "worker", "migrate").CombinedOutput(); err != nil {
		return fmt.Errorf("worker migrate: %w: %s", err, out)
	}
	return nil
}

// setUp adds the source, the connection and the export.
func (b *bed) setUp(ctx context.Context) error {
	for try := 0; ; try++ { // the worker makes its identity when it is up
		err := b.starter(ctx, nil, "source", "add", "files", "--kind", "files", "--path", "segments")
		if err == nil {
			break
		}
		if try == 20 {
			return err
		}
		time.Sleep(250 * time.Millisecond)
	}
	if err := b.starter(ctx, nil, "connection", "add", "shop", "--agree", "--share", "1", "--calls-per-minute", strconv.Itoa(b.rpm),
		"--max-contacts", strconv.Itoa(max(b.size, 1))); err != nil {
		return err
	}
	return b.starter(ctx, nil, "export", "add", "bench", "--connection", "shop", "--source", "files", "--segment", "bench", "--id", "CustomerId",
		"--map", "email=Email", "--map", "first-name=FirstName", "--map", "last-name=LastName", "--map", "address=Street", "--map", "country=Country",
		"--map", "state=State", "--map", "city=City", "--map", "postal-code=PostalCode", "--map", "consent=EmailConsent", "--map", "consent-date=ConsentDate")
}

func (b *bed) stop() {
	for _, p := range append(b.running, b.sandbox) {
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
	if b.postgres != nil {
		_ = b.postgres.Stop()
	}
}

func (b *bed) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, filepath.Join(b.bin, name), args...)
	c.Env = append(os.Environ(), "TEMPORAL_ADDRESS="+b.server.Address(), "SEGMENT_EXPORT_DATA_DIR="+filepath.Join(b.dir, "data"), "OMNISEND_API_KEY=sandbox-key")
	if b.dsn != "" {
		c.Env = append(c.Env, "SEGMENT_EXPORT_STORE_URL="+b.dsn)
	}
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

// rows is the segment's file.
func (b *bed) rows() string { return filepath.Join(b.dir, "segments", "bench.csv") }

func (b *bed) generate(v synthetic.Variant) error {
	path := b.rows()
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
