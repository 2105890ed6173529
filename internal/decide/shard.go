package decide

import (
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/spool"
)

// shard decides one shard.
type shard struct {
	*Rules

	digest *contact.Digester
	counts *Counts
	sink   Sink
	item   []byte
	values []contact.MarkerValue
}

// hold counts an entry of the ledger that carries a marker.
func (s *shard) hold(e spool.Entry) {
	if e.Segments == 0 {
		return
	}
	s.counts.Ledger++
	c := &s.counts.Consent
	if e.Memory.Mail.Sent == contact.Subscribed {
		c.Mailed.Of++
	}
	if e.Memory.SMS.Sent == contact.Subscribed {
		c.Texted.Of++
	}
}

// contact decides about the rows of one address.
func (s *shard) contact(same []*spool.Record, known *spool.Entry) error {
	profile, said := same[0].Profile, same[0].Profile.Said
	counts := s.counts
	var segments uint64
	for i, rec := range same {
		if i > 0 && rec.Segment == same[i-1].Segment {
			counts.Duplicate[rec.Segment]++
		} else {
			counts.Members[rec.Segment]++
			segments |= 1 << s.Bits[rec.Segment]
		}
		if i > 0 {
			said = said.Stricter(rec.Profile.Said)
		}
	}
	counts.Contacts++
	settled, memory := known.Memory.Settle(said, s.Consent, s.Now)
	counts.Consent.add(said, settled, known)

	carries := known.Segments
	segments |= s.leave(carries, segments)
	cleared := s.cleared(same, carries&^segments)
	s.values = s.markers(s.values[:0], segments, 0)
	content := s.digest.Content(profile, settled, s.values)
	filled := s.filled(profile.Filled)
	emptied := s.emptied(known.Filled, filled)
	memo := Memo{Address: same[0].Address, Email: profile.Email, Memory: memory, Filled: known.Filled}
	if known.Content == content && !s.Full && emptied == 0 {
		switch {
		case known.State == spool.Refused && !s.Retry:
			counts.Refused++
			counts.Reasons[known.Reason]++
			if settled.Mail.Status == contact.Unsubscribed && settled.Mail.Rule != contact.RuleIgnored {
				counts.Consent.WithoutEffect++
			}
			s.remember(memo, known)
			return nil
		case known.State == spool.Confirmed && segments&^carries == 0 && cleared == 0:
			counts.Unchanged++
			// What an older ledger has no memory of is the same as what was confirmed.
			memo.Memory, memo.Filled = memory.Confirmed(settled), known.Filled|filled
			s.remember(memo, known)
			return nil
		}
	}
	s.remember(memo, known)
	kind, differs := spool.New, Difference(0)
	if carries == 0 {
		counts.New++
	} else {
		if kind, differs = spool.Changed, difference(known, content); emptied != 0 {
			differs |= Profile
		}
		counts.Changed++
		for _, name := range differs.Names() {
			counts.Differences[name]++
		}
	}
	if settled.Mail.Status == contact.Unsubscribed && (kind == spool.New || differs&Consent != 0) {
		counts.Consent.OptOuts[string(settled.Mail.Rule)]++
	}
	s.values = s.markers(s.values, 0, cleared)
	if emptied != 0 {
		profile = profile.Clear(s.names(emptied))
	}
	s.item = contact.Item(s.item[:0], profile, settled, s.values)
	return s.sink.Send(Decision{Differs: differs, BatchItem: spool.BatchItem{Address: same[0].Address, Content: content, Kind: kind,
		Segments: segments | carries&^cleared, Email: profile.Email, Item: s.item, Memory: memory.Confirmed(settled),
		Filled: filled | known.Filled&^emptied}})
}

// remember reports what to remember when that is new.
func (s *shard) remember(m Memo, known *spool.Entry) {
	matters := m.Memory != known.Memory && (m.Memory.Matters() || known.Memory.Matters())
	if s.sink.Remember != nil && (matters || m.Filled != known.Filled) {
		s.sink.Remember(m)
	}
}

// filled turns a profile's bits into the ledger's.
func (s *shard) filled(profile uint64) uint64 {
	var bits uint64
	for i, bit := range s.Fields {
		if profile&(1<<i) != 0 && bit < 64 {
			bits |= 1 << bit
		}
	}
	return bits
}

// emptied returns the bits of fields that the account has a value of and that
// are cleared, and counts them by field.
func (s *shard) emptied(had, filled uint64) uint64 {
	if had &= s.Clear; had == 0 {
		return 0
	}
	for bit, name := range s.FieldNames {
		mask := uint64(1) << bit
		if had&mask == 0 {
			continue
		}
		c := s.counts.Cleared[name]
		c.Of++
		if filled&mask == 0 {
			c.Count++
		}
		s.counts.Cleared[name] = c
	}
	return had &^ filled
}

// names lists the fields of bits.
func (s *shard) names(bits uint64) []string {
	var names []string
	for bit, name := range s.FieldNames {
		if bits&(1<<bit) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// add counts one contact.
func (c *Consents) add(said contact.Statements, s contact.Settled, known *spool.Entry) {
	switch s.Mail.Status {
	case contact.Subscribed:
		c.Subscribed++
	case contact.Unsubscribed:
		c.Unsubscribed++
		c.Rules[string(s.Mail.Rule)]++
		if s.Mail.Rule == contact.RuleIgnored {
			c.WithoutEffect++
		}
	default:
		if said.Mail.Note != "" {
			c.Notes[string(said.Mail.Note)]++
		}
	}
	if known.Memory.Mail.Consented.IsZero() { // the others are unsubscribed under either choice
		if said.Mail.UndatedOptOut() {
			c.UndatedOptOuts++
		}
		if said.Mail.DatedRefusal() {
			c.DatedRefusals++
		}
	}
	if said.Mail.Note == contact.NoteUndeclared {
		c.Undeclared++
	}
	if said.Mail.Note.Unreadable() {
		c.Unreadable++
		c.Dates++
	} else if said.Mail.At.After(contact.Undated) {
		c.Dates++
	}
	if known.Segments == 0 {
		return
	}
	if known.Memory.Mail.Sent == contact.Subscribed && s.Mail.Status == contact.Unsubscribed {
		c.Mailed.Count++
	}
	if known.Memory.SMS.Sent == contact.Subscribed && s.Texts() && s.SMS.Status == contact.Unsubscribed {
		c.Texted.Count++
	}
}

// cleared returns which of the markers that a member of some segments no longer
// should have are cleared: all of ours, or where leavers keep theirs, those that
// its segments had before they were renamed.
func (r *Rules) cleared(same []*spool.Record, surplus uint64) uint64 {
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
func (s *shard) leave(carries, segments uint64) uint64 {
	var kept uint64
	if carries == 0 {
		return kept
	}
	for i, bit := range s.Bits {
		own := uint64(1) << bit
		if i < len(s.Former) {
			own |= s.Former[i]
		}
		if own &= carries &^ s.Foreign; own == 0 {
			continue
		}
		s.counts.Carried[i]++
		switch {
		case segments&(1<<bit) != 0 || !s.Unmark:
		case i < len(s.Doubtful) && s.Doubtful[i]:
			s.counts.Kept[i]++
			kept |= own
		default:
			s.counts.Left[i]++
		}
	}
	return kept
}

// leaver decides about an entry of the ledger that was no longer read. What is
// remembered of its consent stays, for a contact that comes back.
func (s *shard) leaver(e spool.Entry) error {
	ours := e.Segments &^ s.Foreign
	if ours == 0 {
		if e.State != spool.Remembered && s.sink.Stale != nil {
			s.sink.Stale(e.Address)
		}
		return nil
	}
	s.hold(e)
	kept := s.leave(ours, 0)
	if !s.Unmark || ours == kept {
		return nil
	}
	s.counts.Leavers++
	var properties []string
	for _, v := range s.markers(nil, 0, ours&^kept) {
		properties = append(properties, v.Property)
	}
	s.item = contact.LeaverItem(s.item[:0], e.Email, properties)
	return s.sink.Send(Decision{BatchItem: spool.BatchItem{Address: e.Address, Kind: spool.Leaver, Segments: kept, Email: e.Email, Item: s.item,
		Memory: e.Memory, Filled: e.Filled}})
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
