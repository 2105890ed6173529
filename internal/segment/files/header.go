package files

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"

	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/tree"
)

// maxRecord is the longest row that is read. One megabyte is far more than any
// profile has; a longer row is a quote that was never closed.
const maxRecord = 1 << 20

var utf8BOM = []byte("\ufeff")

// headerBuffer is how much is read at a time to see a header.
const headerBuffer = 64 << 10

// startLength is how much of a file's start tells what it is.
const startLength = 64

// header is what the start of a CSV file says.
type header struct {
	names   []string // of all columns, also empty and repeated ones
	comma   rune
	end     position // where the rows begin
	blank   int64    // rows without a value above the header
	none    bool     // the file has no header: names come from elsewhere
	marked  bool     // a byte-order mark tells the encoding
	decoder encoding.Encoding
	coding  string // the name of the encoding; empty: UTF-8
	cr      bool   // lines end with CR alone
	spaced  bool   // there are spaces between a separator and a quote
}

// headerReader reads the start of one CSV file.
type headerReader struct {
	csv    dialect
	where  string
	wanted []string // columns asked for; nil: none in particular
	lines  bool     // the file holds JSON, one object a line

	text *bufio.Reader // as UTF-8, after its marks
	skip int64         // bytes of text before that
	line int64         // lines before it
	h    header
}

// readHeader reads the start of a CSV file: its first row that has a value,
// unless the dialect knows the columns.
func (s *set) readHeader(ctx context.Context, content tree.Content, size int64, where string, wanted []string) (header, error) {
	r := &headerReader{csv: s.csv, where: where, wanted: wanted}
	raw, err := s.raw(content, size, 0, headerBuffer)
	if err != nil {
		return header{}, fmt.Errorf("%s: %w", where, err)
	}
	if err := r.open(ctx, raw); err != nil {
		return header{}, err
	}
	err = r.read()
	return r.h, err
}

func (r *headerReader) malformed(format string, args ...any) error {
	return segment.Malformed("%s: %s", r.where, fmt.Sprintf(format, args...))
}

// failed says why the text cannot be read.
func (r *headerReader) failed(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s %w", r.where, segment.ErrEmpty)
	case errors.Is(err, errTooLong):
		return r.malformed("line %d: the header does not end within %d bytes; is a quote never closed?", r.line+1, maxRecord)
	case errors.Is(err, csv.ErrQuote), errors.Is(err, csv.ErrBareQuote):
		return r.malformed("line %d: the header has a quote that is not closed as it should be", r.line+1)
	case errors.Is(err, errDamaged):
		return r.malformed("line %d: the compressed data are damaged or cut off", r.line+1)
	}
	return fmt.Errorf("%s: %w", r.where, err)
}

// open finds out the encoding and passes over the marks.
func (r *headerReader) open(ctx context.Context, raw io.Reader) error {
	packed := bufio.NewReaderSize(raw, headerBuffer)
	start, err := packed.Peek(startLength)
	switch {
	case errors.Is(err, errDamaged):
		return r.malformed("the compressed data are damaged or cut off, or the file is not gzip at all")
	case err != nil && !errors.Is(err, io.EOF):
		return fmt.Errorf("%s: %w", r.where, err)
	}
	if says := mistakenFor(start); says != "" && !r.lines {
		return r.malformed("%s", says)
	}
	r.h.decoder, r.h.coding = r.csv.decoder, r.csv.encoding
	if mark, name := markOf(start); name != "" {
		r.h.decoder, r.h.coding, r.h.marked = mark, name, true
	} else if r.h.decoder == nil {
		r.h.decoder, r.h.coding = unmarkedUTF16(start)
	}
	var text io.Reader = packed
	if r.h.decoder != nil {
		text = r.h.decoder.NewDecoder().Reader(packed)
	}
	src := &textReader{ctx: ctx, src: text, limit: int64(len(utf8BOM)) + maxRecord}
	r.text = bufio.NewReaderSize(src, headerBuffer)
	if seen, _ := r.text.Peek(headerBuffer); endsWithCR(seen) {
		r.h.cr = true
		r.text = bufio.NewReaderSize(&crLines{r.text}, headerBuffer)
	}
	for {
		mark, err := r.text.Peek(len(utf8BOM))
		if !bytes.Equal(mark, utf8BOM) {
			if err != nil && !errors.Is(err, io.EOF) {
				return r.failed(err)
			}
			break
		}
		n, _ := r.text.Discard(len(utf8BOM))
		r.skip += int64(n)
	}
	return nil
}

// read reads the header, or sees that there is none.
func (r *headerReader) read() error {
	r.h.comma = r.csv.comma
	if r.csv.fields != nil && !r.csv.named {
		return r.without(r.csv.fields)
	}
	sample, err := r.sample()
	if err != nil {
		return err
	}
	first, _, _ := bytes.Cut(bytes.TrimLeft(sample.text, "\r\n"), []byte("\n"))
	r.csv.spaced = spacedQuotes.Match(first)
	r.h.spaced = r.csv.spaced
	if r.csv.comma == 0 {
		r.h.comma = r.separator(sample)
	}
	text := newRecords(r.text, r.h.comma, r.csv)
	var header []string
	for {
		record, err := text.Read()
		if err != nil {
			if r.csv.named && !errors.Is(err, errDamaged) { // the row's problem, not the header's
				return r.without(r.csv.fields)
			}
			return r.failed(err)
		}
		if !blankRecord(record) {
			header = record
			break
		}
		r.h.blank++
	}
	after := position{offset: r.skip + text.InputOffset(), line: r.line + lastLine(text, header)}
	if r.csv.named {
		if !slices.Equal(trimmed(header), trimmed(r.csv.fields)) {
			return r.without(r.csv.fields)
		}
		r.h.names, r.h.end = r.csv.fields, after
		return nil
	}
	names := trimmed(header)
	if r.csv.first != nil && !holdsAny(names, r.known()) {
		if !looksLikeRow(names) || len(names) > len(r.csv.first) {
			return r.malformed("line %d: the first row is neither the header of the segment's first file nor a row of values", after.line)
		}
		return r.without(r.csv.first)
	}
	r.h.names, r.h.end = names, after
	return r.check()
}

// known are the columns by which the header of a later file is recognised.
func (r *headerReader) known() []string {
	if len(r.wanted) > 0 {
		return r.wanted
	}
	return r.csv.first
}

// without takes the file as one without a header.
func (r *headerReader) without(names []string) error {
	r.h.names, r.h.none, r.h.blank = names, true, 0
	r.h.end = position{offset: r.skip, line: r.line}
	return nil
}

// check looks at the names. It says none of them: without a header they are
// values of a row.
func (r *headerReader) check() error {
	for _, name := range r.h.names {
		switch {
		case strings.ContainsRune(name, 0):
			return r.malformed("the header holds NUL bytes; the file is not UTF-8 text: save it as CSV in UTF-8, or name its encoding (--encoding utf-16le)")
		case strings.ContainsRune(name, '\r'):
			return r.malformed("some lines end with CR alone; save the file with LF or CRLF")
		}
	}
	if r.invalid() && len(r.wanted) > 0 && !holdsAny(r.h.names, r.wanted) {
		return r.notUTF8()
	}
	if err := noHeader(r.where, r.h.names, r.wanted); err != nil {
		return err
	}
	if r.invalid() && (len(usable(r.h.names)) == 0 || missesAny(r.h.names, r.wanted)) {
		return r.notUTF8()
	}
	if len(usable(r.h.names)) == 0 {
		return r.malformed("no column has a name of its own in the header")
	}
	return nil
}

// noHeader says that the first row is not a header, if it is not: none of the
// columns asked for are in it, or it has an e-mail address where nothing is
// asked for.
func noHeader(where string, names, wanted []string) error {
	const advice = "is the header missing? A file without one needs the names of its columns: starter source edit NAME --columns A,B,C"
	switch {
	case len(wanted) > 0 && !holdsAny(names, wanted) && holdsWithin(names, wanted):
		return segment.Malformed("%s: the columns of the header are separated by something other than comma, semicolon, tab or |; name it: starter source edit NAME --delimiter CHARACTER", where)
	case len(wanted) > 0 && !holdsAny(names, wanted):
		return segment.Malformed("%s: the first line has none of the mapped columns (%s): %s", where, reason.Names(wanted...), advice)
	case len(wanted) == 0 && slices.ContainsFunc(names, addressLike.MatchString):
		return segment.Malformed("%s: the first line looks like a row of values: %s", where, advice)
	}
	return nil
}

func (r *headerReader) invalid() bool {
	return slices.ContainsFunc(r.h.names, func(name string) bool { return !validText(name, r.h.decoder != nil) })
}

func (r *headerReader) notUTF8() error {
	if r.h.decoder != nil {
		return r.malformed("the header is not %s; name the file's encoding: starter source edit NAME --encoding ENCODING", r.h.coding)
	}
	return r.malformed("the header is not UTF-8 but %s; save the file as UTF-8, or name its encoding: starter source edit NAME --encoding %[1]s",
		likelyEncoding([]byte(strings.Join(r.h.names, " "))))
}

// trimmed are a header's names without what surrounds them.
func trimmed(record []string) []string {
	names := make([]string, len(record))
	for i, field := range record {
		names[i] = strings.TrimFunc(field, func(c rune) bool { return unicode.IsSpace(c) || c == '\ufeff' || c == '\u200b' })
	}
	return names
}

// usable are the names that are text and belong to one column: those that can be
// mapped.
func usable(names []string) []string {
	fields := make([]string, 0, len(names))
	times := make(map[string]int, len(names))
	for _, name := range names {
		times[name]++
	}
	for _, name := range names {
		if name != "" && times[name] == 1 && utf8.ValidString(name) {
			fields = append(fields, name)
		}
	}
	return fields
}

func holdsAny(names, of []string) bool { return count(names, of) > 0 }

// count says how many of them are among the names. Both may be very many.
func count(names, of []string) int {
	there := make(map[string]bool, len(names))
	for _, name := range names {
		there[name] = true
	}
	n := 0
	for _, name := range of {
		if there[name] {
			n++
		}
	}
	return n
}

// holdsWithin says that all of them stand within one name.
func holdsWithin(names, of []string) bool {
	return len(of) > 1 && slices.ContainsFunc(names, func(name string) bool {
		return !slices.ContainsFunc(of, func(one string) bool { return !strings.Contains(name, one) })
	})
}

func missesAny(names, of []string) bool { return count(names, of) < len(of) }

func blankRecord(record []string) bool {
	for _, value := range record {
		if value != "" && strings.TrimSpace(value) != "" {
			return false
		}
	}
	return true
}

func validText(value string, decoded bool) bool {
	return utf8.ValidString(value) && (!decoded || !strings.ContainsRune(value, utf8.RuneError))
}
