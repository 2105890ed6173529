package contact

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSuggest(t *testing.T) {
	for name, c := range map[string]struct {
		fields  []string
		id      string
		mapping Mapping
	}{
		"the example": {
			fields: []string{"CustomerId", "Email", "FirstName", "Street", "EmailConsent", "ConsentDate", "Phone"}, id: "CustomerId",
			mapping: Mapping{Email: "Email", FirstName: "FirstName", Address: "Street", ConsentFlag: "EmailConsent", ConsentDate: "ConsentDate"},
		},
		"Dataverse":              {fields: []string{"contactid", "emailaddress1", "address1_line1", "Post-Code"}, id: "contactid", mapping: Mapping{Email: "emailaddress1", Address: "address1_line1", PostalCode: "Post-Code"}},
		"the surest first":       {fields: []string{"mail", "E-Mail", "id", "customer.id"}, id: "customer.id", mapping: Mapping{Email: "E-Mail"}},
		"a date without consent": {fields: []string{"email", "consent_date"}, mapping: Mapping{Email: "email"}},
		"nothing known":          {fields: []string{"a", "b"}, mapping: Mapping{}},
		"no fields":              {mapping: Mapping{}},
	} {
		var fields []FieldSample
		for _, f := range c.fields {
			fields = append(fields, FieldSample{Name: f})
		}
		id, mapping := Suggest(fields)
		require.Equal(t, c.id, id, name)
		require.Equal(t, c.mapping, mapping, name)
	}
}

func TestSuggestByValues(t *testing.T) {
	_, mapping := Suggest([]FieldSample{
		{Name: "Site", Samples: []string{"shop.example/a@b"}},
		{Name: "Contact", Samples: []string{"a@shop.example", "b@shop.example"}},
		{Name: "One", Samples: []string{"m"}, Kinds: 1},
		{Name: "G", Samples: []string{"F", "M"}, Kinds: 2},
		{Name: "YesNo", Samples: []string{"yes", "no"}, Kinds: 2},
	})
	require.Equal(t, Mapping{Email: "Contact", Gender: "G"}, mapping, "consent is not told by its values")
}
