package files

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/tree"
)

// maxRecord is the longest row that is read. One megabyte is far more than any
// profile has; a longer row is a quote that was never closed.
const maxRecord = 1 << 20

var utf8BOM = []byte("\ufeff")

// headerBuffer is how much is read at a time to see a header.
const headerBuffer = 64 << 10

// header is what the start of a file says.
type header struct {
	fields []string
	comma  rune
	end    position // where the rows begin
}

// readHeader reads the start of a CSV file: its first line, unless the dialect
// knows the columns.
func (s *set) readHeader(ctx context.Context, content tree.Content, size int64, where string) (header, error) {
	malformed := func(what string, args ...any) (header, error) {
		return header{}, segment.Malformed("%s: %s", where, fmt.Sprintf(what, args...))
	}
	text, err := s.text(content, size, 0, headerBuffer)
	if err != nil {
		return header{}, fmt.Errorf("%s: %w", where, err)
	}
	src := &textReader{ctx: ctx, src: text, limit: int64(len(utf8BOM)) + maxRecord}
	buffered := bufio.NewReaderSize(src, headerBuffer)
	start, err := buffered.Peek(4)
	switch {
	case errors.Is(err, errDamaged):
		return malformed("the compressed data are damaged or cut off, or the file is not gzip at all")
	case err != nil && !errors.Is(err, io.EOF):
		return header{}, fmt.Errorf("%s: %w", where, err)
	case len(start) == 0 && s.csv.fields == nil:
		return header{}, fmt.Errorf("%s %w", where, segment.ErrEmpty)
	case bytes.HasPrefix(start, []byte{0xff, 0xfe}), bytes.HasPrefix(start, []byte{0xfe, 0xff}):
		return malformed("the file is UTF-16; save it as UTF-8, or say so: starter source edit NAME --encoding utf-16")
	case bytes.HasPrefix(start, []byte("PK\x03\x04")):
		return malformed("the file is a ZIP archive or an Excel workbook; save it as CSV in UTF-8")
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		return malformed("the file is compressed; unpack it first, or call it .csv.gz")
	}
	skip := int64(0)
	if bytes.HasPrefix(start, utf8BOM) {
		n, _ := buffered.Discard(len(utf8BOM))
		skip = int64(n)
	}
	comma := s.csv.comma
	if s.csv.fields != nil {
		return header{fields: s.csv.fields, comma: cmp.Or(comma, ','), end: position{offset: skip}}, nil
	}
	if comma == 0 {
		if comma, err = separator(buffered); err != nil {
			return header{}, fmt.Errorf("%s: %w", where, err)
		}
	}
	cr := csv.NewReader(buffered)
	cr.Comma = comma
	fields, err := cr.Read()
	switch {
	case errors.Is(err, io.EOF):
		return header{}, fmt.Errorf("%s %w", where, segment.ErrEmpty)
	case errors.Is(err, errTooLong):
		return malformed("line 1: the header does not end within %d bytes; is a quote never closed?", maxRecord)
	case errors.Is(err, csv.ErrQuote), errors.Is(err, csv.ErrBareQuote):
		return malformed("line 1: the header has a quote that is not closed as it should be")
	case errors.Is(err, errDamaged):
		return malformed("line 1: the compressed data are damaged or cut off")
	case err != nil:
		return header{}, fmt.Errorf("%s: %w", where, err)
	}
	h := header{comma: comma, end: position{offset: skip + cr.InputOffset(), line: lastLine(cr, fields)}}
	for i, field := range fields {
		field = strings.TrimSpace(field)
		switch {
		case strings.ContainsRune(field, 0):
			return malformed("the header holds NUL bytes; the file is not UTF-8 text: save it as CSV in UTF-8")
		case !utf8.ValidString(field):
			return malformed("the header is not UTF-8; save the file as UTF-8, or name its encoding: starter source edit NAME --encoding windows-1252")
		case strings.ContainsRune(field, '\r'):
			return malformed("lines end with CR alone; save the file with LF or CRLF")
		case field == "":
			return malformed("column %d has no name in the header", i+1)
		case slices.Contains(h.fields, field):
			return malformed("the header names the column %q twice", field)
		}
		h.fields = append(h.fields, field)
	}
	return h, nil
}

// separator finds out what separates columns: a comma when the header line has
// one outside quotes, else a semicolon, else a tab; a comma when it has none of
// them, since then there is one column.
func separator(r *bufio.Reader) (rune, error) {
	var seen [utf8.RuneSelf]bool
	quoted, content := false, false
	for size := 4 << 10; ; size = min(2*size, r.Size()) {
		peeked, err := r.Peek(size)
		for _, c := range peeked {
			if c == '"' {
				quoted = !quoted
			}
			if c == '\n' && !quoted && content {
				break
			}
			content = content || c != '\n' && c != '\r'
			if c < utf8.RuneSelf && !quoted {
				seen[c] = true
			}
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errTooLong) {
			return 0, err
		}
		for _, comma := range []byte{',', ';', '\t'} {
			if seen[comma] {
				return rune(comma), nil
			}
		}
		if err != nil || size == r.Size() {
			return ',', nil
		}
		seen, quoted, content = [utf8.RuneSelf]bool{}, false, false
	}
}
