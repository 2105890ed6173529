package dataverse

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/segment-export/segment-export/internal/segment"
)

const (
	// mostPause is how long a reader waits in place while the login is limited;
	// a longer wait is handed to the caller, who keeps no worker busy with it.
	mostPause = 20 * time.Second
	// unknownPause is the wait when a 429 does not say how long.
	unknownPause = 30 * time.Second
	// calm is after how many good answers one more request is made at once.
	calm = 8
)

// gate holds the requests of one login back. Dataverse counts requests, server
// time and concurrency for each user, whatever the user reads and however it
// logs in, so all sources of this process with the same login share one. Other
// processes have gates of their own and meet the same 429s: what one may ask at
// once is a ninth of what Dataverse allows. After a 429 nobody asks until
// the time is over, since asking lengthens it; then one request is made at a
// time, and more with each few good answers.
type gate struct {
	mu      sync.Mutex
	until   time.Time
	allowed int
	running int
	good    int
	freed   chan struct{} // closed when a place may be free
}

var (
	gatesMu sync.Mutex
	gates   = map[string]*gate{}
)

// gateOf returns the gate of the identity that logs in with the settings.
func gateOf(c Config) *gate {
	key := origin(c.URL) + " " + strings.ToLower(c.ClientID)
	if c.ClientID == "" { // the machine's own identity, or the user who is logged in
		key += string(c.Auth) + " " + c.Tenant
	}
	gatesMu.Lock()
	defer gatesMu.Unlock()
	g := gates[key]
	if g == nil {
		g = &gate{allowed: mostParallel, freed: make(chan struct{})}
		gates[key] = g
	}
	return g
}

// enter waits its turn. It returns a *segment.BusyError when the login is held
// back for longer than a reader waits in place.
func (g *gate) enter(ctx context.Context, clock Clock) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		g.mu.Lock()
		wait := g.until.Sub(clock.Now())
		freed := g.freed
		if wait <= 0 && g.running < g.allowed {
			g.running++
			g.mu.Unlock()
			return nil
		}
		g.mu.Unlock()
		switch {
		case wait > mostPause:
			return &segment.BusyError{Reason: "Dataverse holds this login back for now (service protection limits)", RetryAfter: wait}
		case wait > 0:
			if err := clock.Sleep(ctx, wait); err != nil {
				return err
			}
		default:
			select {
			case <-freed:
			case <-ctx.Done():
			}
		}
	}
}

// leave gives the place back; good says that the answer was no fault.
func (g *gate) leave(good bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	if good {
		g.good++
	}
	if g.good >= calm && g.allowed < mostParallel {
		g.allowed++
		g.good = 0
	}
	close(g.freed)
	g.freed = make(chan struct{})
}

// pause holds everybody back for a while after a 429.
func (g *gate) pause(now time.Time, wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if until := now.Add(wait); until.After(g.until) {
		g.until = until
	}
	g.allowed, g.good = 1, 0
}
