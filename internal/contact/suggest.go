package contact

import (
	"slices"
	"strings"
)

// FieldSample is a field of a source with values of the first rows, as far as
// they are known.
type FieldSample struct {
	Name    string
	Samples []string // a few different values
	Kinds   int      // how many different values there are; 0: many, or not known
}

// hints are the usual names of the field with an attribute, in lower case and
// without separators, the surest first. Telephone numbers have none: they need
// a consent of their own, and a person should decide about them.
var hints = map[Attribute][]string{
	Email:       {"email", "emailaddress", "emailaddress1", "mail"},
	FirstName:   {"firstname", "givenname", "forename"},
	LastName:    {"lastname", "surname", "familyname"},
	Address:     {"street", "address", "addressline1", "streetaddress", "address1line1"},
	City:        {"city", "town", "address1city"},
	State:       {"state", "province", "region", "stateprovince"},
	PostalCode:  {"postalcode", "zip", "zipcode", "postcode"},
	Country:     {"country", "countrycode", "countryregion"},
	ConsentFlag: {"emailconsent", "consent", "optin", "emailoptin", "subscribed", "marketingconsent"},
	ConsentDate: {"consentdate", "emailconsentdate", "consentat", "optindate", "subscribedat"},
	BirthDate:   {"birthdate", "dateofbirth", "birthday", "dob"},
	Gender:      {"gender", "sex"},
}

var idHints = []string{"customerid", "contactid", "profileid", "id"}

// Suggest returns the field that most likely holds the customer's id, and the
// fields that most likely fill attributes: by their names, else by their values.
// It uses each field once and leaves out what it cannot tell.
func Suggest(fields []FieldSample) (id string, mapping Mapping) {
	used := map[string]bool{}
	find := func(fits func(FieldSample) bool) string {
		for _, f := range fields {
			if !used[f.Name] && fits(f) {
				used[f.Name] = true
				return f.Name
			}
		}
		return ""
	}
	named := func(names []string) (found string) {
		for _, name := range names {
			if found = find(func(f FieldSample) bool { return plainName(f.Name) == name }); found != "" {
				break
			}
		}
		return found
	}
	mapping = Mapping{}
	for _, a := range Attributes {
		field := named(hints[a])
		if field == "" {
			field = find(func(f FieldSample) bool { return looksLike(a, f) })
		}
		if field != "" {
			mapping[a] = field
		}
	}
	if mapping[ConsentFlag] == "" { // a date alone says nothing
		delete(mapping, ConsentDate)
	}
	return named(idHints), mapping
}

func plainName(field string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "", ".", "").Replace(strings.ToLower(field))
}

// looksLike says that the values of a field can hardly be anything else. Consent
// is not told by its values: any yes and no looks like one.
func looksLike(a Attribute, f FieldSample) bool {
	all := func(ok func(string) bool) bool {
		return len(f.Samples) > 0 && !slices.ContainsFunc(f.Samples, func(s string) bool { return !ok(s) })
	}
	switch a {
	case Email:
		return all(func(s string) bool {
			local, domain, at := strings.Cut(s, "@")
			return at && local != "" && strings.Contains(domain, ".") && !strings.ContainsAny(s, " /")
		})
	case Gender:
		return f.Kinds > 1 && all(func(s string) bool {
			return slices.Contains([]string{"m", "f", "male", "female"}, strings.ToLower(s))
		})
	}
	return false
}
