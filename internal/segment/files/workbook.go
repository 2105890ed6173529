package files

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/tree"
)

// A workbook is a ZIP archive of XML files. The libraries for it do not do: one
// holds the whole archive in memory and unpacks sheets to files that anybody may
// read, another takes a sheet that breaks off for one that ends. So a sheet is
// read here token by token, as it is unpacked.

// What of a workbook is read into memory at most, unpacked.
const (
	maxDirectory   = 4 << 20  // its list of files
	maxDescription = 8 << 20  // what says which sheets there are, and how cells look
	maxTexts       = 48 << 20 // the texts that cells share
	maxRowXML      = 8 << 20  // a row
	maxSheet       = 4 << 30  // a sheet, though not in memory
)

// errWorkbook is the error of what is no workbook, or damaged.
var errWorkbook = errors.New("it is not a workbook, or damaged")

// workbook is one that is open.
type workbook struct {
	source *chunked
	files  map[string]*zip.File
	sheets []sheet
	texts  string // the file with the texts that cells share; empty: there are none
	styles string
	base   calendar
}

// sheet is one sheet of a workbook.
type sheet struct {
	name, file string
	hidden     bool
}

// openWorkbook reads which sheets a workbook has.
func openWorkbook(content tree.Content, size int64) (*workbook, error) {
	w := &workbook{source: &chunked{noted: noted{Content: content}, size: size}, files: map[string]*zip.File{}}
	if err := w.checkDirectory(size); err != nil {
		return w, err
	}
	// The library reads files until one is missing, however long the list is said to be.
	w.source.most, w.source.asked = maxDirectory+1<<20, 0
	archive, err := zip.NewReader(w.source, size)
	w.source.most = 0
	if err != nil {
		return w, errWorkbook
	}
	for _, f := range archive.File {
		w.files[strings.TrimPrefix(path.Clean("/"+f.Name), "/")] = f
	}
	main := "xl/workbook.xml"
	if links, err := w.links(""); err == nil {
		for _, l := range links {
			if strings.HasSuffix(l.Type, "/officeDocument") {
				main = l.file
			}
		}
	}
	return w, w.describe(main)
}

// oldOffice begins an Excel 97 workbook, and one with a password.
var oldOffice = []byte{0xd0, 0xcf, 0x11, 0xe0}

// checkDirectory looks how long the list of the archive's files claims to be:
// the library would read all of it.
func (w *workbook) checkDirectory(size int64) error {
	start := make([]byte, len(oldOffice))
	if _, err := w.source.ReadAt(start, 0); err == nil && bytes.Equal(start, oldOffice) {
		return errors.New("it is protected by a password, or of an older Excel; save it as .xlsx without a password")
	}
	const record, comment = 22, 1 << 16
	tail := make([]byte, min(size, record+comment))
	if _, err := w.source.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return errWorkbook
	}
	at := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if at < 0 || at+record > len(tail) || binary.LittleEndian.Uint32(tail[at+12:]) > maxDirectory {
		return errWorkbook
	}
	return nil
}

// link is where a part of a workbook is.
type link struct {
	ID     string `xml:"Id,attr"`
	Type   string `xml:"Type,attr"`
	Target string `xml:"Target,attr"`
	file   string
}

// links returns what a file of the workbook refers to; an empty name is the
// workbook as a whole.
func (w *workbook) links(of string) ([]link, error) {
	var all struct {
		Links []link `xml:"Relationship"`
	}
	folder, name := path.Split(of)
	if err := w.decode(path.Join(folder, "_rels", name+".rels"), &all); err != nil {
		return nil, err
	}
	for i, l := range all.Links {
		all.Links[i].file = strings.TrimPrefix(path.Clean("/"+path.Join(folder, l.Target)), "/")
		if strings.HasPrefix(l.Target, "/") {
			all.Links[i].file = strings.TrimPrefix(path.Clean(l.Target), "/")
		}
	}
	return all.Links, nil
}

// decode reads a small file of the workbook.
func (w *workbook) decode(name string, into any) error {
	f := w.files[name]
	if f == nil {
		return errWorkbook
	}
	r, err := f.Open()
	if err != nil {
		return errWorkbook
	}
	defer r.Close()
	if xml.NewDecoder(io.LimitReader(r, maxDescription)).Decode(into) != nil {
		return errWorkbook
	}
	return nil
}

// describe reads the main file of the workbook.
func (w *workbook) describe(main string) error {
	var book struct {
		Properties struct {
			Date1904 string `xml:"date1904,attr"`
		} `xml:"workbookPr"`
		Sheets []struct {
			Name  string     `xml:"name,attr"`
			State string     `xml:"state,attr"`
			Attrs []xml.Attr `xml:",any,attr"`
		} `xml:"sheets>sheet"`
	}
	if err := w.decode(main, &book); err != nil {
		return err
	}
	links, err := w.links(main)
	if err != nil {
		return err
	}
	files := map[string]string{}
	for _, l := range links {
		files[l.ID] = l.file
		switch {
		case strings.HasSuffix(l.Type, "/sharedStrings"):
			w.texts = l.file
		case strings.HasSuffix(l.Type, "/styles"):
			w.styles = l.file
		}
	}
	for _, s := range book.Sheets {
		one := sheet{name: s.Name, hidden: s.State != "" && s.State != "visible"}
		for _, a := range s.Attrs {
			if a.Name.Local == "id" && a.Name.Space != "" {
				one.file = files[a.Value]
			}
		}
		w.sheets = append(w.sheets, one)
	}
	w.base.from1904 = book.Properties.Date1904 == "1" || book.Properties.Date1904 == "true"
	return nil
}

// sheet returns the sheet of that name; without one the first that is shown.
func (w *workbook) sheet(name string) (sheet, error) {
	i := slices.IndexFunc(w.sheets, func(s sheet) bool { return s.name == name || name == "" && !s.hidden })
	switch {
	case i >= 0 && w.files[w.sheets[i].file] != nil:
		return w.sheets[i], nil
	case i < 0 && name != "":
		return sheet{}, fmt.Errorf("it has no sheet %s; name one that it has: starter source edit NAME --sheet SHEET", reason.Names(name))
	}
	return sheet{}, errWorkbook
}

// sheetRows reads the rows of one sheet.
type sheetRows struct {
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
	r.limit = &limited{ctx: ctx, src: r.unpacked, left: maxRowXML, total: maxSheet}
	r.xml, r.at, r.blank, r.ended = xml.NewDecoder(r.limit), position{}, 0, false
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
		if err != nil || !blankRecord(r.cells) {
			break
		}
		r.blank++
	}
	if r.names = trimmed(r.cells); named == nil || slices.Equal(r.names, trimmed(named)) {
		return nil
	}
	r.names = named
	if err := r.begin(r.limit.ctx); err != nil {
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
	case r.limit != nil && r.limit.ctx.Err() != nil:
		return r.limit.ctx.Err()
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
