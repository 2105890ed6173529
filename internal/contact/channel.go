package contact

import "time"

// Rule is which rule decided a status; a short code without personal data.
type Rule string

// The rules.
const (
	RuleConsent   Rule = "consent"   // a declared value with a date
	RuleOptOut    Rule = "opt-out"   // with a date: at that date, or now when it is in the future
	RuleUndated   Rule = "undated"   // an opt-out without a date: from when it was first seen
	RuleRefusal   Rule = "refusal"   // a refusal with a date
	RuleWithdrawn Rule = "withdrawn" // was sent as subscribed, and does not consent any more
	RuleIgnored   Rule = "ignored"   // an opt-out without a date that the export ignores
	RuleNone      Rule = "none"      // no consent that counts
)

// Channel is what an export remembers of one channel of a contact. Times are in
// UTC to the millisecond; zero is never.
type Channel struct {
	// What was confirmed last, as what and with which date. A nonSubscribed
	// changes nothing at Omnisend and takes the place of nothing here.
	Sent   Status
	SentAt time.Time
	Rule   Rule
	// Consented is the date of the consent that it was sent as subscribed with
	// last. It stays after an opt-out.
	Consented time.Time
	// Seen is when the opt-out that holds was first seen, Stated the date that the
	// source gave it then. Both are zero while nothing is opted out.
	Seen, Stated time.Time
	Phone        string // of the SMS channel: the number that was sent last
}

// Settle turns what the source says into the status to send, and returns what to
// remember of it whether it is sent or not. It depends on the
// arguments alone, and settling the same again gives the same.
func (c Channel) Settle(s Said, rule ConsentRule, now time.Time) (Consent, Channel) {
	none := Consent{Status: NonSubscribed, At: Undated, Rule: RuleNone}
	switch s.Word {
	case Silent:
		return none, c
	case Yes, Doubtful:
		// Whatever is opted out after this is another opt-out.
		c.Seen, c.Stated = time.Time{}, time.Time{}
		if s.Word == Doubtful {
			return none, c
		}
		return Consent{Status: Subscribed, At: s.At, Rule: RuleConsent}, c
	case Refused, OptOut:
	default:
		if c.Consented.IsZero() {
			c.Seen, c.Stated = time.Time{}, time.Time{} // what was opted out is not any more
			return none, c
		}
	}
	if c.Seen.IsZero() || s.At.After(c.Stated) && s.At.After(c.Seen) {
		c.Seen, c.Stated = now.Truncate(time.Millisecond), s.At // a later date than the one known is another opt-out
	}
	out := Consent{Status: Unsubscribed, At: c.Seen}
	switch {
	case s.undated():
		out.Rule = RuleUndated
	case s.Word == Refused:
		out.Rule = RuleRefusal
	default:
		out.Rule = RuleOptOut
	}
	if !s.undated() && s.At.Before(c.Seen) {
		out.At = s.At
	}
	wasSubscribed := !c.Consented.IsZero()
	switch {
	case !s.isOptOut():
		out.Rule = RuleWithdrawn
	case wasSubscribed && !s.undated() && !s.At.After(c.Consented):
		out.Rule = RuleWithdrawn
	case s.undated() && !wasSubscribed && rule.UndatedOptOuts == UndatedIgnore:
		return Consent{Status: Unsubscribed, At: Undated, Rule: RuleIgnored}, c
	}
	if wasSubscribed && !out.At.After(c.Consented) {
		// The date is that of something before the consent: it would change nothing.
		out.At = c.Seen
		if !out.At.After(c.Consented) {
			out.At = c.Consented.Add(time.Millisecond)
		}
	}
	return out, c
}

// Confirmed returns what is remembered once Omnisend has confirmed a status.
func (c Channel) Confirmed(s Consent) Channel {
	if s.Status == NonSubscribed && c.Sent != "" {
		return c
	}
	c.Sent, c.SentAt, c.Rule = s.Status, s.At, s.Rule
	if s.Status == Subscribed {
		c.Consented = s.At
	}
	return c
}

// Memory is what an export remembers of the channels of one contact.
type Memory struct{ Mail, SMS Channel }

// Matters says whether anything is remembered that a later decision depends on:
// a consent that was sent, or an opt-out that was seen.
func (m Memory) Matters() bool { return m.Mail.matters() || m.SMS.matters() }

func (c Channel) matters() bool { return !c.Consented.IsZero() || !c.Seen.IsZero() }

// Statements are what the rows of one contact say about its channels.
type Statements struct {
	Mail  Said
	Phone string // E.164; empty: none that could be read
	SMS   Said   // Silent: nothing is said about texting
}

// Stricter brings together what two rows of the same address say, those of the
// earlier row first: its number counts, and the most restrictive word for each
// channel. A row without a number says nothing about texting one, but to opt
// out.
func (s Statements) Stricter(later Statements) Statements {
	out := Statements{Mail: Stricter(s.Mail, later.Mail), Phone: s.Phone}
	if out.Phone == "" {
		out.Phone = later.Phone
	}
	switch {
	case s.Phone == "" && later.Phone != "" && !s.SMS.isOptOut():
		out.SMS = later.SMS
	case later.Phone == "" && s.Phone != "" && !later.SMS.isOptOut():
		out.SMS = s.SMS
	default:
		out.SMS = Stricter(s.SMS, later.SMS)
	}
	return out
}

// Settled are the statuses of a contact as they are sent.
type Settled struct {
	Mail  Consent
	Phone string
	SMS   Consent
}

// Settle settles both channels, see Channel.Settle. A person who must no longer
// be texted and whose number the source no longer has is unsubscribed
// by the number that was sent.
func (m Memory) Settle(s Statements, rule ConsentRule, now time.Time) (Settled, Memory) {
	out := Settled{Phone: s.Phone}
	out.Mail, m.Mail = m.Mail.Settle(s.Mail, rule, now)
	out.SMS, m.SMS = m.SMS.Settle(s.SMS, rule, now)
	if out.Phone == "" && out.SMS.Status == Unsubscribed {
		out.Phone = m.SMS.Phone
	}
	return out, m
}

// Confirmed returns what is remembered once Omnisend has confirmed the statuses.
func (m Memory) Confirmed(s Settled) Memory {
	m.Mail = m.Mail.Confirmed(s.Mail)
	if s.Texts() {
		m.SMS = m.SMS.Confirmed(s.SMS)
		m.SMS.Phone = s.Phone
	}
	return m
}

// Texts says whether the number is sent: only with evidence of consent, or of
// an opt-out. A number about which nobody knows stays where it is.
func (s Settled) Texts() bool {
	return s.Phone != "" && (s.SMS.Status == Unsubscribed || s.SMS.Status == Subscribed && s.SMS.At.After(Undated))
}
