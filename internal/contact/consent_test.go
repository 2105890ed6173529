package contact

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t.UTC()
}

func TestConsentOfARow(t *testing.T) {
	for name, test := range map[string]struct {
		flag, date string
		want       Consent
	}{
		"consent with a date":     {"true", "2024-05-01", Consent{Subscribed, at("2024-05-01T00:00:00Z"), ""}},
		"one":                     {"1", "2024-05-01T10:00:00Z", Consent{Subscribed, at("2024-05-01T10:00:00Z"), ""}},
		"yes in another case":     {" YES\u00a0", "2024-05-01T10:00:00+02:00", Consent{Subscribed, at("2024-05-01T08:00:00Z"), ""}},
		"subscribed":              {"Subscribed", "2024-05-01 10:00:00", Consent{Subscribed, at("2024-05-01T10:00:00Z"), ""}},
		"this very moment":        {"true", "2026-03-15T12:00:00Z", Consent{Subscribed, now, ""}},
		"undated":                 {"true", " ", Consent{NonSubscribed, Undated, NoteUndated}},
		"no real date":            {"true", "1970-01-01", Consent{NonSubscribed, Undated, NoteUndated}},
		"a database's zero":       {"true", "0001-01-01T00:00:00Z", Consent{NonSubscribed, Undated, NoteUndated}},
		"unreadable":              {"true", "03/04/2024", Consent{NonSubscribed, Undated, NoteBadDate}},
		"no such day":             {"true", "2024-02-30", Consent{NonSubscribed, Undated, NoteBadDate}},
		"a number":                {"true", "1714557600", Consent{NonSubscribed, Undated, NoteBadDate}},
		"a second in the future":  {"true", "2026-03-15T12:00:01Z", Consent{NonSubscribed, Undated, NoteFuture}},
		"a day in the future":     {"true", "2026-03-16", Consent{NonSubscribed, Undated, NoteFuture}},
		"future by its zone":      {"true", "2026-03-15T11:30:00-01:00", Consent{NonSubscribed, Undated, NoteFuture}},
		"false":                   {"False", "2024-05-01", Consent{NonSubscribed, Undated, ""}},
		"no":                      {"no", "2024-05-01", Consent{NonSubscribed, Undated, ""}},
		"zero":                    {"0", "2024-05-01", Consent{NonSubscribed, Undated, ""}},
		"empty":                   {"", "2024-05-01", Consent{NonSubscribed, Undated, ""}},
		"almost yes":              {"y", "2024-05-01", Consent{NonSubscribed, Undated, NoteUndeclared}},
		"anything else":           {"maybe", "2024-05-01", Consent{NonSubscribed, Undated, NoteUndeclared}},
		"dated opt-out":           {"unsubscribed", "2024-05-01", Consent{Unsubscribed, at("2024-05-01T00:00:00Z"), ""}},
		"opted-out":               {" Opted-Out", "2024-05-01", Consent{Unsubscribed, at("2024-05-01T00:00:00Z"), ""}},
		"undated opt-out":         {"unsubscribed", "", Consent{Unsubscribed, Undated, NoteUndated}},
		"opt-out in the future":   {"unsubscribed", "2099-01-01", Consent{Unsubscribed, Undated, NoteFuture}},
		"opt-out, bad date":       {"unsubscribed", "soon", Consent{Unsubscribed, Undated, NoteBadDate}},
		"opt-out, a zero date":    {"unsubscribed", "1900-01-01", Consent{Unsubscribed, Undated, NoteUndated}},
		"dots do not make a true": {"t.r.u.e", "2024-05-01", Consent{NonSubscribed, Undated, NoteUndeclared}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMapper(t, everything, ConsentRule{})
			p, reason := m.Map(row(m, "Email", "a@example.com", "EmailConsent", test.flag, "ConsentDate", test.date))
			require.Empty(t, reason)
			require.Equal(t, test.want, p.Consent)
		})
	}
}

func TestConsentThatIsNotMapped(t *testing.T) {
	m := newMapper(t, Mapping{Email: "Email"}, ConsentRule{})
	p, _ := m.Map([]string{"a@example.com"})
	require.Equal(t, Consent{NonSubscribed, Undated, NoteNotMapped}, p.Consent)

	m = newMapper(t, Mapping{Email: "Email", ConsentFlag: "Flag"}, ConsentRule{})
	p, _ = m.Map(row(m, "Email", "a@example.com", "Flag", "true"))
	require.Equal(t, Consent{NonSubscribed, Undated, NoteUndated}, p.Consent)
	p, _ = m.Map(row(m, "Email", "a@example.com", "Flag", "unsubscribed"))
	require.Equal(t, Consent{Unsubscribed, Undated, NoteUndated}, p.Consent)
}

func TestADeclaredRule(t *testing.T) {
	// A field that holds refusals: 0 is the consent here.
	m := newMapper(t, everything, ConsentRule{Consent: []string{"0", " Nee "}, OptOut: []string{"1", "JA"}})
	for flag, want := range map[string]Consent{
		"0":            {Subscribed, at("2024-05-01T00:00:00Z"), ""},
		"nee":          {Subscribed, at("2024-05-01T00:00:00Z"), ""},
		"1":            {Unsubscribed, at("2024-05-01T00:00:00Z"), ""},
		"Ja":           {Unsubscribed, at("2024-05-01T00:00:00Z"), ""},
		"true":         {NonSubscribed, Undated, NoteUndeclared}, // a default that was replaced
		"unsubscribed": {NonSubscribed, Undated, NoteUndeclared},
		"":             {NonSubscribed, Undated, ""},
	} {
		p, _ := m.Map(row(m, "Email", "a@example.com", "EmailConsent", flag, "ConsentDate", "2024-05-01"))
		require.Equal(t, want, p.Consent, "%q", flag)
	}
	// The two lists are replaced one by one.
	m = newMapper(t, everything, ConsentRule{Consent: []string{"opt-in"}})
	p, _ := m.Map(row(m, "Email", "a@example.com", "EmailConsent", "unsubscribed", "ConsentDate", "2024-05-01"))
	require.Equal(t, Unsubscribed, p.Consent.Status)
}

func TestDatesAreReadInOneWayOnly(t *testing.T) {
	want := time.Date(2024, 5, 1, 10, 20, 30, 0, time.UTC)
	for _, s := range []string{
		"2024-05-01T10:20:30Z", "2024-05-01T12:20:30+02:00", "2024-05-01T10:20:30", "2024-05-01 10:20:30", "2024-05-01 10:20:30Z",
		"2024-05-01 10:20:30+00", "2024-05-01 12:20:30+02", "2024-05-01 12:20:30 +0200", "2024-05-01T12:20:30+0200",
		"2024-05-01 10:20:30 UTC", "2024-05-01 12:20:30 +02:00", "2024-05-01T10:20:30.0000000Z", "2024-05-01 10:20:30.000",
	} {
		got, ok := parseDate(s)
		require.True(t, ok, s)
		require.Equal(t, want, got, s)
	}
	for _, s := range []string{"2024-05-01T10:20:30.123456789Z", "2024-05-01 10:20:30.123"} {
		got, ok := parseDate(s)
		require.True(t, ok, s)
		require.Equal(t, want.Add(123*time.Millisecond), got, s)
	}
	got, ok := parseDate("2024-05-01 10:20")
	require.True(t, ok)
	require.Equal(t, want.Truncate(time.Minute), got)
	for _, s := range []string{
		"", "x", "2024", "2024-5-1", "01.05.2024", "05/01/2024", "1/2/2024 10:00", "2024-13-01", "2024-05-32", "20240501", "1714557600",
		"2024-05-01T25:00:00Z", "2024-05-01T10:20:30 CEST", "2024-05-01 10:20:30 PM", "May 1, 2024", "2024-05-01T", "2024-05-01\x00", "２０２４-05-01",
	} {
		_, ok := parseDate(s)
		require.False(t, ok, s)
	}
}

func TestStricter(t *testing.T) {
	older, newer := at("2023-01-01T00:00:00Z"), at("2024-01-01T00:00:00Z")
	// From the most restrictive to the least.
	order := []Consent{
		{Unsubscribed, newer, ""},
		{Unsubscribed, older, ""},
		{Unsubscribed, Undated, NoteUndated},
		{Unsubscribed, Undated, ""},
		{NonSubscribed, Undated, NoteUndated},
		{NonSubscribed, Undated, NoteNotMapped},
		{NonSubscribed, Undated, NoteFuture},
		{NonSubscribed, Undated, ""},
		{Subscribed, older, ""},
		{Subscribed, newer, ""},
	}
	for i, a := range order {
		for j, b := range order {
			require.Equal(t, order[min(i, j)], Stricter(a, b), "%v and %v", a, b)
		}
	}
	require.Equal(t, NonSubscribed, Stricter(Consent{Status: "odd", At: Undated}, Consent{Subscribed, older, ""}).effective())
}

// effective is the status as it would be sent.
func (c Consent) effective() Status {
	if c.Status == Subscribed || c.Status == Unsubscribed {
		return c.Status
	}
	return NonSubscribed
}

func FuzzStricter(f *testing.F) {
	statuses := []Status{Subscribed, Unsubscribed, NonSubscribed, "", "odd"}
	notes := []ConsentNote{"", NoteUndated, NoteFuture}
	f.Add(uint8(0), int64(1), uint8(1), int64(2), uint8(2), int64(3), uint8(0))
	f.Fuzz(func(t *testing.T, s1 uint8, t1 int64, s2 uint8, t2 int64, s3 uint8, t3 int64, n uint8) {
		make := func(s uint8, ms int64, n uint8) Consent {
			return Consent{statuses[int(s)%len(statuses)], time.UnixMilli(ms % 4e12).UTC(), notes[int(n)%len(notes)]}
		}
		a, b, c := make(s1, t1, n), make(s2, t2, n/3), make(s3, t3, n/9)
		require.Equal(t, a, Stricter(a, a))
		require.Equal(t, Stricter(a, b), Stricter(b, a))
		require.Equal(t, Stricter(a, Stricter(b, c)), Stricter(Stricter(a, b), c))
		require.Contains(t, []Consent{a, b}, Stricter(a, b))
		if a.effective() == Unsubscribed || b.effective() == Unsubscribed {
			require.Equal(t, Unsubscribed, Stricter(a, b).effective())
		} else if a.effective() == NonSubscribed || b.effective() == NonSubscribed {
			require.Equal(t, NonSubscribed, Stricter(a, b).effective())
		}
	})
}
