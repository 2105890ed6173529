package dataverse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/segment-export/segment-export/internal/segment"
)

const (
	apiPath = "/api/data/v9.2/"
	// tries is how often a request is made that meets a passing fault before
	// the caller hears of it.
	tries = 5
	// patience is above the two minutes that Dataverse itself gives a query.
	patience = 150 * time.Second
	// mostErrorBody is how much of an answer that is no success is read.
	mostErrorBody = 64 << 10
)

// client makes GET requests to one environment, and no others: to write to
// these tables would break Customer Insights.
type client struct {
	origin string
	http   *http.Client
	login  *login
	gate   *gate
	clock  Clock
}

// request is one GET.
type request struct {
	url   string // sent as it is: a link to the next page must not be touched
	page  int    // rows asked for; 0: no paging
	table string // for errors
}

// refusal is an answer that is no success, and no passing fault.
type refusal struct {
	status int
	code   string // Dataverse's own, such as 0x80040220
	table  string
}

func (e *refusal) Error() string {
	return fmt.Sprintf("Dataverse refuses to read %s: status %d, code %s", e.table, e.status, e.code)
}

// throttled is a 429.
type throttled struct{ wait time.Duration }

func (e *throttled) Error() string { return "Dataverse asks for a pause of " + e.wait.String() }

// staleTokenError is a 401.
type staleTokenError struct{ token string }

func (e *staleTokenError) Error() string { return "the token is not accepted" }

// mostRenewed is how many tokens a request is made with after one was refused.
const mostRenewed = 2

// get makes a request until it is answered, and hands the body to read, which
// starts again each time: an answer may end in the middle. It returns
// the time by the server's clock.
func (c *client) get(ctx context.Context, r request, read func(io.Reader) error) (time.Time, error) {
	renewed := 0
	// Half a second on average, doubling, never the same for two.
	waits := &backoff.ExponentialBackOff{InitialInterval: 500 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: time.Minute}
	for try := 1; ; {
		if err := c.gate.enter(ctx, c.clock); err != nil {
			return time.Time{}, err
		}
		now, err := c.once(ctx, r, read)
		limited, isLimited := errors.AsType[*throttled](err)
		if isLimited {
			c.gate.pause(c.clock.Now(), limited.wait)
		}
		c.gate.leave(err == nil)
		stale, isStale := errors.AsType[*staleTokenError](err)
		_, isPassing := errors.AsType[*passingError](err)
		switch {
		case err == nil:
			return now, nil
		case ctx.Err() != nil:
			return time.Time{}, ctx.Err()
		case isLimited: // a wait, not a failed try
			continue
		case isStale && renewed < mostRenewed:
			renewed++
			if err := c.login.renew(stale.token); err != nil {
				return time.Time{}, err
			}
			continue
		case isStale:
			return time.Time{}, &segment.AccessError{Message: "Dataverse at " + c.origin + " does not accept the login's token",
				Action: "check that the environment's URL belongs to the tenant of the login, and that the login is still allowed to use it"}
		case !isPassing || try == tries:
			return time.Time{}, err
		}
		if err := c.clock.Sleep(ctx, waits.NextBackOff()); err != nil {
			return time.Time{}, err
		}
		try++
	}
}

// once makes a request once.
func (c *client) once(ctx context.Context, r request, read func(io.Reader) error) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	token, err := c.login.token(ctx)
	if err != nil {
		return time.Time{}, err
	}
	hr, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return time.Time{}, segment.Malformed("the address of a page of %s cannot be used", r.table)
	}
	hr.Header.Set("Authorization", "Bearer "+token)
	hr.Header.Set("Accept", "application/json")
	hr.Header.Set("OData-Version", "4.0")
	hr.Header.Set("OData-MaxVersion", "4.0")
	if r.page > 0 {
		hr.Header.Set("Prefer", "odata.maxpagesize="+strconv.Itoa(r.page))
	}
	answer, err := c.http.Do(hr)
	if err != nil {
		return time.Time{}, passing("Dataverse at %s could not be asked for %s: %s", c.origin, r.table, segment.NetworkCause(err))
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		if answer.StatusCode == http.StatusUnauthorized {
			return time.Time{}, &staleTokenError{token}
		}
		return time.Time{}, c.refused(r, answer)
	}
	now, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		now = c.clock.Now()
	}
	if err := read(answer.Body); err != nil {
		return time.Time{}, bodyFault(r, err)
	}
	// Read to the end, so that the connection can be used again.
	_, _ = io.CopyN(io.Discard, answer.Body, mostErrorBody)
	return now, nil
}

// bodyFault tells an answer that ended early from one of another form.
func bodyFault(r request, err error) error {
	_, syntax := errors.AsType[*json.SyntaxError](err)
	if _, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		syntax = true
	}
	switch {
	case errors.Is(err, segment.ErrMalformed), errors.Is(err, errWide):
		return err
	case syntax && !errors.Is(err, io.ErrUnexpectedEOF):
		// As a proxy's page in place of the answer; Dataverse itself writes JSON.
		return passing("the answer for %s is not JSON", r.table)
	}
	return passing("the answer for %s ended early: %s", r.table, segment.NetworkCause(err))
}

var privilege = regexp.MustCompile(`prvRead[0-9A-Za-z_]+`)

// refused reads an answer that is no success. Its text is not passed on: it
// may quote filters, and those hold the ids of customers.
func (c *client) refused(r request, answer *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(answer.Body, mostErrorBody))
	var said struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	_ = json.Unmarshal(body, &said) // whatever is missing stays empty
	code := strings.ToLower(plainWord(said.Error.Code))
	switch status := answer.StatusCode; {
	case status == http.StatusTooManyRequests:
		return &throttled{retryAfter(answer.Header, c.clock.Now())}
	case status == http.StatusForbidden:
		return c.forbidden(r, code, privilege.FindString(said.Error.Message))
	case status == http.StatusRequestTimeout, status >= 500 && status != http.StatusNotImplemented:
		return passing("Dataverse answered for %s with status %d", r.table, status)
	case status >= 300 && status < 400:
		return &segment.AccessError{Message: fmt.Sprintf("%s leads elsewhere and is no Dataverse Web API", c.origin),
			Action: "put the environment's URL from the Power Platform admin center into the source, such as https://contoso.crm4.dynamics.com"}
	default:
		return &refusal{status: status, code: code, table: r.table}
	}
}

// forbidden says what an administrator of the environment must do.
func (c *client) forbidden(r request, code, missing string) error {
	switch code {
	case "0x80072560":
		return &segment.AccessError{Message: "the login is not a user of the environment " + c.origin,
			Action: "in Customer Insights - Data, Settings > Permissions, add the app as a user with the role Viewer; it takes up to 15 minutes"}
	case "0x80040225":
		return &segment.AccessError{Message: "the login's user in the environment " + c.origin + " is disabled",
			Action: "enable it in the Power Platform admin center, under the environment's Users or Application users"}
	}
	if missing != "" {
		missing = " (" + missing + " is missing)"
	}
	return &forbiddenError{segment.AccessError{Message: fmt.Sprintf("the login may not read the table %s%s", r.table, missing),
		Action: "in Customer Insights - Data, Settings > Permissions, give the app the role Viewer, " +
			"or in the environment the security role \"Customer Insights Data Read Access\"; it takes up to 15 minutes"}}
}

// forbiddenError is an *AccessError about one table: others may be readable.
type forbiddenError struct{ segment.AccessError }

func (e *forbiddenError) Unwrap() error { return &e.AccessError }

// retryAfter reads how long to wait: seconds, or a date by the server's clock.
func retryAfter(header http.Header, now time.Time) time.Duration {
	const most = 24 * time.Hour
	said := header.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(said, 64); err == nil && seconds >= 0 && seconds < most.Seconds() {
		return max(time.Duration(seconds*float64(time.Second)), time.Second)
	}
	if theirs, err := http.ParseTime(header.Get("Date")); err == nil {
		now = theirs
	}
	if until, err := http.ParseTime(said); err == nil && until.Sub(now) < most {
		return max(until.Sub(now), time.Second)
	}
	return unknownPause
}

// address builds the address of a query of an entity set.
func (c *client) address(set string, options ...string) string {
	var b strings.Builder
	b.WriteString(c.origin + apiPath + set)
	for i := 0; i+1 < len(options); i += 2 {
		if options[i+1] == "" {
			continue
		}
		separator := byte('&')
		if !strings.Contains(b.String(), "?") {
			separator = '?'
		}
		b.WriteByte(separator)
		b.WriteString(options[i] + "=" + strings.ReplaceAll(url.QueryEscape(options[i+1]), "+", "%20"))
	}
	return b.String()
}

// quoted is a text in the quotes of a filter.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// ours tells whether a link stays with the environment: a token must go
// nowhere else.
func (c *client) ours(link string) bool {
	u, err := url.Parse(link)
	return err == nil && u.Scheme == "https" && "https://"+strings.ToLower(u.Host) == c.origin
}
