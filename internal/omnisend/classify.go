package omnisend

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter is the longest wait that is believed of an answer. Omnisend's
// window is a minute, so anything above this is an error on the far side.
const MaxRetryAfter = 5 * time.Minute

// Answer is what came of one HTTP request, before anybody has judged it.
type Answer struct {
	Op     string      // "POST /batches"; ids left out: "GET /batches/{batchID}"
	Status int         // 0 when no answer came
	Header http.Header //
	Body   []byte      // whole, unless Err is set
	Err    error       // no answer, or an incomplete one; its text is safe to print
	Sent   bool        // bytes of the request may have reached the far side
}

// The operations of the client, as in Error.Op.
const (
	opBrand   = "GET /brands/current"
	opCreate  = "POST /batches"
	opList    = "GET /batches"
	opBatch   = "GET /batches/{batchID}"
	opItems   = "GET /batches/{batchID}/items"
	opContact = "GET /contacts"

	opCreateSegment = "POST /segments"
	opListSegments  = "GET /segments"
)

// Classify judges an answer: nil for a 2xx with a JSON object, else an *Error.
// It is pure, and the only place where a status becomes a Class:
//
//	no answer, 3xx, 408, 5xx                     retry
//	2xx with HTML, broken JSON or nothing        retry
//	429                                          wait
//	413 on POST /batches                         split
//	another 4xx with a body that is not JSON     retry: it speaks for a proxy, not for Omnisend
//	400, 422 on POST /batches                    split; park when it complains of the call and of no contact
//	401, 402, 403, 410                           park
//	404 on a batch                               gone
//	any other 4xx                                fail
//
// Unanswered is set for a POST whose effect nobody knows: sent and not
// answered, a 2xx that cannot be read, a gateway that gave up on its origin
// (502, 504, Cloudflare's 520, 522 and 524), or any 5xx whose body is not JSON.
// A JSON problem with 500 or 503 is Omnisend's own word that it was not done.
func Classify(a Answer) *Error {
	object := a.Err == nil && isObject(a.Body)
	if a.Status >= 200 && a.Status < 300 && object {
		return nil
	}
	e := &Error{Op: a.Op, Status: a.Status, Class: classOf(a, object), Cause: a.Err}
	e.Unanswered = unanswered(a, object)
	if object {
		p := parseProblem(a.Body)
		e.Fields, e.Instance, e.Sentence = p.fields, p.instance, p.sentence
		if e.Class == Split && a.Status != http.StatusRequestEntityTooLarge && ofTheCall(p.fields) {
			e.Class = Park // halving cannot help: each half is the same call
		}
		if e.Class == Wait {
			e.RetryAfter = p.retryAfter
		}
	}
	if e.Class == Wait && e.RetryAfter == 0 {
		e.RetryAfter = headerRetryAfter(a.Header)
	}
	return e
}

func classOf(a Answer, object bool) Class {
	switch s := a.Status; {
	case s < 400, s == http.StatusRequestTimeout, s >= 500:
		return Retry
	case s == http.StatusTooManyRequests:
		return Wait
	case s == http.StatusRequestEntityTooLarge && a.Op == opCreate:
		return Split
	case !object && (a.Err != nil || len(bytes.TrimSpace(a.Body)) > 0):
		return Retry
	case (s == http.StatusBadRequest || s == http.StatusUnprocessableEntity) && a.Op == opCreate:
		return Split
	case s == http.StatusUnauthorized, s == http.StatusPaymentRequired, s == http.StatusForbidden, s == http.StatusGone:
		return Park
	case s == http.StatusNotFound && (a.Op == opBatch || a.Op == opItems):
		return Gone
	default:
		return Fail
	}
}

// ofTheCall says that there are complaints and that none is of a contact: the
// endpoint, the method, the origin, the version. A path that is not readable may
// be a contact's.
func ofTheCall(fields []FieldError) bool {
	return len(fields) > 0 && !slices.ContainsFunc(fields, func(f FieldError) bool {
		return f.Field == "" || f.Field == "?" || contactPath.MatchString(f.Field)
	})
}

// contactPath is the path of a contact of a call, or, as in the answer of a
// single item, of one of its members that can be wrong in one contact only.
var contactPath = regexp.MustCompile(`^(items|identifiers|customProperties|tags)([.\[]|$)`)

func unanswered(a Answer, object bool) bool {
	if !strings.HasPrefix(a.Op, http.MethodPost+" ") {
		return false
	}
	switch s := a.Status; {
	case s == 0:
		return a.Sent
	case s >= 200 && s < 300:
		return true
	case s == http.StatusBadGateway, s == http.StatusGatewayTimeout, s == 520, s == 522, s == 524:
		return true
	default:
		return s >= 500 && !object
	}
}

// unreadable is the verdict on a 2xx whose JSON is not what the contract says.
func unreadable(a Answer) *Error {
	e := &Error{Op: a.Op, Status: a.Status, Class: Retry, Cause: errShape}
	e.Unanswered = unanswered(a, false)
	return e
}

func isObject(body []byte) bool {
	body = bytes.TrimLeft(body, " \t\r\n")
	return len(body) > 0 && body[0] == '{' && json.Valid(body)
}

// problem is the safe part of an error body.
type problem struct {
	status     int
	fields     []FieldError
	instance   string
	retryAfter time.Duration
	sentence   string // free text; may quote what was sent
}

// wireProblem is both error bodies in one: the RFC 9457 problem of version
// 2026-03-15 and the {error, fields} of the older ones, which an item of a
// batch may still carry. Every member stays raw, so that one of an unexpected
// type does not hide the others.
type wireProblem struct {
	Status     json.RawMessage `json:"status"`
	Instance   json.RawMessage `json:"instance"`
	RetryAfter json.RawMessage `json:"retryAfter"`
	Errors     json.RawMessage `json:"errors"`
	Fields     json.RawMessage `json:"fields"`
	Detail     json.RawMessage `json:"detail"`
	Error      json.RawMessage `json:"error"`
}

// maxFields bounds what an error carries; the first few tell enough.
const maxFields = 10

// parseProblem reads an error body: paths, codes and the request's id, which may
// be shown, and its own words, which may quote what was sent.
func parseProblem(body []byte) problem {
	var w wireProblem
	if json.Unmarshal(body, &w) != nil {
		return problem{}
	}
	var p problem
	_ = json.Unmarshal(w.Status, &p.status)
	p.retryAfter = seconds(w.RetryAfter)
	var instance string
	if json.Unmarshal(w.Instance, &instance) == nil && safeInstance.MatchString(instance) {
		p.instance = instance
	}
	p.fields = parseFields(w.Errors)
	if len(p.fields) == 0 {
		p.fields = parseFields(w.Fields)
	}
	p.sentence = sentence(w)
	return p
}

// maxSentence bounds the words of an answer that are kept, in bytes.
const maxSentence = 500

// sentence is what an error body says in words: the messages of its complaints,
// or else the whole body's.
func sentence(w wireProblem) string {
	var complaints []struct {
		Message string `json:"message"`
	}
	_ = json.Unmarshal(w.Errors, &complaints)
	var said []string
	for _, c := range complaints[:min(len(complaints), maxFields)] {
		if c.Message != "" && !slices.Contains(said, c.Message) {
			said = append(said, c.Message)
		}
	}
	for _, raw := range []json.RawMessage{w.Error, w.Detail} {
		var text string
		if len(said) == 0 && json.Unmarshal(raw, &text) == nil && text != "" {
			said = append(said, text)
		}
	}
	text := strings.Join(said, "; ")
	if len(text) > maxSentence {
		text = strings.ToValidUTF8(text[:maxSentence], "") + "…"
	}
	return text
}

func parseFields(raw json.RawMessage) []FieldError {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		// {"fields": {"PATH": "text"}}
		var byPath map[string]json.RawMessage
		if json.Unmarshal(raw, &byPath) != nil {
			return nil
		}
		for _, path := range slices.Sorted(maps.Keys(byPath)) {
			one, _ := json.Marshal(map[string]string{"field": path})
			list = append(list, one)
		}
	}
	var out []FieldError
	for _, one := range list[:min(len(list), maxFields)] {
		var f struct {
			Field string `json:"field"`
			Code  string `json:"code"`
		}
		_ = json.Unmarshal(one, &f)
		if f.Field == "" && f.Code == "" {
			continue
		}
		out = append(out, FieldError{Field: safeText(safePath, f.Field), Code: safeText(safeCode, f.Code)})
	}
	return out
}

var (
	safePath     = regexp.MustCompile(`^[A-Za-z0-9_.\[\]-]{1,160}$`)
	safeCode     = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`)
	safeInstance = regexp.MustCompile(`^urn:[a-z]+:request:[0-9A-Za-z-]{1,64}$`)
	// A run of digits this long is no index, but could be a telephone number.
	longNumber = regexp.MustCompile(`[0-9]{6}`)
)

// safeText lets through what looks like a path or a code, and "?" in place of
// anything else: it could be a value.
func safeText(pattern *regexp.Regexp, s string) string {
	switch {
	case s == "":
		return ""
	case !pattern.MatchString(s), longNumber.MatchString(s):
		return "?"
	default:
		return s
	}
}

// seconds reads a JSON number, or a string that holds one, as a wait.
func seconds(raw json.RawMessage) time.Duration {
	return clampSeconds(strings.Trim(string(raw), `"`))
}

func clampSeconds(text string) time.Duration {
	n, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil && n == 0, !(n > 0): // not a number, or NaN, or not positive
		return 0
	case n > MaxRetryAfter.Seconds():
		return MaxRetryAfter
	default:
		return time.Duration(n * float64(time.Second))
	}
}

// headerRetryAfter reads Retry-After, which Omnisend does not document but a
// proxy may send: seconds, or a date, which counts from the answer's own Date.
func headerRetryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if value == "" {
		return 0
	}
	if until, err := http.ParseTime(value); err == nil {
		from, err := http.ParseTime(h.Get("Date"))
		if err != nil {
			return 0
		}
		return min(max(until.Sub(from), 0), MaxRetryAfter)
	}
	return clampSeconds(value)
}
