package contact

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var texting = Mapping{Email: "Email", Country: "Country", Phone: "Phone", SMSConsent: "SMS", SMSConsentDate: "Since", BirthDate: "Born", Gender: "Sex"}

func TestBirthDateAndGender(t *testing.T) {
	m := newMapper(t, texting, ConsentRule{})
	for in, want := range map[string]string{
		"1980-05-01":                "1980-05-01",
		"1980-05-01T00:00:00+02:00": "1980-05-01", // the day before in UTC, and yet the birthday
		"01.05.1980":                "1980-05-01",
		"01/05/1980":                "", // January or May?
		"1850-01-01":                "",
		"2026-03-16":                "", // tomorrow
		"1980-02-30":                "",
	} {
		p, _ := m.Map(row(m, "Email", "a@example.com", "Born", in))
		require.Equal(t, want, decodeFields(t, p)["birthdate"], in)
		if want == "" {
			require.Equal(t, []LeftOut{LeftOutBirthDate}, m.LeftOut(), in)
		}
	}
	for in, want := range map[string]string{"M": "m", "f": "f", "Female": "f", "man": "m", "x": "", "1": ""} {
		p, _ := m.Map(row(m, "Email", "a@example.com", "Sex", in))
		require.Equal(t, want, decodeFields(t, p)["gender"], in)
		if want == "" {
			require.Equal(t, []LeftOut{LeftOutGender}, m.LeftOut(), in)
		}
	}
	p, _ := m.Map(row(m, "Email", "a@example.com", "Born", " ", "Sex", ""))
	require.Empty(t, p.Fields)
	require.Empty(t, m.LeftOut())
}

func TestPhoneNumbers(t *testing.T) {
	for _, c := range []struct{ text, country, want string }{
		{"+48 512 345 678", "", "+48512345678"},
		{"0048 512 345 678", "", "+48512345678"},
		{"512 345 678", "PL", "+48512345678"},
		{"512 345 678", "Poland", "+48512345678"},
		{"(201) 555-0123", "US", "+12015550123"},
		{"+44 20 7946 0958", "PL", "+442079460958"},
		{"512 345 678", "", ""},       // of which country?
		{"512 345 678", "Narnia", ""}, // nor is this one
		{"+48 12", "", ""},
		{"+1 201 555 0123 ext. 5", "", ""},
		{"+999 123456789", "", ""},
		{"call me", "PL", ""},
	} {
		m := newMapper(t, texting, ConsentRule{})
		p, reason := m.Map(row(m, "Email", "a@example.com", "Phone", c.text, "Country", c.country, "SMS", "yes", "Since", "2024-05-01"))
		require.Empty(t, reason, "a contact is not lost for its number")
		require.Equal(t, c.want, p.Said.Phone, "%s in %s", c.text, c.country)
		require.Equal(t, c.want != "", settled(p).Texts())
		if c.want == "" {
			require.Equal(t, []LeftOut{LeftOutPhone}, m.LeftOut())
		}
	}
}

// A number goes only with a dated consent, or with an opt-out.
func TestPhoneNeedsConsent(t *testing.T) {
	for _, c := range []struct {
		flag, date string
		sent       Status
		leftOut    []LeftOut
	}{
		{"yes", "2024-05-01", Subscribed, nil},
		{"yes", "", "", []LeftOut{"phone without consent to be texted: consent_without_date"}},
		{"yes", "2099-01-01", "", []LeftOut{"phone without consent to be texted: consent_date_in_future"}},
		{"perhaps", "2024-05-01", "", []LeftOut{"phone without consent to be texted: consent_value_not_declared"}},
		{"no", "", "", []LeftOut{LeftOutSMSConsent}},
		{"no", "2024-05-01 10:00", Unsubscribed, nil},
		{"", "", "", []LeftOut{LeftOutSMSConsent}},
		{"unsubscribed", "2024-05-01", Unsubscribed, nil},
		{"opted-out", "", Unsubscribed, nil},
	} {
		m := newMapper(t, texting, ConsentRule{})
		p, _ := m.Map(row(m, "Email", "a@example.com", "Phone", "+48512345678", "SMS", c.flag, "Since", c.date))
		require.Equal(t, c.leftOut, append([]LeftOut(nil), m.LeftOut()...), "%q of %q", c.flag, c.date)
		item := string(Item(nil, p, settled(p), nil))
		if c.sent == "" {
			require.NotContains(t, item, "phone")
			continue
		}
		at := map[string]string{"": "2026-03-15T12:00:00Z", "2024-05-01 10:00": "2024-05-01T10:00:00Z", "2024-05-01": "2024-05-01T23:59:59.999Z"}[c.date]
		if c.sent == Subscribed {
			at = "2024-05-01T00:00:00Z"
		}
		consent := ""
		if c.sent == Subscribed {
			consent = `,"consent":{"source":"api","createdAt":"` + at + `"}`
		}
		require.Contains(t, item, `,{"type":"phone","id":"+48512345678","channels":{"sms":{"status":"`+string(c.sent)+
			`","statusChangedAt":"`+at+`"}},"sendWelcomeMessage":false`+consent+`}]`)
	}
	m := newMapper(t, texting, ConsentRule{})
	p, _ := m.Map(row(m, "Email", "a@example.com", "SMS", "yes", "Since", "2024-05-01"))
	require.Equal(t, Silent, p.Said.SMS.Word, "a consent to text nobody knows whom")
}

func TestCompanionsAreAskedFor(t *testing.T) {
	for want, mapping := range map[string]Mapping{
		`"phone" is mapped without "sms-consent"`:            {Email: "E", Phone: "P"},
		`"sms-consent" is mapped without "phone"`:            {Email: "E", SMSConsent: "S"},
		`"sms-consent-date" is mapped without "sms-consent"`: {Email: "E", SMSConsentDate: "D"},
	} {
		_, err := NewMapper(mapping, Rules{}, now)
		require.ErrorContains(t, err, want)
	}
}

func TestTheStrictestConsentToBeTextedDecides(t *testing.T) {
	yes := Statements{Phone: "+48512345678", SMS: Said{Yes, at("2024-05-01T00:00:00Z"), ""}}
	other := Statements{Phone: "+442079460958", SMS: Said{No, Undated, ""}}
	out := Statements{SMS: Said{OptOut, at("2024-06-01T00:00:00Z"), ""}}
	for _, nobody := range []Statements{{}, {SMS: Said{No, Undated, ""}}} { // a row without a number
		require.Equal(t, yes, yes.Stricter(nobody))
		require.Equal(t, yes, nobody.Stricter(yes))
	}
	require.Equal(t, other.SMS, yes.Stricter(other).SMS)
	require.Equal(t, Statements{Phone: "+48512345678", SMS: out.SMS}, yes.Stricter(out))
	require.Equal(t, Statements{Phone: "+48512345678", SMS: out.SMS}, out.Stricter(yes))
	require.Zero(t, Statements{}.Stricter(Statements{}))
}

// settled are the statuses of a contact that nothing is remembered of.
func settled(p Profile) Settled {
	s, _ := Memory{}.Settle(p.Said, ConsentRule{}, now)
	return s
}

// What is new in a profile is part of its digest, and exports that do not use
// it keep theirs.
func TestDigestOfPhoneAndProperties(t *testing.T) {
	d := NewDigester(make([]byte, 32))
	c := Settled{Mail: Consent{Subscribed, at("2024-05-01T00:00:00Z"), ""}}
	plain := Profile{Email: "a@example.com", Fields: []byte(`"firstName":"Anna"`)}
	before := d.Content(plain, c, nil)
	with := plain
	with.Properties = []byte(`"p":1`)
	require.NotEqual(t, before.Profile, d.Content(with, c, nil).Profile)
	require.Equal(t, before.Consent, d.Content(with, c, nil).Consent)
	c.Phone, c.SMS = "+48512345678", Consent{Unsubscribed, Undated, ""}
	require.NotEqual(t, before.Consent, d.Content(plain, c, nil).Consent)
	require.Equal(t, before.Profile, d.Content(plain, c, nil).Profile)
	c.SMS.Status = NonSubscribed
	require.Equal(t, before, d.Content(plain, c, nil), "a number that is not sent counts for nothing")
}
