// Package spool is how the contacts of a run, and the ledger of an export, are
// written as bytes: compact, read in one pass, and with a version in front. It
// does no I/O; what it makes holds personal data and is stored encrypted.
//
// Every blob is a version byte and then one entry after another. Appending to
// an empty blob writes the version. Damaged data gives ErrCorrupt, never a
// wrong entry that could have been noticed.
package spool

import (
	"errors"
	"iter"
	"time"

	"github.com/segment-export/segment-export/internal/contact"
)

// ErrCorrupt says that a blob is damaged, or of another kind or version.
var ErrCorrupt = errors.New("spool: damaged data, or written by another version")

// The first byte of each kind of blob: the kind in the upper half, its version
// in the lower.
const (
	versionRecords = 0x13
	versionItems   = 0x22
	versionEntries = 0x32

	// Written before there was a memory of consent: a worker that is upgraded finds
	// such ledgers, and batches that wait for a verdict.
	versionItemsBefore   = 0x21
	versionEntriesBefore = 0x31
)

// Record is one row of a segment as read.
type Record struct {
	Address contact.Digest
	Segment uint8 // its place in the export
	Row     int64 // segment.Row.Number
	Profile contact.Profile
}

// AppendRecord appends a record to a blob. A consent's date is kept to the
// millisecond.
func AppendRecord(dst []byte, r Record) []byte {
	dst = begin(dst, versionRecords)
	dst = append(dst, r.Address[:]...)
	dst = append(dst, r.Segment)
	dst = appendInt(dst, r.Row)
	dst = appendBytes(dst, r.Profile.Email)
	dst = appendBytes(dst, r.Profile.Fields)
	dst = appendBytes(dst, r.Profile.Properties)
	dst = appendUint(dst, r.Profile.Filled)
	dst = appendSaid(dst, r.Profile.Said.Mail)
	dst = appendBytes(dst, r.Profile.Said.Phone)
	return appendSaid(dst, r.Profile.Said.SMS)
}

func appendSaid(dst []byte, s contact.Said) []byte {
	dst = appendInt(append(dst, byte(s.Word)), s.At.UnixMilli())
	return appendCode(dst, notes, s.Note)
}

func (d *decoder) said() contact.Said {
	s := contact.Said{Word: contact.Word(d.byte()), At: time.UnixMilli(d.int()).UTC(), Note: code(d, notes)}
	if s.Word > contact.Declined {
		d.bad = true
	}
	return s
}

// Records iterates over a blob of records; after an error it ends. A record's
// Fields and Properties are a part of data, which must not be changed while
// they are used.
func Records(data []byte) iter.Seq2[Record, error] { return all(data, versionRecords, readRecord) }

// AppendRecords appends all records of a blob to a slice, as Records gives them;
// nil with an error.
func AppendRecords(dst []Record, data []byte) ([]Record, error) {
	return appendAll(dst, data, versionRecords, readRecord)
}

func readRecord(d *decoder, r *Record) {
	copy(r.Address[:], d.take(len(r.Address)))
	r.Segment = d.byte()
	r.Row = d.int()
	r.Profile.Email = string(d.bytes())
	r.Profile.Fields = d.bytes()
	r.Profile.Properties = d.bytes()
	r.Profile.Filled = d.uint()
	r.Profile.Said.Mail = d.said()
	r.Profile.Said.Phone = string(d.bytes())
	r.Profile.Said.SMS = d.said()
}

// Kind is why a contact is sent.
type Kind uint8

// The kinds.
const (
	New Kind = iota + 1
	Changed
	Leaver
)

// BatchItem is one contact of a batch.
type BatchItem struct {
	Address  contact.Digest
	Content  contact.ContentDigest // what the ledger will hold once it is confirmed; zero for a leaver
	Kind     Kind
	Segments uint64 // the marker bits that it will carry
	Email    string
	Item     []byte         // the contact as JSON, as it is sent
	Memory   contact.Memory // what the ledger will remember once it is confirmed
	Filled   uint64         // the bits of mapped fields that the account will have values of
}

// AppendBatchItem appends an item to a blob.
func AppendBatchItem(dst []byte, it BatchItem) []byte {
	dst = begin(dst, versionItems)
	dst = append(dst, it.Address[:]...)
	dst = appendContent(dst, it.Content)
	dst = append(dst, byte(it.Kind))
	dst = appendUint(dst, it.Segments)
	dst = appendBytes(dst, it.Email)
	dst = appendBytes(dst, it.Item)
	return appendUint(appendMemory(dst, it.Memory), it.Filled)
}

// BatchItems iterates over a blob of items; after an error it ends. An item's
// JSON is a part of data, which must not be changed while it is used.
func BatchItems(data []byte) iter.Seq2[BatchItem, error] {
	return all(data, versionItems, readItem, versionItemsBefore)
}

// AllBatchItems returns all items of a blob, as BatchItems gives them; nil with an
// error, or when there are none.
func AllBatchItems(data []byte) ([]BatchItem, error) {
	return appendAll(nil, data, versionItems, readItem, versionItemsBefore)
}

func readItem(d *decoder, it *BatchItem) {
	copy(it.Address[:], d.take(len(it.Address)))
	it.Content = d.content()
	it.Kind = Kind(d.byte())
	if it.Kind < New || it.Kind > Leaver {
		d.bad = true
	}
	it.Segments = d.uint()
	it.Email = string(d.bytes())
	it.Item = d.bytes()
	if d.version != versionItemsBefore {
		it.Memory, it.Filled = d.memory(), d.uint()
	}
}

// The values that are written as one byte: their places, which never change.
// New ones are added at the end.
var (
	statuses = []contact.Status{"", contact.Subscribed, contact.Unsubscribed, contact.NonSubscribed}
	notes    = []contact.ConsentNote{"", contact.NoteNotMapped, contact.NoteUndated, contact.NoteBadDate, contact.NoteFuture, contact.NoteUndeclared,
		contact.NoteAmbiguousDate, contact.NoteSerialDate}
	rules = []contact.Rule{"", contact.RuleConsent, contact.RuleOptOut, contact.RuleUndated, contact.RuleRefusal, contact.RuleWithdrawn,
		contact.RuleIgnored, contact.RuleNone}
)
