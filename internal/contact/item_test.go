package contact

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestItem(t *testing.T) {
	anna := Profile{Email: "anna@example.com", Fields: []byte(`"firstName":"Anna","city":"Łódź"`)}
	for name, test := range map[string]struct {
		profile Profile
		consent Consent
		markers []MarkerValue
		want    string
	}{
		"subscribed": {anna, Consent{Subscribed, at("2024-05-01T10:00:00.5Z"), ""}, []MarkerValue{{"segment_spring", true}}, `{
			"identifiers":[{"type":"email","id":"anna@example.com","channels":{"email":{"status":"subscribed","statusChangedAt":"2024-05-01T10:00:00.5Z"}},
				"sendWelcomeMessage":false,"consent":{"source":"api","createdAt":"2024-05-01T10:00:00.5Z"}}],
			"firstName":"Anna","city":"Łódź","customProperties":{"segment_spring":true}}`},
		"opted out": {Profile{Email: "a@example.com"}, Consent{Unsubscribed, at("2024-05-01T10:00:00Z"), ""}, []MarkerValue{{"segment_a", true}, {"segment_b", false}}, `{
			"identifiers":[{"type":"email","id":"a@example.com","channels":{"email":{"status":"unsubscribed","statusChangedAt":"2024-05-01T10:00:00Z"}},
				"sendWelcomeMessage":false}],"customProperties":{"segment_a":true,"segment_b":""}}`},
		"no consent, no markers": {anna, Consent{NonSubscribed, Undated, RuleNone}, nil, `{
			"identifiers":[{"type":"email","id":"anna@example.com","channels":{"email":{"status":"nonSubscribed","statusChangedAt":"1970-01-01T00:00:00Z"}},
				"sendWelcomeMessage":false}],"firstName":"Anna","city":"Łódź"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got := Item([]byte("x"), test.profile, Settled{Mail: test.consent}, test.markers)
			require.Equal(t, byte('x'), got[0])
			require.JSONEq(t, test.want, string(got[1:]))
		})
	}
	require.JSONEq(t, `{"identifiers":[{"type":"email","id":"a@example.com","channels":{"email":{"status":"nonSubscribed","statusChangedAt":"1970-01-01T00:00:00Z"}},
		"sendWelcomeMessage":false}],"customProperties":{"segment_a":"","segment_b":""}}`,
		string(LeaverItem(nil, "a@example.com", []string{"segment_a", "segment_b"})))
}

// For all combinations: no subscription without a true date, no
// status dated later than stated, no unknown status, no tags.
func TestItemNeverWidensConsent(t *testing.T) {
	for _, c := range []Consent{{}, {Status: Subscribed}, {Subscribed, Undated, ""}, {Subscribed, Undated.Add(-time.Hour), ""}, {"odd", now, ""}, {NonSubscribed, now, ""}} {
		item := string(Item(nil, Profile{Email: "a@example.com"}, Settled{Mail: c}, nil))
		require.Contains(t, item, `"status":"nonSubscribed","statusChangedAt":"1970-01-01T00:00:00Z"`, "%+v", c)
		require.NotContains(t, item, `"consent"`)
		require.NotContains(t, item, `tags`)
	}
	require.Contains(t, string(Item(nil, Profile{Email: "a@example.com"}, Settled{Mail: Consent{Status: Unsubscribed}}, nil)),
		`"status":"unsubscribed","statusChangedAt":"1970-01-01T00:00:00Z"`)
}

func FuzzItem(f *testing.F) {
	f.Add("a@example.com", "Zoë \"x\"\n\x00\xff", "segment_a", int64(1714557600000), uint8(0))
	f.Fuzz(func(t *testing.T, email, name, property string, ms int64, status uint8) {
		p := Profile{Email: email, Fields: appendString([]byte(`"firstName":`), name)}
		c := Consent{Status: []Status{Subscribed, Unsubscribed, NonSubscribed, ""}[status%4], At: time.UnixMilli(ms % 250e12)}
		item := Item(nil, p, Settled{Mail: c}, []MarkerValue{{Property: property, Member: true}})
		var decoded struct {
			FirstName        string          `json:"firstName"`
			CustomProperties map[string]bool `json:"customProperties"`
			Identifiers      []struct {
				ID                 string `json:"id"`
				SendWelcomeMessage *bool  `json:"sendWelcomeMessage"`
				Channels           map[string]struct {
					StatusChangedAt time.Time `json:"statusChangedAt"`
				} `json:"channels"`
			} `json:"identifiers"`
		}
		require.NoError(t, json.Unmarshal(item, &decoded), "%s", item)
		// encoding/json reads each invalid byte as U+FFFD, as we write it.
		valid := func(s string) string { return string([]rune(s)) }
		require.Equal(t, valid(name), decoded.FirstName)
		require.Equal(t, map[string]bool{valid(property): true}, decoded.CustomProperties)
		require.Len(t, decoded.Identifiers, 1)
		require.Equal(t, valid(email), decoded.Identifiers[0].ID)
		require.False(t, *decoded.Identifiers[0].SendWelcomeMessage)
		require.False(t, decoded.Identifiers[0].Channels["email"].StatusChangedAt.Before(Undated))
	})
}

func TestMarkerProperty(t *testing.T) {
	for in, want := range map[string]string{
		"spring_buyers":      "segment_spring_buyers",
		"Spring Buyers 2026": "segment_spring_buyers_2026",
		"  VIP -- (gold!) ":  "segment_vip_gold",
		"Łódź & Straße":      "segment_lodz_strasse",
		"İstanbul":           "segment_istanbul",
		"ﬁne":                "segment_fine",
	} {
		require.Equal(t, want, MarkerProperty(in), in)
	}
	legal := regexp.MustCompile(`^segment_[a-z0-9_]{1,120}$`)
	seen := map[string]string{}
	for _, in := range []string{"", "!!!", "東京", "大阪", "東京 VIP", "大阪 VIP", "VIP", "Покупатели", "🎉", strings.Repeat("a", 120),
		strings.Repeat("a", 121), strings.Repeat("a", 122), strings.Repeat("a_", 100), "\xff"} {
		got := MarkerProperty(in)
		require.Regexp(t, legal, got, in)
		require.Equal(t, got, MarkerProperty(in))
		require.NotContains(t, seen, got, "%q and %q", in, seen[got])
		seen[got] = in
	}
}

func TestDigests(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	d, other := NewDigester(key), NewDigester([]byte("another key that is also 32 long"))
	a := d.Address("a@example.com")
	require.Equal(t, a, d.Address("a@example.com"))
	require.Equal(t, a, NewDigester(key).Address("a@example.com"))
	require.NotEqual(t, a, d.Address("b@example.com"))
	require.NotEqual(t, a, other.Address("a@example.com"))
	// Pinned: ledgers hold these, so a change would send everything again.
	require.Equal(t, "8fba5cf2f2af4143480eac0509e48fda", fmt.Sprintf("%x", a))

	p := Profile{Email: "a@example.com", Fields: []byte(`"firstName":"Anna"`)}
	c := Settled{Mail: Consent{Status: Subscribed, At: at("2024-05-01T10:00:00Z")}}
	markers := []MarkerValue{{"segment_a", true}, {"segment_b", true}}
	base := d.Content(p, c, markers)
	require.Equal(t, base, d.Content(p, c, markers))
	require.Equal(t, base, d.Content(p, Settled{Mail: Consent{Subscribed, c.Mail.At.In(time.FixedZone("", 3600)), RuleConsent}}, markers), "the same moment; rules are not sent")

	changed := d.Content(Profile{Fields: []byte(`"firstName":"Anne"`)}, c, markers)
	require.NotEqual(t, base.Profile, changed.Profile)
	require.Equal(t, base.Consent, changed.Consent)
	require.Equal(t, base.Markers, changed.Markers)
	require.NotEqual(t, base.Consent, d.Content(p, Settled{Mail: Consent{Unsubscribed, c.Mail.At, ""}}, markers).Consent)
	require.NotEqual(t, base.Consent, d.Content(p, Settled{Mail: Consent{Subscribed, c.Mail.At.Add(time.Millisecond), ""}}, markers).Consent)
	for _, m := range [][]MarkerValue{nil, markers[:1], {{"segment_a", true}, {"segment_b", false}}, {{"segment_asegment_b", true}}} {
		require.NotEqual(t, base.Markers, d.Content(p, c, m).Markers, "%v", m)
	}
	require.NotEqual(t, base.Profile, other.Content(p, c, markers).Profile)
}

// A digester that remembers what it digested last says the same as one that does
// not.
func TestContentDoesNotDependOnWhatCameBefore(t *testing.T) {
	key := make([]byte, 32)
	d := NewDigester(key)
	dated := now.Add(-time.Hour)
	settled := []Settled{
		{Mail: Consent{Status: NonSubscribed, At: Undated}}, {Mail: Consent{Status: Unsubscribed, At: Undated}}, {Mail: Consent{Status: Subscribed, At: dated}},
		{Mail: Consent{Status: NonSubscribed, At: Undated}, Phone: "+37060000000", SMS: Consent{Status: Unsubscribed, At: Undated}},
	}
	markers := [][]MarkerValue{nil, {{"segment_a", true}}, {{"segment_a", false}}, {{"segment_a", true}, {"segment_b", true}}}
	for i := range 64 {
		s, m := settled[i%4], markers[i/4%4]
		for range 2 {
			require.Equal(t, NewDigester(key).Content(Profile{}, s, m), d.Content(Profile{}, s, m))
		}
	}
}

func TestStampsAreWrittenToTheMillisecond(t *testing.T) {
	zone := time.FixedZone("", 2*3600)
	for _, at := range []time.Time{{}, Undated, Undated.Add(-time.Hour), Undated.Add(time.Millisecond), now, time.Date(2024, 2, 29, 23, 59, 59, 120_999_999, zone),
		time.Date(2024, 12, 31, 0, 0, 0, 999_000_000, time.UTC), time.Date(2024, 12, 31, 0, 0, 0, 999_999, time.UTC)} {
		want := at
		if want.Before(Undated) {
			want = Undated
		}
		require.Equal(t, want.UTC().Format(stamp), string(appendStamp(nil, at)))
	}
}

func TestShards(t *testing.T) {
	require.Equal(t, 0, Shard(Digest{}))
	require.Equal(t, Shards-1, Shard(Digest{0xff}))
	require.Equal(t, 1, Shard(Digest{0x04}))
	d := NewDigester(make([]byte, 32))
	var counts [Shards]int
	for i := range 64_000 {
		counts[Shard(d.Address(fmt.Sprintf("person%d@example.com", i)))]++
	}
	for shard, n := range counts {
		require.InDelta(t, 1000, n, 200, "shard %d", shard)
	}
}

func BenchmarkDigests(b *testing.B) {
	d := NewDigester(make([]byte, 32))
	p := Profile{Email: "anna.kowalska@example.com", Fields: []byte(`"firstName":"Anna","lastName":"Kowalska","address":"ul. Długa 5","city":"Łódź","postalCode":"90-001","countryCode":"PL"`)}
	c := Settled{Mail: Consent{Status: Subscribed, At: now}}
	markers := []MarkerValue{{"segment_spring_buyers", true}}
	b.Run("address", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = d.Address(p.Email)
		}
	})
	b.Run("content", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = d.Content(p, c, markers)
		}
	})
}

func BenchmarkItem(b *testing.B) {
	p := Profile{Email: "anna.kowalska@example.com", Fields: []byte(`"firstName":"Anna","lastName":"Kowalska","city":"Łódź"`)}
	markers := []MarkerValue{{"segment_spring_buyers", true}}
	b.ReportAllocs()
	var item []byte
	for b.Loop() {
		item = Item(item[:0], p, Settled{Mail: Consent{Status: Subscribed, At: now}}, markers)
	}
}
