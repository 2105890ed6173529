// Package contract holds what the project relies on of the Omnisend API,
// version 2026-03-15, and checks requests and answers against it. Tests hold
// both the client and the sandbox to it, so that the two cannot agree on
// something that Omnisend never said.
//
// contract.json was made from Omnisend's OpenAPI documents for batches, brands,
// contacts and segments: routes, parameters, fields, types, enums, limits and answers,
// without their prose. What the documents leave out and we take from elsewhere
// stands in this file, with its reason.
package contract

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

//go:embed contract.json
var document []byte

type contract struct {
	Version string            `json:"version"`
	Routes  map[string]route  `json:"routes"`
	Schemas map[string]schema `json:"schemas"`
}

type route struct {
	Query     map[string]parameter `json:"query"`
	Request   string               `json:"request"`   // schema; empty: no body
	Responses map[int]string       `json:"responses"` // status to schema; empty: no body
}

type parameter struct {
	Type     string   `json:"type"`
	Required bool     `json:"required"`
	Enum     []string `json:"enum"`
	Minimum  *int     `json:"minimum"`
	Maximum  *int     `json:"maximum"`
}

var held = load()

func load() contract {
	var c contract
	if err := json.Unmarshal(document, &c); err != nil {
		panic("contract.json: " + err.Error()) // embedded: a test would have failed
	}
	for name, properties := range nullable {
		for _, property := range properties {
			sub := c.Schemas[name].Properties[property]
			sub.Nullable = true
			c.Schemas[name].Properties[property] = sub
		}
	}
	gender := c.Schemas["ContactResponse"].Properties["gender"]
	gender.Enum = append(gender.Enum, "")
	c.Schemas["ContactResponse"].Properties["gender"] = gender
	return c
}

// nullable are members of answers that hold null in live answers, as the tests
// of another integration (Nango's) record, though the documents do not allow it.
// A contact without a gender has "" there.
var nullable = map[string][]string{
	"Paging":          {"next", "previous"},
	"ContactResponse": {"customProperties"},
	"PagingResponse":  {"cursors"},
}

// everywhere are answers that a route may give without declaring them: the
// conventions that Omnisend publishes beside the documents say that 401, 410
// and 429 are global; 404, 413 and 503 are ours, for unknown paths, bodies too
// large and an API under maintenance.
var everywhere = map[int]string{
	http.StatusUnauthorized:          "Problem",
	http.StatusForbidden:             "Problem",
	http.StatusNotFound:              "Problem",
	http.StatusGone:                  "Problem",
	http.StatusRequestEntityTooLarge: "Problem",
	http.StatusTooManyRequests:       "RateLimitProblem",
	http.StatusInternalServerError:   "Problem",
	http.StatusServiceUnavailable:    "Problem",
	http.StatusBadRequest:            "ValidationProblem",
}

// relied are fields of answers that the client cannot do without; the
// documents require none.
var relied = map[string][]string{
	"Brand":                {"brandID"},
	"CreateBatchResponse":  {"batchID", "totalCount"},
	"Batch":                {"batchID", "endpoint", "status", "createdAt", "totalCount", "finishedCount", "errorsCount"},
	"BatchItem":            {"request", "responseCode"},
	"ListBatchesResponse":  {"batches", "paging"},
	"ListContactsResponse": {"contacts", "paging"},
	"GetSegmentResponse":   {"segmentID", "name", "conditionGroups"},
	"ListSegmentsResponse": {"segments", "paging"},
	"ContactResponse":      {"id", "email", "identifiers", "status"},
	"Problem":              {"type", "title", "status"},
	"ValidationProblem":    {"type", "title", "status"},
	"RateLimitProblem":     {"type", "title", "status"},
}

// Version is the API version that the contract describes.
func Version() string { return held.Version }

// Routes lists the routes of the contract: "POST /batches".
func Routes() []string {
	var out []string
	for name := range held.Routes {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Route names the route of a request whose URL ends in one of the contract's
// paths below /api, and says whether there is one.
func Route(r *http.Request) (string, bool) {
	_, path, ok := strings.Cut(r.URL.EscapedPath(), "/api/")
	if !ok {
		return "", false
	}
	parts := strings.Split(path, "/")
	if parts[0] == "batches" && len(parts) > 1 && parts[1] != "" {
		parts[1] = "{batchID}"
	}
	name := r.Method + " /" + strings.Join(parts, "/")
	_, ok = held.Routes[name]
	return name, ok
}

// CheckRequest holds a request, with its body read out of it, against the
// contract. It reports every breach, and does not touch the request.
func CheckRequest(r *http.Request, body []byte) error {
	name, ok := Route(r)
	if !ok {
		return fmt.Errorf("no such route: %s", name)
	}
	rt := held.Routes[name]
	var c check
	if got := r.Header.Get("Omnisend-Version"); got != held.Version {
		c.fail("header Omnisend-Version", "is %q", got)
	}
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Omnisend-API-Key ")
	if !ok || key == "" {
		c.fail("header Authorization", "is not Omnisend-API-Key KEY")
	}
	c.query(rt.Query, r.URL.Query())
	switch {
	case rt.Request == "" && len(body) > 0:
		c.fail("body", "is not expected")
	case rt.Request != "":
		if got := r.Header.Get("Content-Type"); got != "application/json" {
			c.fail("header Content-Type", "is %q", got)
		}
		c.json(rt.Request, body)
		c.batchItems(rt.Request, body)
	}
	return c.err(name)
}

// CheckResponse holds an answer to a route, as Route names it, against the
// contract.
func CheckResponse(name string, status int, body []byte) error {
	rt, ok := held.Routes[name]
	if !ok {
		return fmt.Errorf("no such route: %s", name)
	}
	c := check{answer: true}
	sch, ok := rt.Responses[status]
	if !ok {
		sch, ok = everywhere[status]
	}
	switch {
	case !ok:
		c.fail("status", "%d is not declared", status)
	case sch == "" && len(body) > 0:
		c.fail("body", "is not expected")
	case sch != "":
		c.json(sch, body)
	}
	return c.err(name + " " + strconv.Itoa(status))
}

// query checks parameters. Unknown ones are a breach: Omnisend says that it
// answers 400 to them.
func (c *check) query(want map[string]parameter, got url.Values) {
	for name, p := range want {
		if p.Required && got.Get(name) == "" {
			c.fail("query "+name, "is missing")
		}
	}
	for name, values := range got {
		p, ok := want[name]
		if !ok || len(values) != 1 {
			c.fail("query "+name, "is unknown or repeated")
			continue
		}
		if len(p.Enum) > 0 && !slices.Contains(p.Enum, values[0]) {
			c.fail("query "+name, "is none of its values")
		}
		if p.Type != "integer" {
			continue
		}
		n, err := strconv.Atoi(values[0])
		if err != nil || p.Minimum != nil && n < *p.Minimum || p.Maximum != nil && n > *p.Maximum {
			c.fail("query "+name, "is no integer within its limits")
		}
	}
}

// batchItems holds the items of a batch of contacts against the schema of a
// contact; the documents leave the items of a batch open.
func (c *check) batchItems(sch string, body []byte) {
	if sch != "CreateBatchRequest" {
		return
	}
	var b struct {
		Endpoint string            `json:"endpoint"`
		Items    []json.RawMessage `json:"items"`
	}
	if json.Unmarshal(body, &b) != nil || b.Endpoint != "contacts" {
		return
	}
	for i, it := range b.Items {
		var v any
		if err := json.Unmarshal(it, &v); err == nil {
			c.value(fmt.Sprintf("items[%d]", i), schema{Ref: "ContactRequest"}, v)
		}
	}
}

func (c *check) err(what string) error {
	if len(c.breaches) == 0 {
		return nil
	}
	slices.Sort(c.breaches)
	return errors.New(what + ": " + strings.Join(c.breaches, "; "))
}
