package contact

import (
	"slices"
)

// uncontested are attributes that several exports may fill from different
// fields: the address is the same in all, and of consent the strictest counts.
var uncontested = []Attribute{Email, ConsentFlag, ConsentDate, SMSConsent, SMSConsentDate}

// Contested lists what both mappings fill from different fields: attributes by
// name, and custom properties as property:NAME. Fields of the same name are the
// same only within one source.
func (mapping Mapping) Contested(other Mapping, sameSource bool) []string {
	mine, theirs := mapping.filled(), other.filled()
	var names []string
	for name, from := range mine {
		if there, both := theirs[name]; both && (!sameSource || there != from) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// origin is where a value comes from, and as what it is sent.
type origin struct {
	field string
	kind  PropertyType
}

// filled lists what the mapping fills, but for what is never contested.
func (mapping Mapping) filled() map[string]origin {
	all := map[string]origin{}
	for a, field := range mapping {
		name, kind, err := parseProperty(a)
		switch {
		case slices.Contains(uncontested, a):
		case !a.IsProperty():
			all[string(a)] = origin{field: field}
		case err == nil:
			all[propertyPrefix+name] = origin{field, kind}
		}
	}
	return all
}
