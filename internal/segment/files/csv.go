package files

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/tree"
)

// ProblemQuote says that a row has a quote where none can be, or one that is
// never closed.
const ProblemQuote segment.Problem = "misplaced_quote"

// csvRows reads the rows of one CSV file.
type csvRows struct {
	place   string
	header  header
	dialect dialect
	wanted  []int // the columns asked for

	base position // where records began to be counted
	csv  recordReader
	src  *textReader
	text *bufio.Reader
	buf  int64    // how much is read ahead
	at   position // after the last row
	good int64    // where a line behind a misplaced quote was seen to be a row
	over carriedOver

	blank  int64  // rows without a value
	sample []byte // of what could not be decoded
	values []string
}

// csvRows opens a file at a position, or where its rows begin.
func (s *set) csvRows(ctx context.Context, content tree.Content, size int64, where string, fields []string, from *position) (*csvRows, error) {
	h, err := s.readHeader(ctx, content, size, where, fields)
	if err != nil {
		return nil, err
	}
	r := &csvRows{place: where, header: h, dialect: s.csv, values: make([]string, len(fields))}
	if r.wanted, err = columnsOf(where, h.names, fields); err != nil {
		return nil, err
	}
	r.at, r.blank = h.end, h.blank
	if from != nil {
		r.at, r.blank = *from, 0
	}
	chunk := content.Chunk()
	text, err := s.text(content, size, r.at.offset, chunk, h.decoder)
	if err != nil {
		return nil, r.broken(err)
	}
	if h.cr {
		text = &crLines{text}
	}
	r.dialect.spaced = h.spaced
	r.base, r.buf = r.at, int64(chunk)
	r.src = &textReader{ctx: ctx, src: text, at: r.at.offset, since: r.at.offset}
	r.text = bufio.NewReaderSize(r.src, chunk)
	r.csv = newRecords(r.text, h.comma, r.dialect)
	return r, nil
}

// columnsOf finds the fields asked for among a file's columns. Only these must
// be there once: what nothing reads may have no name, or one that others have.
func columnsOf(where string, columns, fields []string) ([]int, error) {
	places := make(map[string]int, len(columns))
	again := map[string]int{}
	for i, name := range columns {
		if _, ok := places[name]; ok {
			again[name] = i
			continue
		}
		places[name] = i
	}
	wanted := make([]int, 0, len(fields))
	var missing []string
	for _, field := range fields {
		i, ok := places[field]
		second, twice := again[field]
		switch {
		case !ok || field == "":
			missing = append(missing, field)
		case twice: // by their places: who asks for all columns has the names from the file
			return nil, segment.Malformed("%s: the columns %d and %d have the same name, and it is mapped; rename or remove one of them", where, i+1, second+1)
		}
		wanted = append(wanted, i)
	}
	if len(missing) > 0 {
		return nil, &segment.MissingFieldsError{Place: where, Missing: missing, Fields: usable(columns)}
	}
	return wanted, nil
}

func (r *csvRows) position() position { return r.at }

func (r *csvRows) skipped() int64 { return r.blank }

func (*csvRows) close() {}

func (r *csvRows) next() (segment.Row, error) {
	for {
		r.src.limit = r.at.offset + maxRecord + r.buf
		r.src.since = r.at.offset
		record, err := r.csv.Read()
		if err != nil {
			return r.unread(err)
		}
		line, _ := r.csv.FieldPos(0)
		row := segment.Row{Number: r.base.line + int64(line)}
		r.at = position{offset: r.base.offset + r.csv.InputOffset(), line: r.base.line + lastLine(r.csv, record)}
		if blankRecord(record) {
			r.blank++
			continue
		}
		row.Problem = r.take(record)
		if row.Problem == "" {
			row.Values = r.values
		}
		return row, nil
	}
}

// take takes the values asked for out of a record. Cells that are left out at
// the end of a row are empty; only a value that is in no column makes a row
// doubtful, and the end of a text that may have been cut off.
func (r *csvRows) take(record []string) segment.Problem {
	switch columns := len(r.header.names); {
	case len(record) > columns && !blankRecord(record[columns:]), len(record) < columns && r.src.openEnd():
		return segment.ProblemColumns
	}
	for i, column := range r.wanted {
		value := ""
		if column < len(record) {
			value = record[column]
		}
		if !validText(value, r.header.decoder != nil) {
			r.noteUndecoded(value)
			return segment.ProblemEncoding
		}
		if len(value) > 1 {
			value = r.plain(value)
		}
		r.values[i] = value
	}
	return ""
}

// withoutGuard takes away the apostrophe that keeps a spreadsheet from taking a
// value for a formula, as our own lists of rejects have it.
func withoutGuard(value string) string {
	if len(value) > 1 && value[0] == '\'' && strings.IndexByte("=+-@", value[1]) >= 0 {
		return value[1:]
	}
	return value
}

// plain takes away what programs put in front of a value, also the byte-order
// mark of a file that was appended to another.
func (r *csvRows) plain(value string) string {
	value = withoutGuard(value)
	if value[0] == utf8BOM[0] {
		value = strings.TrimLeft(value, string(utf8BOM))
	}
	if r.dialect.escape && strings.Contains(value, `\\`) {
		return strings.ReplaceAll(value, `\\`, `\`)
	}
	return value
}

// mostSample is how much is kept of values that could not be decoded.
const mostSample = 8 << 10

func (r *csvRows) noteUndecoded(value string) {
	if r.header.decoder == nil && len(r.sample) < mostSample {
		r.sample = append(append(r.sample, value[:min(len(value), mostSample)]...), ' ')
	}
}

// likely is the encoding that the values could be in that could not be decoded;
// empty when nothing is known of it.
func (r *csvRows) likely() string {
	if utf8.Valid(r.sample) {
		return ""
	}
	return likelyEncoding(r.sample)
}

// unread makes a row's problem of what is wrong with a record, where it is
// certain enough where the next row begins.
func (r *csvRows) unread(err error) (segment.Row, error) {
	parse, isParse := errors.AsType[*csv.ParseError](err)
	switch {
	case errors.Is(err, io.EOF):
		return segment.Row{}, io.EOF
	case errors.Is(err, csv.ErrBareQuote) && r.endsWithLine(parse):
		r.at = position{offset: r.base.offset + r.csv.InputOffset(), line: r.base.line + int64(parse.Line)}
		return segment.Row{Number: r.base.line + int64(parse.StartLine), Problem: ProblemQuote}, nil
	case isParse, errors.Is(err, errTooLong):
		row, e := r.passOver(err)
		if errors.Is(e, errTooLong) {
			return r.passLong()
		}
		return row, e
	}
	return segment.Row{}, r.broken(err)
}

// endsWithLine says that a row with a quote in an unquoted field certainly ends
// with its line: the rest of the line was not looked at, and if a quoted field
// began there it could continue in the next line.
func (r *csvRows) endsWithLine(parse *csv.ParseError) bool {
	raw, kept := r.src.between(r.at.offset, r.base.offset+r.csv.InputOffset())
	if !kept || len(raw) > maxRecord {
		return false
	}
	line := raw[bytes.LastIndexByte(bytes.TrimRight(raw, "\n"), '\n')+1:]
	rest := line[min(parse.Column-1, len(line)):]
	return !bytes.Contains(rest, []byte(string(r.header.comma)+`"`))
}

// passOver makes a row's problem of its first line and continues after it, if
// one of the lines that follow is a row with all its columns. At the end of the
// file none need follow, unless the line ends within quotes: then the file may
// have been cut off. It returns errTooLong where that takes more than a row may.
func (r *csvRows) passOver(err error) (segment.Row, error) {
	bad, from, line, e := r.lineAfter(r.at.offset)
	if errors.Is(e, errTooLong) {
		return segment.Row{}, e
	}
	if e != nil {
		return segment.Row{}, r.broken(err)
	}
	number, behind, open := r.at.line+line, from+int64(len(bad)), r.openQuote(bad)
	for end := behind; r.good <= from; {
		next, at, _, e := r.lineAfter(end)
		if errors.Is(e, io.EOF) && !open {
			break
		}
		if errors.Is(e, errTooLong) {
			return segment.Row{}, e
		}
		if e != nil {
			return segment.Row{}, r.broken(err)
		}
		if r.isRow(next) {
			r.good = at
		}
		end = at + int64(len(next))
	}
	r.restart(position{offset: behind, line: number})
	return segment.Row{Number: number, Problem: ProblemQuote}, nil
}

// passLong makes a row's problem of a row that is too long, and continues after
// its first line where that alone is, else at the next line that is a row with
// all its columns. It holds no more than one line of the length of a row.
func (r *csvRows) passLong() (segment.Row, error) {
	number, at := int64(0), r.at
	for {
		r.src.limit, r.src.since = at.offset+maxRecord+r.buf, at.offset
		line, err := r.src.line(at.offset)
		end, whole := at.offset+int64(len(line)), err == nil
		if errors.Is(err, errTooLong) {
			end, err = r.src.passLine()
		}
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return segment.Row{}, r.broken(err)
		case number > 0 && whole && r.isRow(line):
			r.restart(at)
			return segment.Row{Number: number, Problem: segment.ProblemLongRow}, nil
		case number > 0 && err != nil:
			return segment.Row{}, r.broken(errTooLong)
		}
		at = position{offset: end, line: at.line + 1}
		if number == 0 && len(bytes.TrimRight(line, "\r\n")) > 0 || !whole {
			number = at.line
		}
		if !whole {
			r.restart(at)
			return segment.Row{Number: number, Problem: segment.ProblemLongRow}, nil
		}
	}
}

// lineAfter returns the first line from an offset on that is not empty, its
// own offset and its number counted from 1 at that offset.
func (r *csvRows) lineAfter(offset int64) (line []byte, at, number int64, err error) {
	for {
		line, err = r.src.line(offset)
		number++
		if err != nil || len(bytes.TrimRight(line, "\r\n")) > 0 {
			return line, offset, number, err
		}
		offset += int64(len(line))
	}
}

// isRow says that a line is a row with all its columns.
func (r *csvRows) isRow(line []byte) bool {
	if bytes.IndexByte(line, '"') < 0 {
		return bytes.Count(line, []byte(string(r.header.comma))) == len(r.header.names)-1
	}
	record, err := newRecords(bytes.NewReader(line), r.header.comma, r.dialect).Read()
	return err == nil && len(record) == len(r.header.names)
}

// openQuote says that a line ends within quotes.
func (r *csvRows) openQuote(line []byte) bool {
	_, err := newRecords(bytes.NewReader(line), r.header.comma, r.dialect).Read()
	parse, ok := errors.AsType[*csv.ParseError](err)
	return ok && errors.Is(err, csv.ErrQuote) && parse.Column > len(bytes.TrimRight(line, "\r\n"))
}

// restart reads on at a position in what was kept.
func (r *csvRows) restart(at position) {
	if at.offset < r.over.at || r.over.at+int64(len(r.over.text)) != r.src.at {
		ahead, _ := r.src.between(at.offset, r.src.at)
		r.over = carriedOver{at: at.offset, text: bytes.Clone(ahead)}
	}
	ahead := r.over.text[at.offset-r.over.at:]
	r.base, r.at = at, at
	r.src.since = at.offset
	r.text.Reset(io.MultiReader((*pieces)(&ahead), r.src))
	r.csv = newRecords(r.text, r.header.comma, r.dialect)
}

// carriedOver is the text that was read ahead when reading began again. It is
// copied once, not for each row that is passed over.
type carriedOver struct {
	at   int64 // of its first byte
	text []byte
}

// pieces is text that is read a piece at a time, as most of it may be read again.
type pieces []byte

func (p *pieces) Read(b []byte) (int, error) {
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), 4<<10)], *p)
	*p = (*p)[n:]
	return n, nil
}

// broken says why the file cannot be read any further.
func (r *csvRows) broken(err error) error {
	parse, ok := errors.AsType[*csv.ParseError](err)
	switch {
	case errors.Is(err, errTooLong):
		return segment.Malformed("%s: line %d: the row that begins here does not end within %d bytes; is a quote never closed?",
			r.place, r.at.line+1, maxRecord)
	case errors.Is(err, errDamaged):
		return segment.Malformed("%s: after line %d: the compressed data are damaged or cut off", r.place, r.at.line)
	case ok && parse.StartLine != parse.Line:
		return segment.Malformed("%s: line %d: the row that begins here has a quote that is not closed as it should be (noticed in line %d, column %d), and no row follows",
			r.place, r.base.line+int64(parse.StartLine), r.base.line+int64(parse.Line), parse.Column)
	case ok:
		return segment.Malformed("%s: line %d: a quote in column %d is not closed, or not doubled, as it should be, and no row follows",
			r.place, r.base.line+int64(parse.StartLine), parse.Column)
	}
	return fmt.Errorf("%s: after line %d: %w", r.place, r.at.line, err)
}
