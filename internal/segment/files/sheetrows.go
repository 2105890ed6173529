package files

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/tree"
)

// sheetRows reads the rows of one sheet.
type sheetRows struct {
	ctx   context.Context //nolint:containedctx // a reader lives as long as the call that opened it
	place string
	book  *workbook
	texts *sharedTexts
	dates []bool // of the styles of cells, which show a date
	names []string
	taken []int  // the columns asked for
	sheet string // the file of the sheet
	title string // its name

	unpacked io.ReadCloser
	limit    *limited
	xml      *xml.Decoder
	ended    bool

	at     position // after the last row: rows of the sheet, and the number of the last
	blank  int64
	cells  []string
	long   bool // the row was too long, and cells are not all
	values []string
}

// sheetRows opens a workbook after a number of rows.
func (s *set) sheetRows(ctx context.Context, content tree.Content, size int64, where string, fields []string, from *position) (*sheetRows, error) {
	r, err := s.openSheet(ctx, content, size, where)
	if err != nil {
		return nil, err
	}
	if s.csv.fields == nil {
		err = noHeader(where, r.names, fields)
	}
	if err == nil {
		r.taken, err = columnsOf(where, r.names, fields)
	}
	if err != nil {
		r.close()
		return nil, err
	}
	r.values = make([]string, len(fields))
	if from == nil {
		return r, nil
	}
	r.blank = 0
	for r.at.offset < from.offset {
		if err := r.row(false); err != nil {
			r.close()
			return nil, r.broken(err)
		}
	}
	return r, nil
}

// openSheet opens the sheet and reads its first row that has a value.
func (s *set) openSheet(ctx context.Context, content tree.Content, size int64, where string) (*sheetRows, error) {
	if size == 0 {
		return nil, fmt.Errorf("%s %w", where, segment.ErrEmpty)
	}
	r := &sheetRows{place: where}
	var err error
	if r.book, err = openWorkbook(content, size); err != nil {
		return nil, r.broken(err)
	}
	chosen, err := r.book.sheet(s.sheet)
	if err != nil {
		return nil, r.broken(err)
	}
	if r.dates, err = r.book.dateStyles(); err != nil {
		return nil, r.broken(err)
	}
	if r.texts, err = r.book.sharedTexts(ctx, maxTexts); err != nil {
		return nil, r.broken(err)
	}
	if r.sheet, r.title = chosen.file, chosen.name; ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err := r.begin(ctx); err != nil {
		return nil, r.broken(err)
	}
	if err := r.header(s.csv.fields); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// begin begins to read the sheet, or begins again.
func (r *sheetRows) begin(ctx context.Context) error {
	r.close()
	var err error
	if r.unpacked, err = r.book.files[r.sheet].Open(); err != nil {
		return errWorkbook
	}
	r.ctx, r.limit = ctx, newLimited(ctx, r.unpacked)
	r.xml, r.at, r.blank, r.ended = r.limit.decoder(), position{}, 0, false
	return nil
}

// header reads the names of the columns, unless the source's settings name them.
func (r *sheetRows) header(named []string) error {
	for {
		err := r.row(true)
		if errors.Is(err, io.EOF) && named == nil {
			return fmt.Errorf("%s %w", r.place, segment.ErrEmpty)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return r.broken(err)
		}
		if r.long && named == nil {
			return segment.Malformed("%s: row %d: the header takes more than %d bytes", r.place, r.at.line, maxRowXML)
		}
		if err != nil || r.long || !blankRecord(r.cells) {
			break
		}
		r.blank++
	}
	if r.names = trimmed(r.cells); named == nil || slices.Equal(r.names, trimmed(named)) {
		return nil
	}
	r.names = named
	if err := r.begin(r.ctx); err != nil {
		return r.broken(err)
	}
	return nil
}

func (r *sheetRows) position() position { return r.at }

func (r *sheetRows) skipped() int64 { return r.blank }

func (r *sheetRows) close() {
	if r.unpacked != nil {
		_ = r.unpacked.Close()
	}
}

func (r *sheetRows) next() (segment.Row, error) {
	for {
		err := r.row(true)
		if errors.Is(err, io.EOF) {
			return segment.Row{}, io.EOF
		}
		if err != nil {
			return segment.Row{}, r.broken(err)
		}
		if r.long {
			return segment.Row{Number: r.at.line, Problem: segment.ProblemLongRow}, nil
		}
		if blankRecord(r.cells) {
			r.blank++
			continue
		}
		row := segment.Row{Number: r.at.line}
		if n := len(r.names); len(r.cells) > n && !blankRecord(r.cells[n:]) {
			row.Problem = segment.ProblemColumns
			return row, nil
		}
		for i, column := range r.taken {
			r.values[i] = ""
			if column < len(r.cells) {
				r.values[i] = withoutGuard(r.cells[column])
			}
		}
		row.Values = r.values
		return row, nil
	}
}

// broken says why the workbook cannot be read.
func (r *sheetRows) broken(err error) error {
	switch {
	case r.book != nil && r.book.source.err != nil:
		return r.book.source.err
	case r.ctx != nil && r.ctx.Err() != nil:
		return r.ctx.Err()
	case errors.Is(err, errTooLong):
		return segment.Malformed("%s: after row %d: a row takes more than %d bytes, or the sheet more than %d", r.place, r.at.line, int64(maxRowXML), int64(maxSheet))
	case r.at.offset > 0:
		return segment.Malformed("%s: after row %d: the workbook is damaged", r.place, r.at.line)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return segment.Malformed("%s: %s", r.place, err)
}

// number reads a decimal number; 0 for anything else.
func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}
