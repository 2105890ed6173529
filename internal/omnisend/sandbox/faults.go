package sandbox

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"slices"
	"time"
)

// Fault is something that goes wrong with one request.
type Fault string

// The faults. Before and after say whether the request takes effect.
const (
	TooMany        Fault = "too_many"        // before: 429
	ServerError    Fault = "server_error"    // before: 500 with a problem
	Unavailable    Fault = "unavailable"     // before: 503 with a problem
	Retired        Fault = "retired"         // before: 410
	BadGateway     Fault = "bad_gateway"     // before: 502 with HTML
	HTMLPage       Fault = "html_page"       // before: 200 with HTML
	BreakBefore    Fault = "break_before"    // before: the connection is closed
	BreakAfter     Fault = "break_after"     // after: the connection is closed
	GatewayTimeout Fault = "gateway_timeout" // after: 504 with HTML
	Truncated      Fault = "truncated"       // after: half of the JSON
	SlowAnswer     Fault = "slow_answer"     // after SlowSeconds all goes well
	SlowBatch      Fault = "slow_batch"      // POST /batches: ends SlowBatchSeconds later
	StoppedBatch   Fault = "stopped_batch"   // POST /batches: stops after half of its items
)

// Each request meets at most one fault of this list, drawn in its order.
var answerFaults = []Fault{
	TooMany, ServerError, Unavailable, Retired, BadGateway, HTMLPage, BreakBefore,
	BreakAfter, GatewayTimeout, Truncated,
}

var otherFaults = []Fault{SlowAnswer, SlowBatch, StoppedBatch}

// Faults say what goes wrong, and how often.
type Faults struct {
	// Rates are the probabilities, 0 to 1, with which a request meets a fault.
	Rates map[Fault]float64 `json:"rates,omitempty"`
	// SlowSeconds is how long a slow answer takes.
	SlowSeconds float64 `json:"slow_seconds,omitempty"`
	// SlowBatchSeconds is added to the BatchDelay of a slow batch.
	SlowBatchSeconds float64 `json:"slow_batch_seconds,omitempty"`
	// MuteRetryAfter leaves retryAfter out of every 429: by Omnisend's words it
	// is there on some endpoints only.
	MuteRetryAfter bool `json:"mute_retry_after,omitempty"`
	// StopAfterErrors stops a batch at this many errors and leaves the rest of
	// its items undone; 0 is never. Omnisend's own threshold is not known.
	StopAfterErrors int `json:"stop_after_errors,omitempty"`
	// EndlessList names a next page of batches on every page.
	EndlessList bool `json:"endless_list,omitempty"`
	// PoisonCalls are addresses or names of properties, in lower case, that
	// make every POST /batches with one of them answer 400 as a whole.
	PoisonCalls []string `json:"poison_calls,omitempty"`
	// PoisonItems are such that make only their own item fail.
	PoisonItems []string `json:"poison_items,omitempty"`
	// ItemRefused is the share of addresses, 0 to 1, whose items fail with
	// 400: always the same addresses.
	ItemRefused float64 `json:"item_refused,omitempty"`
	// ItemBusy is the probability, 0 to 1, that an item fails with 503.
	ItemBusy float64 `json:"item_busy,omitempty"`
}

func (f Faults) check() error {
	for name, rate := range f.Rates {
		if !slices.Contains(answerFaults, name) && !slices.Contains(otherFaults, name) {
			return fmt.Errorf("sandbox: no such fault: %q", name)
		}
		if !(rate >= 0 && rate <= 1) {
			return fmt.Errorf("sandbox: the rate of %s is not between 0 and 1", name)
		}
	}
	if f.SlowSeconds < 0 || f.SlowBatchSeconds < 0 || f.StopAfterErrors < 0 || f.ItemRefused < 0 || f.ItemBusy < 0 {
		return errors.New("sandbox: a fault has a negative number")
	}
	return nil
}

// SetFaults replaces all faults; triggers stay.
func (s *Sandbox) SetFaults(f Faults) error {
	if err := f.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Rates = maps.Clone(f.Rates)
	s.o.Faults = f
	return nil
}

// Faults returns the faults in force.
func (s *Sandbox) Faults() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.o.Faults
	f.Rates = maps.Clone(f.Rates)
	return f
}

// Trigger makes chosen requests meet a fault, whatever the rates say.
type Trigger struct {
	Fault Fault  `json:"fault"`
	Route string `json:"route,omitempty"` // "POST /batches"; empty: any
	Skip  int    `json:"skip,omitempty"`  // let this many requests of the route pass first
	Times int    `json:"times,omitempty"` // then hit this many; 0 is 1
}

// Inject adds a trigger. Each request is counted by the first trigger of its
// route only; a spent trigger goes away.
func (s *Sandbox) Inject(t Trigger) error {
	if err := (Faults{Rates: map[Fault]float64{t.Fault: 1}}).check(); err != nil {
		return err
	}
	if _, ok := endpoints[t.Route]; t.Route != "" && !ok {
		return fmt.Errorf("sandbox: no such route: %q", t.Route)
	}
	if t.Times <= 0 {
		t.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.triggers = append(s.triggers, t)
	return nil
}

// faults are what one request will meet.
type faults struct {
	before, after Fault
	slow          time.Duration
	slowBatch     time.Duration
	stopHalfway   bool
}

func (f *faults) set(name Fault, all Faults) {
	switch name {
	case SlowAnswer:
		f.slow = seconds(all.SlowSeconds)
	case SlowBatch:
		f.slowBatch = seconds(all.SlowBatchSeconds)
	case StoppedBatch:
		f.stopHalfway = true
	case BreakAfter, GatewayTimeout, Truncated:
		f.after = name
	default:
		f.before = name
	}
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func (s *Sandbox) draw(route string) faults {
	var f faults
	for i := range s.triggers {
		t := &s.triggers[i]
		if t.Route != "" && t.Route != route {
			continue
		}
		if t.Skip > 0 {
			t.Skip--
			break
		}
		f.set(t.Fault, s.o.Faults)
		if t.Times--; t.Times == 0 {
			s.triggers = slices.Delete(s.triggers, i, i+1)
		}
		return f
	}
	for _, name := range otherFaults {
		if s.hit(s.o.Faults.Rates[name]) {
			f.set(name, s.o.Faults)
		}
	}
	for _, name := range answerFaults {
		if s.hit(s.o.Faults.Rates[name]) {
			f.set(name, s.o.Faults)
			break
		}
	}
	return f
}

func (s *Sandbox) hit(rate float64) bool { return rate > 0 && s.random.Float64() < rate }

// faultyAnswer is the answer to a request that takes no effect.
func (s *Sandbox) faultyAnswer(c call) answer {
	switch c.before {
	case TooMany:
		s.mu.Lock()
		defer s.mu.Unlock()
		return *s.tooMany(c.brand, time.Second)
	case ServerError:
		return *refusal(http.StatusInternalServerError, "problem", "Internal server error")
	case Unavailable:
		return *refusal(http.StatusServiceUnavailable, "problem", "Service unavailable")
	case Retired:
		return *refusal(http.StatusGone, "problem", "Version retired")
	case BadGateway:
		return page(http.StatusBadGateway)
	case HTMLPage:
		return page(http.StatusOK)
	default:
		return answer{broken: true}
	}
}

// refusedByChance says whether an address is among those that ItemRefused
// makes fail.
func refusedByChance(email string, share float64) bool {
	if share <= 0 {
		return false
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(email))
	return float64(h.Sum64()%1_000_000) < share*1_000_000
}
