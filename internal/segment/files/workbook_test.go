package files

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

// bookWriter writes a workbook as Excel does, as far as it matters here.
type bookWriter struct {
	rows   string // XML of the rows of the first sheet
	texts  string // XML of the shared texts
	more   string // XML of rows of a second sheet, "Other"
	styles string
	book   string // attributes of workbookPr
	hide   bool   // the first sheet
}

const bookHead = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"

func (w bookWriter) write(t testing.TB) []byte {
	t.Helper()
	const main = `xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"`
	const office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
	state := ""
	if w.hide {
		state = ` state="hidden"`
	}
	sheet := func(rows string) string {
		return "<worksheet " + main + `><sheetData>` + rows + `</sheetData><pageMargins left="0.7"/></worksheet>`
	}
	link := func(id, kind, target string) string {
		return fmt.Sprintf(`<Relationship Id=%q Type="%s/%s" Target=%q/>`, id, office, kind, target)
	}
	links := func(all ...string) string {
		return `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` + strings.Join(all, "") + `</Relationships>`
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range [][2]string{
		{"_rels/.rels", links(link("rId1", "officeDocument", "xl/workbook.xml"))},
		{"xl/_rels/workbook.xml.rels", links(link("rId1", "worksheet", "worksheets/sheet1.xml"), link("rId2", "worksheet", "/xl/worksheets/sheet2.xml"),
			link("rId3", "sharedStrings", "sharedStrings.xml"), link("rId4", "styles", "styles.xml"))},
		{"xl/workbook.xml", "<workbook " + main + ` xmlns:r="` + office + `"><workbookPr ` + w.book + `/><sheets><sheet name="People" sheetId="1" r:id="rId1"` + state + `/><sheet name="Other" sheetId="2" r:id="rId2"/></sheets></workbook>`},
		{"xl/styles.xml", "<styleSheet " + main + ">" + w.styles + "</styleSheet>"},
		{"xl/sharedStrings.xml", "<sst " + main + ">" + w.texts + "</sst>"},
		{"xl/worksheets/sheet1.xml", sheet(w.rows)},
		{"xl/worksheets/sheet2.xml", sheet(w.more)},
	} {
		file, err := z.Create(f[0])
		require.NoError(t, err)
		_, err = io.WriteString(file, bookHead+f[1])
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

func escapedXML(t testing.TB, text string) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, xml.EscapeText(&b, []byte(text)))
	return b.String()
}

func columnName(i int) string {
	name := ""
	for i++; i > 0; i = (i - 1) / 26 {
		name = string(rune('A'+(i-1)%26)) + name
	}
	return name
}

// workbookOf writes a table with shared texts, every fourth in its cell, and no
// cell for what is empty.
func workbookOf(t testing.TB, table segmenttest.Table) []byte {
	t.Helper()
	var rows, texts strings.Builder
	shared := map[string]int{}
	for n, row := range append([][]string{table.Fields}, table.Rows...) {
		fmt.Fprintf(&rows, `<row r="%d">`, n+1)
		for i, value := range row {
			at := fmt.Sprintf("%s%d", columnName(i), n+1)
			switch {
			case value == "" && i%2 == 0:
			case value == "":
				fmt.Fprintf(&rows, `<c r=%q s="1"/>`, at)
			case i%4 == 3:
				fmt.Fprintf(&rows, `<c r=%q t="inlineStr"><is><t xml:space="preserve">%s</t></is></c>`, at, escapedXML(t, value))
			default:
				index, ok := shared[value]
				if !ok {
					index = len(shared)
					shared[value] = index
					fmt.Fprintf(&texts, `<si><t xml:space="preserve">%s</t></si>`, escapedXML(t, value))
				}
				fmt.Fprintf(&rows, `<c r=%q t="s"><v>%d</v></c>`, at, index)
			}
		}
		rows.WriteString("</row>")
	}
	return bookWriter{rows: rows.String(), texts: texts.String()}.write(t)
}

const plainStyles = `<numFmts><numFmt numFmtId="164" formatCode="dd/mm/yyyy\ hh:mm"/><numFmt numFmtId="165" formatCode="[Red]0.00&quot; days&quot;"/></numFmts>` +
	`<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/><xf numFmtId="165"/></cellXfs>`

func TestCells(t *testing.T) {
	cell := func(column, attributes, inner string) string {
		return `<c r="` + column + `2" ` + attributes + `>` + inner + `</c>`
	}
	for name, test := range map[string]struct {
		cell, want string
		book       string
	}{
		"a number":               {cell("B", ``, `<v>4712345678</v>`), "4712345678", ""},
		"a number with exponent": {cell("B", `t="n"`, `<v>4.712345678E9</v>`), "4712345678", ""},
		"a small number":         {cell("B", ``, `<v>1E-3</v>`), "0.001", ""},
		"a date":                 {cell("B", `s="1"`, `<v>45717</v>`), "2025-03-01", ""},
		"a date and time":        {cell("B", `s="2"`, `<v>45717.4166666667</v>`), "2025-03-01T10:00:00", ""},
		"a date from 1904":       {cell("B", `s="1"`, `<v>44255</v>`), "2025-03-01", `date1904="1"`},
		"a style of a number":    {cell("B", `s="3"`, `<v>45717</v>`), "45717", ""},
		"a style that is not":    {cell("B", `s="99"`, `<v>45717</v>`), "45717", ""},
		"a date as text":         {cell("B", `t="d"`, `<v>2025-03-01T10:00:00</v>`), "2025-03-01T10:00:00", ""},
		"true":                   {cell("B", `t="b"`, `<v>1</v>`), "true", ""},
		"false":                  {cell("B", `t="b"`, `<v>0</v>`), "false", ""},
		"a formula":              {cell("B", `t="str"`, `<f>A1&amp;"x"</f><v>Oslo</v>`), "Oslo", ""},
		"an error":               {cell("B", `t="e"`, `<f>1/0</f><v>#DIV/0!</v>`), "#DIV/0!", ""},
		"rich text":              {cell("B", `t="s"`, `<v>1</v>`), "two pieces", ""},
		"rich text in the cell":  {cell("B", `t="inlineStr"`, `<is><r><t>two</t></r><r><rPr/><t xml:space="preserve"> pieces</t></r></is>`), "two pieces", ""},
		"how it is spoken":       {cell("B", `t="s"`, `<v>2</v>`), "東京", ""},
		"a character escaped":    {cell("B", `t="inlineStr"`, `<is><t>a_x000A_b</t></is>`), "a\nb", ""},
		"no cell":                {``, "", ""},
		"nothing in the cell":    {cell("B", `s="1"`, ``), "", ""},
		"no reference":           {`<c t="inlineStr"><is><t>Oslo</t></is></c>`, "Oslo", ""},
		"our own guard":          {cell("B", `t="inlineStr"`, `<is><t>'+47</t></is>`), "+47", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.put(t, "s.xlsx", bookWriter{book: test.book, styles: plainStyles,
				texts: `<si><t>Id</t></si><si><r><t>two</t></r><r><t xml:space="preserve"> pieces</t></r></si><si><t>東京</t><rPh><t>とうきょう</t></rPh></si>`,
				rows: `<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="inlineStr"><is><t>Value</t></is></c></row>` +
					`<row r="2"><c r="A2"><v>1</v></c>` + test.cell + `</row>`}.write(t))
			require.Equal(t, []segmenttest.Row{{Number: 2, Values: []string{"1", test.want}}}, segmenttest.ReadAll(t, f.source, "s", []string{"Id", "Value"}, nil))
		})
	}
}

// rowXML is a row of texts, in their cells.
func rowXML(t testing.TB, number int, values ...string) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, `<row r="%d">`, number)
	for i, value := range values {
		fmt.Fprintf(&b, `<c r="%s%d" t="inlineStr"><is><t>%s</t></is></c>`, columnName(i), number, escapedXML(t, value))
	}
	return b.String() + "</row>"
}

func TestSheets(t *testing.T) {
	head, anna, bob := rowXML(t, 1, asked...), rowXML(t, 2, "1", "anna@example.com", "Oslo"), rowXML(t, 3, "2", "bob@example.com", "Kraków")
	both := []segmenttest.Row{person(2, "1", "anna@example.com", "Oslo"), person(3, "2", "bob@example.com", "Kraków")}
	for name, test := range map[string]struct {
		book   bookWriter
		config Config
		want   []segmenttest.Row
		notes  []string
	}{
		"the first sheet":              {bookWriter{rows: head + anna + bob, more: rowXML(t, 1, "x")}, Config{}, both, nil},
		"the first that is not hidden": {bookWriter{rows: rowXML(t, 1, "x"), hide: true, more: head + anna + bob}, Config{}, both, nil},
		"by name":                      {bookWriter{rows: rowXML(t, 1, "x"), more: head + anna + bob}, Config{Sheet: "Other"}, both, nil},
		"hidden, by name":              {bookWriter{rows: head + anna + bob, hide: true}, Config{Sheet: "People"}, both, nil},
		"no header":                    {bookWriter{rows: anna + bob}, Config{Columns: asked}, both, nil},
		"columns named, header":        {bookWriter{rows: head + anna + bob}, Config{Columns: asked}, both, nil},
		"blank rows": {bookWriter{rows: `<row r="1"/><row r="2"><c r="A2" s="1"/></row>` + rowXML(t, 5, asked...) + rowXML(t, 7, "1", "anna@example.com", "Oslo") +
			rowXML(t, 8, " ", "") + `<row r="1000"/>`}, Config{}, []segmenttest.Row{person(7, "1", "anna@example.com", "Oslo")},
			[]string{`segment "people": blank rows skipped: 4`}},
		"surplus": {bookWriter{rows: head + rowXML(t, 2, "1", "anna@example.com", "Oslo", "", "") + rowXML(t, 3, "2", "b@example.com", "Oslo", "", "x")}, Config{},
			[]segmenttest.Row{both[0], badRow(3, segment.ProblemColumns)}, nil},
		"columns without a name": {bookWriter{rows: rowXML(t, 1, "", "Id", "Email", "City", "Note", "Note") + rowXML(t, 2, "x", "1", "anna@example.com", "Oslo", "a", "b")}, Config{}, both[:1], nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.source.config = test.config
			f.put(t, "people.xlsx", test.book.write(t))
			readsAs(t, f.source, test.want, test.notes)
		})
	}
}

func TestWorkbooksThatCannotBeRead(t *testing.T) {
	const secret = "anna.private"
	head := rowXML(t, 1, asked...)
	row := rowXML(t, 2, "1", secret+"@example.com", secret)
	good := bookWriter{rows: head + row}.write(t)
	for name, test := range map[string]struct {
		content []byte
		config  Config
		says    string
	}{
		"no archive":            {[]byte("\x00\x01\x02"), Config{}, "people.xlsx: it is not a workbook, or damaged"},
		"CSV":                   {[]byte("Id,Email,City\n"), Config{}, "people.xlsx: the file is text and not a workbook; call it .csv"},
		"cut off":               {good[:len(good)-30], Config{}, "it is not a workbook, or damaged"},
		"damaged within":        {append(append(bytes.Clone(good[:len(good)/4]), make([]byte, len(good)/4)...), good[len(good)/2:]...), Config{}, "damaged"},
		"with a password":       {append([]byte("\xd0\xcf\x11\xe0"), good...), Config{}, "of an older Excel, or has a password"},
		"a web page":            {[]byte("<!DOCTYPE html><title>Sign in</title>"), Config{}, "the file is a web page or XML"},
		"no such sheet":         {good, Config{Sheet: "Members"}, `it has no sheet "Members"`},
		"no header":             {bookWriter{rows: row}.write(t), Config{}, "has none of the mapped columns"},
		"a mapped column twice": {bookWriter{rows: rowXML(t, 1, "Id", "Email", "City", "City") + row}.write(t), Config{}, "the columns 3 and 4 have the same name, and it is mapped"},
		"ends too early":        {bookWriter{rows: head + row + "<row><c"}.write(t), Config{}, "after row 2: the workbook is damaged"},
		"a text that is not":    {bookWriter{rows: head + `<row r="2"><c r="A2" t="s"><v>7</v></c></row>`}.write(t), Config{}, "after row 1: the workbook is damaged"},
		"cells out of order":    {bookWriter{rows: head + `<row r="2"><c r="B2"><v>7</v></c><c r="A2"><v>7</v></c></row>`}.write(t), Config{}, "after row 1: the workbook is damaged"},
		"too far right":         {bookWriter{rows: head + `<row r="2"><c r="ZZZZZ2"><v>7</v></c></row>`}.write(t), Config{}, "after row 1: the workbook is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.source.config = test.config
			f.put(t, "people.xlsx", test.content)
			r, err := f.source.Open(t.Context(), "people", asked, nil)
			if err == nil {
				defer r.Close()
				_, err = segmenttest.Drain(r)
			}
			require.ErrorIs(t, err, segment.ErrMalformed)
			require.ErrorContains(t, err, test.says)
			require.NotContains(t, err.Error(), secret)
		})
	}
	f := newFolder(t)
	f.put(t, "people.xlsx", nil)
	_, err := f.source.Open(t.Context(), "people", asked, nil)
	require.ErrorIs(t, err, segment.ErrEmpty)
	f.put(t, "people.xlsx", bookWriter{}.write(t))
	_, err = f.source.Open(t.Context(), "people", asked, nil)
	require.ErrorIs(t, err, segment.ErrEmpty)
}

func TestTextsOfAWorkbookAreBounded(t *testing.T) {
	book := bookWriter{texts: strings.Repeat("<si><t>"+strings.Repeat("x", 1<<18)+"</t></si>", 9)}.write(t)
	w, err := openWorkbook(bytesContent(book), int64(len(book)))
	require.NoError(t, err)
	_, err = w.sharedTexts(t.Context(), 2<<20)
	require.EqualError(t, err, "its texts take more than 2 MiB, which is too much for a workbook; save the sheet as CSV in UTF-8")
	texts, err := w.sharedTexts(t.Context(), 3<<20)
	require.NoError(t, err)
	require.Len(t, texts.ends, 9)
}

// FuzzWorkbook reads any XML as the rows of a sheet, and any bytes as a workbook:
// no panic, and the same rows each time.
func FuzzWorkbook(f *testing.F) {
	f.Add([]byte(rowXML(f, 1, asked...)+rowXML(f, 2, "1", "2", "3")), false)
	f.Add([]byte(`<row r="9"><c/><c r="AB9" t="s"><v>0</v></c></row><row><c t="b"><v>1</v></c></row>`), false)
	f.Add(bookWriter{rows: rowXML(f, 1, asked...)}.write(f), true)
	dir := f.TempDir()
	root, err := os.OpenRoot(dir)
	require.NoError(f, err)
	f.Cleanup(func() { _ = root.Close() })
	source, err := New(root, Config{Path: "."}, nil)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, data []byte, whole bool) {
		if !whole {
			data = bookWriter{rows: string(data), texts: "<si><t>x</t></si>", styles: plainStyles}.write(t)
		}
		name := fmt.Sprintf("f%d", os.Getpid())
		require.NoError(t, os.WriteFile(dir+"/"+name+".xlsx", data, 0o600))
		info, err := source.Describe(t.Context(), name)
		if err != nil {
			return
		}
		read := func() ([]segmenttest.Row, error) {
			r, err := source.Open(t.Context(), name, info.Fields, nil)
			if err != nil {
				return nil, err
			}
			defer r.Close()
			return segmenttest.Drain(r)
		}
		rows, err := read()
		again, failed := read()
		require.Equal(t, rows, again)
		require.Equal(t, err == nil, failed == nil)
	})
}
