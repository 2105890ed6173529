package contact

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestContested(t *testing.T) {
	a := Mapping{Email: "Email", FirstName: "First", LastName: "Last", ConsentFlag: "Optin", "property:points:number": "Points"}
	for name, c := range map[string]struct {
		other      Mapping
		sameSource bool
		want       []string
	}{
		"the same export twice":           {a, true, nil},
		"another source":                  {a, false, []string{"first-name", "last-name", "property:points"}},
		"another field":                   {Mapping{Email: "Email", FirstName: "Given", LastName: "Last"}, true, []string{"first-name"}},
		"another type":                    {Mapping{Email: "Email", "property:points": "Points"}, true, []string{"property:points"}},
		"consent and address":             {Mapping{Email: "Mail", ConsentFlag: "Consent"}, false, nil},
		"nothing in common":               {Mapping{Email: "Mail", City: "Last", "property:town": "Points"}, false, nil},
		"the same type, said and implied": {Mapping{"property:points:number": "Points"}, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, a.Contested(c.other, c.sameSource))
			require.Equal(t, c.want, c.other.Contested(a, c.sameSource), "both see it")
		})
	}
	require.Empty(t, Mapping{"property:a:text": "F"}.Contested(Mapping{"property:a": "F"}, true), "text is the default")
}
