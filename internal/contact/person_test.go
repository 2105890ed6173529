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
		"01.05.1980":                "",
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
		require.Equal(t, c.want, p.SMS.Phone, "%s in %s", c.text, c.country)
		require.Equal(t, c.want != "", p.SMS.Sent())
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
		{"no", "2024-05-01", "", []LeftOut{LeftOutSMSConsent}},
		{"", "", "", []LeftOut{LeftOutSMSConsent}},
		{"unsubscribed", "2024-05-01", Unsubscribed, nil},
		{"opted-out", "", Unsubscribed, nil},
	} {
		m := newMapper(t, texting, ConsentRule{})
		p, _ := m.Map(row(m, "Email", "a@example.com", "Phone", "+48512345678", "SMS", c.flag, "Since", c.date))
		require.Equal(t, c.leftOut, append([]LeftOut(nil), m.LeftOut()...), "%q of %q", c.flag, c.date)
		item := string(Item(nil, p, p.Consent, nil))
		if c.sent == "" {
			require.NotContains(t, item, "phone")
			continue
		}
		at := "2024-05-01T00:00:00Z"
		if c.date == "" {
			at = "1970-01-01T00:00:00Z"
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
	require.Zero(t, p.SMS, "a consent to text nobody knows whom")
}

func TestCompanionsAreAskedFor(t *testing.T) {
	for want, mapping := range map[string]Mapping{
		`"phone" is mapped without "sms-consent"`:            {Email: "E", Phone: "P"},
		`"sms-consent" is mapped without "phone"`:            {Email: "E", SMSConsent: "S"},
		`"sms-consent-date" is mapped without "sms-consent"`: {Email: "E", SMSConsentDate: "D"},
	} {
		_, err := NewMapper(mapping, ConsentRule{}, now)
		require.ErrorContains(t, err, want)
	}
}

func TestTheStrictestConsentToBeTextedDecides(t *testing.T) {
	yes := SMS{"+48512345678", Consent{Subscribed, at("2024-05-01T00:00:00Z"), ""}}
	other := SMS{"+442079460958", Consent{NonSubscribed, Undated, ""}}
	out := SMS{"", Consent{Unsubscribed, at("2024-06-01T00:00:00Z"), ""}}
	require.Equal(t, yes, StricterSMS(yes, SMS{}))
	require.Equal(t, yes, StricterSMS(SMS{}, yes))
	require.False(t, StricterSMS(yes, other).Sent())
	require.Equal(t, SMS{"+48512345678", out.Consent}, StricterSMS(yes, out))
	require.Equal(t, SMS{"+48512345678", out.Consent}, StricterSMS(out, yes))
	require.Zero(t, StricterSMS(SMS{}, SMS{}))
}

// What is new in a profile is part of its digest, and exports that do not use
// it keep theirs.
func TestDigestOfPhoneAndProperties(t *testing.T) {
	d := NewDigester(make([]byte, 32))
	c := Consent{Subscribed, at("2024-05-01T00:00:00Z"), ""}
	plain := Profile{Email: "a@example.com", Fields: []byte(`"firstName":"Anna"`)}
	before := d.Content(plain, c, nil)
	with := plain
	with.Properties = []byte(`"p":1`)
	require.NotEqual(t, before.Profile, d.Content(with, c, nil).Profile)
	require.Equal(t, before.Consent, d.Content(with, c, nil).Consent)
	with = plain
	with.SMS = SMS{"+48512345678", Consent{Unsubscribed, Undated, ""}}
	require.NotEqual(t, before.Consent, d.Content(with, c, nil).Consent)
	require.Equal(t, before.Profile, d.Content(with, c, nil).Profile)
	with.SMS.Consent.Status = NonSubscribed
	require.Equal(t, before, d.Content(with, c, nil), "a number that is not sent counts for nothing")
}
