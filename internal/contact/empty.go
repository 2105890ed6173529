package contact

import (
	"slices"
	"strings"
)

// EmptyPolicy says what happens at Omnisend to a value that was sent and is
// empty at the source now.
type EmptyPolicy string

// The policies.
const (
	EmptyKeep  EmptyPolicy = "keep"  // it stays
	EmptyClear EmptyPolicy = "clear" // it is cleared
)

// maxFields is how many mapped fields have a bit.
const maxFields = 64

// CanClear says whether a value of the attribute can be cleared at Omnisend. A
// text is believed to be blanked by an empty one, a custom property is removed
// by it. No request is known to clear a birth date or a gender: an empty text
// may be refused as a wrong one.
func (a Attribute) CanClear() bool {
	if a.IsProperty() || a == Country {
		return true
	}
	return slices.ContainsFunc(textFields, func(f textField) bool { return f.attribute == a })
}

// FieldNames are the mapped attributes that have a bit in Profile.Filled, in the
// order of the bits. A custom property has the same name whatever its type.
func (m *Mapper) FieldNames() []string {
	var names []string
	for _, f := range textFields {
		names = append(names, string(f.attribute))
	}
	names = append(names, string(Country), string(BirthDate), string(Gender))
	for i := range m.props {
		names = append(names, propertyPrefix+m.props[i].name)
	}
	return names[:min(len(names), maxFields)]
}

// FieldName is the attribute's name among those.
func (a Attribute) FieldName() string {
	if name, _, err := parseProperty(a); a.IsProperty() && err == nil {
		return propertyPrefix + name
	}
	return string(a)
}

// Bits of Profile.Filled besides those of textFields, which come first.
const (
	filledCountry = 6 + iota
	filledBirthDate
	filledGender
	filledProperties
)

// fill sets a bit; fields beyond the last bit have none.
func (m *Mapper) fill(bit int) {
	if bit < maxFields {
		m.filled |= 1 << bit
	}
}

// Clear returns the profile with the named fields as empty values, which clears
// them at Omnisend.
func (p Profile) Clear(names []string) Profile {
	p.Fields, p.Properties = slices.Clip(p.Fields), slices.Clip(p.Properties)
	for _, name := range names {
		if property, ok := strings.CutPrefix(name, propertyPrefix); ok {
			p.Properties = appendEmpty(p.Properties, `"`+property+`":`)
			continue
		}
		member := `"country":`
		for _, f := range textFields {
			if string(f.attribute) == name {
				member = f.member
			}
		}
		p.Fields = appendEmpty(p.Fields, member)
	}
	return p
}

func appendEmpty(dst []byte, member string) []byte {
	if len(dst) > 0 {
		dst = append(dst, ',')
	}
	return append(append(dst, member...), `""`...)
}
