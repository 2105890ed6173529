package sandbox

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The steering of a sandbox over HTTP, all in JSON. Bodies and answers are the
// types of this package. Nothing here needs a key or counts against a limit;
// a key never comes back out.
//
//	GET    /sandbox/state              what there is: settings, brands, counts
//	GET    /sandbox/stats?brand=ID     Stats of a brand
//	GET    /sandbox/contacts?brand=ID[&email=ADDRESS]   contacts by address
//	POST   /sandbox/contacts?brand=ID  seeds a list of contacts ([]Contact)
//	GET    /sandbox/faults             Faults in force
//	POST   /sandbox/faults             replaces all of them; {} is none
//	POST   /sandbox/triggers           adds a Trigger
//	POST   /sandbox/keys               adds or replaces a Key
//	POST   /sandbox/settings           changes those of Settings that are given
//
// POST answers 204, or 400 with {"error": "..."}.

// Settings are what can be changed while the sandbox runs.
type Settings struct {
	CallsPerMinute    *int     `json:"calls_per_minute,omitempty"` // 0: no limit
	BatchDelaySeconds *float64 `json:"batch_delay_seconds,omitempty"`
}

// State is what GET /sandbox/state answers.
type State struct {
	CallsPerMinute    int          `json:"calls_per_minute"`
	BatchDelaySeconds float64      `json:"batch_delay_seconds"`
	CountOnly         bool         `json:"count_only"`
	Unauthorized      int          `json:"unauthorized"` // requests without a valid key
	Brands            []BrandState `json:"brands"`
}

// BrandState is a brand in a State.
type BrandState struct {
	Brand    string         `json:"brand"`
	Keys     int            `json:"keys"` // not revoked
	Contacts int            `json:"contacts"`
	Batches  map[string]int `json:"batches"` // by status
}

// State tells what there is in the sandbox.
func (s *Sandbox) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	out := State{
		CallsPerMinute: s.o.CallsPerMinute, BatchDelaySeconds: s.o.BatchDelay.Seconds(),
		CountOnly: s.o.CountOnly, Unauthorized: s.unauthorized, Brands: []BrandState{},
	}
	for id, b := range s.brands {
		s.advance(b, now)
		state := BrandState{Brand: id, Contacts: len(b.contacts), Batches: map[string]int{}}
		for _, k := range s.keys {
			if k.Brand == id && !k.Revoked {
				state.Keys++
			}
		}
		for _, t := range b.batches {
			state.Batches[t.status(now)]++
		}
		out.Brands = append(out.Brands, state)
	}
	slices.SortFunc(out.Brands, func(a, b BrandState) int { return strings.Compare(a.Brand, b.Brand) })
	return out
}

func isAdmin(path string) bool { return strings.HasPrefix(path, "/sandbox/") }

func (s *Sandbox) serveAdmin(w http.ResponseWriter, r *http.Request) {
	brandID := r.URL.Query().Get("brand")
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, "/sandbox/") {
	case "GET state":
		reply(w, s.State())
	case "GET stats":
		reply(w, s.Stats(brandID))
	case "GET contacts":
		all := s.Contacts(brandID)
		if email := strings.ToLower(r.URL.Query().Get("email")); email != "" {
			c, ok := all[email]
			all = map[string]Contact{}
			if ok {
				all[email] = c
			}
		}
		reply(w, all)
	case "POST contacts":
		steer(w, r, func(list []Contact) error {
			if brandID == "" {
				return errors.New("the query parameter brand is missing")
			}
			s.Seed(brandID, list...)
			return s.keep()
		})
	case "GET faults":
		reply(w, s.Faults())
	case "POST faults":
		steer(w, r, s.SetFaults)
	case "POST triggers":
		steer(w, r, s.Inject)
	case "POST keys":
		steer(w, r, s.SetKey)
	case "POST settings":
		steer(w, r, s.change)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *Sandbox) change(set Settings) error {
	if n := set.CallsPerMinute; n != nil {
		if *n < 0 {
			return errors.New("calls_per_minute is negative")
		}
		s.SetCallsPerMinute(*n)
	}
	if n := set.BatchDelaySeconds; n != nil {
		if *n < 0 {
			return errors.New("batch_delay_seconds is negative")
		}
		s.SetBatchDelay(time.Duration(*n * float64(time.Second)))
	}
	return nil
}

// steer reads a T and does something with it. Unknown members are refused: a
// misspelt fault would otherwise be a test that tests nothing.
func steer[T any](w http.ResponseWriter, r *http.Request, do func(T) error) {
	var v T
	d := json.NewDecoder(io.LimitReader(r.Body, 64<<20))
	d.DisallowUnknownFields()
	err := d.Decode(&v)
	if err == nil {
		err = do(v)
	}
	if err != nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
