package contact

import "strings"

// The words for what a value of the consent field means.
const (
	MeansConsent = "consent"
	MeansOptOut  = "opt-out"
	MeansRefusal = "refusal"
	MeansNothing = "nothing" // empty, or a placeholder such as n/a
	MeansUnknown = "unknown" // not declared: it counts as no consent
)

// Meaning returns what a value of the consent field means by the rule, as one of
// the words above. The error says why the rule itself cannot be.
func (r ConsentRule) Meaning(value string) (string, error) {
	table, err := r.meanings()
	if err != nil {
		return "", err
	}
	v := consentValue(value)
	switch table[v] {
	case consented:
		return MeansConsent, nil
	case optedOut:
		return MeansOptOut, nil
	case refused:
		return MeansRefusal, nil
	case undeclared, missing:
	}
	if v == "" || isPlaceholder(strings.ToLower(v)) {
		return MeansNothing, nil
	}
	return MeansUnknown, nil
}
