package sandbox

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/biter777/countries"
)

// write is a contact as a client sent it, checked. What was not sent is nil.
type write struct {
	email      string // "" when there is no e-mail identifier
	channel    *channelWrite
	welcome    bool // sendWelcomeMessage was true or missing
	phones     map[string]*channelWrite
	fields     map[string]string
	tags       []string // nil: not sent
	properties map[string]any
	consents   []Consent
	unknown    int // members that are not in the contract
}

type channelWrite struct {
	status string
	at     time.Time // zero: not sent
}

var (
	profileFields = []string{
		"firstName", "lastName", "address", "city", "state", "postalCode",
		"country", "countryCode", "birthdate", "gender", "createdAt",
	}
	// Omnisend's own WordPress SDK lets only such keys through.
	propertyKey = regexp.MustCompile(`^[A-Za-z0-9_]{1,128}$`)
	e164        = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	localPart   = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+$")
	domain      = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9-]{2,63}$`)
)

// contactParser collects all complaints: Omnisend sends them all at once.
type contactParser struct {
	w        write
	problems []fieldError
}

func (p *contactParser) fail(field, code, message string) {
	p.problems = append(p.problems, fieldError{field, code, message})
}

// parseContact reads and checks the body of a contact. An empty string is
// taken for every profile field: it blanks it.
func parseContact(raw json.RawMessage) (write, []fieldError) {
	p := &contactParser{w: write{fields: map[string]string{}, phones: map[string]*channelWrite{}}}
	var members map[string]any
	if json.Unmarshal(raw, &members) != nil || members == nil {
		p.fail("body", "invalid_type", "must be an object")
		return p.w, p.problems
	}
	for name, v := range members {
		switch {
		case name == "identifiers":
			p.identifiers(v)
		case name == "tags":
			p.tags(v)
		case name == "customProperties":
			p.properties(v)
		case slices.Contains(profileFields, name):
			p.profileField(name, v)
		default:
			p.w.unknown++
		}
	}
	slices.SortFunc(p.problems, func(a, b fieldError) int { return strings.Compare(a.Field, b.Field) })
	return p.w, p.problems
}

func (p *contactParser) profileField(name string, v any) {
	text, ok := v.(string)
	if !ok {
		p.fail(name, "invalid_type", "must be a string")
		return
	}
	valid := true
	if text != "" {
		switch name {
		case "birthdate":
			_, err := time.Parse(time.DateOnly, text)
			valid = err == nil
		case "createdAt":
			_, err := time.Parse(time.RFC3339, text)
			valid = err == nil
		case "gender":
			valid = text == "m" || text == "f"
		case "countryCode":
			// Omnisend's WooCommerce plugin drops codes that it does not know
			// before sending, so they are taken to be refused.
			valid = len(text) == 2 && countries.ByName(text).Alpha2() == text
		}
	}
	if !valid {
		p.fail(name, "invalid_format", text+" is not valid")
		return
	}
	p.w.fields[name] = text
}

func (p *contactParser) identifiers(v any) {
	list, ok := v.([]any)
	if !ok {
		p.fail("identifiers", "invalid_type", "must be an array")
		return
	}
	for i, v := range list {
		path := fmt.Sprintf("identifiers[%d]", i)
		m, ok := v.(map[string]any)
		if !ok {
			p.fail(path, "invalid_type", "must be an object")
			continue
		}
		p.identifier(path, m)
	}
}

func (p *contactParser) identifier(path string, m map[string]any) {
	for name := range m {
		if !slices.Contains([]string{"id", "type", "channels", "consent", "sendWelcomeMessage", "source"}, name) {
			p.w.unknown++
		}
	}
	id, _ := m["id"].(string)
	welcome, isBool := m["sendWelcomeMessage"].(bool)
	if _, sent := m["sendWelcomeMessage"]; sent && !isBool {
		p.fail(path+".sendWelcomeMessage", "invalid_type", "must be a boolean")
	}
	switch m["type"] {
	case "email":
		if !validEmail(id) {
			p.fail(path+".id", "invalid_format", id+" is not a valid email address")
		}
		if p.w.email != "" {
			p.fail(path+".type", "duplicate", "only one email identifier is allowed")
		}
		p.w.email = id
		p.w.welcome = welcome || !isBool // the default is true
		p.w.channel = p.channel(path, "email", m["channels"])
		p.consent(path, "email", m["consent"])
	case "phone":
		// By Omnisend's own tests a number that it cannot read makes the whole
		// contact fail, with this path and code.
		if !e164.MatchString(id) {
			p.fail(path+".id", "invalid_format", id+" is not a valid phone number")
		}
		p.w.phones[id] = p.channel(path, "sms", m["channels"])
		p.consent(path, "sms", m["consent"])
	default:
		p.fail(path+".type", "invalid_value", "must be email or phone")
	}
}

const channelMissing = " channel must be provided"

// channel reads the one channel that the identifier has. The contract marks it
// optional; a live batch, as a third party reports, refused an item without it.
func (p *contactParser) channel(path, name string, v any) *channelWrite {
	channels, _ := v.(map[string]any)
	path += ".channels." + name
	for other := range channels {
		if other != name {
			p.fail(path, "invalid_value", "an unexpected channel was provided")
		}
	}
	c, ok := channels[name].(map[string]any)
	if !ok {
		p.fail(path, "required", name+channelMissing)
		return nil
	}
	out := &channelWrite{}
	switch out.status, _ = c["status"].(string); out.status {
	case "subscribed", "unsubscribed", "nonSubscribed":
	default:
		p.fail(path+".status", "invalid_value", "must be one of its values")
	}
	if at, sent := c["statusChangedAt"]; sent {
		out.at = p.date(path+".statusChangedAt", at)
	}
	return out
}

func (p *contactParser) date(path string, v any) time.Time {
	text, _ := v.(string)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		p.fail(path, "invalid_format", "must be an RFC 3339 date")
	}
	return at
}

func (p *contactParser) consent(path, channel string, v any) {
	if v == nil {
		return
	}
	m, ok := v.(map[string]any)
	if !ok {
		p.fail(path+".consent", "invalid_type", "must be an object")
		return
	}
	c := Consent{Channel: channel}
	c.Source, _ = m["source"].(string)
	c.IP, _ = m["ip"].(string)
	c.UserAgent, _ = m["userAgent"].(string)
	if at, sent := m["createdAt"]; sent {
		c.CreatedAt = p.date(path+".consent.createdAt", at)
	}
	p.w.consents = append(p.w.consents, c)
}

func (p *contactParser) tags(v any) {
	tags, ok := stringsOf(v)
	switch {
	case !ok:
		p.fail("tags", "invalid_type", "must be an array of strings")
	case len(tags) > 100:
		p.fail("tags", "invalid_length", "must have at most 100 items")
	default:
		p.w.tags = tags
	}
}

func (p *contactParser) properties(v any) {
	m, ok := v.(map[string]any)
	if !ok {
		p.fail("customProperties", "invalid_type", "must be an object")
		return
	}
	for key, v := range m {
		_, isList := stringsOf(v)
		switch v.(type) {
		case nil, string, float64, bool:
		default:
			if !isList {
				p.fail("customProperties."+key, "invalid_type", "must be text, a number, a boolean, a date or a list of texts")
			}
		}
		if !propertyKey.MatchString(key) {
			p.fail("customProperties", "invalid_format", key+" is not a valid name")
		}
	}
	p.w.properties = m
}

// requireEmail adds the complaint about a contact without an address.
func (w write) requireEmail(fields *[]fieldError) {
	if w.email == "" && len(*fields) == 0 {
		*fields = append(*fields, fieldError{"identifiers", "required", "an email identifier is required"})
	}
}

// has says whether the contact has one of the addresses or property names.
func (w write) has(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		if strings.ToLower(w.email) == name {
			return true
		}
		for key := range w.properties {
			if strings.ToLower(key) == name {
				return true
			}
		}
		return false
	})
}

func stringsOf(v any) ([]string, bool) {
	list, ok := v.([]any)
	out := make([]string, 0, len(list))
	for _, v := range list {
		text, isText := v.(string)
		out, ok = append(out, text), ok && isText
	}
	return out, ok
}

// validEmail takes what WordPress's is_email does, with which Omnisend's own
// plugins check addresses before they send them: ASCII letters, digits and signs
// before the @, where dots may be doubled or last, and a domain with a dot. Its
// own rules are not documented.
func validEmail(s string) bool {
	at := strings.LastIndexByte(s, '@')
	return at > 0 && at <= 64 && len(s) <= 254 && localPart.MatchString(s[:at]) && domain.MatchString(s[at+1:])
}
