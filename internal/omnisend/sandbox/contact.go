package sandbox

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/biter777/countries"
)

// Contact is a contact of the sandbox, as tests see and seed it.
type Contact struct {
	ID              string            `json:"id,omitempty"`    // made when empty
	Email           string            `json:"email"`           // as it was first written
	Status          string            `json:"status"`          // of the e-mail channel
	StatusChangedAt time.Time         `json:"statusChangedAt"` // of that status
	Fields          map[string]string `json:"fields,omitempty"`
	Phones          map[string]Phone  `json:"phones,omitempty"` // by number
	Tags            []string          `json:"tags,omitempty"`
	Properties      map[string]any    `json:"customProperties,omitempty"`
	Consents        []Consent         `json:"consents,omitempty"`
	CreatedAt       time.Time         `json:"createdAt"`
	UpdatedAt       time.Time         `json:"updatedAt"`
	Writes          int               `json:"writes"` // how often it was written, seeding not counted
}

// Phone is the SMS channel of a number.
type Phone struct {
	Status          string    `json:"status"`
	StatusChangedAt time.Time `json:"statusChangedAt"`
}

// Consent is one record of a consent.
type Consent struct {
	Channel   string    `json:"channel"`
	Source    string    `json:"source,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
	IP        string    `json:"ip,omitempty"`
	UserAgent string    `json:"userAgent,omitempty"`
}

func (c *Contact) clone() Contact {
	out := *c
	out.Fields = maps.Clone(c.Fields)
	out.Phones = maps.Clone(c.Phones)
	out.Tags = slices.Clone(c.Tags)
	out.Properties = maps.Clone(c.Properties)
	out.Consents = slices.Clone(c.Consents)
	return out
}

// Contacts returns a copy of the brand's contacts, by address in lower case.
func (s *Sandbox) Contacts(brandID string) map[string]Contact {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]Contact{}
	if b := s.brands[brandID]; b != nil {
		s.advance(b, s.now())
		for email, c := range b.contacts {
			out[email] = c.clone()
		}
	}
	return out
}

// Seed puts contacts into a brand as they are, unchecked, replacing those with
// the same address. An empty Status is nonSubscribed.
func (s *Sandbox) Seed(brandID string, contacts ...Contact) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, now := s.brand(brandID), s.now()
	for _, c := range contacts {
		c = c.clone()
		if c.ID == "" {
			c.ID = s.newID(now)
		}
		if c.Status == "" {
			c.Status = "nonSubscribed"
		}
		if c.CreatedAt.IsZero() {
			c.CreatedAt, c.UpdatedAt = now, now
		}
		c.fillMaps()
		b.contacts[strings.ToLower(c.Email)] = &c
		s.touch(b, keptContact, strings.ToLower(c.Email), &c)
		for number := range c.Phones {
			b.phones[number] = strings.ToLower(c.Email)
		}
	}
}

func (c *Contact) fillMaps() {
	if c.Fields == nil {
		c.Fields = map[string]string{}
	}
	if c.Phones == nil {
		c.Phones = map[string]Phone{}
	}
	if c.Properties == nil {
		c.Properties = map[string]any{}
	}
}

// upsert writes a checked contact and says whether it is a new one. Addresses
// are compared without case: accounts of Omnisend's behaviour differ, and a
// client that lower-cases is right under both.
func (s *Sandbox) upsert(b *brand, w write, now time.Time) (*Contact, bool) {
	email := strings.ToLower(w.email)
	c := b.contacts[email]
	isNew := c == nil
	if isNew {
		c = &Contact{ID: s.newID(now), Email: w.email, CreatedAt: now}
		c.fillMaps()
		b.contacts[email] = c
	}
	if w.welcome {
		b.stats.Welcomes++
	}
	if w.tags != nil && !isNew {
		b.stats.TagsReplaced++
	}
	b.stats.UnknownFields += w.unknown
	before := c.Status
	b.apply(c, w, now)
	s.touch(b, keptContact, email, c)
	if before == "unsubscribed" && c.Status != before {
		b.stats.Resubscribed++
	}
	return c, isNew
}

// apply changes a contact: what was not sent stays, tags are replaced
// (Omnisend's own WordPress code says so), properties are merged key by key and
// removed by "" or null (a third party's account).
func (b *brand) apply(c *Contact, w write, now time.Time) {
	c.UpdatedAt = now
	c.Writes++
	if w.channel != nil {
		c.Status, c.StatusChangedAt = later(c.Status, c.StatusChangedAt, *w.channel, now)
	}
	for number, ch := range w.phones {
		owner, taken := b.phones[number]
		if taken && owner != strings.ToLower(c.Email) || ch == nil {
			continue // an identifier of another contact is ignored
		}
		b.phones[number] = strings.ToLower(c.Email)
		var p Phone
		p.Status, p.StatusChangedAt = later(c.Phones[number].Status, c.Phones[number].StatusChangedAt, *ch, now)
		c.Phones[number] = p
	}
	c.setFields(w.fields)
	if w.tags != nil {
		c.Tags = slices.Compact(slices.Sorted(slices.Values(w.tags)))
	}
	for key, v := range w.properties {
		if v == nil || v == "" {
			delete(c.Properties, key)
		} else {
			c.Properties[key] = v
		}
	}
	for _, consent := range w.consents {
		if consent.CreatedAt.IsZero() {
			consent.CreatedAt = now
		}
		if !slices.Contains(c.Consents, consent) {
			c.Consents = append(c.Consents, consent)
		}
	}
}

// later applies Omnisend's date rule: the status with the latest date stays;
// one without date is dated now (said of version 3, taken to hold still).
func later(status string, changed time.Time, w channelWrite, now time.Time) (string, time.Time) {
	at := w.at
	if at.IsZero() {
		at = now
	}
	if status != "" && !at.After(changed) {
		return status, changed
	}
	return w.status, at
}

func (c *Contact) setFields(sent map[string]string) {
	for name, v := range sent {
		switch {
		case name == "createdAt": // it does not backdate the contact
			if v != "" {
				c.Properties["externalCreated"] = v
			}
		case v == "":
			delete(c.Fields, name)
		default:
			c.Fields[name] = v
		}
	}
	// The code counts for more than the name, from which it is derived only
	// when it was not sent itself.
	code, hasCode := sent["countryCode"]
	name, hasName := sent["country"]
	switch {
	case hasCode && code != "":
		c.Fields["country"] = countries.ByName(code).String()
	case hasName && name == "":
		delete(c.Fields, "countryCode")
	case hasName:
		delete(c.Fields, "countryCode")
		if known := countries.ByName(name); known != countries.Unknown {
			c.Fields["countryCode"] = known.Alpha2()
		}
	}
}

// wire is the contact as the API answers it.
func (s *Sandbox) wire(c *Contact) map[string]any {
	channel := func(status string, at time.Time) map[string]string {
		return map[string]string{"status": status, "statusChangedAt": stamp(at)}
	}
	identifiers := []any{map[string]any{
		"id": c.Email, "type": "email", "channels": map[string]any{"email": channel(c.Status, c.StatusChangedAt)},
	}}
	statuses := []any{map[string]string{"channel": "email", "status": c.Status, "statusChangedAt": stamp(c.StatusChangedAt)}}
	numbers := slices.Sorted(maps.Keys(c.Phones))
	for _, number := range numbers {
		p := c.Phones[number]
		identifiers = append(identifiers, map[string]any{
			"id": number, "type": "phone", "channels": map[string]any{"sms": channel(p.Status, p.StatusChangedAt)},
		})
		statuses = append(statuses, map[string]string{"channel": "sms", "status": p.Status, "statusChangedAt": stamp(p.StatusChangedAt)})
	}
	out := map[string]any{
		"id": c.ID, "email": c.Email, "phone": append([]string{}, numbers...), "status": c.Status,
		"identifiers": identifiers, "statuses": statuses, "optIns": []any{}, "segments": []any{},
		"consents": append([]Consent{}, c.Consents...), "tags": append([]string{}, c.Tags...),
		"customProperties": maps.Clone(c.Properties),
		"createdAt":        stamp(c.CreatedAt), "updatedAt": stamp(c.UpdatedAt),
	}
	if !s.o.AsDocumented {
		out["gender"] = ""
		if len(c.Properties) == 0 {
			out["customProperties"] = nil
		}
	}
	for name, v := range c.Fields {
		out[name] = v
	}
	return out
}
