package files

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"golang.org/x/text/encoding"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/tree"
)

// set is the files that make a segment, in the order in which they are read.
type set struct {
	name  string // of the segment
	files []tree.File
	form  form
	csv   dialect // of CSV
	sheet string  // of a workbook; empty: the first
	run   string  // the folder of an export's run; empty in the plain layout
	parts bool    // the files are pieces of one, and others may come to them
	// versions: of rows with the same id only the newest counts.
	versions bool
	notes    []string // on how it was chosen
	digest   digest
}

// form is how a file holds its rows.
type form struct {
	kind   kind
	packed bool // by gzip
}

// kind is a format of files.
type kind int

// The kinds.
const (
	kindCSV kind = iota
	kindParquet
	kindLines // JSON, one object a line
	kindWorkbook
)

// dialect is what CSV files do not say themselves.
type dialect struct {
	comma    rune              // 0: the header shows it
	fields   []string          // of files without a header; nil: they have one
	named    bool              // fields were named by the source's settings: a first row that repeats them is a header
	noQuotes bool              // quotes are characters like others
	spaced   bool              // spaces stand between a separator and a quote; the header shows it
	escape   bool              // a backslash in front of a quote makes it a character like others
	decoder  encoding.Encoding // nil: UTF-8, unless a byte-order mark tells another
	encoding string            // its name
	first    []string          // columns of the segment's first file, for later ones without a header
}

// digest names a set of files in exactly one state.
type digest [16]byte

// seal fixes the set.
func (s *set) seal() {
	h := sha256.New()
	fmt.Fprintf(h, "%q %v %q %q %t %t %q %q\n", s.name, s.form, s.csv.comma, s.csv.fields, s.csv.noQuotes, s.csv.escape, s.csv.encoding, s.sheet)
	for _, f := range s.files {
		fmt.Fprintf(h, "%q %d %q\n", f.Name, f.Size, f.Stamp)
	}
	copy(s.digest[:], h.Sum(nil))
}

func (s *set) bytes() int64 {
	var all int64
	for _, f := range s.files {
		all += f.Size
	}
	return all
}

// refreshedAt is when the set was made: of an export its run's time, else when
// the newest of its files was written.
func (s *set) refreshedAt() time.Time {
	if s.run != "" {
		return runTime(s.run)
	}
	var newest time.Time
	for _, f := range s.files {
		newest = later(newest, f.Modified.UTC())
	}
	return newest
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// place is a place in a set.
type place struct {
	run    string
	file   int
	before int64 // lines in the files before
	counts
	position
}

// counts are rows that were passed over or could not be read, of all files.
type counts struct {
	blank     int64 // without any value
	undecoded int64 // not in the encoding that the text is taken for
	passed    int64 // all that next has seen, where rows have versions
}

// position is a place between two rows of a file.
type position struct {
	offset int64 // bytes of text before it; of Parquet, rows
	line   int64 // lines before it; of Parquet, rows
}

// cursorVersion is the first byte of a cursor; another version's cursor makes
// the read begin again.
const cursorVersion = 3

// cursor names the set and the place in it.
func (s *set) cursor(at place) segment.Cursor {
	c := append([]byte{cursorVersion}, s.digest[:]...)
	c = append(c, byte(len(s.run)))
	c = append(c, s.run...)
	for _, n := range []int64{int64(at.file), at.before, at.offset, at.line, at.blank, at.undecoded, at.passed} {
		c = binary.AppendVarint(c, n)
	}
	return binary.BigEndian.AppendUint32(c, checksum(c, s.name))
}

// checksum binds a cursor to its segment.
func checksum(c []byte, name string) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(c), crc32.IEEETable, []byte(name))
}

// parseCursor reads a cursor of the segment; ok is false for anything else.
func parseCursor(c segment.Cursor, name string) (of digest, at place, ok bool) {
	end := len(c) - crc32.Size
	if end < 1+len(of) || c[0] != cursorVersion || binary.BigEndian.Uint32(c[end:]) != checksum(c[:end], name) {
		return of, at, false
	}
	rest := c[1+copy(of[:], c[1:]) : end]
	if len(rest) == 0 || len(rest) <= int(rest[0]) {
		return of, at, false
	}
	at.run, rest = string(rest[1:1+rest[0]]), rest[1+rest[0]:]
	ok = true
	next := func() int64 {
		n, size := binary.Varint(rest)
		ok = ok && size > 0 && n >= 0
		rest = rest[max(size, 0):]
		return n
	}
	at.file = int(next())
	at.before, at.offset, at.line = next(), next(), next()
	at.blank, at.undecoded, at.passed = next(), next(), next()
	return of, at, ok && len(rest) == 0
}
