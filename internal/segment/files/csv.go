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

// ProblemQuote says that a row has a quote inside a field that does not begin
// with one.
const ProblemQuote segment.Problem = "misplaced_quote"

// csvRows reads the rows of one CSV file.
type csvRows struct {
	place   string
	columns int   // of the file
	wanted  []int // the columns asked for
	decoded bool  // the text was not UTF-8: what was invalid is U+FFFD now

	base position // where records began to be counted
	csv  recordReader
	src  *textReader
	buf  int64    // how much is read ahead
	at   position // after the last row

	values []string
}

// recordReader is a csv.Reader, or reads lines without quotes.
type recordReader interface {
	Read() ([]string, error)
	FieldPos(field int) (line, column int)
	InputOffset() int64
}

// csvRows opens a file at a position, or where its rows begin.
func (s *set) csvRows(ctx context.Context, content tree.Content, size int64, where string, fields []string, from *position) (*csvRows, error) {
	h, err := s.readHeader(ctx, content, size, where)
	if err != nil {
		return nil, err
	}
	r := &csvRows{place: where, columns: len(h.fields), decoded: s.csv.decoder != nil, values: make([]string, len(fields))}
	if r.wanted, err = columnsOf(where, h.fields, fields); err != nil {
		return nil, err
	}
	r.at = h.end
	if from != nil {
		r.at = *from
	}
	chunk := content.Chunk()
	text, err := s.text(content, size, r.at.offset, chunk)
	if err != nil {
		return nil, r.broken(err)
	}
	r.base, r.buf = r.at, int64(chunk)
	r.src = &textReader{ctx: ctx, src: text, at: r.at.offset, since: r.at.offset}
	buffered := bufio.NewReaderSize(r.src, chunk)
	if s.csv.noQuotes {
		r.csv = &lineReader{r: buffered, comma: string(h.comma)}
		return r, nil
	}
	reader := csv.NewReader(buffered)
	reader.Comma = h.comma
	reader.ReuseRecord = true
	reader.FieldsPerRecord = -1 // checked here, so that a short row is one row's problem
	r.csv = reader
	return r, nil
}

// columnsOf finds the fields asked for among a file's columns.
func columnsOf(where string, columns, fields []string) ([]int, error) {
	places := make(map[string]int, len(columns))
	for i, name := range columns {
		places[name] = i
	}
	wanted := make([]int, 0, len(fields))
	var missing []string
	for _, field := range fields {
		i, ok := places[field]
		if !ok {
			missing = append(missing, field)
		}
		wanted = append(wanted, i)
	}
	if len(missing) > 0 {
		return nil, &segment.MissingFieldsError{Place: where, Missing: missing, Fields: columns}
	}
	return wanted, nil
}

func (r *csvRows) position() position { return r.at }

func (*csvRows) close() {}

func (r *csvRows) next() (segment.Row, error) {
	r.src.limit = r.at.offset + maxRecord + r.buf
	r.src.since = r.at.offset
	record, err := r.csv.Read()
	switch {
	case errors.Is(err, io.EOF):
		return segment.Row{}, io.EOF
	case errors.Is(err, csv.ErrBareQuote):
		return r.misplacedQuote(err)
	case err != nil:
		return segment.Row{}, r.broken(err)
	}
	line, _ := r.csv.FieldPos(0)
	row := segment.Row{Number: r.base.line + int64(line)}
	r.at = position{offset: r.base.offset + r.csv.InputOffset(), line: r.base.line + lastLine(r.csv, record)}
	if len(record) != r.columns {
		row.Problem = segment.ProblemColumns
		return row, nil
	}
	for i, column := range r.wanted {
		if !utf8.ValidString(record[column]) || r.decoded && strings.ContainsRune(record[column], utf8.RuneError) {
			row.Problem = segment.ProblemEncoding
			return row, nil
		}
		r.values[i] = record[column]
	}
	row.Values = r.values
	return row, nil
}

// misplacedQuote makes a row's problem of a quote in an unquoted field, where
// it is certain that the row ends with its line.
func (r *csvRows) misplacedQuote(err error) (segment.Row, error) {
	parse, ok := errors.AsType[*csv.ParseError](err)
	end := r.base.offset + r.csv.InputOffset()
	raw, kept := r.src.between(r.at.offset, end)
	if !ok || !kept || len(raw) > maxRecord {
		return segment.Row{}, r.broken(err)
	}
	// The rest of the line was not looked at. If a quoted field begins there it
	// might go on in the next line.
	line := raw[bytes.LastIndexByte(bytes.TrimRight(raw, "\n"), '\n')+1:]
	rest := line[min(parse.Column-1, len(line)):]
	if bytes.Contains(rest, []byte(string(r.csv.(*csv.Reader).Comma)+`"`)) {
		return segment.Row{}, r.broken(err)
	}
	r.at = position{offset: end, line: r.base.line + int64(parse.Line)}
	return segment.Row{Number: r.base.line + int64(parse.StartLine), Problem: ProblemQuote}, nil
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
		return segment.Malformed("%s: line %d: the row that begins here has a quote that is not closed as it should be (noticed in line %d, column %d)",
			r.place, r.base.line+int64(parse.StartLine), r.base.line+int64(parse.Line), parse.Column)
	case ok:
		return segment.Malformed("%s: line %d: a quote in column %d is not closed, or not doubled, as it should be",
			r.place, r.base.line+int64(parse.StartLine), parse.Column)
	}
	return fmt.Errorf("%s: after line %d: %w", r.place, r.at.line, err)
}

// lastLine returns the line, counted from 1 at the start of the reader, on
// which the record ends that was read last. (A line break within quotes is one
// LF in the value, whatever it is in the file.)
func lastLine(r recordReader, record []string) int64 {
	last := len(record) - 1
	line, _ := r.FieldPos(last)
	return int64(line + strings.Count(record[last], "\n"))
}

// lineReader reads records in which quotes are characters like others, so that
// each line is one.
type lineReader struct {
	r      *bufio.Reader
	comma  string
	line   int
	offset int64
	fields []string
}

func (l *lineReader) Read() ([]string, error) {
	for {
		var long []byte
		text, err := l.r.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, text...)
			text, err = l.r.ReadSlice('\n')
		}
		if long != nil {
			text = append(long, text...)
		}
		if err != nil && (len(text) == 0 || !errors.Is(err, io.EOF)) {
			return nil, err
		}
		l.offset += int64(len(text))
		l.line++
		record := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
		if record == "" {
			continue
		}
		l.fields = l.fields[:0]
		for {
			field, rest, more := strings.Cut(record, l.comma)
			l.fields = append(l.fields, field)
			if !more {
				return l.fields, nil
			}
			record = rest
		}
	}
}

func (l *lineReader) FieldPos(int) (line, column int) { return l.line, 1 }

func (l *lineReader) InputOffset() int64 { return l.offset }
