package sandbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// contactParameters are those of GET /contacts that the sandbox carries out;
// Omnisend knows more.
var contactParameters = append([]string{"limit", "after"}, contactFilters...)

var contactFilters = []string{"email", "phone", "status", "segmentID", "tag", "updatedAtFrom"}

// contactQuery is the checked query of GET /contacts.
type contactQuery struct {
	url.Values

	limit int
	after string // the id of the last contact of the page before; empty: none
	since time.Time
}

// parseContactQuery refuses what Omnisend's documents say cannot be combined, and
// other filters than those of the page before.
func parseContactQuery(q url.Values) (contactQuery, []fieldError) {
	out := contactQuery{Values: q, limit: 100}
	var fields []fieldError
	if q.Has("limit") {
		n, err := strconv.Atoi(q.Get("limit"))
		if err != nil || n < 1 || n > 250 {
			fields = append(fields, fieldError{"limit", "invalid_value", "must be 1 to 250"})
		}
		out.limit = n
	}
	if q.Has("status") && q.Has("tag") {
		fields = append(fields, fieldError{"tag", "invalid_value", "cannot be combined with status"})
	}
	if q.Has("updatedAtFrom") {
		var err error
		if out.since, err = time.Parse(time.RFC3339, q.Get("updatedAtFrom")); err != nil {
			fields = append(fields, fieldError{"updatedAtFrom", "invalid_format", "must be an RFC 3339 date"})
		}
		for _, other := range contactFilters[:len(contactFilters)-1] {
			if q.Has(other) {
				fields = append(fields, fieldError{other, "invalid_value", "cannot be combined with updatedAtFrom"})
			}
		}
	}
	if q.Has("after") {
		id, filters, ok := strings.Cut(q.Get("after"), ".")
		if out.after = id; !ok || filters != out.filters() {
			fields = append(fields, fieldError{"after", "invalid_value", "is of a list with other filters"})
		}
	}
	return out, fields
}

// filters are a digest of the filters, which a cursor carries.
func (q contactQuery) filters() string {
	h := fnv.New64a()
	for _, name := range contactFilters {
		_, _ = fmt.Fprintf(h, "%s=%q;", name, q.Values[name])
	}
	return strconv.FormatUint(h.Sum64(), 16)
}

// selects says whether a contact is in the list; the sandbox's segments have no
// members.
func (q contactQuery) selects(email string, c *Contact) bool {
	_, hasPhone := c.Phones[q.Get("phone")]
	return (!q.Has("email") || email == strings.ToLower(q.Get("email"))) &&
		(!q.Has("phone") || hasPhone) &&
		(!q.Has("status") || c.Status == q.Get("status")) &&
		(!q.Has("tag") || slices.Contains(c.Tags, q.Get("tag"))) &&
		!q.Has("segmentID") && !c.UpdatedAt.Before(q.since) &&
		(q.after == "" || c.ID < q.after)
}

func (s *Sandbox) currentBrand(c call, _ *http.Request, _ []byte) answer {
	return respond(http.StatusOK, map[string]any{
		"brandID": c.brand.id, "name": "Sandbox " + c.brand.id, "platform": "api", "website": "https://sandbox.example",
		"currency": "EUR", "timezone": "Europe/Vilnius", "version": "1", "connected": true,
	})
}

func (s *Sandbox) listContacts(c call, r *http.Request, _ []byte) answer {
	q, fields := parseContactQuery(r.URL.Query())
	if len(fields) > 0 {
		return invalid(fields...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(c.brand, s.now())
	var found []*Contact
	for email, contact := range c.brand.contacts {
		if q.selects(email, contact) {
			found = append(found, contact)
		}
	}
	// Ids grow with time, so this is newest first, and an id begins a cursor.
	slices.SortFunc(found, func(a, b *Contact) int { return cmp.Compare(b.ID, a.ID) })
	page := found[:min(q.limit, len(found))]
	out := make([]any, 0, len(page))
	var after any
	for _, contact := range page {
		out = append(out, s.wire(contact))
		after = contact.ID + "." + q.filters()
	}
	more := len(found) > len(page)
	if !more {
		after = nil
	}
	return respond(http.StatusOK, map[string]any{
		"contacts": out,
		"paging": map[string]any{
			"limit": q.limit, "hasMore": more, "cursors": map[string]any{"after": after, "before": nil},
		},
	})
}

func (s *Sandbox) postContact(c call, _ *http.Request, body []byte) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.advance(c.brand, now)
	w, fields := parseContact(body)
	w.requireEmail(&fields)
	if len(fields) > 0 {
		return invalid(fields...)
	}
	contact, isNew := s.upsert(c.brand, w, now)
	if isNew {
		return respond(http.StatusCreated, s.wire(contact))
	}
	return respond(http.StatusOK, s.wire(contact))
}

func (s *Sandbox) patchContact(c call, r *http.Request, body []byte) answer {
	email := strings.ToLower(r.URL.Query().Get("email"))
	if email == "" {
		return invalid(fieldError{"email", "required", "an address is required"})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.advance(c.brand, now)
	contact := c.brand.contacts[email]
	if contact == nil {
		return *refusal(http.StatusNotFound, "not-found", "Not found")
	}
	w, fields := parseContact(body)
	if len(fields) > 0 {
		return invalid(fields...)
	}
	for number := range w.phones {
		if owner, taken := c.brand.phones[number]; taken && owner != email {
			return *refusal(http.StatusConflict, "problem", "Conflict")
		}
	}
	// The sandbox does not change addresses, so another one always clashes.
	if w.email != "" && strings.ToLower(w.email) != email {
		return *refusal(http.StatusConflict, "problem", "Conflict")
	}
	welcome := w.email != "" && w.welcome
	w.email, w.welcome = contact.Email, welcome
	contact, _ = s.upsert(c.brand, w, now)
	return respond(http.StatusOK, s.wire(contact))
}

// tagsPerMinute is the limit of adding and of removing tags, each, on top of
// the brand's.
const tagsPerMinute = 60

func (s *Sandbox) addTags(c call, _ *http.Request, body []byte) answer {
	return s.changeTags(c, body, 0, func(contact *Contact, tags []string) {
		contact.Tags = slices.Compact(slices.Sorted(slices.Values(append(contact.Tags, tags...))))
	})
}

func (s *Sandbox) removeTags(c call, _ *http.Request, body []byte) answer {
	return s.changeTags(c, body, 1, func(contact *Contact, tags []string) {
		contact.Tags = slices.DeleteFunc(contact.Tags, func(tag string) bool { return slices.Contains(tags, tag) })
	})
}

// changeTags applies tags to the contacts selected by id, address or number; by
// segment the sandbox selects nobody. Omnisend does it some time after its answer, which
// is the same whether anything was selected or not; here it is done at once.
func (s *Sandbox) changeTags(c call, body []byte, which int, change func(*Contact, []string)) answer {
	var sent struct {
		ContactIDs []string `json:"contactIDs"`
		Emails     []string `json:"emails"`
		Phones     []string `json:"phones"`
		SegmentID  string   `json:"segmentID"`
		Tags       []string `json:"tags"`
	}
	if json.Unmarshal(body, &sent) != nil {
		return invalid(fieldError{"body", "invalid_format", "must be JSON"})
	}
	var fields []fieldError
	for name, list := range map[string][]string{"contactIDs": sent.ContactIDs, "emails": sent.Emails, "phones": sent.Phones} {
		if len(list) > 250 {
			fields = append(fields, fieldError{name, "invalid_length", "must have at most 250 items"})
		}
	}
	if len(sent.ContactIDs)+len(sent.Emails)+len(sent.Phones) == 0 && sent.SegmentID == "" {
		fields = append(fields, fieldError{"emails", "required", "a selector is required"})
	}
	if len(sent.Tags) < 1 || len(sent.Tags) > 100 {
		fields = append(fields, fieldError{"tags", "invalid_length", "must have 1 to 100 items"})
	}
	if len(fields) > 0 {
		return invalid(fields...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.advance(c.brand, now)
	if limit := &c.brand.tagging[which]; s.o.CallsPerMinute > 0 && limit.count(now) >= tagsPerMinute {
		return *s.tooMany(c.brand, limit.freeAt(now, tagsPerMinute).Sub(now))
	} else {
		limit.add(now)
	}
	for _, contact := range c.brand.choose(sent.ContactIDs, sent.Emails, sent.Phones) {
		change(contact, sent.Tags)
		contact.UpdatedAt = now.UTC().Truncate(time.Millisecond)
		s.touch(c.brand, keptContact, strings.ToLower(contact.Email), contact)
	}
	return answer{status: http.StatusAccepted}
}

func (b *brand) choose(ids, emails, phones []string) map[string]*Contact {
	out := map[string]*Contact{}
	for _, email := range emails {
		if c := b.contacts[strings.ToLower(email)]; c != nil {
			out[c.ID] = c
		}
	}
	for _, number := range phones {
		if c := b.contacts[b.phones[number]]; c != nil {
			out[c.ID] = c
		}
	}
	if len(ids) == 0 {
		return out
	}
	for _, c := range b.contacts {
		if slices.Contains(ids, c.ID) {
			out[c.ID] = c
		}
	}
	return out
}
