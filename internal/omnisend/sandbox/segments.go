package sandbox

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// The limits of reading and of making segments, in a minute, on top of the
// brand's.
const (
	segmentReads   = 100
	segmentsMade   = 15
	maxSegmentName = 256
)

// Segment is a segment of the sandbox: a name and a rule. It has no members:
// nothing here asks for them.
type Segment struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Groups    []group   `json:"conditionGroups"`
	CreatedAt time.Time `json:"createdAt"`
}

type group struct {
	Conditions []condition `json:"conditions"`
}

type condition struct {
	Entity   string           `json:"entity"`
	Junction string           `json:"junction"`
	Filters  []map[string]any `json:"filters"`
}

// Segments returns the brand's segments, oldest first.
func (s *Sandbox) Segments(brandID string) []Segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Segment
	if b := s.brands[brandID]; b != nil {
		for _, segment := range b.rules {
			out = append(out, *segment)
		}
	}
	return out
}

func (g *Segment) wire() map[string]any {
	return map[string]any{"segmentID": g.ID, "name": g.Name, "conditionGroups": g.Groups, "status": "ready",
		"isStarred": false, "createdAt": stamp(g.CreatedAt), "updatedAt": stamp(g.CreatedAt), "archivedAt": nil}
}

// ownLimit counts a request against a limit of its own route.
func (s *Sandbox) ownLimit(b *brand, w *window, most int) *answer {
	now := s.now()
	if s.o.CallsPerMinute > 0 && w.count(now) >= most {
		return s.tooMany(b, w.freeAt(now, most).Sub(now))
	}
	w.add(now)
	return nil
}

func (s *Sandbox) createSegment(c call, _ *http.Request, body []byte) answer {
	var sent struct {
		Name   string  `json:"name"`
		Groups []group `json:"conditionGroups"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	bad := *refusal(http.StatusBadRequest, "validation-failed", "Validation failed") // the documents name no fields here
	if d.Decode(&sent) != nil || sent.Name == "" || utf8.RuneCountInString(sent.Name) > maxSegmentName || !validRule(sent.Groups) {
		return bad
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.ownLimit(c.brand, &c.brand.segments[1], segmentsMade); a != nil {
		return *a
	}
	now := s.now()
	segment := &Segment{ID: s.newID(now), Name: sent.Name, Groups: sent.Groups, CreatedAt: now}
	c.brand.rules = append(c.brand.rules, segment)
	s.touch(c.brand, keptSegment, segment.ID, segment)
	return respond(http.StatusCreated, segment.wire())
}

// validRule takes conditions on contacts' custom properties only, of the many
// that Omnisend knows.
func validRule(groups []group) bool {
	filters := 0
	for _, g := range groups {
		for _, c := range g.Conditions {
			if c.Entity != "contact" || c.Junction != "and" && c.Junction != "or" || len(c.Filters) == 0 {
				return false
			}
			for _, f := range c.Filters {
				filters++
				name, _ := f["name"].(string)
				kind, _ := f["valueType"].(string)
				_, isBool := f["value"].(bool)
				if f["property"] != "custom" || !propertyKey.MatchString(name) || f["operator"] != "equals" ||
					!slices.Contains([]string{"text", "number", "bool", "date"}, kind) || (kind == "bool") != isBool {
					return false
				}
			}
		}
	}
	return filters > 0
}

func (s *Sandbox) listSegments(c call, r *http.Request, _ []byte) answer {
	limit := 10
	if q := r.URL.Query(); q.Has("limit") {
		n, err := strconv.Atoi(q.Get("limit"))
		if err != nil || n < 1 || n > 50 {
			return *refusal(http.StatusBadRequest, "validation-failed", "Validation failed")
		}
		limit = n
	}
	after := r.URL.Query().Get("after")
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.ownLimit(c.brand, &c.brand.segments[0], segmentReads); a != nil {
		return *a
	}
	page := []any{}
	var cursor any
	more := false
	for _, segment := range slices.Backward(c.brand.rules) { // newest first
		if after != "" && segment.ID >= after {
			continue // ids grow with time
		}
		if more = len(page) == limit; more {
			break
		}
		page, cursor = append(page, segment.wire()), segment.ID
	}
	if !more {
		cursor = nil
	}
	return respond(http.StatusOK, map[string]any{"segments": page,
		"paging": map[string]any{"limit": limit, "hasMore": more, "cursors": map[string]any{"after": cursor, "before": nil}}})
}
