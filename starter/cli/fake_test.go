package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/seal"
	"github.com/segment-export/segment-export/starter/cli"
)

// env is an environment of its own.
type env map[string]string

func (e env) Environ() []string {
	var all []string
	for k, v := range e {
		all = append(all, k+"="+v)
	}
	return all
}

func (e env) LookupEnv(name string) (string, bool) {
	v, ok := e[name]
	return v, ok
}

// bench runs command lines against a server that is scripted.
type bench struct {
	t        *testing.T
	keyring  *seal.Keyring
	identity *access.Identity
	options  cli.Options
	out, err bytes.Buffer
	server   *server
	clock    *clock
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	keyring, _, err := seal.LoadOrCreateKeyring(filepath.Join(dir, "keyring.json"))
	require.NoError(t, err)
	identity, err := access.CreateIdentity(filepath.Join(dir, access.IdentityFile), keyring.PublicKey())
	require.NoError(t, err)
	b := &bench{t: t, keyring: keyring, identity: identity, server: &server{t: t}, clock: newClock()}
	b.options = cli.Options{
		Env: env{"SEGMENT_EXPORT_DATA_DIR": dir},
		In:  strings.NewReader(""), Out: &b.out, Err: &b.err,
		Width:      func() int { return 100 },
		ReadSecret: func(context.Context) (string, error) { return "", errors.New("nobody was to be asked") },
		Zone:       time.UTC, Now: b.clock.Now, Ticker: b.clock.Ticker,
		Connect: func(context.Context, bool) (cli.Server, error) { return b.server, nil },
	}
	return b
}

func (b *bench) run(args ...string) int { return b.runIn(context.Background(), args...) }

func (b *bench) runIn(ctx context.Context, args ...string) int {
	b.out.Reset()
	b.err.Reset()
	b.options.Args = args
	return cli.Run(ctx, b.options)
}

// terminal makes every stream one.
func (b *bench) terminal(input string) {
	b.options.InTerminal, b.options.OutTerminal, b.options.ErrTerminal = true, true, true
	b.options.In = strings.NewReader(input)
}

// answers scripts the server: the answers to the commands in turn, each a value
// to encode or an error.
func (b *bench) answers(all ...any) { b.server.answers = all }

// args decodes the arguments of the nth command.
func args[T any](b *bench, n int) T {
	b.t.Helper()
	require.Greater(b.t, len(b.server.requests), n)
	var v T
	require.NoError(b.t, json.Unmarshal(b.server.requests[n].Args, &v))
	return v
}

func (b *bench) names() []string {
	var names []string
	for _, r := range b.server.requests {
		names = append(names, r.Name)
	}
	return names
}

// server answers as the test scripts it.
type server struct {
	t         *testing.T
	answers   []any
	requests  []protocol.Request
	summaries []string
	closed    bool

	mu       sync.Mutex
	progress func(n int) (*protocol.Progress, error) // the nth question, from 0
	asked    int
	ended    chan struct{}
}

// sealedAnswer travels sealed to the command's reply key, as every answer does to
// a command that brings one.
type sealedAnswer struct{ v any }

func (s *server) Carry(_ context.Context, r protocol.Request, summary string) (*protocol.Response, error) {
	s.requests, s.summaries = append(s.requests, r), append(s.summaries, summary)
	require.NotEmpty(s.t, s.answers, "no answer for %q", r.Name)
	next := s.answers[0]
	s.answers = s.answers[1:]
	switch a := next.(type) {
	case error:
		return nil, a
	case sealedAnswer:
		next = a.v
		require.NotEmpty(s.t, r.ReplyTo)
	}
	if r.ReplyTo != "" {
		key, err := seal.ParsePublicKey(r.ReplyTo)
		require.NoError(s.t, err)
		sealed, err := key.Seal(encode(s.t, next), protocol.Context(r.ID))
		require.NoError(s.t, err)
		return &protocol.Response{Sealed: sealed}, nil
	}
	return &protocol.Response{Body: encode(s.t, next)}, nil
}

func (s *server) Progress(ctx context.Context, _ string) (*protocol.Progress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.progress == nil {
		return nil, errors.New("nobody answers")
	}
	n := s.asked
	s.asked++
	return s.progress(n)
}

func (s *server) Ended(ctx context.Context, _ string) error {
	if s.ended == nil {
		return nil
	}
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *server) Where() string { return "temporal:7233, namespace default" }

func (s *server) Close() { s.closed = true }

// clock stands still until a tick is taken, which moves it on: a test runs as
// fast as it can.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock on.
func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *clock) Ticker(d time.Duration) (<-chan time.Time, func()) {
	ticks, done := make(chan time.Time), make(chan struct{})
	go func() {
		for {
			c.mu.Lock()
			next := c.now.Add(d)
			c.mu.Unlock()
			select {
			case ticks <- next:
				c.mu.Lock()
				c.now = next
				c.mu.Unlock()
			case <-done:
				return
			}
		}
	}()
	return ticks, func() { close(done) }
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	return raw
}

// finished is a run's report.
func finished(status run.Status) protocol.RunAnswer {
	began := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	end := began.Add(90 * time.Second)
	a := protocol.RunAnswer{WorkflowID: "export/spring", CreatedAt: began, Report: run.Report{
		Export: "spring", RunID: "run-1", Status: status, Phase: run.PhaseEnded,
		Segments: []run.SegmentCount{{Segment: "buyers", Read: 1200, Members: 1100, Duplicate: 60, Invalid: 40, Marker: "segment_buyers"}},
		Read:     1200, Duplicate: 60, Invalid: 40, Contacts: 1100, Delivered: 1000, New: 900, Changed: 100, Unchanged: 95, Refused: 5,
		Calls: 10, Reasons: map[string]int{"email_invalid": 40, "refused": 5}, Actor: "ann", StartedAt: began,
	}}
	if status.Ended() {
		a.EndedAt = &end
	}
	return a
}

var started = protocol.RunStarted{RunID: "run-1", WorkflowID: "export/spring"}
