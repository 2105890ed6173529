package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
)

// consents are exports of one shop, each of a segment of its own.
type consents struct{ *shop }

func (s consents) file(segment string, lines ...string) {
	s.t.Helper()
	content := strings.Join(lines, "\n") + "\n"
	require.NoError(s.t, os.WriteFile(s.path("new"), []byte(content), 0o600))
	require.NoError(s.t, os.Rename(s.path("new"), s.path("segments", segment+".csv")))
}

func (s consents) export(segment string, more ...string) {
	s.t.Helper()
	s.must(append([]string{"export", "add", segment, "--connection", "Spring shop", "--source", "crm", "--segment", segment, "--id", "CustomerId",
		"--map", "email=Email", "--map", "consent=EmailConsent", "--map", "consent-date=ConsentDate"}, more...)...)
}

// runs runs an export and returns its exit code and report.
func (s consents) runs(export string, args ...string) (int, run.Report) {
	s.t.Helper()
	code, out, errs := s.starter(append([]string{"run", export, "--yes", "--output", "json"}, args...)...)
	var r run.Report
	require.NoError(s.t, json.Unmarshal([]byte(out), &r), "exit code %d: %s%s", code, out, errs)
	require.NoError(s.t, r.Check())
	return code, r
}

func (s consents) at(email string) sandbox.Contact {
	s.t.Helper()
	c, ok := s.sandbox.Contacts(omnisendtest.Brand)[email]
	require.True(s.t, ok, email)
	return c
}

func (s consents) subscribed(emails ...string) {
	for _, email := range emails {
		s.sandbox.Seed(omnisendtest.Brand, sandbox.Contact{Email: email, Status: "subscribed", StatusChangedAt: time.Date(2025, 6, 1, 9, 0, 0, 0, time.UTC)})
	}
}

const consentHeader = "CustomerId,Email,EmailConsent,ConsentDate"

// What a source says of consent, and where the account stands after whole runs.
// One standalone serves all cases: each has addresses of its own.
func TestConsentAtTheTarget(t *testing.T) {
	t.Parallel()
	s := consents{newShop(t, 10, sandbox.Options{})}
	s.open(activities.Tuning{})
	s.must("source", "add", "crm", "--kind", "files", "--path", "segments")
	s.must("connection", "add", "Spring shop", "--api-key-file", s.path("key.txt"), "--agree", "--calls-per-minute", "0")
	t.Run("undated opt-outs", func(t *testing.T) { consents{s.shop}.undated(t) })
	t.Run("dates as people write them", func(t *testing.T) { consents{s.shop}.dates(t) })
	t.Run("withdrawn", func(t *testing.T) { consents{s.shop}.withdrawn(t) })
	t.Run("values change", func(t *testing.T) { consents{s.shop}.values(t) })
	t.Run("emptied", func(t *testing.T) { consents{s.shop}.emptied(t) })
	t.Run("addresses", func(t *testing.T) { consents{s.shop}.addresses(t) })
	t.Run("two exports", func(t *testing.T) { consents{s.shop}.twoExports(t) })
}

func (s consents) undated(t *testing.T) {
	s.subscribed("out1@example.com", "out2@example.com")
	s.file("undated", consentHeader, "C1,out1@example.com,unsubscribed,", "C2,out2@example.com,opted-out,", "C3,in3@example.com,true,2025-01-01")
	s.export("undated")
	code, r := s.runs("undated")
	require.Zero(t, code)
	require.Equal(t, []int{1, 2, 2, 0}, []int{r.Consent.Subscribed, r.Consent.Unsubscribed, r.Consent.Undated, r.Consent.WithoutEffect})
	for _, email := range []string{"out1@example.com", "out2@example.com"} {
		c := s.at(email)
		require.Equal(t, "unsubscribed", c.Status, email)
		require.WithinDuration(t, r.StartedAt, c.StatusChangedAt, time.Millisecond, "when it was first seen")
	}
	require.Equal(t, "subscribed", s.at("in3@example.com").Status)
	// Who subscribes at the account after that stays subscribed, also when all are sent again.
	later := time.Now().UTC().Truncate(time.Millisecond)
	s.sandbox.Seed(omnisendtest.Brand, sandbox.Contact{Email: "out1@example.com", Status: "subscribed", StatusChangedAt: later})
	_, r = s.runs("undated", "--full")
	require.Equal(t, 3, r.Changed)
	require.Equal(t, "subscribed", s.at("out1@example.com").Status)
	require.Equal(t, "unsubscribed", s.at("out2@example.com").Status)
	_, out, _ := s.starter("explain", "out2@example.com")
	require.Contains(t, out, "sent as unsubscribed")
	require.Contains(t, out, "first seen")
	code, out, errs := s.starter("verify", "undated")
	require.Zero(t, code, "a newer decision of the account is no difference: %s%s", out, errs)
	s.sandbox.Seed(omnisendtest.Brand, sandbox.Contact{Email: "out2@example.com", Status: "subscribed", StatusChangedAt: time.Date(2025, 6, 1, 9, 0, 0, 0, time.UTC),
		Properties: map[string]any{"segment_undated": true}})
	code, out, _ = s.starter("verify", "undated")
	require.Equal(t, 3, code)
	require.Contains(t, out, "email is subscribed")
}

func (s consents) dates(t *testing.T) {
	lines := []string{consentHeader}
	day := time.Date(2026, 1, 15, 23, 59, 59, 999e6, time.UTC)
	var seen time.Time // stands for when it was first seen
	cases := []struct {
		text string
		out  time.Time
		in   string // status of a consent with the same date
	}{
		{"15.01.2026", day, "subscribed"}, {"46037.4375", seen, "nonSubscribed"}, {"1768471200000", time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC), "subscribed"},
		{"1/15/2026 10:00:00 AM", time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC), "subscribed"}, {"20260115", day, "subscribed"}, {"\"Jan 15, 2026\"", day, "subscribed"},
		{"2026-01-15T10:00:00.000 +01:00", time.Date(2026, 1, 15, 9, 0, 0, 0, time.UTC), "subscribed"}, {"01/02/2026", seen, "nonSubscribed"}, {"soon", seen, "nonSubscribed"},
	}
	for i, c := range cases {
		s.subscribed(fmt.Sprintf("dout%d@example.com", i))
		lines = append(lines, fmt.Sprintf("C%d,dout%d@example.com,unsubscribed,%s", i, i, c.text), fmt.Sprintf("D%d,din%d@example.com,true,%s", i, i, c.text))
	}
	s.file("dates", lines...)
	s.export("dates")
	_, plan, _ := s.starter("plan", "dates")
	_, r := s.runs("dates")
	for i, c := range cases {
		out := s.at(fmt.Sprintf("dout%d@example.com", i))
		require.Equal(t, "unsubscribed", out.Status, c.text)
		want := c.out
		if want.IsZero() {
			want = r.StartedAt
		}
		require.WithinDuration(t, want, out.StatusChangedAt, time.Millisecond, c.text)
		require.Equal(t, c.in, s.at(fmt.Sprintf("din%d@example.com", i)).Status, c.text)
	}
	require.Contains(t, plan, "2026-01-15, the whole day in UTC")
	s.must("export", "edit", "dates", "--date-format", "dmy", "--time-zone", "Europe/Warsaw")
	s.runs("dates")
	require.Equal(t, "subscribed", s.at("din7@example.com").Status, "once the export says how dates are written")
	require.Equal(t, time.Date(2026, 1, 31, 23, 0, 0, 0, time.UTC), s.at("din7@example.com").StatusChangedAt.UTC())
}

func (s consents) withdrawn(t *testing.T) {
	s.file("withdrawn", consentHeader, "C1,w1@example.com,true,2025-03-01T10:00:00Z", "C2,w2@example.com,true,2025-03-01T10:00:00Z")
	s.export("withdrawn")
	s.runs("withdrawn")
	require.Equal(t, "subscribed", s.at("w1@example.com").Status)
	s.file("withdrawn", consentHeader, "C1,w1@example.com,false,2026-01-10T10:00:00Z", "C2,w2@example.com,,")
	_, r := s.runs("withdrawn")
	require.Equal(t, "unsubscribed", s.at("w1@example.com").Status)
	require.Equal(t, time.Date(2026, 1, 10, 10, 0, 0, 0, time.UTC), s.at("w1@example.com").StatusChangedAt.UTC())
	require.Equal(t, "unsubscribed", s.at("w2@example.com").Status)
	require.WithinDuration(t, r.StartedAt, s.at("w2@example.com").StatusChangedAt, time.Millisecond)
	require.Equal(t, 1, r.Consent.Withdrawn)
	// A new consent with a later date subscribes again.
	again := time.Now().UTC().Truncate(time.Second)
	s.file("withdrawn", consentHeader, "C1,w1@example.com,true,"+again.Format(time.RFC3339), "C2,w2@example.com,,")
	s.runs("withdrawn")
	require.Equal(t, "subscribed", s.at("w1@example.com").Status)
}

func (s consents) values(t *testing.T) {
	write := func(yes string) {
		lines := []string{consentHeader}
		for i := range 200 {
			lines = append(lines, fmt.Sprintf("C%d,person%d@example.com,%s,2025-03-01T10:00:00Z", i, i, yes))
		}
		s.file("values", lines...)
	}
	write("true")
	s.export("values")
	s.runs("values")
	write("Y")
	code, r := s.runs("values", "--detach=false")
	require.Equal(t, 4, code)
	require.Equal(t, run.Parked, r.Status)
	var guards []string
	for _, g := range r.Guards {
		guards = append(guards, string(g.Guard))
		require.Zero(t, r.Calls)
	}
	require.Equal(t, []string{"opt-outs", "consent"}, guards)
	require.Contains(t, r.Guards[1].Message, `"y" (200)`)
	s.must("runs", "cancel", "values")
	s.must("export", "edit", "values", "--consent-value", "Y", "--consent-value", "true")
	_, r = s.runs("values")
	require.Equal(t, 200, r.Unchanged)
	require.Equal(t, "subscribed", s.at("person7@example.com").Status)
}

func (s consents) emptied(t *testing.T) {
	const header = "CustomerId,Email,FirstName,City,Tier,Points"
	s.file("emptied", header, "C1,c1@example.com,Anna,Oslo,gold,120", "C2,c2@example.com,Bea,Oslo,gold,5")
	s.must("export", "add", "emptied", "--connection", "Spring shop", "--source", "crm", "--segment", "emptied", "--map", "email=Email", "--map", "first-name=FirstName",
		"--map", "city=City,empty=clear", "--map", "property:tier=Tier,empty=clear", "--map", "property:points:number=Points")
	s.runs("emptied")
	s.file("emptied", header, "C1,c1@example.com,,,,", "C2,c2@example.com,Bea,Oslo,gold,5")
	_, r := s.runs("emptied")
	require.Equal(t, map[string]int{"city": 1, "property:tier": 1}, r.Cleared)
	c := s.at("c1@example.com")
	require.Equal(t, map[string]string{"firstName": "Anna"}, c.Fields, "kept unless told")
	require.Equal(t, map[string]any{"points": 120.0, "segment_emptied": true}, c.Properties)
	_, r = s.runs("emptied")
	require.Equal(t, 2, r.Unchanged)
	s.must("export", "edit", "emptied", "--empty", "clear")
	_, r = s.runs("emptied")
	require.Equal(t, 1, r.Changed)
	c = s.at("c1@example.com")
	require.Empty(t, c.Fields)
	require.Equal(t, map[string]any{"segment_emptied": true}, c.Properties)
}

func (s consents) addresses(t *testing.T) {
	lines := []string{consentHeader}
	for i, address := range []string{"o'hara@example.net", "ANNA@EXAMPLE.NET", "steve@example.net.", `"""Anna A"" <anna2@example.net>"`, "\u200banna4@example.net", "anna6@exam\u200bple.net",
		"anna8@example.net\u00a0", "'anna14@example.net", "mailto:anna20@example.net", "<anna22@example.net>", "try..this@docomo.example", "anna10＠example.net", "anna17@localhost", "a1@example.net;a2@example.net",
		strings.Repeat("a", 65) + "@example.net", "NULL", "anna18@example.net?subject=x"} {
		lines = append(lines, fmt.Sprintf("Z%d,%s,true,2025-03-01", i, address))
	}
	s.file("addresses", lines...)
	s.export("addresses")
	_, r := s.runs("addresses")
	for _, name := range []string{"o'hara", "anna", "steve", "anna2", "anna4", "anna6", "anna8", "anna14", "anna20", "anna22"} {
		require.Equal(t, "subscribed", s.at(name+"@example.net").Status)
	}
	require.Equal(t, map[string]int{"email_dots": 1, "email_not_ascii": 1, "email_without_domain": 1, "email_two_addresses": 1, "email_too_long": 1, "email_missing": 1, "email_invalid": 1}, r.Reasons)
	require.Equal(t, map[string]int{"invisible marks": 2, "trailing dot": 1, "name beside the address": 1, "apostrophe of a spreadsheet": 1, "mailto:": 1, "angle brackets": 1}, r.Corrected)
	s.must("export", "edit", "addresses", "--lenient-local-part")
	s.runs("addresses")
	require.Equal(t, "subscribed", s.at("try..this@docomo.example").Status)
}

// What one export says of an opt-out the later run of another of the same brand
// does not undo.
func (s consents) twoExports(t *testing.T) {
	s.file("shop_one", consentHeader, "C1,both@example.com,true,2025-03-01")
	s.file("shop_two", consentHeader, "C1,both@example.com,unsubscribed,")
	s.export("shop_one")
	s.export("shop_two")
	s.runs("shop_one")
	require.Equal(t, "subscribed", s.at("both@example.com").Status)
	s.runs("shop_two")
	require.Equal(t, "unsubscribed", s.at("both@example.com").Status)
	s.runs("shop_one", "--full")
	require.Equal(t, "unsubscribed", s.at("both@example.com").Status)
}
