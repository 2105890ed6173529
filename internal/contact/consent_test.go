package contact

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/dates"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t.UTC()
}

func TestWhatARowSays(t *testing.T) {
	for name, test := range map[string]struct {
		flag, date string
		want       Said
	}{
		"consent with a date":     {"true", "2024-05-01", Said{Yes, at("2024-05-01T00:00:00Z"), ""}},
		"one":                     {"1", "2024-05-01T10:00:00Z", Said{Yes, at("2024-05-01T10:00:00Z"), ""}},
		"yes in another case":     {" YES\u00a0", "2024-05-01T10:00:00+02:00", Said{Yes, at("2024-05-01T08:00:00Z"), ""}},
		"subscribed":              {"Subscribed", "2024-05-01 10:00:00", Said{Yes, at("2024-05-01T10:00:00Z"), ""}},
		"this moment":             {"true", "2026-03-15T12:00:00Z", Said{Yes, now, ""}},
		"today":                   {"true", "2026-03-15", Said{Yes, at("2026-03-15T00:00:00Z"), ""}},
		"undated":                 {"true", " ", Said{Doubtful, Undated, NoteUndated}},
		"no real date":            {"true", "1970-01-01", Said{Doubtful, Undated, NoteUndated}},
		"a database's zero":       {"true", "0001-01-01T00:00:00Z", Said{Doubtful, Undated, NoteUndated}},
		"a placeholder":           {"true", "NULL", Said{Doubtful, Undated, NoteUndated}},
		"either order":            {"true", "03/04/2024", Said{Doubtful, Undated, NoteAmbiguousDate}},
		"a spreadsheet's day":     {"true", "45413", Said{Doubtful, Undated, NoteSerialDate}},
		"no such day":             {"true", "2024-02-30", Said{Doubtful, Undated, NoteBadDate}},
		"seconds":                 {"true", "1714557600", Said{Yes, at("2024-05-01T10:00:00Z"), ""}},
		"a second in the future":  {"true", "2026-03-15T12:00:01Z", Said{Doubtful, Undated, NoteFuture}},
		"a day in the future":     {"true", "2026-03-16", Said{Doubtful, Undated, NoteFuture}},
		"future by its zone":      {"true", "2026-03-15T11:30:00-01:00", Said{Doubtful, Undated, NoteFuture}},
		"false with a date":       {"False", "2024-05-01", Said{Refused, at("2024-05-01T23:59:59.999Z"), ""}},
		"no with a time":          {"no", "2024-05-01T10:00:00Z", Said{Refused, at("2024-05-01T10:00:00Z"), ""}},
		"zero, a date like none":  {"0", "01/02/2024", Said{Refused, Undated, NoteAmbiguousDate}},
		"false":                   {"false", "", Said{No, Undated, ""}},
		"false since never":       {"false", "1900-01-01", Said{No, Undated, ""}},
		"empty":                   {"", "2024-05-01", Said{No, at("2024-05-01T23:59:59.999Z"), ""}},
		"stands for nothing":      {"NULL", "", Said{No, Undated, ""}},
		"almost yes":              {"y", "2024-05-01", Said{No, at("2024-05-01T23:59:59.999Z"), NoteUndeclared}},
		"anything else":           {"maybe", "", Said{No, Undated, NoteUndeclared}},
		"dated opt-out":           {"unsubscribed", "2024-05-01", Said{OptOut, at("2024-05-01T23:59:59.999Z"), ""}},
		"opted-out":               {" Opted-Out", "2024-05-01 10:00", Said{OptOut, at("2024-05-01T10:00:00Z"), ""}},
		"undated opt-out":         {"unsubscribed", "", Said{OptOut, Undated, NoteUndated}},
		"opt-out in the future":   {"unsubscribed", "2099-01-01T00:00:00Z", Said{OptOut, at("2099-01-01T00:00:00Z"), ""}},
		"opt-out, bad date":       {"unsubscribed", "soon", Said{OptOut, Undated, NoteBadDate}},
		"opt-out, a zero date":    {"unsubscribed", "1900-01-01", Said{OptOut, Undated, NoteUndated}},
		"dots do not make a true": {"t.r.u.e", "", Said{No, Undated, NoteUndeclared}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMapper(t, everything, ConsentRule{})
			p, reason := m.Map(row(m, "Email", "a@example.com", "EmailConsent", test.flag, "ConsentDate", test.date))
			require.Empty(t, reason)
			require.Equal(t, test.want, p.Said.Mail)
			p, _ = m.Map(row(m, "Email", "a@example.com", "Phone", "+48512345678", "SMS", test.flag, "Since", test.date))
			require.Equal(t, test.want, p.Said.SMS, "texting alike")
		})
	}
}

// A day counts at its start for a consent and at its end for an opt-out, in the
// zone of the source.
func TestDaysAreThoseOfTheZone(t *testing.T) {
	warsaw, err := dates.NewReader(dates.DMY, "Europe/Warsaw")
	require.NoError(t, err)
	m, err := NewMapper(everything, Rules{Dates: warsaw}, now)
	require.NoError(t, err)
	said := func(flag, date string) time.Time {
		p, _ := m.Map(row(m, "Email", "a@example.com", "EmailConsent", flag, "ConsentDate", date))
		return p.Said.Mail.At
	}
	require.Equal(t, at("2024-04-30T22:00:00Z"), said("true", "1/5/2024"))
	require.Equal(t, at("2024-05-01T21:59:59.999Z"), said("unsubscribed", "1/5/2024"))
	require.Equal(t, at("2025-10-26T00:30:00Z"), said("true", "26/10/2025 02:30"), "the hour that is repeated")
	require.Equal(t, at("2025-10-26T01:30:00Z"), said("unsubscribed", "26/10/2025 02:30"))
	require.Equal(t, []DateSample{{"1/5/2024", "2024-05-01, the whole day in Europe/Warsaw"}, {"26/10/2025 02:30", "2025-10-26 02:30:00 +02:00 in Europe/Warsaw"}}, m.TakeSeen().Dates)
}

func TestConsentThatIsNotMapped(t *testing.T) {
	m := newMapper(t, Mapping{Email: "Email"}, ConsentRule{})
	p, _ := m.Map([]string{"a@example.com"})
	require.Equal(t, Said{Silent, Undated, NoteNotMapped}, p.Said.Mail)

	m = newMapper(t, Mapping{Email: "Email", ConsentFlag: "Flag"}, ConsentRule{})
	p, _ = m.Map(row(m, "Email", "a@example.com", "Flag", "true"))
	require.Equal(t, Said{Doubtful, Undated, NoteUndated}, p.Said.Mail)
	p, _ = m.Map(row(m, "Email", "a@example.com", "Flag", "unsubscribed"))
	require.Equal(t, Said{OptOut, Undated, NoteUndated}, p.Said.Mail)
}

func TestADeclaredRule(t *testing.T) {
	// A field that holds refusals: 0 is the consent here.
	m := newMapper(t, everything, ConsentRule{Consent: []string{"0", " Nee "}, OptOut: []string{"1", "JA"}})
	start, end := at("2024-05-01T00:00:00Z"), at("2024-05-01T23:59:59.999Z")
	for flag, want := range map[string]Said{
		"0":            {Yes, start, ""},
		"nee":          {Yes, start, ""},
		"1":            {OptOut, end, ""},
		"Ja":           {OptOut, end, ""},
		"true":         {No, end, NoteUndeclared}, // a default that was replaced
		"unsubscribed": {No, end, NoteUndeclared},
		"":             {No, end, ""},
	} {
		p, _ := m.Map(row(m, "Email", "a@example.com", "EmailConsent", flag, "ConsentDate", "2024-05-01"))
		require.Equal(t, want, p.Said.Mail, "%q", flag)
	}
	// The two lists are replaced one by one.
	m = newMapper(t, everything, ConsentRule{Consent: []string{"opt-in", "534120000"}})
	p, _ := m.Map(row(m, "Email", "a@example.com", "EmailConsent", "unsubscribed", "ConsentDate", "2024-05-01"))
	require.Equal(t, OptOut, p.Said.Mail.Word)
	p, _ = m.Map(row(m, "Email", "a@example.com", "EmailConsent", "534120000", "ConsentDate", "2024-05-01"))
	require.Equal(t, Yes, p.Said.Mail.Word, "a choice column's number")

	m = newMapper(t, everything, ConsentRule{Refusals: RefusalsNone})
	p, _ = m.Map(row(m, "Email", "a@example.com", "EmailConsent", "false", "ConsentDate", "2024-05-01"))
	require.Equal(t, Said{Declined, end, ""}, p.Said.Mail)
	p, _ = m.Map(row(m, "Email", "a@example.com", "EmailConsent", "false"))
	require.Equal(t, Said{No, Undated, ""}, p.Said.Mail, "a refusal without a date is none that the option decides about")
	for _, rule := range []ConsentRule{{Refusals: "odd"}, {UndatedOptOuts: "odd"}} {
		_, err := NewMapper(everything, Rules{Consent: rule}, now)
		require.ErrorContains(t, err, `"odd" is neither`)
	}
}

func TestFrequentUndeclaredValuesAreCounted(t *testing.T) {
	m := newMapper(t, everything, ConsentRule{})
	say := func(flag string) { m.Map(row(m, "Email", "a@example.com", "EmailConsent", flag)) }
	for range 30 {
		say("Y")
		say(" y ")
		say("N")
	}
	for i := range 2000 {
		say(fmt.Sprint("rare ", i))
	}
	say("ann@example.com")
	say(strings.Repeat("long", 6))
	seen := m.TakeSeen()
	require.Equal(t, 60, seen.Values["y"])
	require.Equal(t, 30, seen.Values["n"])
	require.LessOrEqual(t, len(seen.Values), mostValues)
	require.NotContains(t, seen.Values, "ann@example.com")
	require.NotContains(t, seen.Values, strings.Repeat("long", 6))
	require.Zero(t, m.TakeSeen())
}

func TestStricter(t *testing.T) {
	older, newer := at("2023-01-01T00:00:00Z"), at("2024-01-01T00:00:00Z")
	// From the most restrictive to the least.
	order := []Said{
		{OptOut, Undated, NoteUndated},
		{OptOut, Undated, NoteBadDate},
		{OptOut, newer, ""},
		{Refused, newer, ""},
		{OptOut, older, ""},
		{Declined, newer, ""},
		{No, newer, ""},
		{No, Undated, NoteUndeclared},
		{No, Undated, ""},
		{Doubtful, Undated, NoteUndated},
		{Doubtful, Undated, NoteFuture},
		{Yes, older, ""},
		{Yes, newer, ""},
		{Silent, Undated, NoteNotMapped},
	}
	slices.SortStableFunc(order[:2], compareSaid) // by their notes
	for i, a := range order {
		for j, b := range order {
			require.Equal(t, order[min(i, j)], Stricter(a, b), "%v and %v", a, b)
		}
	}
}

func FuzzStricter(f *testing.F) {
	notes := []ConsentNote{"", NoteUndated, NoteFuture}
	f.Add(uint8(0), int64(1), uint8(1), int64(2), uint8(2), int64(3), uint8(0))
	f.Fuzz(func(t *testing.T, w1 uint8, t1 int64, w2 uint8, t2 int64, w3 uint8, t3 int64, n uint8) {
		make := func(w uint8, ms int64, n uint8) Said {
			return Said{Word(w % 7), time.UnixMilli(ms % 4e12).UTC(), notes[int(n)%len(notes)]}
		}
		a, b, c := make(w1, t1, n), make(w2, t2, n/3), make(w3, t3, n/9)
		require.Equal(t, a, Stricter(a, a))
		require.Equal(t, Stricter(a, b), Stricter(b, a))
		require.Equal(t, Stricter(a, Stricter(b, c)), Stricter(Stricter(a, b), c))
		require.Contains(t, []Said{a, b}, Stricter(a, b))
		require.Equal(t, a.isOptOut() || b.isOptOut(), Stricter(a, b).isOptOut())
	})
}
