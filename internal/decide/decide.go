// Package decide compares what was read with what Omnisend has confirmed: it
// brings rows with the same address together, settles their consent, and says
// which contacts are new, changed, unchanged or have left. It works on one
// shard of addresses at a time and does no I/O.
package decide

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/spool"
)

// Rules are what holds for all shards of a run.
type Rules struct {
	Bits    []uint   // the marker bit of each segment of the export
	Markers []string // the custom property of each bit
	Unmark  bool     // leavers lose their marker
	Full    bool     // unchanged contacts are sent too
	Retry   bool     // contacts turned down before are sent again with the same data
	// Former are, for each segment of the export, the bits of markers that it had
	// before it was given another: cleared wherever the new one is set.
	Former []uint64
	// Foreign are bits whose property another export owns by now: never cleared.
	Foreign uint64
	// Doubtful are the segments of the export that have rows that could not be
	// read: a missing contact may be in one of them, so none loses its marker.
	Doubtful []bool

	// Fields are the ledger's bit of each of the mapper's fields, FieldNames the
	// name of each bit, and Clear the bits of fields whose emptied values are cleared.
	Fields     []uint
	FieldNames []string
	Clear      uint64

	Consent contact.ConsentRule
	Now     time.Time // when the run began: what it sees for the first time counts from then
}

// Counts are what a shard, or all of them, came to.
type Counts struct {
	Members   []int    `json:"members"`   // by segment of the export
	Duplicate []int    `json:"duplicate"` // by segment of the export
	Carried   []int    `json:"carried"`   // by segment: contacts of the ledger that carry its marker
	Left      []int    `json:"left"`      // by segment: of these, whose marker is cleared
	Kept      []int    `json:"kept"`      // by segment: of these, who were not read and keep it, see Doubtful
	Contacts  int      `json:"contacts"`
	New       int      `json:"new"`
	Changed   int      `json:"changed"`
	Unchanged int      `json:"unchanged"`
	Refused   int      `json:"refused"` // turned down before, same data now: not sent
	Leavers   int      `json:"leavers"`
	Ledger    int      `json:"ledger"` // contacts of the ledger that carry a marker
	Consent   Consents `json:"consent"`
	// Empty ones are kept in JSON: a step that continues from a stored state counts
	// into them.
	Reasons     map[string]int  `json:"reasons"`     // of Refused
	Cleared     map[string]Lost `json:"cleared"`     // by field: values that are cleared, of those that the account has from us
	Differences map[string]int  `json:"differences"` // what the changed ones differ in
}

// Consents count how contacts stand, and why.
type Consents struct {
	Subscribed   int            `json:"subscribed"`
	Unsubscribed int            `json:"unsubscribed"`
	Rules        map[string]int `json:"rules"` // the unsubscribed, by the rule that decided
	Notes        map[string]int `json:"notes"` // why contacts were held back from being subscribed
	// OptOuts are those whose opt-out this run would send, by rule.
	OptOuts map[string]int `json:"opt_outs"`
	// WithoutEffect are opt-outs that change nothing at Omnisend: ignored as the
	// export wants, or of contacts that it turned down.
	WithoutEffect int `json:"without_effect"`
	// UndatedOptOuts and DatedRefusals are the contacts that the two options of a
	// consent rule decide about, whatever they are set to.
	UndatedOptOuts int  `json:"undated_opt_outs"`
	DatedRefusals  int  `json:"dated_refusals"`
	Mailed         Lost `json:"mailed"`
	Texted         Lost `json:"texted"`
	Dates          int  `json:"dates"`      // contacts with a date of consent
	Unreadable     int  `json:"unreadable"` // of Dates
	Undeclared     int  `json:"undeclared"` // contacts with a value that is not declared
}

// Lost counts what the ledger says that the account has from us, contacts that
// were sent as subscribed or values of a field, and what of it a run takes away.
type Lost struct {
	Count int `json:"count"`
	Of    int `json:"of"`
}

// NewCounts returns counts of nothing for so many segments.
func NewCounts(segments int) Counts {
	return Counts{Members: make([]int, segments), Duplicate: make([]int, segments),
		Carried: make([]int, segments), Left: make([]int, segments), Kept: make([]int, segments),
		Reasons: map[string]int{}, Differences: map[string]int{}, Cleared: map[string]Lost{},
		Consent: Consents{Rules: map[string]int{}, Notes: map[string]int{}, OptOuts: map[string]int{}}}
}

// ToSend is how many contacts will be sent, leavers apart.
func (c *Counts) ToSend() int { return c.New + c.Changed }

// Decision is a contact to be sent, and in what a changed one differs.
type Decision struct {
	spool.BatchItem

	Differs Difference
}

// Difference is in which parts a contact differs from what was confirmed.
type Difference uint8

// The parts. A contact sent because all are differs in none.
const (
	Profile Difference = 1 << iota
	Consent
	Marker
)

// Names lists the parts for people.
func (d Difference) Names() []string {
	names := []string{}
	for i, name := range []string{"profile", "consent", "marker"} {
		if d&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// Sink takes what a shard decided. A decision's slices are valid only during
// the call.
type Sink struct {
	Send func(Decision) error
	// Stale gets the entries of the ledger that were not read any more and carry
	// nothing of ours: contacts that were refused and have left since.
	Stale func(contact.Digest)
	// Remember gets what to remember of a contact's consent from now on, whether it
	// is sent or not; only where that differs from what the ledger has.
	Remember func(Memo)
}

// Memo is what to remember of a contact.
type Memo struct {
	Address contact.Digest
	Email   string
	Memory  contact.Memory
	Filled  uint64 // see spool.Entry
}

// Shard decides one shard: its records in any order, its ledger entries sorted
// by address. Counts are added to. Uploads come in the order of addresses,
// then the leavers.
func (r *Rules) Shard(records []spool.Record, ledger []spool.Entry, digest *contact.Digester, counts *Counts, sink Sink) error {
	// Pointers are sorted: records are large.
	sorted := make([]*spool.Record, len(records))
	for i := range records {
		sorted[i] = &records[i]
	}
	slices.SortFunc(sorted, func(a, b *spool.Record) int {
		return cmp.Or(bytes.Compare(a.Address[:], b.Address[:]), cmp.Compare(a.Segment, b.Segment), cmp.Compare(a.Row, b.Row))
	})
	s := &shard{Rules: r, digest: digest, counts: counts, sink: sink}
	for len(sorted) > 0 {
		n := 1
		for n < len(sorted) && sorted[n].Address == sorted[0].Address {
			n++
		}
		same := sorted[:n]
		sorted = sorted[n:]
		// Entries before this address belong to nobody who was read.
		for len(ledger) > 0 && bytes.Compare(ledger[0].Address[:], same[0].Address[:]) < 0 {
			if err := s.leaver(ledger[0]); err != nil {
				return err
			}
			ledger = ledger[1:]
		}
		var known spool.Entry // the zero entry is one of nothing
		if len(ledger) > 0 && ledger[0].Address == same[0].Address {
			known, ledger = ledger[0], ledger[1:]
			s.hold(known)
		}
		if err := s.contact(same, &known); err != nil {
			return err
		}
	}
	for _, e := range ledger {
		if err := s.leaver(e); err != nil {
			return err
		}
	}
	return nil
}
