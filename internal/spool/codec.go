package spool

import (
	"encoding/binary"
	"iter"
	"slices"

	"github.com/segment-export/segment-export/internal/contact"
)

// begin puts the version in front of a blob's first entry.
func begin(dst []byte, version byte) []byte {
	if len(dst) == 0 {
		return append(dst, version)
	}
	return dst
}

func appendUint(dst []byte, n uint64) []byte { return binary.AppendUvarint(dst, n) }

func appendInt(dst []byte, n int64) []byte { return binary.AppendVarint(dst, n) }

func appendBytes[T ~string | ~[]byte](dst []byte, b T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

func appendContent(dst []byte, c contact.ContentDigest) []byte {
	dst = append(dst, c.Profile[:]...)
	dst = append(dst, c.Consent[:]...)
	return append(dst, c.Markers[:]...)
}

// appendCode appends a value's place in a table; one that is not there is
// written out after the first place beyond, so that nothing is ever lost.
func appendCode[T ~string](dst []byte, table []T, v T) []byte {
	if i := slices.Index(table, v); i >= 0 {
		return append(dst, byte(i))
	}
	return appendBytes(append(dst, spelt), v)
}

// spelt stands for a value that is in no table.
const spelt = 0xff

func code[T ~string](d *decoder, table []T) T {
	i := d.byte()
	switch {
	case i == spelt:
		return T(d.bytes())
	case int(i) < len(table):
		return table[i]
	}
	d.bad = true
	return ""
}

// all iterates over the entries of a blob of this version, or of a former one
// that can still be read.
func all[T any](data []byte, version byte, read func(*decoder, *T), former ...byte) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		d := decoderOf(data, version, former)
		for len(d.rest) > 0 || d.bad {
			var v T
			read(&d, &v)
			if d.bad {
				var none T
				yield(none, ErrCorrupt)
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

// appendAll appends the entries of a blob to a slice. It asks for memory once, by
// the size of the first entries: entries are large, and a blob has many.
func appendAll[T any](dst []T, data []byte, version byte, read func(*decoder, *T), former ...byte) ([]T, error) {
	d := decoderOf(data, version, former)
	whole, first := len(d.rest), len(dst)
	for len(d.rest) > 0 || d.bad {
		if seen := len(dst) - first; len(dst) == cap(dst) && seen >= sampleEntries {
			each := (whole - len(d.rest)) / seen
			dst = slices.Grow(dst, len(d.rest)/each+len(d.rest)/each/16+1)
		}
		var none T
		dst = append(dst, none)
		read(&d, &dst[len(dst)-1])
		if d.bad {
			return nil, ErrCorrupt
		}
	}
	return dst, nil
}

// sampleEntries is from how many entries the number of all is estimated.
const sampleEntries = 8

func decoderOf(data []byte, version byte, former []byte) decoder {
	if len(data) == 0 {
		return decoder{}
	}
	return decoder{rest: data[1:], version: data[0], bad: data[0] != version && !slices.Contains(former, data[0])}
}

// decoder reads values one after another. Once something was bad it gives zero
// values, so that only the end has to be checked.
type decoder struct {
	rest    []byte
	version byte
	bad     bool
}

// take returns the next n bytes; they cannot be appended to.
func (d *decoder) take(n int) []byte {
	if d.bad || n > len(d.rest) {
		d.bad = true
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint() uint64 {
	n, size := binary.Uvarint(d.rest)
	return varint(d, n, size)
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.rest)
	return varint(d, n, size)
}

func varint[T int64 | uint64](d *decoder, n T, size int) T {
	if size <= 0 || d.take(size) == nil {
		d.bad = true
		return 0
	}
	return n
}

func (d *decoder) bytes() []byte {
	n := d.uint()
	if n == 0 || n > uint64(len(d.rest)) {
		d.bad = d.bad || n != 0
		return nil
	}
	return d.take(int(n))
}

func (d *decoder) content() contact.ContentDigest {
	var c contact.ContentDigest
	copy(c.Profile[:], d.take(len(c.Profile)))
	copy(c.Consent[:], d.take(len(c.Consent)))
	copy(c.Markers[:], d.take(len(c.Markers)))
	return c
}
