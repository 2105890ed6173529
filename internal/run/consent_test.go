package run

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
)

func TestGuardsOfConsent(t *testing.T) {
	const gone = "withdrawn"
	for name, test := range map[string]struct {
		facts ConsentFacts
		first bool
		want  []catalogue.Guard
		says  []string
	}{
		"nothing":                 {},
		"a fifth is unsubscribed": {facts: ConsentFacts{Mailed: Part{20, 100}}},
		"more than a fifth": {facts: ConsentFacts{Mailed: Part{21, 100}, OptOuts: map[string]int{gone: 21}}, want: []catalogue.Guard{catalogue.GuardOptOuts},
			says: []string{"21 of 100 contacts that were sent as subscribed to being mailed would be unsubscribed (21 %) (21 consenting no more)"}},
		"of few":          {facts: ConsentFacts{Mailed: Part{99, 99}}},
		"of those texted": {facts: ConsentFacts{Texted: Part{50, 100}}, want: []catalogue.Guard{catalogue.GuardOptOuts}, says: []string{"being texted"}},
		"the first run under new rules": {facts: ConsentFacts{NewRules: true, OptOuts: map[string]int{"undated": 2, "refusal": 1}}, want: []catalogue.Guard{catalogue.GuardOptOuts},
			says: []string{"the rules of opt-outs have changed: 3 contacts would be unsubscribed (2 opted out without a date, 1 refused with a date)"}},
		"new rules that change nothing": {facts: ConsentFacts{NewRules: true}},
		"undeclared values": {facts: ConsentFacts{Undeclared: Part{150, 200}, Frequent: []string{`"y" (140)`}}, want: []catalogue.Guard{catalogue.GuardConsent},
			says: []string{`150 of 200 contacts have a consent value that is not declared (75 %), most often "y" (140)`, "--consent-value"}},
		"as many as in the run before": {facts: ConsentFacts{Undeclared: Part{150, 200}, LastUndeclared: 0.75}},
		"dates that cannot be read":    {facts: ConsentFacts{Unreadable: Part{60, 200}}, want: []catalogue.Guard{catalogue.GuardConsent}, says: []string{"60 of 200 dates of consent cannot be read (30 %)", "--date-format"}},
		"the first run": {first: true, facts: ConsentFacts{Undeclared: Part{150, 200}, OptOuts: map[string]int{"opt-out": 1, "undated": 2, "refusal": 3}}, want: []catalogue.Guard{catalogue.GuardFirstRun},
			says: []string{"it would unsubscribe 6 (1 opted out with a date, 2 opted out without a date, 3 refused with a date), whom the account may hold as subscribed", "150 of 200 contacts have a consent value"}},
	} {
		t.Run(name, func(t *testing.T) {
			asks := CheckGuards(Facts{FirstRun: test.first, Report: &Report{Contacts: 200, ToSend: 200}, Consent: test.facts}, nil)
			var got []catalogue.Guard
			for _, a := range asks {
				got = append(got, a.Guard)
			}
			require.Equal(t, test.want, got)
			for _, text := range test.says {
				require.Contains(t, asks[0].Message, text)
			}
		})
	}
}

func TestTheGuardOfClearedValuesLooksAtEachField(t *testing.T) {
	asks := CheckGuards(Facts{Report: &Report{Contacts: 1000}, Cleared: map[string]Part{"city": {21, 100}, "state": {20, 100}, "property:tier": {99, 99}}}, nil)
	require.Len(t, asks, 1)
	require.Equal(t, "21 of 100 values of city would be cleared (21 %)", asks[0].Message)
}
