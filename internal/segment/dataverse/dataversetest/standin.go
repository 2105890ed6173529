// Package dataversetest is a local stand-in for a Dataverse environment with Customer
// Insights - Data, and for the Microsoft Entra tenant that lets programs in:
// for tests and for trying out, on loopback, with invented customers only.
//
// It is as strict as what is known of the real thing and nowhere kinder. It
// answers GET alone. A filter may use the operators that are documented for a
// column's type: primary keys cannot be compared by order. An answer has 5,000
// rows at most, of a virtual table 1,000 and then nothing says that there are
// more. A link to the next page works as it was given, with the same page size,
// until it expires; every page is a look at the data as they are then. Text is
// compared without regard to letter case in standard tables. The three limits
// of service protection hold for each user, and asking in spite of them makes
// the wait longer. What is not documented, such as the code of an expired link,
// is marked so where it is made.
package dataversetest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// Kind is how a table is stored.
type Kind string

// The kinds.
const (
	Standard Kind = "Standard"
	Elastic  Kind = "Elastic"
	Virtual  Kind = "Virtual"
)

// Options are what an environment is like.
type Options struct {
	Kind Kind             // of the tables of Customer Insights; empty: Standard
	Now  func() time.Time // nil: the real time
	// BackslashQuotes: the filter for a segment's name wants a backslash before
	// each quote, as the documentation shows it, and finds nothing without.
	BackslashQuotes bool
	// MetadataForbidden: the role of a Viewer may not read the private table.
	MetadataForbidden bool
	// MetadataMissing: there is no such table.
	MetadataMissing bool
	// LinkLife is how long a link to the next page works; 0: an hour.
	LinkLife time.Duration
	// PageRows is how many rows a page has at most, whatever is asked for; 0:
	// what the kind of the table allows.
	PageRows int
	// NoSort: the tables cannot be sorted by the time of their last change.
	NoSort bool
	Limits Limits
}

// Server is a running stand-in.
type Server struct {
	*httptest.Server

	options Options
	mu      sync.Mutex
	apps    map[string]*App
	tokens  map[string]token
	metered map[string]*meter // by client id
	tables  map[string]*table
	links   map[string]link
	serial  int

	requests []Request
	faults   []Fault
}

// Request is one that was made, for tests to look at.
type Request struct {
	Method, Path, Query, Prefer, Client string
	Status                              int
}

// Fault is something that goes wrong with a coming request.
type Fault struct {
	Path  string        // a part of the path that the request must have
	Skip  int           // how many such requests go well before
	Times int           // how often it happens; 0: once
	Do    http.Handler  // answers in place of the environment
	Cut   int           // breaks the connection after so many bytes of the real answer
	After func(*Server) // happens after the request was answered
}

// Start starts a stand-in on loopback, with TLS.
func Start(o Options) *Server {
	if o.Kind == "" {
		o.Kind = Standard
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.LinkLife == 0 {
		o.LinkLife = time.Hour
	}
	o.Limits.defaults()
	s := &Server{options: o, apps: map[string]*App{}, tokens: map[string]token{}, metered: map[string]*meter{}, links: map[string]link{}}
	s.tables = newTables(o)
	s.Server = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	return s
}

// Requests returns the requests to the Web API so far, refused ones too.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Break makes something go wrong; several faults are looked at in their order.
func (s *Server) Break(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Times = max(f.Times, 1)
	s.faults = append(s.faults, f)
}

// Repair removes all faults.
func (s *Server) Repair() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// SetPageRows changes how many rows a page has at most.
func (s *Server) SetPageRows(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.PageRows = n
}

// RevokeTokens makes every token that was given invalid.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// ExpireLinks makes every link to a next page that was given invalid.
func (s *Server) ExpireLinks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.links)
}

const apiPath = "/api/data/v9.2/"

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	w.Header()["Date"] = []string{s.options.Now().UTC().Format(http.TimeFormat)}
	if !strings.HasPrefix(r.URL.Path, apiPath) {
		s.serveEntra(w, r)
		return
	}
	made := Request{Method: r.Method, Path: strings.TrimPrefix(r.URL.Path, apiPath), Query: r.URL.RawQuery, Prefer: r.Header.Get("Prefer")}
	fault, broken := s.fault(r)
	out := &recorder{header: http.Header{}, status: http.StatusOK}
	if broken && fault.Do != nil {
		fault.Do.ServeHTTP(out, r)
	} else {
		made.Client = s.serveAPI(out, r)
	}
	made.Status = out.status
	s.mu.Lock()
	s.requests = append(s.requests, made)
	s.mu.Unlock()
	for name, values := range out.header {
		w.Header()[name] = values
	}
	body := out.body.String()
	if broken && fault.Cut > 0 {
		cut(w, out.status, body, fault.Cut)
	} else {
		w.WriteHeader(out.status)
		_, _ = w.Write([]byte(body))
	}
	if broken && fault.After != nil {
		fault.After(s)
	}
}

// recorder keeps an answer until it is known how much of it arrives.
type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// cut sends the beginning of an answer and then breaks the connection.
func cut(w http.ResponseWriter, status int, body string, after int) {
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body[:min(after, len(body))]))
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func (s *Server) fault(r *http.Request) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.faults {
		f := &s.faults[i]
		if f.Times == 0 || !strings.Contains(r.URL.Path, f.Path) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			return Fault{}, false
		}
		f.Times--
		return *f, true
	}
	return Fault{}, false
}

// answerJSON writes an answer.
func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; odata.metadata=minimal")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// refuse writes an error as the Web API does.
func refuse(w http.ResponseWriter, status int, code, message string) {
	answerJSON(w, status, map[string]any{"error": map[string]string{"code": code, "message": message}})
}
