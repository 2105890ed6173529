// Package contact turns customer profiles into Omnisend contacts: mapping,
// validation, consent, and the digests by which a change is noticed. It does
// no I/O and is the same for every source.
package contact

import "time"

// Attribute is a property of a contact to which a field of the profile may be
// mapped, by the name that the command line uses.
type Attribute string

// The attributes. Email is required; all others are optional.
const (
	Email       Attribute = "email"
	FirstName   Attribute = "first-name"
	LastName    Attribute = "last-name"
	Address     Attribute = "address"
	Country     Attribute = "country"
	State       Attribute = "state"
	City        Attribute = "city"
	PostalCode  Attribute = "postal-code"
	ConsentFlag Attribute = "consent"
	ConsentDate Attribute = "consent-date"

	BirthDate      Attribute = "birth-date"
	Gender         Attribute = "gender" // m or f: Omnisend takes no other
	Phone          Attribute = "phone"  // only with SMSConsent
	SMSConsent     Attribute = "sms-consent"
	SMSConsentDate Attribute = "sms-consent-date"
)

// Mapping says which field of the source fills which attribute. Besides the
// attributes above there are custom properties: property:NAME, a text, and
// property:NAME:TYPE.
type Mapping map[Attribute]string

// Status is the state of a contact's e-mail channel, in Omnisend's words.
type Status string

// The statuses of the Contacts API.
const (
	Subscribed    Status = "subscribed"
	Unsubscribed  Status = "unsubscribed"
	NonSubscribed Status = "nonSubscribed"
)

// Undated is the date of a status that nothing dates: the oldest there is, so
// that it loses against whatever the account holds. (Omnisend keeps the status
// with the latest date.)
var Undated = time.Unix(0, 0).UTC()

// Consent is a status as it is sent.
type Consent struct {
	Status Status
	At     time.Time // UTC; Undated when the status has no true date
	Rule   Rule      // which rule decided it
}

// ConsentNote is why a row's consent counts for less than it may have meant.
type ConsentNote string

// The notes. None of them makes a row invalid.
const (
	NoteNotMapped     ConsentNote = "consent_not_mapped"
	NoteUndated       ConsentNote = "consent_without_date"
	NoteBadDate       ConsentNote = "consent_date_unreadable"
	NoteAmbiguousDate ConsentNote = "consent_date_unreadable_day_or_month_first" // the export's date format settles it
	NoteSerialDate    ConsentNote = "consent_date_unreadable_serial_number"      // of a spreadsheet, perhaps
	NoteFuture        ConsentNote = "consent_date_in_future"
	NoteUndeclared    ConsentNote = "consent_value_not_declared"
)

// Reason is why a row was not sent; a short code without personal data.
type Reason string

// The reasons of this package; sources add their own (package segment).
const (
	ReasonEmailMissing  Reason = "email_missing"
	ReasonEmailInvalid  Reason = "email_invalid"
	ReasonEmailTwo      Reason = "email_two_addresses"
	ReasonEmailNotASCII Reason = "email_not_ascii"
	ReasonEmailTooLong  Reason = "email_too_long"
	ReasonEmailDomain   Reason = "email_without_domain"
	ReasonEmailDots     Reason = "email_dots"
)

// Profile is a contact's own data as read from one row, before rows with the
// same address are brought together.
type Profile struct {
	Email  string // normalised: lower case, IDN domain as A-labels
	Fields []byte // JSON members without braces: "firstName":"Zoë","city":"Łódź"; empty when there are none
	// Properties are the custom properties, as JSON members without braces.
	Properties []byte
	Said       Statements
	// Filled are the mapped fields that the profile has a value of, a bit for each
	// of Mapper.FieldNames.
	Filled uint64
}
