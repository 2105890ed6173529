// Package decide compares what was read with what Omnisend has confirmed: it
// brings rows with the same address together, settles their consent, and says
// which contacts are new, changed, unchanged or have left. It works on one
// shard of addresses at a time and does no I/O.
package decide

import (
	"bytes"
	"cmp"
	"slices"

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
	// Doubtful are the segments of the export that have rows nobody could read:
	// whoever is missing there may be in one of them, so nobody loses its marker.
	Doubtful []bool
}

// Counts are what a shard, or all of them, came to.
type Counts struct {
	Members      []int `json:"members"`   // by segment of the export
	Duplicate    []int `json:"duplicate"` // by segment of the export
	Carried      []int `json:"carried"`   // by segment: contacts of the ledger that carry its marker
	Left         []int `json:"left"`      // by segment: of these, whose marker is cleared
	Kept         []int `json:"kept"`      // by segment: of these, who were not read and keep it, see Doubtful
	Contacts     int   `json:"contacts"`
	New          int   `json:"new"`
	Changed      int   `json:"changed"`
	Unchanged    int   `json:"unchanged"`
	Refused      int   `json:"refused"` // turned down before, same data now: not sent
	Leavers      int   `json:"leavers"`
	Ledger       int   `json:"ledger"` // contacts of the ledger that carry a marker
	Subscribed   int   `json:"subscribed"`
	Unsubscribed int   `json:"unsubscribed"`
	// Empty ones are kept in JSON: a step that goes on from a stored state counts
	// into them.
	Notes       map[string]int `json:"notes"`       // of consent
	Reasons     map[string]int `json:"reasons"`     // of Refused
	Differences map[string]int `json:"differences"` // what the changed ones differ in
}

// NewCounts returns counts of nothing for so many segments.
func NewCounts(segments int) Counts {
	return Counts{Members: make([]int, segments), Duplicate: make([]int, segments),
		Carried: make([]int, segments), Left: make([]int, segments), Kept: make([]int, segments),
		Notes: map[string]int{}, Reasons: map[string]int{}, Differences: map[string]int{}}
}

// ToSend is how many contacts are to be sent, leavers apart.
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
}

// Shard decides one shard: its records in any order, its ledger entries sorted
// by address. Counts are added to. Uploads come in the order of addresses,
// then the leavers.
func (r *Rules) Shard(records []spool.Record, ledger []spool.Entry, digest *contact.Digester, counts *Counts, sink Sink) error {
	slices.SortFunc(records, func(a, b spool.Record) int {
		return cmp.Or(bytes.Compare(a.Address[:], b.Address[:]), cmp.Compare(a.Segment, b.Segment), cmp.Compare(a.Row, b.Row))
	})
	var item []byte
	var values []contact.MarkerValue
	for len(records) > 0 {
		n := 1
		for n < len(records) && records[n].Address == records[0].Address {
			n++
		}
		same := records[:n]
		records = records[n:]
		// Entries before this address belong to nobody who was read.
		for len(ledger) > 0 && bytes.Compare(ledger[0].Address[:], same[0].Address[:]) < 0 {
			if err := r.leaver(ledger[0], &item, counts, sink); err != nil {
				return err
			}
			ledger = ledger[1:]
		}
		var known *spool.Entry
		if len(ledger) > 0 && ledger[0].Address == same[0].Address {
			known, ledger = &ledger[0], ledger[1:]
			if known.Segments != 0 {
				counts.Ledger++
			}
		}
		if err := r.contact(same, known, digest, &item, &values, counts, sink); err != nil {
			return err
		}
	}
	for _, e := range ledger {
		if err := r.leaver(e, &item, counts, sink); err != nil {
			return err
		}
	}
	return nil
}

// contact decides about the rows of one address.
func (r *Rules) contact(same []spool.Record, known *spool.Entry, digest *contact.Digester, item *[]byte, values *[]contact.MarkerValue, counts *Counts, sink Sink) error {
	profile, consent := same[0].Profile, same[0].Profile.Consent
	var segments uint64
	for i, rec := range same {
		if i > 0 && rec.Segment == same[i-1].Segment {
			counts.Duplicate[rec.Segment]++
		} else {
			counts.Members[rec.Segment]++
			segments |= 1 << r.Bits[rec.Segment]
		}
		if i > 0 {
			consent = contact.Stricter(consent, rec.Profile.Consent)
			profile.SMS = contact.StricterSMS(profile.SMS, rec.Profile.SMS)
		}
	}
	counts.Contacts++
	switch consent.Status {
	case contact.Subscribed:
		counts.Subscribed++
	case contact.Unsubscribed:
		counts.Unsubscribed++
	}
	if consent.Note != "" {
		counts.Notes[string(consent.Note)]++
	}

	var carries, cleared uint64
	if known != nil {
		carries = known.Segments
		segments |= r.leave(carries, segments, counts)
		cleared = r.cleared(same, carries&^segments)
	}
	*values = r.markers((*values)[:0], segments, 0)
	content := digest.Content(profile, consent, *values)
	if known != nil && known.Content == content && !r.Full {
		switch {
		case known.State == spool.Refused && !r.Retry:
			counts.Refused++
			counts.Reasons[known.Reason]++
			return nil
		case known.State == spool.Confirmed && segments&^carries == 0 && cleared == 0:
			counts.Unchanged++
			return nil
		}
	}
	kind, differs := spool.New, Difference(0)
	if carries == 0 {
		counts.New++
	} else {
		kind, differs = spool.Changed, difference(known, content)
		counts.Changed++
		for _, name := range differs.Names() {
			counts.Differences[name]++
		}
	}
	*values = r.markers(*values, 0, cleared)
	*item = contact.Item((*item)[:0], profile, consent, *values)
	return sink.Send(Decision{Differs: differs, BatchItem: spool.BatchItem{Address: same[0].Address, Content: content, Kind: kind,
		Segments: segments | carries&^cleared, Email: profile.Email, Item: *item}})
}

// cleared returns which of the markers that a member of some segments no longer
// should have are cleared: all of ours, or where leavers keep theirs, those that
// its segments had before they were renamed.
func (r *Rules) cleared(same []spool.Record, surplus uint64) uint64 {
	if surplus == 0 {
		return 0
	}
	if !r.Unmark {
		var renamed uint64
		for _, rec := range same {
			if int(rec.Segment) < len(r.Former) {
				renamed |= r.Former[rec.Segment]
			}
		}
		surplus &= renamed
	}
	return surplus &^ r.Foreign
}

// leave counts, by segment, who carries its marker and who has left it. It
// returns the bits that a contact keeps although it was not read.
func (r *Rules) leave(carries, segments uint64, counts *Counts) uint64 {
	var kept uint64
	if carries == 0 {
		return kept
	}
	for i, bit := range r.Bits {
		own := uint64(1) << bit
		if i < len(r.Former) {
			own |= r.Former[i]
		}
		if own &= carries &^ r.Foreign; own == 0 {
			continue
		}
		counts.Carried[i]++
		switch {
		case segments&(1<<bit) != 0 || !r.Unmark:
		case i < len(r.Doubtful) && r.Doubtful[i]:
			counts.Kept[i]++
			kept |= own
		default:
			counts.Left[i]++
		}
	}
	return kept
}

// leaver decides about an entry of the ledger that was not read any more.
func (r *Rules) leaver(e spool.Entry, item *[]byte, counts *Counts, sink Sink) error {
	ours := e.Segments &^ r.Foreign
	if ours == 0 {
		if sink.Stale != nil {
			sink.Stale(e.Address)
		}
		return nil
	}
	counts.Ledger++
	kept := r.leave(ours, 0, counts)
	if !r.Unmark || ours == kept {
		return nil
	}
	counts.Leavers++
	var properties []string
	for _, v := range r.markers(nil, 0, ours&^kept) {
		properties = append(properties, v.Property)
	}
	*item = contact.LeaverItem((*item)[:0], e.Email, properties)
	return sink.Send(Decision{BatchItem: spool.BatchItem{Address: e.Address, Kind: spool.Leaver, Segments: kept, Email: e.Email, Item: *item}})
}

// markers appends the properties of the bits that are set and cleared.
func (r *Rules) markers(dst []contact.MarkerValue, set, cleared uint64) []contact.MarkerValue {
	for bit, property := range r.Markers {
		switch mask := uint64(1) << bit; {
		case set&mask != 0:
			dst = append(dst, contact.MarkerValue{Property: property, Member: true})
		case cleared&mask != 0:
			dst = append(dst, contact.MarkerValue{Property: property, Member: false})
		}
	}
	return dst
}

// difference says what a changed contact differs in.
func difference(known *spool.Entry, content contact.ContentDigest) Difference {
	var d Difference
	if known.Content.Profile != content.Profile {
		d |= Profile
	}
	if known.Content.Consent != content.Consent {
		d |= Consent
	}
	if known.Content.Markers != content.Markers {
		d |= Marker
	}
	return d
}
