// Package synthetic makes segments of invented people that look like life, of
// any size, and says exactly what is in them: for examples, tests and
// benchmarks. Nobody in them exists, and all their domains are reserved
// (RFC 2606: example.com and its like, .example and .test).
//
// The same size, seed and variant give the same bytes, always.
package synthetic

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
)

// Header is the first line of what Write makes.
var Header = []string{"CustomerId", "Email", "FirstName", "LastName", "Street", "Country", "State", "City", "PostalCode",
	"EmailConsent", "ConsentDate", "LoyaltyTier", "LastOrder"}

// Expected is what a segment holds, known from how it was made.
type Expected struct {
	Rows         int // the header apart
	Invalid      int // rows without a usable address
	EmailMissing int // of Invalid
	EmailInvalid int // of Invalid
	Duplicate    int // valid rows with an address that an earlier row has
	Contacts     int // distinct valid addresses: Rows - Invalid - Duplicate

	// Contacts by the most restrictive consent of their rows.
	Subscribed          int
	Unsubscribed        int // dated or not
	UnsubscribedUndated int // of Unsubscribed, those that count from when they are first seen
	NonSubscribed       int

	OptedOut []string // the addresses of Unsubscribed as they are sent

	// Against the same population without Change and Leave.
	Changed int // contacts that are sent differently
	Left    int // contacts that are not there any more
}

// Variant is the same population some time later.
type Variant struct {
	Change float64 // the part of its people, 0 to 1, that have moved house
	Leave  float64 // the part that is gone
}

// Write writes a segment of n rows as CSV.
func Write(w io.Writer, n int, seed uint64) (Expected, error) {
	return WriteVariant(w, n, seed, Variant{})
}

// WriteVariant writes what has become of the segment of n rows and that seed.
// It has fewer rows when people leave.
func WriteVariant(w io.Writer, n int, seed uint64, v Variant) (Expected, error) {
	if n < 0 || v.Change < 0 || v.Change > 1 || v.Leave < 0 || v.Leave > 1 {
		return Expected{}, errors.New("invented: the size must not be negative, and parts are from 0 to 1")
	}
	g := &generator{seed: seed, variant: v, strict: map[int]consent{}}
	for i := range n {
		if person, kind := g.row(i); kind == again {
			g.strict[person] = min(g.consentOf(i).strictness, g.strictOf(person))
		}
	}
	out := bufio.NewWriterSize(w, 256<<10)
	g.line(out, Header)
	for i := range n {
		g.write(out, i)
	}
	g.expected.Contacts = g.expected.Rows - g.expected.Invalid - g.expected.Duplicate
	return g.expected, out.Flush()
}

// kind is what a row is.
type kind uint8

const (
	first   kind = iota // a person's first row
	again               // another row of a person who came before
	broken              // a row with an address that cannot be
	nowhere             // a row without an address
)

type generator struct {
	seed     uint64
	variant  Variant
	strict   map[int]consent // the most restrictive consent of people with several rows
	expected Expected
	fields   [13]string
	buf      []byte
}

// Salts keep the random choices of one row apart.
const (
	saltKind = iota + 1
	saltAgain
	saltConsent
	saltLeave
	saltChange
	saltPerson
	saltMess
)

func (g *generator) random(i, salt int) *rand.Rand {
	return rand.New(rand.NewPCG(g.seed^uint64(salt)<<56, uint64(i)))
}
