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
	versionRecords = 0x12
	versionItems   = 0x21
	versionEntries = 0x31
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
	dst = appendCode(dst, statuses, r.Profile.Consent.Status)
	dst = appendInt(dst, r.Profile.Consent.At.UnixMilli())
	dst = appendCode(dst, notes, r.Profile.Consent.Note)
	dst = appendBytes(dst, r.Profile.Properties)
	dst = appendCode(dst, statuses, r.Profile.SMS.Consent.Status)
	if r.Profile.SMS.Consent.Status == "" {
		return dst // nothing is said about texting
	}
	dst = appendBytes(dst, r.Profile.SMS.Phone)
	dst = appendInt(dst, r.Profile.SMS.Consent.At.UnixMilli())
	return appendCode(dst, notes, r.Profile.SMS.Consent.Note)
}

// Records iterates over a blob of records; after an error it ends. A record's
// Fields and Properties are a part of data, which must not be changed while
// they are used.
func Records(data []byte) iter.Seq2[Record, error] {
	return all(data, versionRecords, func(d *decoder) Record {
		var r Record
		copy(r.Address[:], d.take(len(r.Address)))
		r.Segment = d.byte()
		r.Row = d.int()
		r.Profile.Email = string(d.bytes())
		r.Profile.Fields = d.bytes()
		r.Profile.Consent.Status = code(d, statuses)
		r.Profile.Consent.At = time.UnixMilli(d.int()).UTC()
		r.Profile.Consent.Note = code(d, notes)
		r.Profile.Properties = d.bytes()
		if r.Profile.SMS.Consent.Status = code(d, statuses); r.Profile.SMS.Consent.Status != "" {
			r.Profile.SMS.Phone = string(d.bytes())
			r.Profile.SMS.Consent.At = time.UnixMilli(d.int()).UTC()
			r.Profile.SMS.Consent.Note = code(d, notes)
		}
		return r
	})
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
	Item     []byte // the contact as JSON, as it is sent
}

// AppendBatchItem appends an item to a blob.
func AppendBatchItem(dst []byte, it BatchItem) []byte {
	dst = begin(dst, versionItems)
	dst = append(dst, it.Address[:]...)
	dst = appendContent(dst, it.Content)
	dst = append(dst, byte(it.Kind))
	dst = appendUint(dst, it.Segments)
	dst = appendBytes(dst, it.Email)
	return appendBytes(dst, it.Item)
}

// BatchItems iterates over a blob of items; after an error it ends. An item's
// JSON is a part of data, which must not be changed while it is used.
func BatchItems(data []byte) iter.Seq2[BatchItem, error] {
	return all(data, versionItems, func(d *decoder) BatchItem {
		var it BatchItem
		copy(it.Address[:], d.take(len(it.Address)))
		it.Content = d.content()
		it.Kind = Kind(d.byte())
		if it.Kind < New || it.Kind > Leaver {
			d.bad = true
		}
		it.Segments = d.uint()
		it.Email = string(d.bytes())
		it.Item = d.bytes()
		return it
	})
}

// The values that are written as one byte: their places, which never change.
// New ones are added at the end.
var (
	statuses = []contact.Status{"", contact.Subscribed, contact.Unsubscribed, contact.NonSubscribed}
	notes    = []contact.ConsentNote{"", contact.NoteNotMapped, contact.NoteUndated, contact.NoteBadDate, contact.NoteFuture, contact.NoteUndeclared}
)
