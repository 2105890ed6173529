// Package sandbox is a stand-in for the Omnisend API, version 2026-03-15, for
// tests, demonstrations and benchmarks: the part of it that a bulk export of
// contacts meets, kept in memory and on demand in a file, with faults to switch on.
//
// It answers below /api as Omnisend's documents say, and is strict where they
// are silent: what a client gets away with here it should get away with there.
// Below /sandbox it can be watched and steered over HTTP (see admin.go); Go
// tests use the methods of Sandbox.
//
// Where the documents leave a behaviour open, the comment beside the code says
// whose observation or guess it follows.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Permissions that a key may have, named as Omnisend names its scopes.
const (
	BrandsRead    = "brands.read"
	ContactsRead  = "contacts.read"
	ContactsWrite = "contacts.write"
	SegmentsRead  = "segments.read"
	SegmentsWrite = "segments.write"
)

var permissions = []string{BrandsRead, ContactsRead, ContactsWrite, SegmentsRead, SegmentsWrite}

// Key is an API key of one brand. A brand may have several; they share its
// contacts, its batches and its limit.
type Key struct {
	Key         string   `json:"key"`
	Brand       string   `json:"brand"`                 // the brand's id
	Permissions []string `json:"permissions,omitempty"` // empty: all
	Revoked     bool     `json:"revoked,omitempty"`     // answers 401
}

// Options configure a Sandbox. The zero value has no key and no limit, and
// finishes batches at once.
type Options struct {
	Keys []Key
	// CallsPerMinute is how many requests a brand may make in any 60 seconds,
	// all keys and routes together; 0 is no limit. Omnisend's is 400.
	CallsPerMinute int
	// BatchDelay is the time from a batch's arrival to its end; it is
	// "inProgress" in the second half of it.
	BatchDelay time.Duration
	// CountOnly keeps of a batch only its summary: contacts are counted, not
	// checked and not stored, and every batch ends at once without errors.
	CountOnly bool
	// TrackReceived counts how often each address arrived in a batch, and how
	// often it arrived while it was in another batch not yet processed. Without
	// effect with CountOnly.
	TrackReceived bool
	// RandomList lists batches in a new random order with every request;
	// otherwise the newest is first. Omnisend promises no order.
	RandomList bool
	// HideOrigin leaves a batch's origin out of what is answered: Omnisend does
	// not promise to repeat it.
	HideOrigin bool
	// AsDocumented makes answers as Omnisend's documents allow them. Otherwise they
	// are as the live service was seen to give them: null for a page that is not
	// there and for no custom properties, "" for no gender, one sentence about a
	// channel that is missing.
	AsDocumented bool
	// File is an SQLite file that contacts, batches and segments are kept in, for
	// the next sandbox with the same file; empty: nowhere. Close closes it.
	File   string
	Faults Faults
	Seed   uint64                               // of all randomness
	Now    func() time.Time                     // nil: time.Now
	Sleep  func(context.Context, time.Duration) // of slow answers; nil: a real timer
}

// Sandbox is the stand-in; it is an http.Handler. All its methods may be
// called at any time by several goroutines at once.
type Sandbox struct {
	now   func() time.Time
	sleep func(context.Context, time.Duration)

	mu           sync.Mutex
	o            Options
	random       *rand.Rand
	keys         map[string]Key
	brands       map[string]*brand
	triggers     []Trigger
	lastID       uint64
	unauthorized int
	kept         *keeper // nil: nothing is kept
}

// brand is one account's shop with all that is in it.
type brand struct {
	id       string
	accepted window // requests that count against the limit
	arrived  window // all requests, for the peak
	tagging  [2]window
	segments [2]window // reading and making them
	peak     int

	batches  []*batch // by arrival
	byID     map[string]*batch
	open     []*batch // not processed yet
	contacts map[string]*Contact
	rules    []*Segment        // by time
	phones   map[string]string // number to the contact's address
	stats    Stats
	inOpen   map[string]int // with TrackReceived: address to open batches it is in
}

// New makes a sandbox.
func New(o Options) (*Sandbox, error) {
	s := &Sandbox{
		o: o, now: o.Now, sleep: o.Sleep,
		random: rand.New(rand.NewPCG(o.Seed, o.Seed)),
		keys:   map[string]Key{}, brands: map[string]*brand{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.sleep == nil {
		s.sleep = sleep
	}
	if err := o.Faults.check(); err != nil {
		return nil, err
	}
	for _, k := range o.Keys {
		if err := s.SetKey(k); err != nil {
			return nil, err
		}
	}
	if o.File == "" {
		return s, nil
	}
	var err error
	if s.kept, err = openKeeper(o.File); err != nil {
		return nil, fmt.Errorf("sandbox: %s: %w", o.File, err)
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: %s: %w", o.File, err), s.Close())
	}
	return s, nil
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// SetKey adds a key or replaces it: to revoke it, to restore it, to give it
// other permissions, or to move it to another brand.
func (s *Sandbox) SetKey(k Key) error {
	if k.Key == "" || k.Brand == "" {
		return errors.New("sandbox: a key needs the key itself and a brand")
	}
	for _, p := range k.Permissions {
		if !slices.Contains(permissions, p) {
			return fmt.Errorf("sandbox: no such permission: %q", p)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k.Permissions = slices.Clone(k.Permissions)
	s.keys[k.Key] = k
	s.brand(k.Brand)
	return nil
}

// Revoke makes a key answer 401 from now on; an unknown key stays unknown.
func (s *Sandbox) Revoke(key string) { s.setRevoked(key, true) }

// Restore makes a revoked key valid again.
func (s *Sandbox) Restore(key string) { s.setRevoked(key, false) }

func (s *Sandbox) setRevoked(key string, revoked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.keys[key]; ok {
		k.Revoked = revoked
		s.keys[key] = k
	}
}

// SetCallsPerMinute changes the limit of every brand; 0 is no limit.
func (s *Sandbox) SetCallsPerMinute(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.o.CallsPerMinute = n
}

// SetBatchDelay changes how long batches take that arrive from now on.
func (s *Sandbox) SetBatchDelay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.o.BatchDelay = d
}

// brand finds or makes a brand. The caller holds the lock, as with all methods
// of this package that are not exported and say nothing else.
func (s *Sandbox) brand(id string) *brand {
	b := s.brands[id]
	if b == nil {
		b = &brand{
			id: id, byID: map[string]*batch{}, contacts: map[string]*Contact{},
			phones: map[string]string{}, inOpen: map[string]int{}, stats: newStats(),
		}
		s.brands[id] = b
	}
	return b
}

// newID makes an id of 24 hexadecimal digits, as those in Omnisend's examples.
func (s *Sandbox) newID(now time.Time) string {
	s.lastID++
	return fmt.Sprintf("%08x%016x", uint32(now.Unix()), s.lastID)
}

// ServeHTTP answers the API below /api and the steering below /sandbox.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isAdmin(r.URL.Path) {
		s.serveAdmin(w, r)
		return
	}
	s.serveAPI(w, r)
}
