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

// birthDate writes a birth date: the day as written, whatever the time of day and
// zone beside it say.
func (m *Mapper) birthDate(text string) {
	if text = cleanText(text); text == "" {
		return
	}
	reading, problem := m.dates.Read(text)
	day := reading.Wall.Truncate(24 * time.Hour)
	if problem != "" || day.After(m.now) || day.Before(m.now.AddDate(-oldest, 0, 0)) {
		m.leftOut = append(m.leftOut, LeftOutBirthDate)
		return
	}
	m.member(`"birthdate":`, day.Format(time.DateOnly))
	m.fill(filledBirthDate)
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
	m.fill(filledGender)
}

// smsOf judges the row's telephone number and the consent to text it. Omnisend
// refuses a contact as a whole for a number that it cannot read, so only one
// that the numbering plans know is taken. A number without a country's prefix
// is read in the country of the row's address, if that is sure.
func (m *Mapper) smsOf(values []string, countryCode string) (string, Said) {
	silent := Said{Word: Silent, At: Undated}
	if m.phone < 0 {
		return "", silent
	}
	text := cleanText(value(values, m.phone))
	said := m.say(values, m.sms, m.smsDate)
	phone := ""
	if text != "" {
		if phone = e164(text, countryCode); phone == "" {
			m.leftOut = append(m.leftOut, LeftOutPhone)
		}
	}
	switch {
	case phone == "" && (said.Word == Yes || said.Word == Doubtful):
		return "", silent // nobody's consent
	case phone != "" && said.Word != Yes && !said.isOptOut():
		reason := LeftOutSMSConsent
		if said.Note != "" {
			reason += LeftOut(": " + said.Note)
		}
		m.leftOut = append(m.leftOut, reason)
	}
	return phone, said
}

// e164 returns the number with its country's prefix; empty when it is none.
func e164(text, countryCode string) string {
	text = strings.TrimPrefix(text, "'") // by which a spreadsheet keeps a number a text
	if rest, ok := strings.CutPrefix(text, "00"); ok && countryCode == "" {
		text = "+" + rest // what most of the world dials for the plus sign
	}
	n, err := phonenumbers.Parse(text, countryCode)
	if err != nil || n.GetExtension() != "" || !phonenumbers.IsValidNumber(n) {
		return ""
	}
	return phonenumbers.Format(n, phonenumbers.E164)
}
