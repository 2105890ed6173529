// Package storetest is the conformance suite of the store: what every
// implementation must do, whatever it keeps its data in.
package storetest

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/store"
)

// RequestTimeout is what a store under test takes for the longest time of a
// request.
const RequestTimeout = 30 * time.Second

// Clock is the clock of a store under test. It moves only when the test advances it.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, 3, 15, 9, 30, 0, 123456000, time.UTC)}
}

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance puts the clock forward, or back.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// opener makes a store for a test.
type opener func(t *testing.T, clock *Clock) store.Store

// Run runs the suite. open returns an empty store that goes by the clock, with
// RequestTimeout; the suite closes it.
func Run(t *testing.T, open func(t *testing.T, clock *Clock) store.Store) {
	for _, part := range []struct {
		name  string
		tests map[string]func(t *testing.T, f fixture)
	}{
		{"Base", baseTests},
		{"Catalogue", catalogueTests},
		{"Markers", markerTests},
		{"Names", renameTests},
		{"Runs", runTests},
		{"Spool", spoolTests},
		{"Calls", callTests},
		{"Verdicts", verdictTests},
		{"Ledger", ledgerTests},
		{"Budget", budgetTests},
		{"Pause", pauseTests},
		{"Leases", leaseTests},
		{"Turns", turnTests},
		{"Audit", auditTests},
		{"Forgotten", forgottenTests},
		{"Retention", retentionTests},
		{"Principals", principalTests},
		{"Resealing", resealingTests},
	} {
		t.Run(part.name, func(t *testing.T) {
			for name, test := range part.tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, newFixture(t, open))
				})
			}
		})
	}
}

// fixture is an empty store and its clock.
type fixture struct {
	store.Store

	clock *Clock
}

func newFixture(t *testing.T, open opener) fixture {
	t.Helper()
	clock := NewClock()
	f := fixture{open(t, clock), clock}
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}

// odd are names that an implementation may stumble over.
var odd = []string{"", " ", "Żółw & Söhne", `'; DROP TABLE runs; --`, `a"b`, "%_\\", "?$1", "tab\tand\nline", "日本", "A", "a", "🛒"}

// some makes bytes that differ by seed and hold every value.
func some(seed, size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte((i + seed) * 31 >> 2)
	}
	return data
}

func object(kind, name string) store.Object {
	return store.Object{Kind: kind, Name: name, Body: json.RawMessage(`{"name":"ż"}`), Sealed: []byte{0, 1, 255}}
}

func run(id, export string) store.Run {
	return store.Run{
		ID: id, Export: export, Connection: "shop", Brand: "brand", Status: "queued",
		Report: json.RawMessage(`{"read":1}`), Request: json.RawMessage(`{"by":"ana"}`), Control: json.RawMessage(`{}`),
	}
}

func (f fixture) createRun(t *testing.T, r store.Run) {
	t.Helper()
	require.NoError(t, f.CreateRun(t.Context(), r))
}

func (f fixture) endRun(t *testing.T, id string) {
	t.Helper()
	require.NoError(t, f.SaveRun(t.Context(), id, "completed", nil, true))
}

func (f fixture) lease(t *testing.T, name string) store.Lease {
	t.Helper()
	lease, err := f.AcquireLease(t.Context(), name, time.Minute)
	require.NoError(t, err)
	require.Equal(t, name, lease.Name)
	require.Positive(t, lease.Token)
	return lease
}

// takenOver returns a lease that another holder has by now.
func (f fixture) takenOver(t *testing.T, name string) store.Lease {
	t.Helper()
	lost := f.lease(t, name)
	f.clock.Advance(2 * time.Minute)
	f.lease(t, name)
	return lost
}

// race runs fn so many times at once and returns what each returned.
func race[T any](n int, fn func(i int) T) []T {
	results := make([]T, n)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-start
			results[i] = fn(i)
		})
	}
	close(start)
	group.Wait()
	return results
}

// count says how many fulfil the condition.
func count[T any](all []T, condition func(T) bool) int {
	n := 0
	for _, item := range all {
		if condition(item) {
			n++
		}
	}
	return n
}

func succeeded(err error) bool { return err == nil }

var baseTests = map[string]func(t *testing.T, f fixture){
	"it can be reached": func(t *testing.T, f fixture) {
		require.NoError(t, f.Ping(t.Context()))
	},
	"its clock is UTC and moves": func(t *testing.T, f fixture) {
		now, err := f.Now(t.Context())
		require.NoError(t, err)
		require.Equal(t, f.clock.Now(), now)
		f.clock.Advance(time.Hour)
		now, err = f.Now(t.Context())
		require.NoError(t, err)
		require.Equal(t, f.clock.Now(), now)
	},
}
