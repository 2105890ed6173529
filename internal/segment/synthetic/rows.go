package synthetic

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// row tells what row i is, and whose: the number of a person is that of their
// first row.
func (g *generator) row(i int) (int, kind) {
	switch k := g.kindOf(i); k {
	case again:
		r := g.random(i, saltAgain)
		for range 16 {
			if j := r.IntN(max(i, 1)); j < i && g.kindOf(j) == first {
				return j, again
			}
		}
		return i, nowhere // nobody came before
	default:
		return i, k
	}
}

func (g *generator) kindOf(i int) kind {
	switch p := g.random(i, saltKind).Float64(); {
	case p < 0.004:
		return nowhere
	case p < 0.013:
		return broken
	case p < 0.035:
		return again
	}
	return first
}

// strictOf is the most restrictive consent of a person's rows.
func (g *generator) strictOf(person int) consent {
	if c, ok := g.strict[person]; ok {
		return c
	}
	return g.consentOf(person).strictness
}

// write writes row i, unless its person has left, and counts it.
func (g *generator) write(out *bufio.Writer, i int) {
	person, k := g.row(i)
	addressed := k == first || k == again
	if addressed && g.random(person, saltLeave).Float64() < g.variant.Leave {
		if k == first {
			g.expected.Left++
		}
		return
	}
	p := g.person(person)
	if addressed && g.random(person, saltChange).Float64() < g.variant.Change {
		p.street = fmt.Sprintf("%d Removal Row", person%97+1)
		if k == first {
			g.expected.Changed++
		}
	}
	mess := g.random(i, saltMess)
	c := g.consentOf(i)
	f := &g.fields
	*f = [len(g.fields)]string{"C" + pad(i+1), "", p.first, p.last, p.street, p.country, p.state, p.city, p.postal, c.flag, c.date,
		tiers[mess.IntN(len(tiers))], ""}
	if mess.IntN(3) > 0 {
		f[12] = strconv.Itoa(mess.IntN(900)) + "." + pad(mess.IntN(100))[5:] + " EUR"
	}
	g.expected.Rows++
	switch k {
	case nowhere:
		f[1] = []string{"", "   ", "\u00a0"}[mess.IntN(3)]
		g.expected.Invalid++
		g.expected.EmailMissing++
	case broken:
		f[1] = strings.ReplaceAll(badAddresses[mess.IntN(len(badAddresses))], "NAME", p.local)
		g.expected.Invalid++
		g.expected.EmailInvalid++
	case again:
		f[1] = messy(p, mess, 3)
		g.expected.Duplicate++
	case first:
		f[1] = messy(p, mess, 12)
		g.count(person, p)
	}
	g.line(out, f[:])
}

// count counts a contact.
func (g *generator) count(person int, p person) {
	switch g.strictOf(person) {
	case subscribed:
		g.expected.Subscribed++
	case nonSubscribed:
		g.expected.NonSubscribed++
	case unsubscribedUndated:
		g.expected.UnsubscribedUndated++
		fallthrough
	case unsubscribed:
		g.expected.Unsubscribed++
		g.expected.OptedOut = append(g.expected.OptedOut, p.local+"@"+p.domain.sent)
	}
}

// messy writes an address as people do; one in so many is not plain.
func messy(p person, r *rand.Rand, oneIn int) string {
	domain := p.domain.written[r.IntN(len(p.domain.written))]
	address := p.local + "@" + domain
	if r.IntN(oneIn) > 0 {
		return address
	}
	switch r.IntN(4) {
	case 0:
		return strings.ToUpper(p.local) + "@" + domain
	case 1:
		return " " + address + " "
	case 2:
		return strings.ToUpper(p.local[:1]) + p.local[1:] + "@" + strings.ToUpper(p.domain.sent)
	}
	return address + "\u200b" // from a copied table
}

// person is the data of one row.
type person struct {
	first, last, street, country, state, city, postal string
	local                                             string // of the address, in lower case; no two people have the same
	domain                                            domain
}

func (g *generator) person(i int) person {
	r := g.random(i, saltPerson)
	l := &locales[r.IntN(len(locales))]
	given, family, town := pick(r, l.given), pick(r, l.family), pick(r, l.towns)
	p := person{first: given.text, last: family.text, country: pick(r, l.country), state: town.state, city: town.city, postal: town.postal}
	p.street = fmt.Sprintf(pick(r, l.street), r.IntN(180)+1)
	number := strconv.Itoa(i)
	switch r.IntN(4) {
	case 0:
		p.local = given.ascii + "." + family.ascii + number
	case 1:
		p.local = given.ascii[:1] + family.ascii + "_" + number
	case 2:
		p.local = given.ascii + number + "+shop"
	default:
		p.local = family.ascii + "-" + number
	}
	p.domain = domains[r.IntN(r.IntN(len(domains))+1)] // the first ones more often
	// What people leave out.
	switch r.IntN(14) {
	case 0:
		p.first = ""
	case 1:
		p.first, p.last = "", ""
	case 2:
		p.street, p.postal = "", ""
	case 3:
		p.country = ""
	case 4:
		p.street += ",\nsecond floor, \"the blue door\""
	}
	return p
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// consent orders consents as they decide about an address: the least first.
type consent uint8

const (
	unsubscribedUndated consent = iota
	unsubscribed
	nonSubscribed
	subscribed
)

// stated is what a row says about consent, and what that is worth.
type stated struct {
	flag, date string
	strictness consent
}

func (g *generator) consentOf(i int) stated {
	r := g.random(i, saltConsent)
	yes, no, out := pick(r, consentValues), pick(r, refusalValues), pick(r, optOutValues)
	date := g.date(r)
	switch p := r.IntN(1000); {
	case p < 620:
		return stated{yes, date, subscribed}
	case p < 710:
		return stated{yes, "", nonSubscribed}
	case p < 720:
		return stated{yes, pick(r, badDates), nonSubscribed}
	case p < 725:
		return stated{yes, pick(r, futureDates), nonSubscribed}
	case p < 810:
		return stated{no, "", nonSubscribed}
	case p < 880:
		if no == "" {
			return stated{no, date, nonSubscribed}
		}
		return stated{no, date, unsubscribed} // a refusal with a date
	case p < 905:
		return stated{pick(r, oddValues), date, nonSubscribed}
	case p < 965:
		return stated{out, date, unsubscribed}
	case p < 990:
		return stated{out, "", unsubscribedUndated}
	case p < 995:
		return stated{out, pick(r, badDates), unsubscribedUndated}
	}
	return stated{out, pick(r, futureDates), unsubscribedUndated}
}

// date is a moment between 2015 and 2025 in one of the spellings that can be
// read in one way only.
func (g *generator) date(r *rand.Rand) string {
	at := time.Unix(1_420_070_400+r.Int64N(340_000_000), r.Int64N(1000)*1e6).UTC()
	layout := dateLayouts[r.IntN(len(dateLayouts))]
	if strings.HasSuffix(layout, "Z07:00") && r.IntN(2) == 0 {
		at = at.In(time.FixedZone("", 3600*(r.IntN(20)-8)))
	}
	return at.Format(layout)
}

// line writes a line of CSV.
func (g *generator) line(out *bufio.Writer, fields []string) {
	line := g.buf[:0]
	for i, f := range fields {
		if i > 0 {
			line = append(line, ',')
		}
		if !strings.ContainsAny(f, ",\"\n") {
			line = append(line, f...)
			continue
		}
		line = append(line, '"')
		line = append(line, strings.ReplaceAll(f, `"`, `""`)...)
		line = append(line, '"')
	}
	g.buf = append(line, '\n')
	_, _ = out.Write(g.buf) // Flush returns the error
}

// pad writes a number in seven digits or more.
func pad(n int) string {
	s := strconv.Itoa(n)
	return "0000000"[min(len(s), 7):] + s
}
