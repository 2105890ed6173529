package contact

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The default meanings of the consent field's values. The refusals are no
// consent like any other value; they are listed because they need no note.
var (
	defaultConsent = []string{"true", "1", "yes", "subscribed"}
	defaultOptOut  = []string{"unsubscribed", "opted-out"}
	refusals       = []string{"", "false", "no", "0"}
)

// meaning is what a value of the consent field means.
type meaning uint8

const (
	undeclared meaning = iota
	refused
	consented
	optedOut
)

// meanings makes the table of a rule.
func (r ConsentRule) meanings() (map[string]meaning, error) {
	consent, optOut := r.Consent, r.OptOut
	if len(consent) == 0 {
		consent = defaultConsent
	}
	if len(optOut) == 0 {
		optOut = defaultOptOut
	}
	table := map[string]meaning{}
	for _, v := range refusals {
		table[v] = refused
	}
	for _, v := range optOut {
		table[consentValue(v)] = optedOut
	}
	for _, v := range consent {
		v = consentValue(v)
		if v == "" {
			return nil, errors.New("an empty value cannot be consent")
		}
		if table[v] == optedOut {
			return nil, fmt.Errorf("the value %q cannot be both consent and opt-out", v)
		}
		table[v] = consented
	}
	return table, nil
}

func consentValue(s string) string { return strings.ToLower(cleanText(s)) }

// consent judges one row. Only a declared value with a true date in the past
// becomes Subscribed; everything doubtful becomes what can widen nothing.
func (m *Mapper) consent(values []string) Consent {
	return m.consentOf(values, m.flag, m.flagDate)
}

// consentOf judges the consent whose value and date stand at these places.
func (m *Mapper) consentOf(values []string, flag, date int) Consent {
	none := Consent{Status: NonSubscribed, At: Undated}
	if flag < 0 {
		none.Note = NoteNotMapped
		return none
	}
	switch m.meanings[consentValue(value(values, flag))] {
	case consented:
		at, note := m.date(values, date)
		if note != "" {
			none.Note = note
			return none
		}
		return Consent{Status: Subscribed, At: at}
	case optedOut:
		// An opt-out counts whatever its date is worth; a doubtful date only
		// takes away its precedence over what the account holds.
		at, note := m.date(values, date)
		return Consent{Status: Unsubscribed, At: at, Note: note}
	case refused:
		return none
	default:
		none.Note = NoteUndeclared
		return none
	}
}

// date reads a consent's date; with a note, or where none is mapped, it is Undated.
func (m *Mapper) date(values []string, place int) (time.Time, ConsentNote) {
	text := cleanText(value(values, place))
	if text == "" {
		return Undated, NoteUndated
	}
	at, ok := parseDate(text)
	switch {
	case !ok:
		return Undated, NoteBadDate
	case at.After(m.now):
		return Undated, NoteFuture
	case !at.After(Undated): // zero dates of databases: 0001-01-01, 1900-01-01, 1970-01-01
		return Undated, NoteUndated
	}
	return at, ""
}

// Layouts that can be read in one way only. Where day and month could be
// mistaken for each other nothing is guessed. Go reads fractions of a second
// after any seconds.
var (
	zonedLayouts = []string{
		time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 Z07:00", "2006-01-02 15:04:05-07",
		"2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05 Z0700", "2006-01-02T15:04Z07:00", "2006-01-02 15:04:05 UTC",
	}
	plainLayouts = []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04"}
)

// parseDate reads a date or a time, as UTC where it names no zone, to the
// millisecond, which is the precision of Omnisend's own examples.
func parseDate(s string) (time.Time, bool) {
	layouts := plainLayouts
	switch n := len("2006-01-02"); {
	case len(s) == n:
		layouts = []string{time.DateOnly}
	case len(s) < n:
		return time.Time{}, false
	case strings.ContainsAny(s[n:], "Z+-U"):
		layouts = zonedLayouts
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().Truncate(time.Millisecond), true
		}
	}
	return time.Time{}, false
}

// Stricter returns the more restrictive of two consents for the same address:
// unsubscribed before nonSubscribed before subscribed; of two opt-outs the one
// with the later date, which the account is less likely to override, and of
// two subscriptions the earlier. It is the minimum of a total order, so rows
// may be brought together in any order.
func Stricter(a, b Consent) Consent {
	if compareConsent(a, b) <= 0 {
		return a
	}
	return b
}

func compareConsent(a, b Consent) int {
	byDate := a.At.Compare(b.At)
	if a.Status != Subscribed {
		byDate = -byDate
	}
	return cmp.Or(
		cmp.Compare(strictness(a.Status), strictness(b.Status)),
		byDate,
		cmp.Compare(a.Status, b.Status),
		-cmp.Compare(a.Note, b.Note), // a note before none, so that it is reported
	)
}

// strictness ranks statuses, the most restrictive first. One that does not
// exist counts as nonSubscribed, as which it would be sent.
func strictness(s Status) int {
	if i := slices.Index([]Status{Unsubscribed, NonSubscribed, Subscribed}, s); i >= 0 {
		return i
	}
	return strictness(NonSubscribed)
}
