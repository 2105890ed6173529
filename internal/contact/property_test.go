package contact

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/dates"
)

func TestCustomProperties(t *testing.T) {
	for _, c := range []struct{ kind, text, want string }{
		{"text", " Zoe\u0308 ", `"Zoë"`},
		{"text", "007", `"007"`},
		{"number", "007", `7`},
		{"number", "+1.50", `1.5`},
		{"number", "-.5", `-0.5`},
		{"number", "-0", `0`},
		{"number", "1e3", `1000`},
		{"number", "0.30000000000000004", `0.30000000000000004`},
		{"number", "9007199254740992", `9007199254740992`},
		{"number", "9007199254740993", ``}, // would become another one
		{"number", "1,234", ``},
		{"number", "1 234", ``},
		{"number", "1e999", ``},
		{"number", "NaN", ``},
		{"number", "0x10", ``},
		{"number", "many", ``},
		{"boolean", "YES", `true`},
		{"boolean", "0", `false`},
		{"boolean", "maybe", ``},
		{"date", "2024-05-01", `"2024-05-01"`},
		{"date", "2024-05-01 12:00:00+02:00", `"2024-05-01T10:00:00Z"`},
		{"date", "01/02/2024", ``},
		{"list", "red; green;;red", `["red","green"]`},
		{"list", `["red","a;b"," "]`, `["red","a;b"]`},
		{"list", `[1,2]`, ``},
		{"list", ";", ``},
	} {
		m := newMapper(t, Mapping{Email: "Email", Attribute("property:p:" + c.kind): "P"}, ConsentRule{})
		p, reason := m.Map(row(m, "Email", "a@example.com", "P", c.text))
		require.Empty(t, reason)
		if c.want == "" {
			require.Empty(t, p.Properties, "%s %q", c.kind, c.text)
			require.Equal(t, []LeftOut{LeftOut("property p is no " + c.kind)}, m.LeftOut(), "%s %q", c.kind, c.text)
			continue
		}
		require.Equal(t, `"p":`+c.want, string(p.Properties), "%s %q", c.kind, c.text)
		require.Empty(t, m.LeftOut())
	}
}

func TestPropertiesAreInOneOrder(t *testing.T) {
	m := newMapper(t, Mapping{Email: "Email", "property:zeta": "Z", "property:alpha:number": "A", "property:mid:boolean": "M"}, ConsentRule{})
	p, _ := m.Map(row(m, "Email", "a@example.com", "Z", "last", "A", "no number", "M", "yes"))
	require.Equal(t, `"mid":true,"zeta":"last"`, string(p.Properties), "what is left out leaves no comma")
	item := string(Item(nil, p, settled(p), []MarkerValue{{"segment_a", true}}))
	require.Contains(t, item, `"customProperties":{"mid":true,"zeta":"last","segment_a":true}`)
	item = string(Item(nil, p, settled(p), nil))
	require.Contains(t, item, `"customProperties":{"mid":true,"zeta":"last"}`)
	p, _ = m.Map(row(m, "Email", "a@example.com"))
	require.Empty(t, p.Properties)
	require.Empty(t, m.LeftOut(), "the row before is forgotten, and empty is not wrong")
}

func TestMappingsOfPropertiesAreChecked(t *testing.T) {
	for a, want := range map[Attribute]string{
		"property:":          "is not 1 to 128 letters",
		"property:a b":       "is not 1 to 128 letters",
		"property:a:numbers": `did you mean "number"`,
		"property:a:":        `"" is no type`,
		"property:p:number":  `the custom property "p" is mapped twice`,
	} {
		_, err := NewMapper(Mapping{Email: "E", "property:p": "P", a: "F"}, Rules{}, now)
		require.ErrorContains(t, err, want)
	}
	mapping := Mapping{"property:b": "B", Email: "E", "property:a:list": "A", City: "C"}
	require.Equal(t, []Attribute{Email, City, "property:a:list", "property:b"}, mapping.Sorted())
	require.Equal(t, []string{"a", "b"}, mapping.Properties())
}

func FuzzProperty(f *testing.F) {
	for _, kind := range propertyTypes {
		f.Add(kind, "1.5")
		f.Add(kind, "[\"a\",\"\xff\"]")
		f.Add(kind, "2024-05-01T00:00:00Z")
	}
	f.Fuzz(func(t *testing.T, kind, text string) {
		text = cleanText(text)
		got, ok := (&Mapper{dates: &dates.Reader{}}).appendTyped(nil, PropertyType(kind), text)
		if !ok || text == "" {
			return
		}
		require.True(t, json.Valid(got) && utf8.Valid(got), "%s of %q", got, text)
		require.NotEqual(t, `""`, string(got), "it would remove the property")
		if PropertyType(kind) == NumberProperty {
			again, ok := (&Mapper{dates: &dates.Reader{}}).appendTyped(nil, NumberProperty, string(got))
			require.True(t, ok || strings.Trim(string(got), "-0123456789") == "", "%s", got)
			if ok {
				require.Equal(t, got, again)
			}
		}
	})
}
