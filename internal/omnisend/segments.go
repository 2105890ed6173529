package omnisend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"unicode/utf8"
)

const (
	// MaxSegmentName is the longest name of a segment, in characters.
	MaxSegmentName = 256
	// MaxSegmentsListed is the most segments that one page holds.
	MaxSegmentsListed = 50
)

// Segment is a segment of the account: a rule that Omnisend evaluates.
type Segment struct {
	ID   string
	Name string
	// Marker is the custom property whose being true is the whole rule; empty
	// for a segment with any other rule.
	Marker string
}

// SegmentPage is one page of the account's segments.
type SegmentPage struct {
	Segments []Segment
	After    string // cursor of the next page; empty: there is none
}

// The wire format of a segment, as far as it is used.
type (
	wireSegment struct {
		ID     string            `json:"segmentID,omitempty"`
		Name   string            `json:"name"`
		Groups []wireSegmentRule `json:"conditionGroups"`
	}
	wireSegmentRule struct {
		Conditions []wireCondition `json:"conditions"`
	}
	wireCondition struct {
		Entity   string            `json:"entity"`
		Junction string            `json:"junction,omitempty"`
		Filters  []json.RawMessage `json:"filters"`
	}
	wireFilter struct {
		Property  string `json:"property"`
		Name      string `json:"name"`
		ValueType string `json:"valueType"`
		Operator  string `json:"operator"`
		Value     any    `json:"value"`
	}
)

func isTrue(marker string) wireFilter {
	return wireFilter{Property: "custom", Name: marker, ValueType: "bool", Operator: "equals", Value: true}
}

// segment reads a segment; its rule is taken for a marker's only when it says
// that and nothing else.
func (w wireSegment) segment() Segment {
	s := Segment{ID: w.ID, Name: w.Name}
	if len(w.Groups) != 1 || len(w.Groups[0].Conditions) != 1 || len(w.Groups[0].Conditions[0].Filters) != 1 {
		return s
	}
	var f wireFilter
	c := w.Groups[0].Conditions[0]
	if json.Unmarshal(c.Filters[0], &f) == nil && c.Entity == "contact" && f == isTrue(f.Name) {
		s.Marker = f.Name
	}
	return s
}

// CreateSegment implements API.
func (c *Client) CreateSegment(ctx context.Context, name, marker string) (Segment, error) {
	if n := utf8.RuneCountInString(name); n == 0 || n > MaxSegmentName || marker == "" {
		return Segment{}, &Error{Op: opCreateSegment, Class: Fail, Cause: fmt.Errorf("a segment with a name of %d characters", n)}
	}
	filter, err := json.Marshal(isTrue(marker))
	if err != nil {
		return Segment{}, err
	}
	body, err := json.Marshal(wireSegment{Name: name, Groups: []wireSegmentRule{{Conditions: []wireCondition{
		{Entity: "contact", Junction: "and", Filters: []json.RawMessage{filter}}}}}})
	if err != nil {
		return Segment{}, err
	}
	a, err := c.do(ctx, request{op: opCreateSegment, method: http.MethodPost, path: "/segments", body: body})
	if err != nil {
		return Segment{}, err
	}
	var made wireSegment
	if json.Unmarshal(a.Body, &made) != nil || made.ID == "" {
		return Segment{}, unreadable(a)
	}
	return Segment{ID: made.ID, Name: name, Marker: marker}, nil
}

// ListSegments implements API.
func (c *Client) ListSegments(ctx context.Context, after string) (SegmentPage, error) {
	v := url.Values{"limit": {strconv.Itoa(MaxSegmentsListed)}}
	if after != "" {
		v.Set("after", after)
	}
	a, err := c.do(ctx, request{op: opListSegments, path: "/segments", query: v})
	if err != nil {
		return SegmentPage{}, err
	}
	var list struct {
		Segments *[]wireSegment `json:"segments"`
		Paging   struct {
			HasMore bool `json:"hasMore"`
			Cursors struct {
				After string `json:"after"`
			} `json:"cursors"`
		} `json:"paging"`
	}
	if json.Unmarshal(a.Body, &list) != nil || list.Segments == nil {
		return SegmentPage{}, unreadable(a)
	}
	var page SegmentPage
	for _, s := range *list.Segments {
		page.Segments = append(page.Segments, s.segment())
	}
	if list.Paging.HasMore {
		page.After = list.Paging.Cursors.After
	}
	return page, nil
}

// CreateSegment draws on the budget like any other request. A 429 does not
// pause the brand: segments have a limit of their own, far below it.
func (l *limited) CreateSegment(ctx context.Context, name, marker string) (Segment, error) {
	return within(ctx, l, func() (Segment, error) { return l.api.CreateSegment(ctx, name, marker) })
}

func (l *limited) ListSegments(ctx context.Context, after string) (SegmentPage, error) {
	return within(ctx, l, func() (SegmentPage, error) { return l.api.ListSegments(ctx, after) })
}

// within makes one request within the budget, whatever comes of it.
func within[T any](ctx context.Context, l *limited, request func() (T, error)) (T, error) {
	answered, err := l.gate.Take(ctx)
	if err != nil {
		var zero T
		return zero, err
	}
	defer answered()
	return request()
}

func (r *retrying) ListSegments(ctx context.Context, after string) (SegmentPage, error) {
	return again(ctx, r, func() (SegmentPage, error) { return r.API.ListSegments(ctx, after) })
}

// pagesOfSegments is how many pages are looked through for a segment.
const pagesOfSegments = 20

// EnsureSegment finds the account's segment of a marker, whatever its name, or
// makes one, and says which. Called again it makes no second one, unless
// Omnisend took its time to list the first.
func EnsureSegment(ctx context.Context, api API, name, marker string) (s Segment, made bool, err error) {
	after := ""
	for range pagesOfSegments {
		page, err := api.ListSegments(ctx, after)
		if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusForbidden {
			break // it may make some all the same
		}
		if err != nil {
			return Segment{}, false, err
		}
		for _, s := range page.Segments {
			if s.Marker == marker {
				return s, false, nil
			}
		}
		if after = page.After; after == "" {
			break
		}
	}
	s, err = api.CreateSegment(ctx, name, marker)
	return s, err == nil, err
}
