package files

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/segment-export/segment-export/internal/segment"
)

// ProblemQuote says that a row has a quote inside a field that does not begin
// with one.
const ProblemQuote segment.Problem = "misplaced_quote"

const (
	readBuffer = 128 << 10
	// checkRows is after how many rows a cancelled context is noticed at the
	// latest; reading from the file notices it too.
	checkRows = 512
)

// reader reads the rows of one file.
type reader struct {
	ctx     context.Context //nolint:containedctx // a reader lives as long as the call that opened it
	source  *Source
	file    *os.File
	view    view
	name    string
	place   string
	columns int   // of the header
	wanted  []int // the columns asked for

	base position // where csv began to count
	csv  *csv.Reader
	src  *limitedReader
	at   position // after the last row
	rows int

	values []string
}

// start begins to read at a position.
func (r *reader) start(from position, comma rune) error {
	if from.offset > r.view.size {
		return fmt.Errorf("%s: %w", r.place, segment.ErrChanged)
	}
	r.base, r.at = from, from
	r.src = &limitedReader{ctx: r.ctx, file: r.file, at: from.offset}
	r.csv = csv.NewReader(bufio.NewReaderSize(r.src, readBuffer))
	r.csv.Comma = comma
	r.csv.ReuseRecord = true
	r.csv.FieldsPerRecord = -1 // checked here, so that a short row is one row's problem
	return nil
}

// Next returns the next row, see segment.Reader.
func (r *reader) Next() (segment.Row, error) {
	if r.rows++; r.rows%checkRows == 0 {
		if err := r.ctx.Err(); err != nil {
			return segment.Row{}, err
		}
	}
	r.src.limit = r.at.offset + maxRecord + readBuffer
	record, err := r.csv.Read()
	switch {
	case errors.Is(err, io.EOF):
		return segment.Row{}, r.end()
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
		if !utf8.ValidString(record[column]) {
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
func (r *reader) misplacedQuote(err error) (segment.Row, error) {
	parse, ok := errors.AsType[*csv.ParseError](err)
	end := r.base.offset + r.csv.InputOffset()
	if !ok || end-r.at.offset > maxRecord {
		return segment.Row{}, r.broken(err)
	}
	raw := make([]byte, end-r.at.offset)
	if _, err := r.file.ReadAt(raw, r.at.offset); err != nil {
		return segment.Row{}, r.broken(err)
	}
	// The rest of the line was not looked at. If a quoted field begins there it
	// might go on in the next line.
	line := raw[bytes.LastIndexByte(bytes.TrimRight(raw, "\n"), '\n')+1:]
	rest := line[min(parse.Column-1, len(line)):]
	if bytes.Contains(rest, []byte(string(r.csv.Comma)+`"`)) {
		return segment.Row{}, r.broken(err)
	}
	r.at = position{offset: end, line: r.base.line + int64(parse.Line)}
	return segment.Row{Number: r.base.line + int64(parse.StartLine), Problem: ProblemQuote}, nil
}

// broken says why the file cannot be read any further. A file that changed
// while it was read may look like anything.
func (r *reader) broken(err error) error {
	if changed := r.unchanged(); changed != nil {
		return changed
	}
	parse, ok := errors.AsType[*csv.ParseError](err)
	switch {
	case errors.Is(err, errTooLong):
		return malformed("%s: line %d: the row that begins here does not end within %d bytes; is a quote never closed?",
			r.place, r.at.line+1, maxRecord)
	case ok && parse.StartLine != parse.Line:
		return malformed("%s: line %d: the row that begins here has a quote that is not closed as it should be (noticed in line %d, column %d)",
			r.place, r.base.line+int64(parse.StartLine), r.base.line+int64(parse.Line), parse.Column)
	case ok:
		return malformed("%s: line %d: a quote in column %d is not closed, or not doubled, as it should be",
			r.place, r.base.line+int64(parse.StartLine), parse.Column)
	case errors.Is(err, r.ctx.Err()):
		return r.ctx.Err()
	}
	return fmt.Errorf("%s: after line %d: %w", r.place, r.at.line, err)
}

// end is reached when no row is left: io.EOF if the file is still what it was.
func (r *reader) end() error {
	if err := r.unchanged(); err != nil {
		return err
	}
	return io.EOF
}

// unchanged compares the file at the path with the one that is being read.
func (r *reader) unchanged() error {
	info, err := r.source.root.Stat(r.place)
	if err != nil || viewOf(info) != r.view {
		return fmt.Errorf("%s: %w", r.place, segment.ErrChanged)
	}
	return nil
}

// Cursor returns the position after the last row, see segment.Reader.
func (r *reader) Cursor() segment.Cursor { return r.view.cursor(r.name, r.at) }

// Close closes the file.
func (r *reader) Close() error { return r.file.Close() }
