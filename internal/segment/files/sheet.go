package files

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
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
			err := r.rowCells(wanted)
			if r.long = errors.Is(err, errTooLong); r.long {
				err = r.passRow()
			}
			if err != nil {
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

// passRow reads on behind a row that is too long.
func (r *sheetRows) passRow() error {
	if err := r.limit.passRow(); err != nil {
		return broken(err)
	}
	r.xml = r.limit.decoder()
	return nil
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
