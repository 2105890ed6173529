package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/tree"
)

// checkRows is after how many rows a cancelled context is noticed at the latest;
// reading from a file notices it too.
const checkRows = 512

// rows reads the rows of one file.
type rows interface {
	// next returns the next row, or io.EOF.
	next() (segment.Row, error)
	// position is after the last row.
	position() position
	// skipped counts the rows without any value that next has passed over.
	skipped() int64
	// close gives back what is not the content's.
	close()
}

// rows opens a file at a position, or where its rows begin.
func (s *set) rows(ctx context.Context, content tree.Content, size int64, where string, wanted []string, from *position) (rows, error) {
	switch s.form.kind {
	case kindParquet:
		return s.parquetRows(content, size, where, wanted, from)
	case kindLines:
		return s.lineRows(ctx, content, size, where, wanted, from)
	case kindWorkbook:
		return s.sheetRows(ctx, content, size, where, wanted, from)
	case kindCSV:
	}
	return s.csvRows(ctx, content, size, where, wanted, from)
}

// reader reads the files of a set one after the other.
type reader struct {
	ctx    context.Context //nolint:containedctx // a reader lives as long as the call that opened it
	source *Source
	set    set
	wanted []string

	file    int   // that is being read
	before  int64 // lines in the files before it
	counts        // of the rows before what rows counts
	content tree.Content
	rows    rows
	old     *outdated // rows that do not count; nil: all do
	count   int
	ended   error
}

// begin opens a file, at a position or where its rows begin.
func (r *reader) begin(file int, from *position) error {
	if err := r.learnColumns(file); err != nil {
		return err
	}
	f := r.set.files[file]
	content, err := r.source.tree.Open(r.ctx, f)
	if err != nil {
		return err
	}
	where := r.source.tree.Place(f.Name)
	opened, err := r.set.rows(r.ctx, content, f.Size, where, r.wanted, from)
	if errors.Is(err, segment.ErrEmpty) && r.set.parts && len(r.set.files) > 1 {
		opened, err = noRows{}, nil // others have some
	}
	if err != nil {
		if file > 0 && errors.Is(err, segment.ErrEmpty) {
			err = segment.Malformed("%s is empty, and should begin with a header", where)
		}
		if from != nil || file > 0 {
			err = r.broken(f, err)
		}
		return errors.Join(err, content.Close())
	}
	r.file, r.content, r.rows = file, content, opened
	return nil
}

// learnColumns remembers the columns of the first file before a later one is
// read, which may have no header: some programs split a file and its header
// stays with the first piece.
func (r *reader) learnColumns(file int) error {
	d := &r.set.csv
	if file == 0 || !r.set.parts || r.set.form.kind != kindCSV || d.fields != nil || d.first != nil {
		return nil
	}
	names, err := r.source.fields(r.ctx, r.set, r.wanted)
	if err != nil {
		return r.broken(r.set.files[0], err)
	}
	d.first = names
	return nil
}

// Next returns the next row, see segment.Reader. What ended the rows ends them
// for good: behind a fault they could continue in the middle of one.
func (r *reader) Next() (segment.Row, error) {
	if r.ended != nil {
		return segment.Row{}, r.ended
	}
	row, err := r.next()
	r.ended = err
	return row, err
}

func (r *reader) next() (segment.Row, error) {
	if r.count++; r.count%checkRows == 0 {
		if err := r.ctx.Err(); err != nil {
			return segment.Row{}, err
		}
	}
	for {
		row, err := r.rows.next()
		switch {
		case err == nil:
			if r.passed++; r.old != nil && r.old.has(r.passed-1) {
				continue
			}
			row.Number += r.before
			return row, r.check(row)
		case !errors.Is(err, io.EOF):
			return segment.Row{}, r.broken(r.set.files[r.file], err)
		case r.file+1 == len(r.set.files):
			return segment.Row{}, r.end()
		}
		r.rows.close()
		before, blank, done := r.before+r.rows.position().line, r.blank+r.rows.skipped(), r.content
		if err := r.begin(r.file+1, nil); err != nil {
			return segment.Row{}, err
		}
		r.before, r.blank = before, blank
		if err := done.Close(); err != nil {
			return segment.Row{}, err
		}
	}
}

// handful is how many rows that cannot be decoded are rows with a problem of
// their own. More have one cause, and are no reason to lose people one by one.
const handful = 5

// check counts rows that cannot be decoded.
func (r *reader) check(row segment.Row) error {
	if row.Problem != segment.ProblemEncoding || r.set.form.kind == kindParquet {
		return nil
	}
	if r.undecoded++; r.undecoded <= handful {
		return nil
	}
	is := "UTF-8"
	if r.set.csv.encoding != "" {
		is = r.set.csv.encoding
	}
	advice := "save it as UTF-8, or name its encoding: starter source edit NAME --encoding ENCODING"
	if g, ok := r.rows.(interface{ likely() string }); ok && g.likely() != "" {
		is += ", more likely " + g.likely()
		advice = "name its encoding: starter source edit NAME --encoding " + g.likely()
	}
	return segment.Malformed("%s: line %d: more than %d rows are not %s; %s",
		r.source.tree.Place(r.set.files[r.file].Name), row.Number-r.before, handful, is, advice)
}

// broken is why a file cannot be read any further. A file that changed while it
// was read may look like anything.
func (r *reader) broken(f tree.File, err error) error {
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	if changed := tree.Unchanged(r.ctx, r.source.tree, f); changed != nil {
		return changed
	}
	return err
}

// end is reached when no row is left: io.EOF if all files are still what they
// were.
func (r *reader) end() error {
	for _, f := range r.set.files {
		if err := tree.Unchanged(r.ctx, r.source.tree, f); err != nil {
			return err
		}
	}
	if r.set.parts { // none may have come to them
		now, err := r.source.find(r.ctx, r.set.name, "")
		if err != nil {
			return r.broken(r.set.files[0], err)
		}
		if now.digest != r.set.digest {
			return fmt.Errorf("%s: %w", r.source.tree.Place(r.set.name), segment.ErrChanged)
		}
	}
	return io.EOF
}

// Cursor returns the position after the last row, see segment.Reader.
func (r *reader) Cursor() segment.Cursor {
	at := place{file: r.file, before: r.before, counts: r.counts, position: r.rows.position()}
	at.blank += r.rows.skipped()
	return r.set.cursor(at)
}

// Notes says how the files were chosen and what in them was no row, see
// segment.Noter.
func (r *reader) Notes() []string {
	notes := slices.Clone(r.set.notes)
	if blank := r.blank + r.rows.skipped(); blank > 0 {
		notes = append(notes, fmt.Sprintf("segment %q: blank rows skipped: %d", r.set.name, blank))
	}
	if r.old != nil && r.old.older+r.old.deleted > 0 {
		notes = append(notes, fmt.Sprintf("segment %q: older versions of rows skipped: %d, deleted rows skipped: %d", r.set.name, r.old.older, r.old.deleted))
	}
	return notes
}

// Close closes the file.
func (r *reader) Close() error {
	r.rows.close()
	return r.content.Close()
}

// noRows are those of an empty part.
type noRows struct{}

func (noRows) next() (segment.Row, error) { return segment.Row{}, io.EOF }
func (noRows) position() position         { return position{} }
func (noRows) skipped() int64             { return 0 }
func (noRows) close()                     {}

// fields returns the names of all columns that the set's first file has, which
// is not empty.
func (s *Source) fields(ctx context.Context, of set, wanted []string) ([]string, error) {
	for i, f := range of.files {
		names, err := s.fieldsOf(ctx, of, f, wanted)
		if !errors.Is(err, segment.ErrEmpty) || !of.parts || i+1 == len(of.files) {
			return names, err
		}
	}
	return nil, fmt.Errorf("%s %w", s.tree.Place(of.name), segment.ErrEmpty)
}

func (s *Source) fieldsOf(ctx context.Context, of set, f tree.File, wanted []string) ([]string, error) {
	content, err := s.tree.Open(ctx, f)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	where := s.tree.Place(f.Name)
	switch of.form.kind {
	case kindParquet:
		r := &parquetRows{place: where, source: &noted{Content: content}}
		columns, err := r.open(f.Size)
		return columns.names, err
	case kindLines:
		h, err := of.readLines(ctx, content, f.Size, where)
		return h.names, err
	case kindWorkbook:
		r, err := of.openSheet(ctx, content, f.Size, where)
		if err != nil {
			return nil, err
		}
		defer r.close()
		return r.names, noHeader(where, r.names, nil)
	case kindCSV:
	}
	h, err := of.readHeader(ctx, content, f.Size, where, wanted)
	return h.names, err
}
