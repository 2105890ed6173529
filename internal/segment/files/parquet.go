package files

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/tree"
)

const (
	// parquetBatch is how many rows are taken from the columns at a time.
	parquetBatch = 512
	// parquetBuffer is how much of a column is read at a time at most. Each
	// column that is read has such a buffer.
	parquetBuffer = 1 << 20
	// pageBuffer is how much of a page is handed to the library at a time.
	pageBuffer = 4 << 10
)

// parquetRows reads the rows of one Parquet file, of which it reads only the
// columns asked for.
type parquetRows struct {
	place  string
	source *noted
	file   *format.FileMetaData
	groups []parquet.RowGroup
	wanted []*parquet.Column
	texts  []toText

	at     int64           // rows before the next one
	end    int64           // of the row group that is open, in rows of the file
	pages  []parquet.Pages // of each column wanted, in the row group that is open
	values []parquet.ValueReader
	pinned []parquet.Page // the pages that values read from

	batch [][]string        // of each column
	bad   []segment.Problem // of the rows of the batch
	long  []int             // bytes of the values of each row of the batch
	first int64             // the row with which the batch begins
	have  int               // rows in it
	raw   []parquet.Value
	row   []string
}

// noted is content that remembers trouble with reading it, to tell it from a
// file that is no Parquet.
type noted struct {
	tree.Content
	err error

	tail   []byte // the end of the file, while that is needed
	tailAt int64
}

func (n *noted) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, damage("it points to before its own beginning")
	}
	if n.tail != nil && off >= n.tailAt {
		return bytes.NewReader(n.tail).ReadAt(p, off-n.tailAt)
	}
	m, err := n.Content.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		n.err = err
	}
	return m, err
}

// parquetRows opens a file after a number of rows.
func (s *set) parquetRows(content tree.Content, size int64, where string, fields []string, from *position) (*parquetRows, error) {
	r := &parquetRows{place: where, source: &noted{Content: content}}
	columns, err := r.open(size)
	if err != nil {
		return nil, err
	}
	places, err := columnsOf(where, columns.names, fields)
	if err != nil {
		return nil, err
	}
	for _, i := range places {
		r.wanted = append(r.wanted, columns.all[i])
		r.texts = append(r.texts, columns.texts[i])
	}
	r.row = make([]string, len(fields))
	r.batch = make([][]string, len(fields))
	for i := range r.batch {
		r.batch[i] = make([]string, parquetBatch)
	}
	r.bad = make([]segment.Problem, parquetBatch)
	r.long = make([]int, parquetBatch)
	r.raw = make([]parquet.Value, parquetBatch)
	if from != nil {
		r.at = from.offset
	}
	return r, nil
}

// textColumns are the columns whose values can be text.
type textColumns struct {
	all   []*parquet.Column
	names []string
	texts []toText
}

// open reads what the end of the file says of the rest.
func (r *parquetRows) open(size int64) (columns textColumns, err error) {
	defer r.guard(&err)
	if size == 0 {
		return columns, fmt.Errorf("%s %w", r.place, segment.ErrEmpty)
	}
	if err := r.checkFooter(size); err != nil {
		return columns, r.broken(err)
	}
	file, err := parquet.OpenFile(r.source, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true),
		parquet.ReadBufferSize(pageBuffer)) // of what pages has in memory
	r.source.tail = nil
	if err != nil {
		return columns, r.broken(err)
	}
	r.file, r.groups = file.Metadata(), file.RowGroups()
	for _, c := range file.Root().Columns() { // right in the row, with one value or none
		if !c.Leaf() || c.Repeated() {
			continue
		}
		if text := textOf(c.Type()); text != nil {
			columns.all, columns.names, columns.texts = append(columns.all, c), append(columns.names, c.Name()), append(columns.texts, text)
		}
	}
	return columns, nil
}

// maxFooter is the largest description of a file that is read.
const maxFooter = 256 << 20

// checkFooter looks at the description of the file, and at the length that it
// has: the library would make room for whatever either of them claims.
func (r *parquetRows) checkFooter(size int64) error {
	const tail, frames = 8, 12 // the length and the mark; with the mark at the beginning
	end := make([]byte, tail)
	if _, err := r.source.ReadAt(end, max(size-tail, 0)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	length := int64(binary.LittleEndian.Uint32(end))
	if size < frames || length > min(size-frames, maxFooter) {
		return damage("missing or corrupt footer")
	}
	description := make([]byte, length+tail)
	at := size - int64(len(description))
	if _, err := r.source.ReadAt(description, at); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if _, err := thriftLength(description[:length]); err != nil {
		return err
	}
	r.source.tail, r.source.tailAt = description, at
	return nil
}

// damage is what is wrong with a file, in words of our own.
type damage string

func (d damage) Error() string { return string(d) }

const errParquet damage = "it is damaged, or uses what this program does not know"

// guard makes an error of a panic: the library panics on some files that are not
// what they say.
func (r *parquetRows) guard(err *error) {
	if p := recover(); p != nil {
		*err = r.broken(errParquet) // what it panics with may be anything
	}
}

func (r *parquetRows) broken(err error) error {
	if r.source.err != nil {
		return r.source.err
	}
	// What the library says may hold names of columns and values.
	ours, ok := errors.AsType[damage](err)
	if !ok {
		ours = errParquet
	}
	if r.at == 0 {
		return segment.Malformed("%s: the file is not valid Parquet: %v", r.place, ours)
	}
	return segment.Malformed("%s: after row %d: the file is not valid Parquet: %v", r.place, r.at, ours)
}

func (r *parquetRows) position() position { return position{offset: r.at, line: r.at} }

func (*parquetRows) skipped() int64 { return 0 }

func (r *parquetRows) next() (row segment.Row, err error) {
	if r.at >= r.first+int64(r.have) {
		if err := r.fill(); err != nil {
			return segment.Row{}, err
		}
	}
	i := int(r.at - r.first)
	r.at++
	if r.bad[i] != "" {
		return segment.Row{Number: r.at, Problem: r.bad[i]}, nil
	}
	for c := range r.row {
		r.row[c] = r.batch[c][i]
	}
	return segment.Row{Number: r.at, Values: r.row}, nil
}

// fill reads the batch that begins at the present row.
func (r *parquetRows) fill() (err error) {
	defer r.guard(&err)
	if r.at >= r.end {
		if err := r.enter(); err != nil {
			return err
		}
	}
	n := int(min(parquetBatch, r.end-r.at))
	clear(r.bad)
	clear(r.long)
	for c := range r.wanted {
		for filled := 0; filled < n; {
			m, err := r.read(c, r.raw[:n-filled])
			if err != nil {
				return r.broken(err)
			}
			for i, v := range r.raw[:m] {
				r.take(c, filled+i, v)
			}
			filled += m
		}
	}
	r.first, r.have = r.at, n
	return nil
}

// take makes the text of a value of the batch's ith row. Of rows that are too
// long nothing is kept: the batch holds hundreds of rows.
func (r *parquetRows) take(c, i int, v parquet.Value) {
	r.batch[c][i] = ""
	if r.bad[i] != "" || v.IsNull() {
		return
	}
	if kind := v.Kind(); (kind == parquet.ByteArray || kind == parquet.FixedLenByteArray) && len(v.ByteArray()) > segment.MaxField {
		r.bad[i] = segment.ProblemLongField
		return
	}
	text, ok := r.texts[c](v)
	if r.long[i] += len(text); r.long[i] > segment.MaxValues {
		r.bad[i] = segment.ProblemLongRow
		return
	}
	if !ok {
		r.bad[i] = segment.ProblemEncoding
		return
	}
	r.batch[c][i] = text
}

// read reads some values of a column, at least one.
func (r *parquetRows) read(c int, into []parquet.Value) (int, error) {
	for {
		if r.values[c] != nil {
			n, err := r.values[c].ReadValues(into)
			if n > 0 {
				return n, nil
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return 0, err
			}
		}
		parquet.Release(r.pinned[c])
		r.pinned[c], r.values[c] = nil, nil
		page, err := r.pages[c].ReadPage()
		if errors.Is(err, io.EOF) {
			return 0, damage("the column " + reason.Names(r.wanted[c].Name()) + " has fewer values than there are rows")
		}
		if err != nil {
			return 0, err
		}
		r.pinned[c], r.values[c] = page, page.Values()
	}
}

// enter opens the row group that the present row is in, at that row.
func (r *parquetRows) enter() error {
	r.leave()
	first := int64(0)
	i := slices.IndexFunc(r.groups, func(g parquet.RowGroup) bool {
		if r.at < first+g.NumRows() {
			return true
		}
		first += g.NumRows()
		return false
	})
	if i < 0 {
		return io.EOF
	}
	r.end = first + r.groups[i].NumRows()
	chunks := r.groups[i].ColumnChunks()
	r.pages = make([]parquet.Pages, len(r.wanted))
	r.values = make([]parquet.ValueReader, len(r.wanted))
	r.pinned = make([]parquet.Page, len(r.wanted))
	for c, column := range r.wanted {
		chunk, ok := chunks[column.Index()].(*parquet.FileColumnChunk)
		if !ok {
			return r.broken(errThrift)
		}
		r.pages[c] = chunk.PagesFrom(newPages(r.source, r.file, i, column.Index(), maxPages/max(1, len(r.wanted))))
		if err := r.pages[c].SeekToRow(r.at - first); err != nil {
			return r.broken(err)
		}
	}
	return nil
}

// leave closes the row group that is open.
func (r *parquetRows) leave() {
	for c, pages := range r.pages {
		parquet.Release(r.pinned[c])
		if pages != nil {
			_ = pages.Close() // gives back memory
		}
	}
	r.pages, r.values, r.pinned = nil, nil, nil
}

func (r *parquetRows) close() { r.leave() }
