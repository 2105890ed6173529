package contact

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/dates"
)

// The default meanings of the consent field's values.
var (
	defaultConsent = []string{"true", "1", "yes", "subscribed"}
	defaultOptOut  = []string{"unsubscribed", "opted-out"}
	refusals       = []string{"false", "no", "0"}
)

// UsualConsent returns the values of the consent field that count as consent and
// as opt-out when a ConsentRule names no others.
func UsualConsent() (consent, optOut []string) {
	return slices.Clone(defaultConsent), slices.Clone(defaultOptOut)
}

// ConsentRule says which values of the consent field mean what; values are
// compared without case and surrounding space. The zero rule is the default
// one: true, 1, yes, subscribed are consent; unsubscribed, opted-out are
// opt-outs; false, no, 0 are refusals; empty and all else is no consent.
type ConsentRule struct {
	Consent        []string       `json:"consent,omitempty"`
	OptOut         []string       `json:"opt_out,omitempty"`
	UndatedOptOuts UndatedOptOuts `json:"undated_opt_outs,omitempty"` // empty: UndatedFirstSeen
	Refusals       Refusals       `json:"refusals,omitempty"`         // empty: RefusalsOptOut
}

// UndatedOptOuts says when an opt-out without a readable date counts.
type UndatedOptOuts string

// The choices. A person who was sent as subscribed is unsubscribed under either.
const (
	UndatedFirstSeen UndatedOptOuts = "first-seen" // from when the export first saw it
	UndatedIgnore    UndatedOptOuts = "ignore"     // never: it loses against all that the account holds
)

// Refusals says what a refusal with a date means.
type Refusals string

// The choices. A person who was sent as subscribed is unsubscribed under either.
const (
	RefusalsOptOut Refusals = "opt-out" // an opt-out at its date
	RefusalsNone   Refusals = "none"    // no more than that there is no consent
)

func (r ConsentRule) check() error {
	switch r.UndatedOptOuts {
	case "", UndatedFirstSeen, UndatedIgnore:
	default:
		return fmt.Errorf("undated opt-outs %q is neither %s nor %s", r.UndatedOptOuts, UndatedFirstSeen, UndatedIgnore)
	}
	switch r.Refusals {
	case "", RefusalsOptOut, RefusalsNone:
		return nil
	}
	return fmt.Errorf("refusals %q is neither %s nor %s", r.Refusals, RefusalsOptOut, RefusalsNone)
}

// meaning is what a value of the consent field means.
type meaning uint8

const (
	undeclared meaning = iota
	missing
	refused
	consented
	optedOut
)

// meanings makes the table of a rule.
func (r ConsentRule) meanings() (map[string]meaning, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
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

// meaningOf is what a value means: as declared, or missing where it only stands
// for nothing.
func (m *Mapper) meaningOf(v string) meaning {
	if declared, ok := m.meanings[v]; ok {
		return declared
	}
	if v == "" || isPlaceholder(v) {
		return missing
	}
	return undeclared
}

// Word is what a row says about a channel, in one word.
type Word uint8

// The words. Their order is no order of strictness, see Stricter. They are
// stored: new ones are added at the end.
const (
	Silent   Word = iota // nothing: no consent is mapped
	Yes                  // consent with a true date in the past
	Doubtful             // consent, but its date is missing, unreadable or in the future
	No                   // no consent, without more
	Refused              // a refusal with a date
	OptOut               // a declared opt-out
	Declined             // a refusal with a date that the export takes as no consent: as No, and counted
)

// Said is what a row says about the permission to write to a person, before
// earlier rows are known.
type Said struct {
	Word Word
	// At is the date beside it: the earliest moment that it can mean of a Yes, the
	// latest of all others, in UTC to the millisecond. Undated without one. It may
	// be in the future unless the word is Yes.
	At   time.Time
	Note ConsentNote // why it counts for less than it may have meant
}

// say judges one row's consent whose value and date stand at these places. Only
// a declared value with a true date in the past becomes Yes.
func (m *Mapper) say(values []string, flag, date int) Said {
	if flag < 0 {
		return Said{Word: Silent, At: Undated, Note: NoteNotMapped}
	}
	v := consentValue(value(values, flag))
	what := m.meaningOf(v)
	reading, note := m.date(values, date)
	dated := note == ""
	switch what {
	case consented:
		switch {
		case dated && !reading.Earliest.After(m.now):
			return Said{Word: Yes, At: reading.Earliest}
		case dated:
			note = NoteFuture
		}
		return Said{Word: Doubtful, At: Undated, Note: note}
	case optedOut:
		return Said{Word: OptOut, At: reading.Latest, Note: note}
	case refused:
		// A refusal with a date that cannot be read is still one with a date.
		switch {
		case note == NoteUndated:
			return Said{Word: No, At: reading.Latest}
		case m.rule.Refusals == RefusalsNone:
			return Said{Word: Declined, At: reading.Latest}
		}
		return Said{Word: Refused, At: reading.Latest, Note: note}
	case missing:
		return Said{Word: No, At: reading.Latest}
	}
	m.see(v)
	return Said{Word: No, At: reading.Latest, Note: NoteUndeclared}
}

// date reads a date beside a consent; with a note, or where none is mapped, it
// is Undated.
func (m *Mapper) date(values []string, place int) (dates.Reading, ConsentNote) {
	undated := dates.Reading{Earliest: Undated, Latest: Undated}
	text := cleanText(value(values, place))
	if text == "" || isPlaceholder(text) {
		return undated, NoteUndated
	}
	reading, problem := m.dates.Read(text)
	m.sample(text, reading, problem)
	switch {
	case problem == dates.Ambiguous:
		return undated, NoteAmbiguousDate
	case problem == dates.Serial:
		return undated, NoteSerialDate
	case problem != "":
		return undated, NoteBadDate
	case reading.Earliest.Before(Undated.AddDate(0, 0, 1)): // zero dates of databases: 0001-01-01, 1900-01-01, 1970-01-01
		return undated, NoteUndated
	}
	return reading, ""
}

// Unreadable says that there is a date that cannot be read.
func (n ConsentNote) Unreadable() bool {
	return n == NoteBadDate || n == NoteAmbiguousDate || n == NoteSerialDate
}

// Stricter returns the more restrictive of what two rows say of the same
// address: an opt-out or a refusal with a date before no consent, that before a
// doubtful one, and that before consent; silence changes nothing. Of two
// opt-outs it is the one that counts from the later moment (without a date: from
// when it was first seen), of two consents the earlier. It is the minimum of a
// total order, so rows may be brought together in any order.
func Stricter(a, b Said) Said {
	if compareSaid(a, b) <= 0 {
		return a
	}
	return b
}

func compareSaid(a, b Said) int {
	byDate := -a.At.Compare(b.At)
	switch {
	case a.Word == Yes:
		byDate = -byDate
	case a.isOptOut():
		byDate = cmp.Or(-cmp.Compare(flag(a.undated()), flag(b.undated())), byDate)
	}
	return cmp.Or(
		cmp.Compare(strictness(a.Word), strictness(b.Word)),
		byDate,
		-cmp.Compare(a.Word, b.Word),
		-cmp.Compare(a.Note, b.Note), // a note before none, so that it is reported
	)
}

func (s Said) isOptOut() bool { return s.Word == OptOut || s.Word == Refused }

// UndatedOptOut says whether UndatedOptOuts decides about it, for a contact that
// was never sent as subscribed.
func (s Said) UndatedOptOut() bool { return s.isOptOut() && s.undated() }

// DatedRefusal says whether Refusals decides about it, for a contact that was
// never sent as subscribed.
func (s Said) DatedRefusal() bool { return s.Word == Refused || s.Word == Declined }

func (s Said) undated() bool { return !s.At.After(Undated) }

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// strictness ranks words, the most restrictive first. A word that does not
// exist counts as No.
func strictness(w Word) int {
	switch w {
	case OptOut, Refused:
		return 0
	case Doubtful:
		return 2
	case Yes:
		return 3
	case Silent:
		return 4
	}
	return 1
}
