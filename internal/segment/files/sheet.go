package files

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// mostColumns is how many columns a sheet can have.
const mostColumns = 16_384

// row reads the next row of the sheet: its cells when they are wanted. It
// returns io.EOF after the last.
func (r *sheetRows) row(wanted bool) error {
	if r.ended {
		return io.EOF
	}
	r.cells = r.cells[:0]
	for {
		token, err := r.xml.RawToken()
		if err != nil {
			return broken(err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if t.Name.Local != "row" {
				continue
			}
			if err := r.rowCells(wanted); err != nil {
				return err
			}
			r.at = position{offset: r.at.offset + 1, line: max(r.at.line+1, int64(number(attribute(t, "r"))))}
			r.limit.left = maxRowXML
			return nil
		case xml.EndElement:
			if t.Name.Local == "sheetData" {
				r.ended = true
				return io.EOF
			}
		}
	}
}

// broken is an error of a sheet: one that ends before its time does not end
// well.
func broken(err error) error {
	if errors.Is(err, errTooLong) {
		return err
	}
	return errWorkbook
}

// rowCells reads the cells of a row up to its end.
func (r *sheetRows) rowCells(wanted bool) error {
	size := 0
	for {
		token, err := r.xml.RawToken()
		if err != nil {
			return broken(err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if t.Name.Local != "c" || !wanted {
				continue
			}
			column := len(r.cells)
			if at := attribute(t, "r"); at != "" {
				column = columnOf(at)
			}
			if column < len(r.cells) || column >= mostColumns {
				return errWorkbook
			}
			for len(r.cells) < column {
				r.cells = append(r.cells, "")
			}
			value, err := r.cell(attribute(t, "t"), number(attribute(t, "s")))
			if err != nil {
				return err
			}
			// Many cells can share one text.
			if size += len(value); size > maxRowXML {
				return errTooLong
			}
			r.cells = append(r.cells, value)
		case xml.EndElement:
			if t.Name.Local == "row" {
				return nil
			}
		}
	}
}

// cell reads a cell up to its end.
func (r *sheetRows) cell(kind string, style int) (string, error) {
	text, err := elementText(r.xml, "c", "v", "t")
	switch {
	case err != nil:
		return "", broken(err)
	case text == "":
		return "", nil
	}
	switch kind {
	case "s":
		i, err := strconv.Atoi(text)
		if err != nil {
			return "", errWorkbook
		}
		return r.texts.at(i)
	case "b":
		return strconv.FormatBool(text == "1" || text == "true"), nil
	case "", "n":
		if style >= 0 && style < len(r.dates) && r.dates[style] {
			return r.book.base.date(text), nil
		}
		return plainNumber(text), nil
	}
	return unescapeText(text), nil
}

// elementText reads an element up to its end and returns the text of those in
// it that hold the value. How a text is spoken (rPh) is no part of it.
func elementText(d *xml.Decoder, end string, holds ...string) (string, error) {
	var text strings.Builder
	inside, spoken := false, false
	for {
		token, err := d.RawToken()
		if err != nil {
			return "", err
		}
		switch t := token.(type) {
		case xml.StartElement:
			spoken = spoken || t.Name.Local == "rPh"
			for _, name := range holds {
				inside = inside || t.Name.Local == name && !spoken
			}
		case xml.CharData:
			if inside {
				text.Write(t)
			}
		case xml.EndElement:
			if t.Name.Local == end {
				return text.String(), nil
			}
			if t.Name.Local == "rPh" {
				spoken = false
			}
			inside = false
		}
	}
}

func attribute(t xml.StartElement, name string) string {
	for _, a := range t.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// columnOf returns the column of a cell's reference, such as 27 of AB12.
func columnOf(reference string) int {
	n := 0
	for i := 0; i < len(reference) && n <= mostColumns; i++ {
		c := reference[i] &^ 0x20
		if c < 'A' || c > 'Z' {
			break
		}
		n = n*26 + int(c-'A') + 1
	}
	return n - 1
}

// escapedChar is how a character is written that XML cannot hold.
var escapedChar = regexp.MustCompile(`_x([0-9A-Fa-f]{4})_`)

func unescapeText(text string) string {
	if !strings.Contains(text, "_x") {
		return text
	}
	return escapedChar.ReplaceAllStringFunc(text, func(m string) string {
		code, err := strconv.ParseUint(m[2:6], 16, 16)
		if c := rune(code); err == nil && utf8.ValidRune(c) {
			return string(c)
		}
		return m
	})
}

// sharedTexts are the texts that cells refer to by number.
type sharedTexts struct {
	all  []byte
	ends []uint32
}

func (s *sharedTexts) at(i int) (string, error) {
	if i < 0 || i >= len(s.ends) {
		return "", errWorkbook
	}
	from := uint32(0)
	if i > 0 {
		from = s.ends[i-1]
	}
	return string(s.all[from:s.ends[i]]), nil
}

// sharedTexts reads them, each into a few bytes more than it has, and no more
// than so many bytes.
func (w *workbook) sharedTexts(ctx context.Context, most int) (*sharedTexts, error) {
	s := &sharedTexts{}
	f := w.files[w.texts]
	if w.texts == "" || f == nil {
		return s, nil
	}
	src, err := f.Open()
	if err != nil {
		return nil, errWorkbook
	}
	defer src.Close()
	limit := &limited{ctx: ctx, src: src, left: maxRowXML, total: maxSheet}
	d := xml.NewDecoder(limit)
	for {
		token, err := d.RawToken()
		if err != nil {
			return nil, broken(err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if t.Name.Local != "si" {
				continue
			}
			text, err := elementText(d, "si", "t")
			if err != nil {
				return nil, broken(err)
			}
			limit.left = maxRowXML
			s.all = append(s.all, unescapeText(text)...)
			s.ends = append(s.ends, uint32(len(s.all)))
			if len(s.all)+4*len(s.ends) > most {
				return nil, fmt.Errorf("its texts take more than %d MiB, which is too much for a workbook; save the sheet as CSV in UTF-8", most>>20)
			}
		case xml.EndElement:
			if t.Name.Local == "sst" {
				return s, nil
			}
		}
	}
}

// limited is XML that is unpacked, of which a piece and the whole may take so
// many bytes: few packed ones can be very many.
type limited struct {
	ctx         context.Context //nolint:containedctx // a reader lives as long as the call that opened it
	src         io.Reader
	left, total int64
}

func (l *limited) Read(p []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	if l.left <= 0 || l.total <= 0 {
		return 0, errTooLong
	}
	n, err := l.src.Read(p)
	l.left -= int64(n)
	l.total -= int64(n)
	return n, err
}

// chunked reads the content a chunk at a time, however little is asked for.
type chunked struct {
	noted

	size   int64
	most   int64 // how much may be asked for; 0: no bound
	asked  int64
	buffer []byte
	from   int64
}

func (c *chunked) ReadAt(p []byte, off int64) (int, error) {
	if c.asked += int64(len(p)); c.most > 0 && c.asked > c.most {
		return 0, errTooLong
	}
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= c.size {
			return n, io.EOF
		}
		if at < c.from || at >= c.from+int64(len(c.buffer)) {
			chunk := min(int64(c.Chunk()), c.size-at)
			if cap(c.buffer) < int(chunk) {
				c.buffer = make([]byte, chunk)
			}
			m, err := c.noted.ReadAt(c.buffer[:chunk], at)
			c.buffer, c.from = c.buffer[:m], at
			if m == 0 {
				if err == nil || errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				return n, err
			}
		}
		n += copy(p[n:], c.buffer[at-c.from:])
	}
	return n, nil
}

// dateStyles says of each style of cells whether a number in it is a date.
func (w *workbook) dateStyles() ([]bool, error) {
	if w.styles == "" || w.files[w.styles] == nil {
		return nil, nil
	}
	var sheet struct {
		Formats []struct {
			ID   int    `xml:"numFmtId,attr"`
			Code string `xml:"formatCode,attr"`
		} `xml:"numFmts>numFmt"`
		Styles []struct {
			Format int `xml:"numFmtId,attr"`
		} `xml:"cellXfs>xf"`
	}
	if err := w.decode(w.styles, &sheet); err != nil {
		return nil, err
	}
	dates := map[int]bool{}
	for _, of := range [][2]int{{14, 17}, {22, 22}, {27, 31}, {34, 36}, {50, 54}, {57, 58}} {
		for id := of[0]; id <= of[1]; id++ {
			dates[id] = true
		}
	}
	for _, f := range sheet.Formats {
		dates[f.ID] = isDateFormat(f.Code)
	}
	styles := make([]bool, len(sheet.Styles))
	for i, s := range sheet.Styles {
		styles[i] = dates[s.Format]
	}
	return styles, nil
}

// notFormat is what a format shows as it is, and its colour or language.
var notFormat = regexp.MustCompile(`"[^"]*"|\\.|_.|\*.|\[[^\]]*\]`)

// isDateFormat says that a number format shows a day, not only a time.
func isDateFormat(code string) bool {
	return strings.ContainsAny(notFormat.ReplaceAllString(code, ""), "dDyY")
}

// calendar counts days as a workbook does.
type calendar struct{ from1904 bool }

// date is a number of days as ISO 8601, without a zone, as a workbook has none;
// what is no date stays as it is.
func (c calendar) date(text string) string {
	days, err := strconv.ParseFloat(text, 64)
	if err != nil || days < 1 || days > 2_958_465.999999 {
		return text
	}
	epoch := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC) // there was no 29 February 1900, but in Excel
	switch {
	case c.from1904:
		epoch = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
	case days < 60:
		epoch = epoch.AddDate(0, 0, 1)
	}
	whole := int(days)
	at := epoch.AddDate(0, 0, whole).Add(time.Duration((days - float64(whole)) * float64(24*time.Hour))).Round(time.Millisecond)
	if at.Equal(at.Truncate(24 * time.Hour)) {
		return at.Format(time.DateOnly)
	}
	return at.Format(localTime)
}
