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
}

// Counts are what a shard, or all of them, came to.
type Counts struct {
	Members      []int          `json:"members"`   // by segment of the export
	Duplicate    []int          `json:"duplicate"` // by segment of the export
	Contacts     int            `json:"contacts"`
	New          int            `json:"new"`
	Changed      int            `json:"changed"`
	Unchanged    int            `json:"unchanged"`
	Refused      int            `json:"refused"` // turned down before, same data now: not sent
	Leavers      int            `json:"leavers"`
	Ledger       int            `json:"ledger"` // contacts of the ledger that carry a marker
	Subscribed   int            `json:"subscribed"`
	Unsubscribed int            `json:"unsubscribed"`
	Notes        map[string]int `json:"notes,omitempty"`       // of consent
	Reasons      map[string]int `json:"reasons,omitempty"`     // of Refused
	Differences  map[string]int `json:"differences,omitempty"` // what the changed ones differ in
}

// NewCounts returns counts of nothing for so many segments.
func NewCounts(segments int) Counts {
	return Counts{Members: make([]int, segments), Duplicate: make([]int, segments),
		Notes: map[string]int{}, Reasons: map[string]int{}, Differences: map[string]int{}}
}

// ToSend is how many contacts are to be sent, leavers apart.
func (c *Counts) ToSend() int { return c.New + c.Changed }

// Sink takes what a shard decided to send. The item's slices are valid only
// during the call.
type Sink func(spool.BatchItem) error

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

	*values = r.markers((*values)[:0], segments, 0)
	content := digest.Content(profile, consent, *values)
	kind := spool.New
	if known != nil && known.Segments != 0 {
		kind = spool.Changed
	}
	if known != nil && known.Content == content && !r.Full {
		switch {
		case known.State == spool.Refused:
			counts.Refused++
			counts.Reasons[known.Reason]++
			return nil
		case known.Segments == segments:
			counts.Unchanged++
			return nil
		}
	}
	if kind == spool.New {
		counts.New++
	} else {
		counts.Changed++
		counts.difference(known, content)
	}
	if known != nil && r.Unmark {
		*values = r.markers(*values, 0, known.Segments&^segments)
	}
	*item = contact.Item((*item)[:0], profile, consent, *values)
	return sink(spool.BatchItem{Address: same[0].Address, Content: content, Kind: kind,
		Segments: segments, Email: profile.Email, Item: *item})
}

// leaver decides about an entry of the ledger that was not read any more.
func (r *Rules) leaver(e spool.Entry, item *[]byte, counts *Counts, sink Sink) error {
	if e.Segments == 0 {
		return nil // it carries nothing of ours
	}
	counts.Ledger++
	if !r.Unmark {
		return nil
	}
	counts.Leavers++
	var properties []string
	for _, v := range r.markers(nil, 0, e.Segments) {
		properties = append(properties, v.Property)
	}
	*item = contact.LeaverItem((*item)[:0], e.Email, properties)
	return sink(spool.BatchItem{Address: e.Address, Kind: spool.Leaver, Email: e.Email, Item: *item})
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

// difference counts what a changed contact differs in.
func (c *Counts) difference(known *spool.Entry, content contact.ContentDigest) {
	for _, d := range []struct {
		name string
		same bool
	}{
		{"profile", known.Content.Profile == content.Profile},
		{"consent", known.Content.Consent == content.Consent},
		{"marker", known.Content.Markers == content.Markers},
	} {
		if !d.same {
			c.Differences[d.name]++
		}
	}
}
