package contact

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
)

var now = time.Date(2026, 3, 15, 12, 0, 0, 0, time.UTC)

// everything maps each attribute to a field.
var everything = Mapping{
	Email: "Email", FirstName: "FirstName", LastName: "LastName", Address: "Street", City: "City", State: "State",
	PostalCode: "PostalCode", Country: "Country", ConsentFlag: "EmailConsent", ConsentDate: "ConsentDate",
	BirthDate: "Born", Gender: "Sex", Phone: "Phone", SMSConsent: "SMS", SMSConsentDate: "Since",
	"property:colour": "Colour", "property:points:number": "Points", "property:tags:list": "Tags",
}

func newMapper(t testing.TB, mapping Mapping, rule ConsentRule) *Mapper {
	t.Helper()
	m, err := NewMapper(mapping, Rules{Consent: rule}, now)
	require.NoError(t, err)
	return m
}

// row makes the values of a mapper's fields from pairs of field and value.
func row(m *Mapper, pairs ...string) []string {
	values := make([]string, len(m.Fields()))
	for i, field := range m.Fields() {
		for j := 0; j < len(pairs); j += 2 {
			if pairs[j] == field {
				values[i] = pairs[j+1]
			}
		}
	}
	return values
}

func decodeFields(t testing.TB, p Profile) map[string]string {
	t.Helper()
	var fields map[string]string
	require.NoError(t, json.Unmarshal([]byte("{"+string(p.Fields)+"}"), &fields))
	return fields
}

func TestNewMapperChecksTheMapping(t *testing.T) {
	for name, test := range map[string]struct {
		mapping Mapping
		rule    ConsentRule
		err     string
	}{
		"no email":        {Mapping{FirstName: "F"}, ConsentRule{}, `the attribute "email" is not mapped`},
		"nothing":         {nil, ConsentRule{}, `the attribute "email" is not mapped`},
		"misspelt":        {Mapping{Email: "E", "firstname": "F"}, ConsentRule{}, `there is no attribute "firstname"; did you mean "first-name"?`},
		"upper case":      {Mapping{Email: "E", "City": "F"}, ConsentRule{}, `did you mean "city"?`},
		"another word":    {Mapping{Email: "E", "shoe-size": "F"}, ConsentRule{}, `there is no attribute "shoe-size" (the attributes are email, first-name`},
		"no field":        {Mapping{Email: "E", City: " "}, ConsentRule{}, `the attribute "city" is mapped to no field`},
		"date alone":      {Mapping{Email: "E", ConsentDate: "D"}, ConsentRule{}, `"consent-date" is mapped without "consent"`},
		"contradiction":   {Mapping{Email: "E"}, ConsentRule{Consent: []string{" No "}, OptOut: []string{"no"}}, `the value "no" cannot be both consent and opt-out`},
		"against default": {Mapping{Email: "E"}, ConsentRule{OptOut: []string{"1"}}, `the value "1" cannot be both`},
		"empty consent":   {Mapping{Email: "E"}, ConsentRule{Consent: []string{" "}}, `an empty value cannot be consent`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewMapper(test.mapping, Rules{Consent: test.rule}, now)
			require.ErrorContains(t, err, test.err)
		})
	}
}

func TestFieldsAreListedOnce(t *testing.T) {
	m := newMapper(t, Mapping{Email: "Mail", FirstName: "Name", LastName: "Name", City: "Town"}, ConsentRule{})
	require.ElementsMatch(t, []string{"Mail", "Name", "Town"}, m.Fields())
	p, reason := m.Map(row(m, "Mail", "a@example.com", "Name", "Björk", "Town", "Reykjavík"))
	require.Empty(t, reason)
	require.Equal(t, map[string]string{"firstName": "Björk", "lastName": "Björk", "city": "Reykjavík"}, decodeFields(t, p))
	m.Fields()[0] = "changed"
	require.NotContains(t, m.Fields(), "changed")
}

func TestMapMakesAProfile(t *testing.T) {
	m := newMapper(t, everything, ConsentRule{})
	p, reason := m.Map(row(m, "Email", " Zoë.not-this@example.com"))
	require.Equal(t, ReasonEmailNotASCII, reason)
	require.Equal(t, Profile{}, p)

	p, reason = m.Map(row(m, "Email", " Sinead.O'Brien+shop@Example.COM ", "FirstName", "Sine\u0301ad", "LastName", `O'Brien "Bee"`,
		"Street", "1 Main St,\r\nFlat <2> & 3", "City", "Łódź", "PostalCode", "D02 X285", "Country", "Ireland",
		"EmailConsent", " Yes", "ConsentDate", "2024-05-01T12:00:00.5+02:00"))
	require.Empty(t, reason)
	require.Equal(t, "sinead.o'brien+shop@example.com", p.Email)
	require.Equal(t, `"firstName":"Sinéad","lastName":"O'Brien \"Bee\"","address":"1 Main St, Flat <2> & 3",`+
		`"city":"Łódź","postalCode":"D02 X285","country":"Ireland","countryCode":"IE"`, string(p.Fields))
	require.Equal(t, Said{Word: Yes, At: time.Date(2024, 5, 1, 10, 0, 0, 5e8, time.UTC)}, p.Said.Mail)

	// The next row leaves the profile alone.
	before := string(p.Fields)
	_, _ = m.Map(row(m, "Email", "b@example.com", "FirstName", "Another"))
	require.Equal(t, before, string(p.Fields))

	p, reason = m.Map(row(m, "Email", "only@example.com", "FirstName", " \u200b\t"))
	require.Empty(t, reason)
	require.Empty(t, p.Fields)
	_, reason = m.Map(nil)
	require.Equal(t, ReasonEmailMissing, reason)
}

func TestTextsAreCleaned(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "",
		"plain":                           "plain",
		"  both ends ":                    "both ends",
		"Anna  Maria":                     "Anna  Maria",
		"Zoe\u0308":                       "Zoë",
		"e\u200b\u0301":                   "é", // composed although something stood between
		"line\r\nbreak":                   "line break",
		"a \n\u200b\n b":                  "a b",
		"tab\there":                       "tab here",
		"\ufeffBOM":                       "BOM",
		"nul\x00l\x07":                    "null",
		"\u00a0no-break\u00a0space\u3000": "no-break\u00a0space",
		"\u202eevil\u202c":                "evil",
		"soft\u00adhyphen":                "softhyphen",
		"👩\u200d👩\u200d👧 family":          "👩\u200d👩\u200d👧 family",
		"می\u200cخواهم":                   "می\u200cخواهم",
		"\u200dedge\u200c":                "edge",
		"İstanbul Straße ǅ":               "İstanbul Straße ǅ",
		"bad\xffbyte":                     "bad\ufffdbyte",
		"line\u2028separator\u0085next":   "line separator next",
		"東京 🏯":                            "東京 🏯",
	} {
		require.Equal(t, want, cleanText(in), "%q", in)
		require.Equal(t, want, cleanText(want), "%q is clean", want)
	}
}

func TestEmail(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	local64 := strings.Repeat("l", 64)
	long := local64 + "@" + label63 + "." + label63 + "." + strings.Repeat("b", 61) // 254
	require.Len(t, long, 254)
	for in, want := range map[string]string{
		"a@example.com":                   "a@example.com",
		" A.B+tag@EXAMPLE.com\t":          "a.b+tag@example.com",
		"\ufeffa@example.com\u200b":       "a@example.com",
		"o'brien@example.com":             "o'brien@example.com",
		"!#$%&'*+-/=?^_`{|}~@example.com": "!#$%&'*+-/=?^_`{|}~@example.com",
		"a@bücher.example":                "a@xn--bcher-kva.example",
		"a@BU\u0308CHER.example":          "a@xn--bcher-kva.example",
		"a@XN--BCHER-KVA.example":         "a@xn--bcher-kva.example",
		"a@straße.example":                "a@xn--strae-oqa.example",
		"a@ｅｘａｍｐｌｅ.com":                   "a@example.com",
		"a@例え.テスト":                        "a@xn--r8jz45g.xn--zckzah",
		"a@ab--cd.example":                "a@ab--cd.example",
		"1@2.example":                     "1@2.example",
		"a@sub.sub.example":               "a@sub.sub.example",
		long:                              long,
		"a@" + label63 + ".example":       "a@" + label63 + ".example",
		"Anna <a@example.com>":            "a@example.com",
		"mailto:a@example.com":            "a@example.com",
		"a@example.com;":                  "a@example.com",
		"a\u200bb@example.com":            "ab@example.com",
		"a@example.com.":                  "a@example.com",
	} {
		m := newMapper(t, Mapping{Email: "Email"}, ConsentRule{})
		for range 2 { // the second time from the cache
			got, reason := m.normaliseEmail(in)
			require.Empty(t, reason, "%q", in)
			require.Equal(t, want, got)
		}
	}
}

func TestAddressesThatAreNeverSent(t *testing.T) {
	long := strings.Repeat("a", 60) + "@" + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + "." + strings.Repeat("d", 63) + ".com"
	for in, want := range map[string]Reason{
		"": ReasonEmailMissing, " \u00a0\ufeff": ReasonEmailMissing, "NULL": ReasonEmailMissing, "#N/A": ReasonEmailMissing, "-": ReasonEmailMissing, "n/a": ReasonEmailMissing, " None ": ReasonEmailMissing,
		"a": ReasonEmailInvalid, "@example.com": ReasonEmailInvalid, "a@@example.com": ReasonEmailInvalid, "a b@example.com": ReasonEmailInvalid, "a@exam ple.com": ReasonEmailInvalid,
		"a@.example.com": ReasonEmailInvalid, "a@example..com": ReasonEmailInvalid, "a@example.com..": ReasonEmailInvalid, "a@-example.com": ReasonEmailInvalid, "a@example-.com": ReasonEmailInvalid, "a@exam_ple.com": ReasonEmailInvalid,
		"a@127.0.0.1": ReasonEmailInvalid, "a@[127.0.0.1]": ReasonEmailInvalid, "a@example.123": ReasonEmailInvalid, `"a b"@example.com`: ReasonEmailInvalid, "a@example.com?subject=x": ReasonEmailInvalid,
		"a@xn--\u00fc.example": ReasonEmailInvalid, "a@xn--99999999999.example": ReasonEmailInvalid, "a\x00@example.com": ReasonEmailInvalid, "a@\ufffd.example": ReasonEmailInvalid, "a@\xff.example": ReasonEmailInvalid,
		"a@b@example.com": ReasonEmailInvalid, "<<a@example.com>>": ReasonEmailInvalid, "Anna <a@example.com": ReasonEmailInvalid, "<>": ReasonEmailInvalid,
		"a@example.com,b@example.com": ReasonEmailTwo, "a@example.com; b@example.com": ReasonEmailTwo, "a@example.com b@example.com": ReasonEmailTwo, "a@example.com/b@example.com": ReasonEmailTwo,
		"a@example.com\nBcc: b@example.com": ReasonEmailTwo, "Anna <a@example.com>, Bea <b@example.com>": ReasonEmailTwo, "b@example.com <a@example.com>": ReasonEmailTwo,
		"żółw@example.com": ReasonEmailNotASCII, "\u212aelvin@example.com": ReasonEmailNotASCII, "İ@example.com": ReasonEmailNotASCII, "\xff@example.com": ReasonEmailNotASCII, "anna＠example.com": ReasonEmailNotASCII,
		"l" + strings.Repeat("x", 64) + "@example.com": ReasonEmailTooLong, "a@a" + strings.Repeat("x", 63) + ".example": ReasonEmailTooLong, long: ReasonEmailTooLong, "a@" + strings.Repeat("ü.", 600) + "ex": ReasonEmailTooLong,
		"a@": ReasonEmailDomain, "a@b": ReasonEmailDomain, "a@localhost": ReasonEmailDomain,
		".a@example.com": ReasonEmailDots, "a.@example.com": ReasonEmailDots, "a..b@example.com": ReasonEmailDots,
	} {
		m := newMapper(t, Mapping{Email: "Email"}, ConsentRule{})
		got, reason := m.normaliseEmail(in)
		require.Equal(t, want, reason, "%q gave %q", in, got)
		require.Empty(t, got)
		require.NotEmpty(t, reason.Advice())
	}
}

// An address is corrected where it has one reading, and each way is counted.
func TestAddressesAreCorrected(t *testing.T) {
	for in, want := range map[string][]Correction{
		"anna@example.com":                    nil,
		"  ANNA@EXAMPLE.COM\u00a0":            nil,
		"anna@exam\u200bple.com":              {CorrectedInvisible},
		"\u200banna@example.com":              {CorrectedInvisible},
		"an\u00adna@example.com\u202c":        {CorrectedInvisible},
		"anna@example.com.":                   {CorrectedTrailingDot},
		"'anna@example.com":                   {CorrectedTextMark},
		"'anna@example.com'":                  {CorrectedTextMark},
		`"anna@example.com"`:                  {CorrectedQuotes},
		"<anna@example.com>":                  {CorrectedBrackets},
		`"Anna A" <anna@example.com>`:         {CorrectedName},
		"Zoë Łoś <Anna@Example.com>":          {CorrectedName},
		"anna@example.com <anna@example.com>": {CorrectedName},
		"mailto:anna@example.com":             {CorrectedMailto},
		"MAILTO:anna@example.com?subject=x":   {CorrectedMailto},
		"<mailto:anna@example.com>":           {CorrectedBrackets, CorrectedMailto},
		"anna@example.com, ":                  {CorrectedSeparator},
		"\ufeff'<anna@example.com.>;":         {CorrectedInvisible, CorrectedTextMark, CorrectedSeparator, CorrectedBrackets, CorrectedTrailingDot},
	} {
		m := newMapper(t, Mapping{Email: "Email"}, ConsentRule{})
		p, reason := m.Map([]string{in})
		require.Empty(t, reason, "%q", in)
		require.Equal(t, "anna@example.com", p.Email, "%q", in)
		require.ElementsMatch(t, want, m.Corrections(), "%q", in)
	}
}

// Japanese carriers gave out addresses that no standard knows.
func TestLenientLocalParts(t *testing.T) {
	m, err := NewMapper(Mapping{Email: "Email"}, Rules{LenientLocalPart: true}, now)
	require.NoError(t, err)
	for _, in := range []string{"try..this..0511@docomo.ne.jp", "anna.@ezweb.ne.jp"} {
		p, reason := m.Map([]string{in})
		require.Empty(t, reason, in)
		require.Equal(t, in, p.Email)
		again, ok := NormaliseEmail(in)
		require.True(t, ok, "it can be explained and forgotten")
		require.Equal(t, in, again)
	}
	for _, in := range []string{".anna@ezweb.ne.jp", "...@ezweb.ne.jp", "a b..c@ezweb.ne.jp", "a..b@ezweb..ne.jp"} {
		_, reason := m.Map([]string{in})
		require.NotEmpty(t, reason, in)
	}
}

func TestCountry(t *testing.T) {
	for in, want := range map[string]country{
		"":                                 {},
		"DE":                               {code: "DE"},
		" de ":                             {code: "DE"},
		"deu":                              {code: "DE"},
		"USA":                              {code: "US"},
		"U.S.A.":                           {code: "US"},
		"UK":                               {code: "GB"},
		"EL":                               {code: "GR"},
		"UAE":                              {code: "AE"},
		"Germany":                          {"Germany", "DE"},
		"Deutschland":                      {"Deutschland", "DE"},
		"United Kingdom":                   {"United Kingdom", "GB"},
		"united states":                    {"united states", "US"},
		"Czech Republic":                   {"Czech Republic", "CZ"},
		"The Netherlands":                  {"The Netherlands", "NL"},
		"Türkiye":                          {"Türkiye", "TR"},
		"Co\u0302te d’Ivoire":              {"Côte d’Ivoire", "CI"},
		"España":                           {"España", "ES"},
		"Polska":                           {"Polska", "PL"},
		"Lietuva":                          {"Lietuva", "LT"},
		"Österreich":                       {"Österreich", "AT"},
		"Trinidad & Tobago":                {"Trinidad & Tobago", "TT"},
		"Bolivia (Plurinational State of)": {"Bolivia (Plurinational State of)", "BO"},
		"Korea (North)":                    {"Korea (North)", "KP"},
		"Korea (the Republic of)":          {"Korea (the Republic of)", "KR"},
		"Korea (wherever)":                 {"Korea (wherever)", ""},
		"Congo (Kinshasa)":                 {"Congo (Kinshasa)", "CD"},
		"Virgin Islands (British)":         {"Virgin Islands (British)", "VG"},
		"Narnia":                           {"Narnia", ""},
		"N/A":                              {"N/A", ""}, // not Namibia
		"XX":                               {"XX", ""},
		"XK":                               {"XK", ""}, // user-assigned
		"Kosovo":                           {"Kosovo", ""},
		"YU":                               {"YU", ""},
		"AN":                               {"AN", ""},
		"Yugoslavia":                       {"Yugoslavia", ""},
		"RA":                               {"RA", ""}, // Argentina's number plates
		"International":                    {"International", ""},
		"None":                             {"None", ""},
		"Україна":                          {"Україна", ""},
		"日本":                               {"日本", ""},
		"12":                               {"12", ""},
	} {
		require.Equal(t, want, lookupCountry(cleanText(in)), "%q", in)
	}
}

// ISO 3166-1 has 249 officially assigned codes.
func TestOnlyAssignedCountryCodesAreSent(t *testing.T) {
	assigned := map[string]bool{}
	for _, code := range countryCodes() {
		require.Len(t, code, 2)
		assigned[code] = true
	}
	require.Len(t, assigned, 249)
	for name, code := range countryNames {
		require.True(t, assigned[code], "%s: %s", name, code)
		require.Equal(t, letters(fold(name)), name)
	}
}

func TestCachesStayBounded(t *testing.T) {
	m := newMapper(t, Mapping{Email: "Email", Country: "Country"}, ConsentRule{})
	for i := range maxCached + 100 {
		n := strings.Repeat("x", i%100) + string(rune('a'+i%26)) + strings.Repeat("y", i/100)
		_ = m.country(n)
		_, _ = m.domain("ü" + n + ".example")
	}
	require.LessOrEqual(t, len(m.countries), maxCached)
	require.LessOrEqual(t, len(m.domains), maxCached)
}

func FuzzEmail(f *testing.F) {
	for _, seed := range []string{"a@example.com", " O'Brien+x@BÜCHER.example", "a@xn--bcher-kva.example", "\u212a@x.y", "a@1.2.3.4", "a@ｅ。example"} {
		f.Add(seed)
	}
	m := newMapper(f, Mapping{Email: "Email"}, ConsentRule{})
	f.Fuzz(func(t *testing.T, s string) {
		got, reason := m.normaliseEmail(s)
		if reason != "" {
			require.Empty(t, got)
			return
		}
		require.False(t, strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r > '~' }), "%q", got)
		require.LessOrEqual(t, len(got), maxAddress)
		require.Equal(t, 1, strings.Count(got, "@"))
		require.Equal(t, strings.ToLower(got), got)
		again, reason := m.normaliseEmail(got)
		require.Empty(t, reason, "%q became %q", s, got)
		require.Equal(t, got, again)
	})
}

// Every short text around every letter that passes as plain comes out as the full
// treatment has it.
func TestPlainTextsNeedNoRewriting(t *testing.T) {
	for r := range rune(0x3100) {
		for _, text := range []string{string(r), "a" + string(r), " " + string(r) + " ", "é" + string(r) + "  b", "e\u0301" + string(r)} {
			require.Equal(t, strings.TrimFunc(norm.NFC.String(rewriteRunes(text)), isEdge), cleanText(text), "%q", text)
		}
	}
	for _, broken := range []string{"\xc3", "a\xc2", "\xc2\x20", "\xcb\xff", "\xc1\xbf", "\xcc\x81"} {
		require.False(t, isPlain(broken), "%q", broken)
	}
	require.True(t, isPlain("Łódź, Žižkov 12 "))
}

func FuzzMap(f *testing.F) {
	f.Add("a@example.com", "Zoe\u0308", "1 Main\nSt", "USA", "yes", "2024-05-01")
	f.Add("a@example.com", "+48512345678", "[\"a\"]", "PL", "yes", "1980-05-01")
	f.Add("a@bücher.example", "\u202e\x00\xff", "\"\\</script>\u2028", "Korea (North)", "opted-out", "2099-01-01")
	f.Add("a@example.com", "e\u200b\u0301", strings.Repeat("\u0301", 70), "N/A", "TRUE", "0001-01-01T00:00:00Z")
	m := newMapper(f, everything, ConsentRule{})
	f.Fuzz(func(t *testing.T, email, name, street, land, flag, date string) {
		p, reason := m.Map(row(m, "Email", email, "FirstName", name, "LastName", name+street, "Street", street, "Country", land,
			"EmailConsent", flag, "ConsentDate", date, "Born", date, "Sex", flag, "Phone", name, "SMS", flag, "Since", date,
			"Colour", street, "Points", name, "Tags", land))
		if reason != "" {
			require.NotEmpty(t, reason.Advice(), reason)
			return
		}
		require.True(t, utf8.Valid(p.Fields))
		for member, text := range decodeFields(t, p) {
			require.NotEmpty(t, text, member)
			require.Equal(t, text, cleanText(text), "%s is clean", member)
		}
		switch said := p.Said.Mail; said.Word {
		case Yes:
			require.Contains(t, defaultConsent, consentValue(flag))
			require.True(t, said.At.After(Undated) && !said.At.After(now))
			require.Empty(t, said.Note)
		case Doubtful:
			require.Contains(t, defaultConsent, consentValue(flag))
		case OptOut:
			require.Contains(t, defaultOptOut, consentValue(flag))
		case Refused:
			require.Contains(t, refusals, consentValue(flag))
		default:
			require.Equal(t, No, said.Word)
		}
		s := settled(p)
		require.False(t, s.Mail.At.After(now) || s.Mail.At.Before(Undated))
		if s.Texts() {
			require.Regexp(t, `^\+[1-9][0-9]{6,14}$`, s.Phone)
			require.Contains(t, slices.Concat(defaultConsent, defaultOptOut, refusals), consentValue(flag))
		}
		item := Item(nil, p, s, []MarkerValue{{Property: MarkerProperty(name), Member: true}})
		require.True(t, json.Valid(item) && utf8.Valid(item), "%s", item)
	})
}

func BenchmarkMap(b *testing.B) {
	m := newMapper(b, everything, ConsentRule{})
	rows := [][]string{
		row(m, "Email", "Anna.Kowalska+shop@example.com", "FirstName", "Anna", "LastName", "Kowalska", "Street", "ul. Długa 5",
			"City", "Łódź", "PostalCode", "90-001", "Country", "Poland", "EmailConsent", "true", "ConsentDate", "2024-05-01T10:00:00Z"),
		row(m, "Email", "john.smith@example.org", "FirstName", "John", "LastName", "Smith", "Street", "1 Main Street",
			"City", "Springfield", "State", "IL", "PostalCode", "62701", "Country", "US", "EmailConsent", "no", "ConsentDate", ""),
		row(m, "Email", "zoe@bücher.example", "FirstName", "Zoë", "LastName", "García", "City", "San José", "Country", "Costa Rica",
			"EmailConsent", "subscribed", "ConsentDate", "2024-05-01 10:00:00"),
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, reason := m.Map(rows[i%len(rows)]); reason != "" {
			b.Fatal(reason)
		}
		i++
	}
}
