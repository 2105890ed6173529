package run

import (
	"fmt"
	"strings"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
)

// ConsentFacts are the numbers about consent that guards look at.
type ConsentFacts struct {
	// OptOuts are the contacts that the run would unsubscribe, by the rule that
	// decides; whom it unsubscribed before is not among them.
	OptOuts map[string]int
	Mailed  Part // of those sent as subscribed, whom the run would unsubscribe
	Texted  Part // the same of texting
	// Undeclared are contacts with a value that is not declared, Unreadable those
	// whose date cannot be read, of all that have one.
	Undeclared, Unreadable         Part
	LastUndeclared, LastUnreadable float64  // as parts of the whole, in the last complete run
	Frequent                       []string // the most frequent undeclared values with their counts
	NewRules                       bool     // the last complete run followed other rules of consent
}

// Part is so many of so many.
type Part struct {
	Count int `json:"count"`
	Of    int `json:"of"`
}

// Share is the part as a number from 0 to 1.
func (p Part) Share() float64 {
	if p.Of == 0 {
		return 0
	}
	return float64(p.Count) / float64(p.Of)
}

// more is by how much a share must have grown since the last complete run to be
// asked about again.
const more = 0.01

// consent looks at what a run would change about consent.
func (c *check) consent(f *Facts) {
	k := f.Consent
	for _, lost := range []struct {
		Part
		what string
	}{{k.Mailed, "mailed"}, {k.Texted, "texted"}} {
		if value, over := c.over(catalogue.GuardOptOuts, lost.Count, lost.Of); over {
			c.ask(catalogue.GuardOptOuts, value, "%s of %s contacts that were sent as subscribed to being %s would be unsubscribed (%.0f %%)%s; if the source's values or dates are written otherwise now, cancel the run and declare them (starter export edit --consent-value, --date-format)",
				count(lost.Count), count(lost.Of), lost.what, 100*value, byRule(k.OptOuts))
		}
	}
	if n := total(k.OptOuts); k.NewRules && n > 0 && !f.FirstRun && c.asks[catalogue.GuardOptOuts] == nil {
		c.ask(catalogue.GuardOptOuts, Part{n, f.Report.Contacts}.Share(), "since the last run the rules of opt-outs have changed: %s contacts would be unsubscribed%s; this is asked once (see --undated-opt-outs and --refusals of starter export edit)",
			count(n), byRule(k.OptOuts))
	}
	if f.FirstRun {
		return // it says the same itself
	}
	if value, over := c.over(catalogue.GuardConsent, k.Undeclared.Count, k.Undeclared.Of); over && value > k.LastUndeclared+more {
		c.ask(catalogue.GuardConsent, value, "%s", k.undeclared())
	}
	if value, over := c.over(catalogue.GuardConsent, k.Unreadable.Count, k.Unreadable.Of); over && value > k.LastUnreadable+more {
		c.ask(catalogue.GuardConsent, value, "%s", k.unreadable())
	}
}

func (k ConsentFacts) undeclared() string {
	frequent := ""
	if len(k.Frequent) > 0 {
		frequent = ", most often " + strings.Join(k.Frequent, ", ")
	}
	return fmt.Sprintf("%s of %s contacts have a consent value that is not declared (%.0f %%)%s; declare what the values mean: starter export edit --consent-value VALUE --opt-out-value VALUE",
		count(k.Undeclared.Count), count(k.Undeclared.Of), 100*k.Undeclared.Share(), frequent)
}

func (k ConsentFacts) unreadable() string {
	return fmt.Sprintf("%s of %s dates of consent cannot be read (%.0f %%); say how they are written: starter export edit --date-format dmy, mdy, excel, epoch, or a layout such as dd/MM/yyyy",
		count(k.Unreadable.Count), count(k.Unreadable.Of), 100*k.Unreadable.Share())
}

// first is what the first run says about consent.
func (k ConsentFacts) first(contacts int) string {
	var text strings.Builder
	if n := total(k.OptOuts); n > 0 {
		fmt.Fprintf(&text, "; it would unsubscribe %s%s, whom the account may hold as subscribed", count(n), byRule(k.OptOuts))
	}
	if k.Undeclared.Share() > float64(defaults[catalogue.GuardConsent]) && contacts >= fewest {
		text.WriteString("; " + k.undeclared())
	}
	if k.Unreadable.Share() > float64(defaults[catalogue.GuardConsent]) && k.Unreadable.Of >= fewest {
		text.WriteString("; " + k.unreadable())
	}
	return text.String()
}

func total(counts map[string]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

// byRule lists opt-outs by the rule that decides, in words.
func byRule(optOuts map[string]int) string {
	var parts []string
	for _, r := range []struct {
		rule contact.Rule
		name string
	}{
		{contact.RuleOptOut, "opted out with a date"}, {contact.RuleUndated, "opted out without a date"}, {contact.RuleRefusal, "refused with a date"},
		{contact.RuleWithdrawn, "consenting no more"}, {contact.RuleIgnored, "without effect, as undated opt-outs are ignored"},
	} {
		if n := optOuts[string(r.rule)]; n > 0 {
			parts = append(parts, count(n)+" "+r.name)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}
