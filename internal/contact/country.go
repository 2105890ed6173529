package contact

import (
	"strings"
	"sync"
	"unicode"

	"github.com/biter777/countries"
)

// country is what a value of the country field becomes.
type country struct {
	name string // as given, when it was given as a name or is unknown
	code string // officially assigned ISO 3166-1 alpha-2; empty when unknown
}

// unassigned are codes that the library knows and ISO 3166-1 does not assign:
// Kosovo (user-assigned), and the withdrawn Netherlands Antilles and Yugoslavia.
var unassigned = map[string]bool{"XK": true, "AN": true, "YU": true}

// countryCodes are the assigned alpha-2 codes by alpha-2 and alpha-3 code, and
// the few others that people write for codes: UK and EL are reserved for what
// they mean here, UAE and DRC are abbreviations in general use.
var countryCodes = sync.OnceValue(func() map[string]string {
	codes := map[string]string{"UK": "GB", "EL": "GR", "UAE": "AE", "DRC": "CD"}
	for _, c := range countries.All() {
		if a2 := c.Alpha2(); !unassigned[a2] {
			codes[a2], codes[c.Alpha3()] = a2, a2
		}
	}
	return codes
})

// countryNames are names that the library lacks, folded, letters only: some of
// ISO's own, and what countries call themselves in Latin letters.
var countryNames = map[string]string{
	"turkiye": "TR", "taiwanprovinceofchina": "TW", "unitedrepublicoftanzania": "TZ", "trinidadtobago": "TT",
	"laopdr": "LA", "koreanorth": "KP", "koreasouth": "KR", "congokinshasa": "CD", "congobrazzaville": "CG",
	"virginislandsbritish": "VG", "virginislandsus": "VI", "saintmartinfrenchpart": "MF", "sintmaartendutchpart": "SX",
	"koreatherepublicof": "KR", "koreathedemocraticpeoplesrepublicof": "KP", "congothedemocraticrepublicofthe": "CD",
	"koreademocraticpeoplesrepublicof": "KP", "korearepublicof": "KR", "congodemocraticrepublicofthe": "CD",
	"belgie": "BE", "belgique": "BE", "cesko": "CZ", "ceskarepublika": "CZ", "danmark": "DK", "eesti": "EE", "eire": "IE",
	"espana": "ES", "hrvatska": "HR", "island": "IS", "italia": "IT", "latvija": "LV", "lietuva": "LT", "magyarorszag": "HU",
	"nederland": "NL", "norge": "NO", "osterreich": "AT", "polska": "PL", "schweiz": "CH", "shqiperia": "AL",
	"slovenija": "SI", "slovensko": "SK", "suisse": "CH", "suomi": "FI", "sverige": "SE", "svizzera": "CH", "brasil": "BR",
}

// country looks a value up. Omnisend derives the code from a name itself, so a
// name that nobody here knows is left to it; a code is only sent when it is
// sure, since a wrong one would win over the name.
func (m *Mapper) country(value string) country {
	if known, ok := m.countries[value]; ok {
		return known
	}
	if len(m.countries) >= maxCached {
		clear(m.countries)
	}
	value = strings.Clone(value)
	c := lookupCountry(cleanText(value))
	m.countries[value] = c
	return c
}

func lookupCountry(name string) country {
	if name == "" {
		return country{}
	}
	// Codes are written with letters and perhaps dots: U.S.A. but not N/A.
	short := strings.ToUpper(strings.ReplaceAll(name, ".", ""))
	if code := countryCodes()[short]; code != "" {
		return country{code: code}
	}
	return country{name: name, code: codeOfName(name)}
}

// codeOfName finds the code of a country's name; empty when it is not known.
func codeOfName(name string) string {
	folded := strings.TrimPrefix(fold(name), "the ")
	key := letters(folded)
	if len(key) < 4 {
		return "" // the library takes short words for number plates, sports or old codes
	}
	if code := countryNames[key]; code != "" {
		return code
	}
	// The library drops what is in brackets, where ISO's names keep what tells
	// two countries of the same name apart.
	if base, _, cut := strings.Cut(folded, "("); cut {
		switch letters(base) {
		case "korea", "congo", "virginislands", "saintmartin", "sintmaarten":
			return ""
		}
	}
	for _, try := range []string{name, folded} {
		if c := countries.ByName(try); c.IsValid() && !unassigned[c.Alpha2()] {
			return countryCodes()[c.Alpha2()]
		}
	}
	return ""
}

// letters keeps only the letters of a text.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return r
		}
		return -1
	}, s)
}
