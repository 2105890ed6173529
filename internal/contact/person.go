package contact

import (
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"
)

// Why values of a person are left out.
const (
	LeftOutBirthDate  LeftOut = "birth-date unreadable or not of a living person"
	LeftOutGender     LeftOut = "gender neither m nor f"
	LeftOutPhone      LeftOut = "phone invalid"
	LeftOutSMSConsent LeftOut = "phone without consent to be texted"
)

// oldest is how long ago, in years, nobody who is alive was born.
const oldest = 125

// birthDate writes a birth date: the day as it stands, whatever the time of
// day and zone beside it say.
func (m *Mapper) birthDate(text string) {
	if text = cleanText(text); text == "" {
		return
	}
	const length = len(time.DateOnly)
	_, ok := parseDate(text)
	var day time.Time
	if ok {
		day, _ = time.Parse(time.DateOnly, text[:length])
	}
	if !ok || day.After(m.now) || day.Before(m.now.AddDate(-oldest, 0, 0)) {
		m.leftOut = append(m.leftOut, LeftOutBirthDate)
		return
	}
	m.member(`"birthdate":`, text[:length])
}

// genders are the values that mean what Omnisend has a letter for.
var genders = map[string]string{"m": "m", "male": "m", "man": "m", "f": "f", "female": "f", "woman": "f"}

func (m *Mapper) genderOf(text string) {
	if text = cleanText(text); text == "" {
		return
	}
	letter, ok := genders[strings.ToLower(text)]
	if !ok {
		m.leftOut = append(m.leftOut, LeftOutGender)
		return
	}
	m.member(`"gender":`, letter)
}

// smsOf judges the row's telephone number and the consent to text it. Omnisend
// refuses a contact as a whole for a number that it cannot read, so only one
// that the numbering plans know is taken. A number without a country's prefix
// is read in the country of the row's address, if that is sure.
func (m *Mapper) smsOf(values []string, countryCode string) SMS {
	if m.phone < 0 {
		return SMS{}
	}
	text := cleanText(value(values, m.phone))
	s := SMS{Consent: m.consentOf(values, m.sms, m.smsDate)}
	if text != "" {
		if s.Phone = e164(text, countryCode); s.Phone == "" {
			m.leftOut = append(m.leftOut, LeftOutPhone)
		}
	}
	if s.Phone == "" && s.Consent.Status != Unsubscribed {
		return SMS{} // nobody's consent
	}
	if s.Phone != "" && !s.Sent() {
		reason := LeftOutSMSConsent
		if s.Consent.Note != "" {
			reason += LeftOut(": " + s.Consent.Note)
		}
		m.leftOut = append(m.leftOut, reason)
	}
	return s
}

// e164 returns the number with its country's prefix; empty when it is none.
func e164(text, countryCode string) string {
	if rest, ok := strings.CutPrefix(text, "00"); ok && countryCode == "" {
		text = "+" + rest // what most of the world dials for the plus sign
	}
	n, err := phonenumbers.Parse(text, countryCode)
	if err != nil || n.GetExtension() != "" || !phonenumbers.IsValidNumber(n) {
		return ""
	}
	return phonenumbers.Format(n, phonenumbers.E164)
}

// StricterSMS brings together what two rows of the same address say, the first
// one's number before the second's: the most restrictive consent decides, and
// a row that says nothing changes nothing.
func StricterSMS(a, b SMS) SMS {
	switch {
	case b.Consent.Status == "":
		return a
	case a.Consent.Status == "":
		return b
	}
	if a.Phone == "" {
		a.Phone = b.Phone
	}
	a.Consent = Stricter(a.Consent, b.Consent)
	return a
}
