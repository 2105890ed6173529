package spool

import (
	"time"

	"github.com/segment-export/segment-export/internal/contact"
)

// Remember returns what stays of an entry when its contact left or was removed
// from what is sent: the memory of its consent under the digest of its address.
// False: nothing has to stay.
func Remember(e Entry) (Entry, bool) {
	return Entry{Address: e.Address, State: Remembered, Memory: e.Memory}, e.Memory.Matters()
}

// A memory begins with a byte that says which of its channels hold anything:
// most contacts have no number, and many have nothing at all.
const (
	hasMail = 1 << iota
	hasSMS
)

func appendMemory(dst []byte, m contact.Memory) []byte {
	var held byte
	if m.Mail != (contact.Channel{}) {
		held |= hasMail
	}
	if m.SMS != (contact.Channel{}) {
		held |= hasSMS
	}
	dst = append(dst, held)
	if held&hasMail != 0 {
		dst = appendChannel(dst, m.Mail)
	}
	if held&hasSMS != 0 {
		dst = appendBytes(appendChannel(dst, m.SMS), m.SMS.Phone)
	}
	return dst
}

func (d *decoder) memory() contact.Memory {
	var m contact.Memory
	held := d.byte()
	if held&hasMail != 0 {
		m.Mail = d.channel()
	}
	if held&hasSMS != 0 {
		m.SMS = d.channel()
		m.SMS.Phone = string(d.bytes())
	}
	d.bad = d.bad || held > hasMail|hasSMS
	return m
}

func appendChannel(dst []byte, c contact.Channel) []byte {
	dst = appendCode(dst, statuses, c.Sent)
	dst = appendCode(dst, rules, c.Rule)
	for _, at := range []time.Time{c.SentAt, c.Consented, c.Seen, c.Stated} {
		dst = appendMoment(dst, at)
	}
	return dst
}

func (d *decoder) channel() contact.Channel {
	return contact.Channel{Sent: code(d, statuses), Rule: code(d, rules),
		SentAt: d.moment(), Consented: d.moment(), Seen: d.moment(), Stated: d.moment()}
}

// appendMoment appends a time to the millisecond; 0 is never, all others are
// shifted out of its way.
func appendMoment(dst []byte, at time.Time) []byte {
	ms := at.UnixMilli()
	switch {
	case at.IsZero():
		return appendInt(dst, 0)
	case ms >= 0:
		ms++
	}
	return appendInt(dst, ms)
}

func (d *decoder) moment() time.Time {
	ms := d.int()
	switch {
	case ms == 0:
		return time.Time{}
	case ms > 0:
		ms--
	}
	return time.UnixMilli(ms).UTC()
}
