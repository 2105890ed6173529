// Package omnisendtest helps to test what speaks to Omnisend: a sandbox on a
// real loopback server, a client of it, both held against the contract, and the
// conformance suite of omnisend.API.
package omnisendtest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/omnisend/contract"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
)

// The key and the brand of a Target whose options name no key.
const (
	Key   = "11aa-test-key-that-must-not-leak"
	Brand = "11aa"
)

// Clock is a clock that moves only when told to; it may be used by several
// goroutines at once.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock stands at an arbitrary moment of the year 2026.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC)}
}

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock forward.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Target is a sandbox on a loopback server and a client of it.
type Target struct {
	API     omnisend.API
	Sandbox *sandbox.Sandbox
	Clock   *Clock // the sandbox's, unless the options brought another
	URL     string // base URL for a client: http://127.0.0.1:PORT/api
}

// Start serves a sandbox until the test ends. Every request that arrives and
// every JSON answer that leaves is held against the contract; a breach fails
// the test.
func Start(t testing.TB, o sandbox.Options) *Target {
	t.Helper()
	target := &Target{Clock: NewClock()}
	if o.Now == nil {
		o.Now = target.Clock.Now
	}
	if len(o.Keys) == 0 {
		o.Keys = []sandbox.Key{{Key: Key, Brand: Brand}}
	}
	sb, err := sandbox.New(o)
	require.NoError(t, err)
	server := httptest.NewServer(Checked(t, sb))
	t.Cleanup(server.Close)
	target.Sandbox, target.URL = sb, server.URL+"/api"
	target.API = target.Client(t, o.Keys[0].Key)
	return target
}

// Client makes another client of the target, with a transport of its own.
func (x *Target) Client(t testing.TB, key string) *omnisend.Client {
	t.Helper()
	c, err := omnisend.New(omnisend.Options{BaseURL: x.URL, Key: omnisend.Key(key), Timeout: time.Minute})
	require.NoError(t, err)
	t.Cleanup(c.CloseIdle)
	return c
}

// Checked holds what passes through a handler against the contract. Answers
// that are no JSON are faults, which have no contract.
func Checked(t testing.TB, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		route, known := contract.Route(r)
		if known {
			assert.NoError(t, contract.CheckRequest(r, body))
		}
		seen := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(seen, r)
		if known && w.Header().Get("Content-Type") != "text/html; charset=utf-8" && !seen.cut() {
			assert.NoError(t, contract.CheckResponse(route, seen.status, seen.body.Bytes()))
		}
	})
}

// recorder keeps what a handler answers, and passes it on.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}

// cut says that the answer is JSON that was cut off: the fault Truncated.
func (r *recorder) cut() bool {
	b := r.body.Bytes()
	return len(b) > 0 && b[0] == '{' && b[len(b)-1] != '}'
}

// Unwrap lets net/http find what the wrapped writer can do.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// AllBatches reads every page of the list.
func AllBatches(ctx context.Context, api omnisend.API) ([]omnisend.Batch, error) {
	var out []omnisend.Batch
	for {
		page, err := api.ListBatches(ctx, omnisend.ListQuery{Offset: len(out)})
		if err != nil {
			return nil, err
		}
		out = append(out, page.Batches...)
		if !page.More {
			return out, nil
		}
	}
}
