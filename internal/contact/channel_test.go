package contact

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A day's run: what the source says then, and what is sent for it.
type day struct {
	said Said
	now  string // when the run began
	want Consent
}

// What is sent depends on what was said and sent before. Each case is a row of
// runs, each confirmed.
func TestStatusesOverSeveralRuns(t *testing.T) {
	yes := func(date string) Said { return Said{Yes, at(date), ""} }
	const d1, d2, d3, d4 = "2026-01-10T06:00:00Z", "2026-01-11T06:00:00Z", "2026-01-12T06:00:00Z", "2026-01-13T06:00:00Z"
	const since = "2025-03-01T10:00:00Z"
	none := Consent{NonSubscribed, Undated, RuleNone}
	out := func(date string, rule Rule) Consent { return Consent{Unsubscribed, at(date), rule} }
	in := func(date string) Consent { return Consent{Subscribed, at(date), RuleConsent} }
	undated, unreadable := Said{OptOut, Undated, NoteUndated}, Said{OptOut, Undated, NoteBadDate}
	no, odd := Said{No, Undated, ""}, Said{No, Undated, NoteUndeclared}
	for name, days := range map[string][]day{
		"an undated opt-out counts from when it was first seen, and stays there": {
			{undated, d1, out(d1, RuleUndated)}, {undated, d2, out(d1, RuleUndated)}, {unreadable, d3, out(d1, RuleUndated)}, {undated, d4, out(d1, RuleUndated)}},
		"a dated one counts at its date": {{Said{OptOut, at(since), ""}, d1, out(since, RuleOptOut)}, {Said{OptOut, at(since), ""}, d2, out(since, RuleOptOut)}},
		"a date in the future counts as now, and stays there": {
			{Said{OptOut, at("2027-01-01T00:00:00Z"), ""}, d1, out(d1, RuleOptOut)}, {Said{OptOut, at("2027-01-01T00:00:00Z"), ""}, d2, out(d1, RuleOptOut)}},
		"so does the end of a day that is not over": {
			{Said{OptOut, at("2026-01-10T23:59:59.999Z"), ""}, d1, out(d1, RuleOptOut)}, {Said{OptOut, at("2026-01-10T23:59:59.999Z"), ""}, d2, out(d1, RuleOptOut)}},
		"a later date is another opt-out": {
			{undated, d1, out(d1, RuleUndated)}, {Said{OptOut, at("2026-01-11T23:59:59.999Z"), ""}, d3, out("2026-01-11T23:59:59.999Z", RuleOptOut)}},
		"an opt-out whose date was taken away stays where it was": {
			{Said{OptOut, at(since), ""}, d1, out(since, RuleOptOut)}, {undated, d2, out(d1, RuleUndated)}},
		"a dated refusal is an opt-out":                              {{Said{Refused, at(since), ""}, d1, out(since, RuleRefusal)}},
		"an undated refusal of a person never subscribed is nothing": {{no, d1, none}, {odd, d2, none}, {Said{No, at(since), ""}, d3, none}},
		"consent that is withdrawn without a date":                   {{yes(since), d1, in(since)}, {no, d2, out(d2, RuleWithdrawn)}, {no, d3, out(d2, RuleWithdrawn)}},
		"and by another value":                                       {{yes(since), d1, in(since)}, {odd, d2, out(d2, RuleWithdrawn)}},
		"and at the field's date":                                    {{yes(since), d1, in(since)}, {Said{No, at("2026-01-09T10:00:00Z"), ""}, d2, out("2026-01-09T10:00:00Z", RuleWithdrawn)}},
		"unless that is the consent's own":                           {{yes(since), d1, in(since)}, {Said{No, at(since), ""}, d2, out(d2, RuleWithdrawn)}},
		"a refusal whose date is before the consent's":               {{yes(since), d1, in(since)}, {Said{Refused, at("2024-01-01T00:00:00Z"), ""}, d2, out(d2, RuleWithdrawn)}},
		"an opt-out, then a later consent, then withdrawn": {
			{undated, d1, out(d1, RuleUndated)}, {yes("2026-01-11T05:00:00Z"), d2, in("2026-01-11T05:00:00Z")}, {no, d3, out(d3, RuleWithdrawn)}, {no, d4, out(d3, RuleWithdrawn)}},
		"a consent whose date was lost is not withdrawn": {
			{yes(since), d1, in(since)}, {Said{Doubtful, Undated, NoteUndated}, d2, none}, {no, d3, out(d3, RuleWithdrawn)}},
		"a consent that is not mapped any more says nothing": {{yes(since), d1, in(since)}, {Said{Silent, Undated, NoteNotMapped}, d2, none}},
		"each yes starts again": {
			{undated, d1, out(d1, RuleUndated)}, {Said{Doubtful, Undated, NoteUndated}, d2, none}, {undated, d3, out(d3, RuleUndated)}},
	} {
		t.Run(name, func(t *testing.T) {
			var c Channel
			for i, d := range days {
				got, remembered := c.Settle(d.said, ConsentRule{}, at(d.now))
				require.Equal(t, d.want, got, "run %d", i+1)
				again, same := remembered.Settle(d.said, ConsentRule{}, at(d.now).Add(time.Hour))
				require.Equal(t, got, again, "run %d: decided again it is the same", i+1)
				require.Equal(t, remembered, same)
				c = remembered.Confirmed(got)
			}
		})
	}
}

func TestWhatAnExportMayChoose(t *testing.T) {
	when := at("2026-01-10T06:00:00Z")
	ignore := ConsentRule{UndatedOptOuts: UndatedIgnore}
	got, _ := Channel{}.Settle(Said{OptOut, Undated, NoteUndated}, ignore, when)
	require.Equal(t, Consent{Unsubscribed, Undated, RuleIgnored}, got)
	day := at("2025-12-01T10:00:00Z")
	got, _ = Channel{}.Settle(Said{Declined, day, ""}, ConsentRule{Refusals: RefusalsNone}, when)
	require.Equal(t, Consent{NonSubscribed, Undated, RuleNone}, got)
	was := Channel{}.Confirmed(Consent{Subscribed, at("2025-01-01T00:00:00Z"), RuleConsent})
	got, _ = was.Settle(Said{OptOut, Undated, NoteUndated}, ignore, when)
	require.Equal(t, Consent{Unsubscribed, when, RuleUndated}, got, "a person who was sent as subscribed is unsubscribed all the same")
	got, _ = was.Settle(Said{Declined, day, ""}, ConsentRule{Refusals: RefusalsNone}, when)
	require.Equal(t, Consent{Unsubscribed, day, RuleWithdrawn}, got)
}

func TestTextingIsRemembered(t *testing.T) {
	when := at("2026-01-10T06:00:00Z")
	yes := Statements{Mail: Said{No, Undated, ""}, Phone: "+48512345678", SMS: Said{Yes, at("2025-01-01T00:00:00Z"), ""}}
	s, m := Memory{}.Settle(yes, ConsentRule{}, when)
	require.True(t, s.Texts())
	m = m.Confirmed(s)
	for _, gone := range []Statements{
		{Phone: "+48512345678", SMS: Said{No, Undated, ""}},
		{SMS: Said{No, Undated, ""}}, // with the number taken away
	} {
		s, _ = m.Settle(gone, ConsentRule{}, when.Add(time.Hour))
		require.True(t, s.Texts())
		require.Equal(t, "+48512345678", s.Phone)
		require.Equal(t, Consent{Unsubscribed, when.Add(time.Hour), RuleWithdrawn}, s.SMS)
	}
	s, _ = Memory{}.Settle(Statements{Phone: "+48512345678", SMS: Said{No, Undated, ""}}, ConsentRule{}, when)
	require.False(t, s.Texts(), "a number about which nobody knows")
}
