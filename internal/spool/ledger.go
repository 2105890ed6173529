package spool

import (
	"bytes"
	"iter"
	"slices"

	"github.com/segment-export/segment-export/internal/contact"
)

// State is what Omnisend said to a contact.
type State uint8

// The states.
const (
	Confirmed State = iota + 1
	Refused
	// Remembered is a contact that Omnisend has nothing of ours of: it left, or was
	// never sent. What is remembered of its consent stays, under the digest of its
	// address alone.
	Remembered
)

// Entry is what the ledger knows of one contact.
type Entry struct {
	Address  contact.Digest
	Content  contact.ContentDigest // as confirmed, or as refused
	Email    string
	Segments uint64 // the marker bits that it carries at Omnisend
	State    State
	SentAt   int64  // Unix seconds
	Reason   string // of a refusal: a code, nothing personal; or how it was confirmed without being sent
	Memory   contact.Memory
	Filled   uint64 // the bits of mapped fields that the account has values of from us
}

// appendEntry appends an entry to a shard.
func appendEntry(dst []byte, e *Entry) []byte {
	dst = begin(dst, versionEntries)
	dst = append(dst, e.Address[:]...)
	dst = appendContent(dst, e.Content)
	dst = append(dst, byte(e.State))
	dst = appendUint(dst, e.Segments)
	dst = appendInt(dst, e.SentAt)
	dst = appendBytes(dst, e.Email)
	dst = appendBytes(dst, e.Reason)
	return appendUint(appendMemory(dst, e.Memory), e.Filled)
}

func readEntry(d *decoder, e *Entry) {
	copy(e.Address[:], d.take(len(e.Address)))
	e.Content = d.content()
	e.State = State(d.byte())
	if e.State < Confirmed || e.State > Remembered {
		d.bad = true
	}
	e.Segments = d.uint()
	e.SentAt = d.int()
	e.Email = string(d.bytes())
	e.Reason = string(d.bytes())
	if d.version != versionEntriesBefore {
		e.Memory, e.Filled = d.memory(), d.uint()
	}
}

// Entries iterates over a shard of the ledger in the order of addresses; after
// an error it ends. An empty shard has none.
func Entries(data []byte) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		var last contact.Digest
		first := true
		for e, err := range all(data, versionEntries, readEntry, versionEntriesBefore) {
			if err == nil && !first && bytes.Compare(last[:], e.Address[:]) >= 0 {
				err = ErrCorrupt
			}
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if !yield(e, nil) {
				return
			}
			first, last = false, e.Address
		}
	}
}

// AllEntries returns all entries of a shard, as Entries gives them; nil with an
// error, or when there are none.
func AllEntries(data []byte) ([]Entry, error) {
	entries, err := appendAll(nil, data, versionEntries, readEntry, versionEntriesBefore)
	if err != nil {
		return nil, err
	}
	for i := 1; i < len(entries); i++ {
		if bytes.Compare(entries[i-1].Address[:], entries[i].Address[:]) >= 0 {
			return nil, ErrCorrupt
		}
	}
	return entries, nil
}

// MergeShard returns a shard with entries put in or replaced and others
// removed. Updates and removals may be in any order; of several updates of one
// address the last counts, and a removal counts more than an update: an entry
// too many could keep a contact from being sent, one too few only sends it
// again. The arguments are left as they are. A shard without entries is nil.
func MergeShard(old []byte, updates []Entry, removals []contact.Digest) ([]byte, error) {
	byAddress := func(a, b Entry) int { return bytes.Compare(a.Address[:], b.Address[:]) }
	if !slices.IsSortedFunc(updates, byAddress) {
		updates = slices.Clone(updates)
		slices.SortStableFunc(updates, byAddress)
	}
	removed := make(map[contact.Digest]bool, len(removals))
	for _, d := range removals {
		removed[d] = true
	}
	var merged []byte
	merged = slices.Grow(merged, len(old)+128*len(updates))

	// put appends the updates up to an address, or all when it is nil, and
	// tells whether one was of that very address.
	put := func(until *contact.Digest) bool {
		for len(updates) > 0 {
			e := &updates[0]
			order := -1
			if until != nil {
				order = bytes.Compare(e.Address[:], until[:])
			}
			if order > 0 {
				return false
			}
			updates = updates[1:]
			if len(updates) > 0 && updates[0].Address == e.Address {
				continue // a later one counts
			}
			if !removed[e.Address] {
				merged = appendEntry(merged, e)
			}
			if order == 0 {
				return true
			}
		}
		return false
	}
	for e, err := range rawEntries(old) {
		if err != nil {
			return nil, err
		}
		if replaced := put(&e.address); !replaced && !removed[e.address] {
			merged = append(begin(merged, versionEntries), e.data...)
		}
	}
	put(nil)
	if len(merged) == 0 {
		return nil, nil
	}
	return merged, nil
}

// rawEntry is an entry as it is written.
type rawEntry struct {
	address contact.Digest
	data    []byte
}

// rawEntries iterates over the entries of a shard as Entries does, as they are
// written in the present version.
func rawEntries(data []byte) iter.Seq2[rawEntry, error] {
	return func(yield func(rawEntry, error) bool) {
		var last contact.Digest
		d := decoderOf(data, versionEntries, []byte{versionEntriesBefore})
		for first := true; len(d.rest) > 0 || d.bad; first = false {
			before := d.rest
			var e Entry
			readEntry(&d, &e)
			if d.bad || !first && bytes.Compare(last[:], e.Address[:]) >= 0 {
				yield(rawEntry{}, ErrCorrupt)
				return
			}
			raw := rawEntry{e.Address, before[:len(before)-len(d.rest)]}
			if d.version != versionEntries {
				raw.data = appendEntry(nil, &e)[1:] // without the version
			}
			if !yield(raw, nil) {
				return
			}
			last = e.Address
		}
	}
}
