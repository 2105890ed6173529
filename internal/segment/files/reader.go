package files

import (
	"context"
	"errors"
	"io"

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
	// close gives back what is not the content's.
	close()
}

// rows opens a file at a position, or where its rows begin.
func (s *set) rows(ctx context.Context, content tree.Content, size int64, where string, wanted []string, from *position) (rows, error) {
	if s.form == formParquet {
		return s.parquetRows(content, size, where, wanted, from)
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
	content tree.Content
	rows    rows
	count   int
	ended   error
}

// begin opens a file, at a position or where its rows begin.
func (r *reader) begin(file int, from *position) error {
	f := r.set.files[file]
	content, err := r.source.tree.Open(r.ctx, f)
	if err != nil {
		return err
	}
	where := r.source.tree.Place(f.Name)
	opened, err := r.set.rows(r.ctx, content, f.Size, where, r.wanted, from)
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

// Next returns the next row, see segment.Reader. What ended the rows ends them
// for good: behind a fault they could go on in the middle of one.
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
			row.Number += r.before
			return row, nil
		case !errors.Is(err, io.EOF):
			return segment.Row{}, r.broken(r.set.files[r.file], err)
		case r.file+1 == len(r.set.files):
			return segment.Row{}, r.end()
		}
		r.rows.close()
		before, done := r.before+r.rows.position().line, r.content
		if err := r.begin(r.file+1, nil); err != nil {
			return segment.Row{}, err
		}
		r.before = before
		if err := done.Close(); err != nil {
			return segment.Row{}, err
		}
	}
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
	return io.EOF
}

// Cursor returns the position after the last row, see segment.Reader.
func (r *reader) Cursor() segment.Cursor {
	return r.set.cursor(place{file: r.file, before: r.before, position: r.rows.position()})
}

// Notes says how the files were chosen, see segment.Noter.
func (r *reader) Notes() []string { return r.set.notes }

// Close closes the file.
func (r *reader) Close() error {
	r.rows.close()
	return r.content.Close()
}

// fields returns the field names that the set's first file has.
func (s *Source) fields(ctx context.Context, of set) ([]string, error) {
	f := of.files[0]
	content, err := s.tree.Open(ctx, f)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	if of.form == formParquet {
		r := &parquetRows{place: s.tree.Place(f.Name), source: &noted{Content: content}}
		columns, err := r.open(f.Size)
		return columns.names, err
	}
	h, err := of.readHeader(ctx, content, f.Size, s.tree.Place(f.Name))
	return h.fields, err
}
