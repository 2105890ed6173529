package contact

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/spelling"
)

// PropertyType is the type of a custom property's values. Omnisend's segments
// compare by type, so one property has one type.
type PropertyType string

// The types.
const (
	TextProperty    PropertyType = "text"
	NumberProperty  PropertyType = "number"
	BooleanProperty PropertyType = "boolean"
	DateProperty    PropertyType = "date"
	ListProperty    PropertyType = "list" // of texts
)

var propertyTypes = []string{string(TextProperty), string(NumberProperty), string(BooleanProperty), string(DateProperty), string(ListProperty)}

// propertyPrefix begins the attributes that are custom properties.
const propertyPrefix = "property:"

var propertyName = regexp.MustCompile(`^[A-Za-z0-9_]{1,128}$`)

// ValidProperty says whether a custom property can have this name: letters,
// digits and underscores, at most 128 (the rule of Omnisend's own SDK).
func ValidProperty(name string) bool { return propertyName.MatchString(name) }

// IsProperty says whether the attribute is a custom property.
func (a Attribute) IsProperty() bool { return strings.HasPrefix(string(a), propertyPrefix) }

// property is a custom property of a mapping.
type property struct {
	name   string
	kind   PropertyType
	field  string
	place  int
	member string // "name":
	bad    LeftOut
}

// parseProperty reads property:NAME and property:NAME:TYPE.
func parseProperty(a Attribute) (name string, kind PropertyType, err error) {
	name, given, typed := strings.Cut(strings.TrimPrefix(string(a), propertyPrefix), ":")
	if !ValidProperty(name) {
		return "", "", fmt.Errorf("the custom property of %q is not 1 to 128 letters, digits and underscores", a)
	}
	kind = PropertyType(given)
	if !typed {
		kind = TextProperty
	}
	if !slices.Contains(propertyTypes, string(kind)) {
		hint := ""
		if near := spelling.Within(3, given, propertyTypes); near != "" {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		return "", "", fmt.Errorf("%q is no type of a custom property%s (the types are %s)", given, hint, strings.Join(propertyTypes, ", "))
	}
	return name, kind, nil
}

// properties lists the mapping's custom properties by name: equal profiles
// have equal bytes.
func (mapping Mapping) properties() ([]property, error) {
	var all []property
	for a, field := range mapping {
		if !a.IsProperty() {
			continue
		}
		name, kind, err := parseProperty(a)
		if err != nil {
			return nil, err
		}
		all = append(all, property{name: name, kind: kind, field: field, member: `"` + name + `":`,
			bad: LeftOut("property " + name + " is no " + string(kind))})
	}
	slices.SortFunc(all, func(a, b property) int { return strings.Compare(a.name, b.name) })
	for i := range all[:max(len(all), 1)-1] {
		if all[i].name == all[i+1].name {
			return nil, fmt.Errorf("the custom property %q is mapped twice", all[i].name)
		}
	}
	return all, nil
}

// Properties lists the names of the mapping's custom properties; those that
// cannot be are left out.
func (mapping Mapping) Properties() []string {
	var names []string
	for a := range mapping {
		if name, _, err := parseProperty(a); a.IsProperty() && err == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Sorted lists the attributes that are mapped, custom properties last.
func (mapping Mapping) Sorted() []Attribute {
	var all, props []Attribute
	for _, a := range Attributes {
		if _, ok := mapping[a]; ok {
			all = append(all, a)
		}
	}
	for a := range mapping {
		if !slices.Contains(Attributes, a) {
			props = append(props, a)
		}
	}
	slices.Sort(props)
	return append(all, props...)
}

// properties writes the custom properties of a row. What is not of its type is
// left out and counted: a contact is not lost for it.
func (m *Mapper) properties(values []string) {
	m.propBuf = m.propBuf[:0]
	for i := range m.props {
		p := &m.props[i]
		text := cleanText(value(values, p.place))
		if text == "" {
			continue
		}
		before := len(m.propBuf)
		if before > 0 {
			m.propBuf = append(m.propBuf, ',')
		}
		m.propBuf = append(m.propBuf, p.member...)
		written, ok := m.appendTyped(m.propBuf, p.kind, text)
		if !ok {
			m.leftOut = append(m.leftOut, p.bad)
			written = m.propBuf[:before]
		} else {
			m.fill(filledProperties + i)
		}
		m.propBuf = written
	}
}

// appendTyped appends a value of a type as JSON, or says that it is none.
func (m *Mapper) appendTyped(dst []byte, kind PropertyType, text string) ([]byte, bool) {
	switch kind {
	case NumberProperty:
		return appendNumber(dst, text)
	case BooleanProperty:
		b, ok := booleans[strings.ToLower(text)]
		return strconv.AppendBool(dst, b), ok
	case DateProperty:
		return m.appendDate(dst, text)
	case ListProperty:
		return appendList(dst, text)
	}
	return appendString(dst, text), true
}

var booleans = map[string]bool{"true": true, "yes": true, "1": true, "false": false, "no": false, "0": false}

var number = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$`)

// maxExact is the largest number up to which all whole numbers stay what they
// are when JSON is read, as it commonly is, into floating point.
const maxExact = 1 << 53

// appendNumber takes a decimal point and no thousands: 1,234 means one number
// in one country and another in the next. A whole number that would be rounded
// on the way, as long customer numbers are, is none: it is text.
func appendNumber(dst []byte, text string) ([]byte, bool) {
	if !number.MatchString(text) {
		return dst, false
	}
	if !strings.ContainsAny(text, ".eE") {
		n, err := strconv.ParseInt(text, 10, 64)
		return strconv.AppendInt(dst, n, 10), err == nil && n >= -maxExact && n <= maxExact
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.Abs(v) >= 1e21 {
		return dst, false
	}
	if v == 0 {
		v = 0 // -0 is 0
	}
	return strconv.AppendFloat(dst, v, 'f', -1, 64), true
}

// appendDate writes a day as a day and a time as a time.
func (m *Mapper) appendDate(dst []byte, text string) ([]byte, bool) {
	reading, problem := m.dates.Read(text)
	if problem != "" {
		return dst, false
	}
	dst = append(dst, '"')
	if reading.Day {
		return append(reading.Wall.AppendFormat(dst, time.DateOnly), '"'), true
	}
	return append(reading.Earliest.AppendFormat(dst, stamp), '"'), true
}

// appendList takes a JSON array of texts, or texts with semicolons between
// them. Empty ones and repetitions are dropped.
func appendList(dst []byte, text string) ([]byte, bool) {
	var items []string
	if strings.HasPrefix(text, "[") {
		if json.Unmarshal([]byte(text), &items) != nil {
			return dst, false
		}
	} else {
		items = strings.Split(text, ";")
	}
	dst = append(dst, '[')
	begin := len(dst)
	var seen []string
	for _, item := range items {
		item = cleanText(item)
		if item == "" || slices.Contains(seen, item) {
			continue
		}
		seen = append(seen, item)
		if len(dst) > begin {
			dst = append(dst, ',')
		}
		dst = appendString(dst, item)
	}
	return append(dst, ']'), len(dst) > begin
}
