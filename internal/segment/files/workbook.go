package files

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/segment/files/tree"
)

// A workbook is a ZIP archive of XML files. A sheet is read here token by token,
// as it is unpacked, because no library keeps the bounds of a reader: excelize
// v2.11 took 2.6 GB for a workbook of 7 MB with one long file that nothing
// reads, and read a sheet that was cut off in the middle as one that ends there,
// without an error; xlsxreader v1.2 holds all shared texts however long they are,
// knows no dates from 1904 and reads only the first piece of rich text in a cell.

// What of a workbook is read into memory at most, unpacked.
const (
	maxDirectory   = 4 << 20  // its list of files
	maxDescription = 8 << 20  // what says which sheets there are, and how cells look
	maxTexts       = 48 << 20 // the texts that cells share
	maxRowXML      = 8 << 20  // a row
	maxSheet       = 4 << 30  // a sheet, though not in memory
	mostLinks      = 10_000   // files that one refers to
	mostNested     = 100      // elements in one another, of what describes it
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
	if err := w.checkStart(size); err != nil {
		return w, err
	}
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
			if strings.HasSuffix(l.kind, "/officeDocument") {
				main = l.file
			}
		}
	}
	return w, w.describe(main)
}

// checkStart says what a file is that is no workbook, where its start tells.
func (w *workbook) checkStart(size int64) error {
	start := make([]byte, min(size, startLength))
	if _, err := w.source.ReadAt(start, 0); err != nil && !errors.Is(err, io.EOF) {
		return errWorkbook
	}
	switch says := mistakenFor(start); {
	case bytes.HasPrefix(start, []byte("PK")):
		return nil
	case says != "":
		return errors.New(says)
	case looksLikeText(start):
		return errors.New("the file is text and not a workbook; call it .csv")
	}
	return errWorkbook
}

// checkDirectory looks how long the list of the archive's files claims to be:
// the library would read all of it.
func (w *workbook) checkDirectory(size int64) error {
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
type link struct{ id, kind, file string }

// links returns what a file of the workbook refers to; an empty name is the
// workbook as a whole.
func (w *workbook) links(of string) ([]link, error) {
	var all []link
	folder, name := path.Split(of)
	err := w.elements(path.Join(folder, "_rels", name+".rels"), func(_ string, e xml.StartElement) {
		if e.Name.Local != "Relationship" || len(all) == mostLinks {
			return
		}
		target := attribute(e, "Target")
		if !strings.HasPrefix(target, "/") {
			target = "/" + path.Join(folder, target)
		}
		all = append(all, link{attribute(e, "Id"), attribute(e, "Type"), strings.TrimPrefix(path.Clean(target), "/")})
	})
	return all, err
}

// elements visits the elements of a file of the workbook that describes it, and
// says in which element each is. However they are nested, it holds one of them.
func (w *workbook) elements(name string, visit func(parent string, e xml.StartElement)) error {
	f := w.files[name]
	if f == nil {
		return errWorkbook
	}
	r, err := f.Open()
	if err != nil {
		return errWorkbook
	}
	defer r.Close()
	d := xml.NewDecoder(io.LimitReader(r, maxDescription))
	var inside []string
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) && len(inside) == 0 {
			return nil
		}
		if err != nil || len(inside) > mostNested {
			return errWorkbook
		}
		switch t := token.(type) {
		case xml.StartElement:
			parent := ""
			if len(inside) > 0 {
				parent = inside[len(inside)-1]
			}
			visit(parent, t)
			inside = append(inside, t.Name.Local)
		case xml.EndElement:
			if len(inside) == 0 {
				return errWorkbook
			}
			inside = inside[:len(inside)-1]
		}
	}
}

// describe reads the main file of the workbook.
func (w *workbook) describe(main string) error {
	links, err := w.links(main)
	if err != nil {
		return err
	}
	files := map[string]string{}
	for _, l := range links {
		files[l.id] = l.file
		switch {
		case strings.HasSuffix(l.kind, "/sharedStrings"):
			w.texts = l.file
		case strings.HasSuffix(l.kind, "/styles"):
			w.styles = l.file
		}
	}
	return w.elements(main, func(parent string, e xml.StartElement) {
		switch {
		case e.Name.Local == "workbookPr":
			from := attribute(e, "date1904")
			w.base.from1904 = from == "1" || from == "true"
		case e.Name.Local == "sheet" && parent == "sheets" && len(w.sheets) < mostLinks:
			state := attribute(e, "state")
			one := sheet{name: attribute(e, "name"), hidden: state != "" && state != "visible"}
			for _, a := range e.Attr {
				if a.Name.Local == "id" && a.Name.Space != "" {
					one.file = files[a.Value]
				}
			}
			w.sheets = append(w.sheets, one)
		}
	})
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
