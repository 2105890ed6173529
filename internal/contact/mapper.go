package contact

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/dates"
	"github.com/segment-export/segment-export/internal/spelling"
)

// Attributes are all attributes, in the order in which they are listed.
var Attributes = []Attribute{Email, FirstName, LastName, Address, City, State, PostalCode, Country, ConsentFlag, ConsentDate,
	BirthDate, Gender, Phone, SMSConsent, SMSConsentDate}

// companions are attributes that say nothing, or must not be sent, without
// another one.
var companions = []struct {
	attribute, needs Attribute
	why              string
}{
	{ConsentDate, ConsentFlag, "a date alone says nothing"},
	{Phone, SMSConsent, "a number is sent only with evidence of the consent to text it"},
	{SMSConsent, Phone, "a consent to be texted needs the number"},
	{SMSConsentDate, SMSConsent, "a date alone says nothing"},
}

// textFields are the attributes that travel as text, in the order of the JSON
// members. The order is fixed, so that equal profiles have equal bytes.
var textFields = []textField{
	{FirstName, `"firstName":`}, {LastName, `"lastName":`}, {Address, `"address":`},
	{City, `"city":`}, {State, `"state":`}, {PostalCode, `"postalCode":`},
}

type textField struct {
	attribute Attribute
	member    string
}

// Mapper turns rows into profiles. It keeps caches and a buffer, so each
// goroutine needs its own.
type Mapper struct {
	fields   []string
	email    int // places among fields; -1: not mapped
	flag     int
	flagDate int
	land     int
	text     [6]int // of textFields
	birth    int
	gender   int
	phone    int
	sms      int
	smsDate  int
	props    []property

	now       time.Time
	rule      ConsentRule
	lenient   bool
	dates     *dates.Reader
	meanings  map[string]meaning
	countries map[string]country
	domains   map[string]string // A-labels of international domains; empty: invalid
	buf       []byte
	propBuf   []byte
	leftOut   []LeftOut
	corrected []Correction
	filled    uint64
	seen      Seen
}

// Rules say how the values of rows are read.
type Rules struct {
	Consent ConsentRule
	Dates   *dates.Reader // nil: what has only one meaning, in UTC
	// LenientLocalPart takes addresses with dots where RFC 5322 has none: doubled
	// or last before the @, as Japanese carriers gave them out.
	LenientLocalPart bool
}

// LeftOut is why a value was left out of a contact that was carried over all
// the same; a short code without personal data.
type LeftOut string

// NewMapper checks a mapping and its rules, and returns a mapper by them. A
// consent dated after now is in the future; a run uses one and the same now
// for all its rows, however often it is interrupted.
func NewMapper(mapping Mapping, rules Rules, now time.Time) (*Mapper, error) {
	props, err := mapping.check()
	if err != nil {
		return nil, err
	}
	table, err := rules.Consent.meanings()
	if err != nil {
		return nil, fmt.Errorf("consent rule: %w", err)
	}
	m := &Mapper{now: now, rule: rules.Consent, lenient: rules.LenientLocalPart, dates: rules.Dates, meanings: table,
		countries: map[string]country{}, domains: map[string]string{}}
	if m.dates == nil {
		m.dates = &dates.Reader{}
	}
	m.email, m.flag, m.flagDate = m.place(mapping[Email]), m.place(mapping[ConsentFlag]), m.place(mapping[ConsentDate])
	m.land = m.place(mapping[Country])
	for i, f := range textFields {
		m.text[i] = m.place(mapping[f.attribute])
	}
	m.birth, m.gender = m.place(mapping[BirthDate]), m.place(mapping[Gender])
	m.phone, m.sms, m.smsDate = m.place(mapping[Phone]), m.place(mapping[SMSConsent]), m.place(mapping[SMSConsentDate])
	for i := range props {
		props[i].place = m.place(props[i].field)
	}
	m.props = props
	return m, nil
}

// check says whether the mapping can be, and lists its custom properties.
func (mapping Mapping) check() ([]property, error) {
	for _, a := range slices.Sorted(maps.Keys(mapping)) {
		if !slices.Contains(Attributes, a) && !a.IsProperty() {
			return nil, unknownAttribute(a)
		}
		if strings.TrimSpace(mapping[a]) == "" {
			return nil, fmt.Errorf("the attribute %q is mapped to no field", a)
		}
	}
	if mapping[Email] == "" {
		return nil, errors.New("the attribute \"email\" is not mapped; every contact needs an address")
	}
	for _, c := range companions {
		if mapping[c.attribute] != "" && mapping[c.needs] == "" {
			return nil, fmt.Errorf("the attribute %q is mapped without %q; %s", c.attribute, c.needs, c.why)
		}
	}
	return mapping.properties()
}

// place gives a field its place among those that are read.
func (m *Mapper) place(field string) int {
	if field == "" {
		return -1
	}
	if i := slices.Index(m.fields, field); i >= 0 {
		return i
	}
	m.fields = append(m.fields, field)
	return len(m.fields) - 1
}

// Fields returns the source's fields in the order in which Map wants their
// values; a field that several attributes use is there once.
func (m *Mapper) Fields() []string { return slices.Clone(m.fields) }

// Map turns the values of the Fields of one row into a profile, or says why it
// cannot be one. The profile shares no memory with the values. A value that is
// not there counts as empty.
func (m *Mapper) Map(values []string) (Profile, Reason) {
	m.buf, m.leftOut, m.corrected, m.filled = m.buf[:0], m.leftOut[:0], m.corrected[:0], 0
	email, reason := m.normaliseEmail(value(values, m.email))
	if reason != "" {
		return Profile{}, reason
	}
	for i, f := range textFields {
		if text := cleanText(value(values, m.text[i])); text != "" {
			m.member(f.member, text)
			m.fill(i)
		}
	}
	var land country
	if m.land >= 0 {
		c := m.country(value(values, m.land))
		land = c
		if c != (country{}) {
			m.fill(filledCountry)
		}
		if c.name != "" {
			m.member(`"country":`, c.name)
		}
		if c.code != "" {
			m.member(`"countryCode":`, c.code)
		}
	}
	m.birthDate(value(values, m.birth))
	m.genderOf(value(values, m.gender))
	m.properties(values)
	p := Profile{Email: email, Fields: bytes.Clone(m.buf), Properties: bytes.Clone(m.propBuf), Filled: m.filled}
	p.Said.Mail = m.say(values, m.flag, m.flagDate)
	p.Said.Phone, p.Said.SMS = m.smsOf(values, land.code)
	return p, ""
}

// OptsOut says whether a row, of whatever address, declares an opt-out from
// being mailed.
func (m *Mapper) OptsOut(values []string) bool {
	return m.flag >= 0 && m.meaningOf(consentValue(value(values, m.flag))) == optedOut
}

// Corrections says what was corrected in the address of the row mapped last;
// valid until the next Map.
func (m *Mapper) Corrections() []Correction { return m.corrected }

// LeftOut says why values of the row mapped last were left out; valid until
// the next Map.
func (m *Mapper) LeftOut() []LeftOut { return m.leftOut }

func (m *Mapper) member(name, text string) {
	if len(m.buf) > 0 {
		m.buf = append(m.buf, ',')
	}
	m.buf = append(m.buf, name...)
	m.buf = appendString(m.buf, text)
}

// value returns the value at a place; empty when there is none.
func value(values []string, place int) string {
	if place < 0 || place >= len(values) {
		return ""
	}
	return values[place]
}

// unknownAttribute names the attribute that was probably meant, and all others.
func unknownAttribute(a Attribute) error {
	names := make([]string, len(Attributes))
	for i, known := range Attributes {
		names[i] = string(known)
	}
	hint := ""
	if near := spelling.Within(3, string(a), names); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	return fmt.Errorf("there is no attribute %q%s (the attributes are %s, and property:NAME or property:NAME:TYPE for custom properties)", a, hint, strings.Join(names, ", "))
}
