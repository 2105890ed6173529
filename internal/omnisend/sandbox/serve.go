package sandbox

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxBody is the largest request body in bytes. The figure is that of an older
// guide of Omnisend's; what it answers to more is not documented, 413 is ours.
const maxBody = 1_000_000

// firstVersion is the API version that the sandbox speaks. By a third party's
// account a date between releases means the nearest earlier one; older
// versions are taken for retired here.
const firstVersion = "2026-03-15"

// answer is what a request is answered with. A nil body is no body.
type answer struct {
	status int
	body   []byte
	html   bool
	broken bool // the connection is closed in place of an answer
}

// call is one request on its way.
type call struct {
	brand *brand
	key   Key
	route string // "GET /batches/{batchID}"; "other" for what is no route
	id    string // the {batchID}
	faults
	refused *answer // decided before the request was read
}

// endpoint is what answers one route.
type endpoint struct {
	permission string
	query      []string // parameters it knows; any other is answered with 400
	handle     func(s *Sandbox, c call, r *http.Request, body []byte) answer
}

var endpoints = map[string]endpoint{
	"GET /brands/current":          {BrandsRead, nil, (*Sandbox).currentBrand},
	"POST /batches":                {ContactsWrite, nil, (*Sandbox).createBatch},
	"GET /batches":                 {ContactsRead, listParameters, (*Sandbox).listBatches},
	"GET /batches/{batchID}":       {ContactsRead, nil, (*Sandbox).getBatch},
	"GET /batches/{batchID}/items": {ContactsRead, nil, (*Sandbox).getItems},
	"GET /contacts":                {ContactsRead, contactParameters, (*Sandbox).listContacts},
	"POST /contacts":               {ContactsWrite, nil, (*Sandbox).postContact},
	"PATCH /contacts":              {ContactsWrite, []string{"email"}, (*Sandbox).patchContact},
	"POST /contacts/tags":          {ContactsWrite, nil, (*Sandbox).addTags},
	"DELETE /contacts/tags":        {ContactsWrite, nil, (*Sandbox).removeTags},
	"GET /segments":                {SegmentsRead, []string{"limit", "after"}, (*Sandbox).listSegments},
	"POST /segments":               {SegmentsWrite, nil, (*Sandbox).createSegment},
}

func routeOf(r *http.Request) (name, id string) {
	path, ok := strings.CutPrefix(r.URL.Path, "/api")
	if !ok {
		return "other", ""
	}
	parts := strings.Split(path, "/")
	if len(parts) > 2 && parts[1] == "batches" && parts[2] != "" {
		id, parts[2] = parts[2], "{batchID}"
	}
	name = r.Method + " " + strings.Join(parts, "/")
	if _, ok := endpoints[name]; !ok {
		return "other", ""
	}
	return name, id
}

func (s *Sandbox) serveAPI(w http.ResponseWriter, r *http.Request) {
	c := s.admit(r)
	if c.slow > 0 {
		s.sleep(r.Context(), c.slow)
	}
	a := s.answer(c, r)
	if err := s.keep(); err != nil {
		a = *refusal(http.StatusInternalServerError, "problem", "The sandbox cannot write its file")
	}
	if c.brand != nil {
		s.mu.Lock()
		c.brand.stats.count(c.route, a)
		s.mu.Unlock()
	}
	if a.broken {
		panic(http.ErrAbortHandler) // net/http closes the connection without a word
	}
	kind := "application/json"
	if a.html {
		kind = "text/html; charset=utf-8"
	}
	if a.body != nil {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the client may be gone: its loss
}

// admit decides, when a request arrives, whose it is and what will become of it.
func (s *Sandbox) admit(r *http.Request) call {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	var c call
	c.route, c.id = routeOf(r)

	secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Omnisend-API-Key ")
	k, known := s.keys[secret]
	if !ok || !known || k.Revoked {
		s.unauthorized++
		// By a third party's observation the answer is the same for no key and a wrong one.
		c.refused = refusal(http.StatusUnauthorized, "unauthorized", "Unauthorized")
		return c
	}
	c.key, c.brand = k, s.brand(k.Brand)
	if n := c.brand.arrived.add(now); n > c.brand.peak {
		c.brand.peak = n
	}
	if limit := s.o.CallsPerMinute; limit > 0 {
		if c.brand.accepted.count(now) >= limit {
			c.refused = s.tooMany(c.brand, c.brand.accepted.freeAt(now, limit).Sub(now))
			return c
		}
		// Only accepted requests fill the window: a client that is turned away
		// and waits as told finds a free place.
		c.brand.accepted.add(now)
	}
	if c.refused = checkVersion(r.Header.Get("Omnisend-Version")); c.refused != nil {
		return c
	}
	c.faults = s.draw(c.route)
	switch {
	case c.route == "other":
		c.refused = refusal(http.StatusNotFound, "not-found", "Not found")
	case !k.may(endpoints[c.route].permission):
		c.refused = refusal(http.StatusForbidden, "forbidden", "Forbidden")
	}
	return c
}

func (k Key) may(permission string) bool {
	return len(k.Permissions) == 0 || slices.Contains(k.Permissions, permission)
}

func checkVersion(v string) *answer {
	if _, err := time.Parse(time.DateOnly, v); err != nil {
		a := invalid(fieldError{"Omnisend-Version", "required", "a version is required"})
		return &a
	}
	if v < firstVersion {
		return refusal(http.StatusGone, "problem", "Version retired")
	}
	return nil
}

// answer carries a request out, or not, as its faults will have it.
func (s *Sandbox) answer(c call, r *http.Request) answer {
	if c.brand != nil && c.before != "" {
		return s.faultyAnswer(c)
	}
	if c.refused != nil {
		return *c.refused
	}
	e := endpoints[c.route]
	for name, values := range r.URL.Query() {
		if !slices.Contains(e.query, name) || len(values) > 1 {
			return invalid(fieldError{"query", "unknown_parameter", "unknown or repeated parameter"})
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return *refusal(http.StatusRequestEntityTooLarge, "problem", "Payload too large")
		}
		return answer{broken: true} // the client went away
	}
	a := e.handle(s, c, r, body)
	switch c.after {
	case BreakAfter:
		return answer{broken: true}
	case GatewayTimeout:
		return page(http.StatusGatewayTimeout)
	case Truncated:
		a.body = a.body[:len(a.body)/2]
	}
	return a
}

// problem is Omnisend's error body: an RFC 9457 problem with what it adds.
type problem struct {
	Type       string       `json:"type"`
	Title      string       `json:"title"`
	Status     int          `json:"status"`
	Detail     string       `json:"detail"`
	Instance   string       `json:"instance"`
	Errors     []fieldError `json:"errors,omitempty"`
	RetryAfter *int         `json:"retryAfter,omitempty"`
}

type fieldError struct {
	Field   string `json:"field"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func newProblem(status int, slug, title string) problem {
	return problem{
		Type: "https://problems.omnisend.com/" + slug, Title: title, Status: status,
		// Free text of the far side may quote anything; this one says so, for
		// tests that look for it where it must not turn up.
		Detail:   "free text of the sandbox: " + title,
		Instance: "urn:omnisend:request:00000000-0000-0000-0000-000000000001",
	}
}

func refusal(status int, slug, title string) *answer {
	a := respond(status, newProblem(status, slug, title))
	return &a
}

func validation(fields []fieldError) problem {
	p := newProblem(http.StatusBadRequest, "validation-failed", "Validation failed")
	p.Errors = fields
	return p
}

func invalid(fields ...fieldError) answer {
	return respond(http.StatusBadRequest, validation(fields))
}

// tooMany is the answer over the limit; wait is when a place is free again.
func (s *Sandbox) tooMany(b *brand, wait time.Duration) *answer {
	b.stats.TooMany++
	p := newProblem(http.StatusTooManyRequests, "rate-limit-exceeded", "Rate limit exceeded")
	if !s.o.Faults.MuteRetryAfter {
		seconds := int((wait + time.Second - 1) / time.Second)
		p.RetryAfter = &seconds
	}
	a := respond(p.Status, p)
	return &a
}

func respond(status int, v any) answer {
	body, err := json.Marshal(v)
	if err != nil {
		panic("sandbox: " + err.Error()) // only what came in as JSON goes out
	}
	return answer{status: status, body: body}
}

func page(status int) answer {
	return answer{status: status, html: true, body: []byte("<html><head><title>" + http.StatusText(status) + "</title></head><body></body></html>")}
}
