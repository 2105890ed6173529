package omnisend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// DefaultTimeout bounds a request, answer included, when Options names none.
const DefaultTimeout = 30 * time.Second

// The most that is read of an answer, in bytes.
const (
	maxAnswer      = 4 << 20
	maxItemsAnswer = 32 << 20 // 100 contacts and their answers, with room
)

// Options configure a Client.
type Options struct {
	BaseURL string        // empty: DefaultURL; https, unless the host is loopback
	Key     Key           // required
	Timeout time.Duration // of one request, answer included; 0: DefaultTimeout
	// Transport makes the requests; nil is one of the client's own, which takes
	// a proxy from the environment. It must not repeat requests.
	Transport http.RoundTripper
}

// Client speaks to the Omnisend API over HTTP. It implements API.
type Client struct {
	base          string
	authorization *string // behind a pointer: printing a Client does not show it
	timeout       time.Duration
	transport     http.RoundTripper
}

var _ API = (*Client)(nil)

// New makes a client. It makes no request.
func New(o Options) (*Client, error) {
	base, err := checkBase(o.BaseURL)
	if err != nil {
		return nil, err
	}
	if o.Key == "" {
		return nil, errors.New("omnisend: the API key is empty")
	}
	for _, c := range []byte(o.Key) {
		if c <= ' ' || c > '~' {
			return nil, errors.New("omnisend: the API key has a character that no header takes")
		}
	}
	c := &Client{base: base, timeout: o.Timeout, transport: o.Transport}
	authorization := "Omnisend-API-Key " + string(o.Key)
	c.authorization = &authorization
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	if c.transport == nil {
		c.transport = newTransport()
	}
	return c, nil
}

// CloseIdle closes connections that no request is using. It may be called at
// any time and more than once.
func (c *Client) CloseIdle() {
	if t, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// IsLoopback says whether a base URL leads to this machine only.
func IsLoopback(baseURL string) bool {
	u, err := url.Parse(baseURL)
	if err != nil {
		return false
	}
	if strings.EqualFold(u.Hostname(), "localhost") {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return ip != nil && ip.IsLoopback()
}

func checkBase(raw string) (string, error) {
	if raw == "" {
		raw = DefaultURL
	}
	u, err := url.Parse(raw)
	// The URL itself stays out of the errors: it may hold a password.
	switch {
	case err != nil:
		return "", errors.New("omnisend: the base URL cannot be read")
	case u.User != nil, u.RawQuery != "", u.Fragment != "", u.Host == "":
		return "", errors.New("omnisend: the base URL must be scheme://host/path and no more")
	case u.Scheme == "http" && !IsLoopback(raw), u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("omnisend: the base URL must be https, or http to this machine")
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// CurrentBrand implements API.
func (c *Client) CurrentBrand(ctx context.Context) (Brand, error) {
	var b Brand
	a, err := c.do(ctx, request{op: opBrand, path: "/brands/current"})
	if err != nil {
		return b, err
	}
	// Success is an answer that names the brand: a proxy's 200 does not.
	if json.Unmarshal(a.Body, &b) != nil || b.ID == "" {
		return Brand{}, unreadable(a)
	}
	return b, nil
}

// CreateBatch implements API. Beyond MaxItems contacts it fails and beyond
// MaxBody bytes it answers as Omnisend would to a body too large (class
// Split), both without a request.
func (c *Client) CreateBatch(ctx context.Context, origin string, items [][]byte) (string, error) {
	if len(items) == 0 || len(items) > MaxItems {
		return "", &Error{Op: opCreate, Class: Fail, Cause: fmt.Errorf("%d contacts in one call", len(items))}
	}
	body := batchBody(origin, items)
	if len(body) > MaxBody {
		return "", &Error{Op: opCreate, Class: Split, Cause: fmt.Errorf("%d bytes in one call", len(body))}
	}
	a, err := c.do(ctx, request{op: opCreate, method: http.MethodPost, path: "/batches", body: body})
	if err != nil {
		return "", err
	}
	var created struct {
		BatchID string `json:"batchID"`
	}
	if json.Unmarshal(a.Body, &created) != nil || created.BatchID == "" {
		return "", unreadable(a)
	}
	return created.BatchID, nil
}

// batchBody puts the contacts, which are JSON already, into the envelope.
func batchBody(origin string, items [][]byte) []byte {
	name, _ := json.Marshal(origin)
	const head, middle, tail = `{"endpoint":"contacts","method":"POST","origin":`, `,"items":[`, `]}`
	size := len(head) + len(name) + len(middle) + len(tail) + len(items)
	for _, it := range items {
		size += len(it)
	}
	body := make([]byte, 0, size)
	body = append(body, head...)
	body = append(body, name...)
	body = append(body, middle...)
	for i, it := range items {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, it...)
	}
	return append(body, tail...)
}

// ListBatches implements API.
func (c *Client) ListBatches(ctx context.Context, q ListQuery) (BatchPage, error) {
	limit := q.Limit
	if limit == 0 {
		limit = MaxListed
	}
	if limit < 0 || limit > MaxListed || q.Offset < 0 {
		return BatchPage{}, &Error{Op: opList, Class: Fail, Cause: fmt.Errorf("no page of %d from %d", limit, q.Offset)}
	}
	v := url.Values{"endpoint": {"contacts"}, "limit": {strconv.Itoa(limit)}}
	if q.Offset > 0 {
		v.Set("offset", strconv.Itoa(q.Offset))
	}
	if !q.DateFrom.IsZero() {
		v.Set("dateFrom", q.DateFrom.UTC().Format(time.DateOnly))
	}
	a, err := c.do(ctx, request{op: opList, path: "/batches", query: v})
	if err != nil {
		return BatchPage{}, err
	}
	var list struct {
		Batches *[]Batch `json:"batches"`
		Paging  struct {
			Next string `json:"next"`
		} `json:"paging"`
	}
	if json.Unmarshal(a.Body, &list) != nil || list.Batches == nil {
		return BatchPage{}, unreadable(a)
	}
	return BatchPage{Batches: *list.Batches, More: list.Paging.Next != "" && len(*list.Batches) > 0}, nil
}

// Batch implements API.
func (c *Client) Batch(ctx context.Context, id string) (Batch, error) {
	return c.batch(ctx, request{op: opBatch, path: "/batches/" + url.PathEscape(id)}, id)
}

// BatchItems implements API.
func (c *Client) BatchItems(ctx context.Context, id string) (Batch, error) {
	return c.batch(ctx, request{op: opItems, path: "/batches/" + url.PathEscape(id) + "/items", limit: maxItemsAnswer}, id)
}

func (c *Client) batch(ctx context.Context, r request, id string) (Batch, error) {
	if id == "" {
		return Batch{}, &Error{Op: r.op, Class: Fail, Cause: errors.New("the batch has no id")}
	}
	a, err := c.do(ctx, r)
	if err != nil {
		return Batch{}, err
	}
	var b Batch
	if json.Unmarshal(a.Body, &b) != nil || b.ID != id {
		return Batch{}, unreadable(a)
	}
	return b, nil
}

// ContactByEmail implements API. The address is compared without case.
func (c *Client) ContactByEmail(ctx context.Context, email string) (json.RawMessage, bool, error) {
	a, err := c.do(ctx, request{op: opContact, path: "/contacts", query: url.Values{"email": {email}, "limit": {"1"}}})
	if err != nil {
		return nil, false, err
	}
	var list struct {
		Contacts *[]json.RawMessage `json:"contacts"`
	}
	if json.Unmarshal(a.Body, &list) != nil || list.Contacts == nil {
		return nil, false, unreadable(a)
	}
	for _, raw := range *list.Contacts {
		var contact struct {
			Email string `json:"email"`
		}
		if json.Unmarshal(raw, &contact) == nil && strings.EqualFold(contact.Email, email) {
			return raw, true, nil
		}
	}
	return nil, false, nil
}

// request is one request to be made.
type request struct {
	op     string
	method string // empty: GET
	path   string // below the base URL, escaped
	query  url.Values
	body   []byte // nil: none
	limit  int    // most bytes of the answer; 0: maxAnswer
}

// do makes the request, once. It speaks to the transport and not to an
// http.Client, which would follow redirects and put the URL, that may hold an
// address, into its errors.
func (c *Client) do(ctx context.Context, r request) (Answer, error) {
	if err := ctx.Err(); err != nil {
		return Answer{}, err
	}
	callers := ctx
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()

	// Between asking for a connection and getting one nothing can have been
	// written. A transport that does not report either counts as having sent.
	var waiting atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { waiting.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { waiting.Store(false) },
	})
	req, err := c.newRequest(ctx, r)
	if err != nil {
		return Answer{}, &Error{Op: r.op, Class: Fail, Cause: errors.New("the request cannot be made")}
	}
	a := Answer{Op: r.op, Sent: true}
	resp, err := c.transport.RoundTrip(req) //nolint:bodyclose // closed where it is read
	if err != nil {
		a.Sent = !waiting.Load()
		a.Err = safeCause(err)
	} else {
		a.Status, a.Header = resp.StatusCode, resp.Header
		a.Body, err = readBody(resp, r.limit)
		a.Err = safeCause(err)
	}
	if a.Err != nil && ctx.Err() != nil && callers.Err() == nil {
		// The client's own timeout must not look like the end of the caller's context.
		a.Err = &cause{text: fmt.Sprintf("no answer within %v", c.timeout), err: os.ErrDeadlineExceeded}
	}
	if e := Classify(a); e != nil {
		return a, e
	}
	return a, nil
}

func (c *Client) newRequest(ctx context.Context, r request) (*http.Request, error) {
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	method, body := r.method, io.Reader(noBody{})
	if method == "" {
		method = http.MethodGet
	}
	if r.body != nil {
		// With a bytes.Reader, net/http sets GetBody. It may then send a POST
		// again, but only if not one byte was written to the connection before.
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", *c.authorization)
	req.Header.Set("Omnisend-Version", Version)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "segment-export")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// readBody reads an answer to its end, so that its connection can be used
// again, or up to the limit.
func readBody(resp *http.Response, limit int) ([]byte, error) {
	defer func() { _ = resp.Body.Close() }()
	if limit == 0 {
		limit = maxAnswer
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	if err == nil && len(body) > limit {
		return nil, errTooLong
	}
	return body, err
}
