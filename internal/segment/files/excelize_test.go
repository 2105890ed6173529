package files

import (
	"archive/zip"
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

// Workbooks of a program that is not ours, with what people put into them.
func TestWorkbooksOfExcelize(t *testing.T) {
	const sheet = "Sheet1"
	day := time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC)
	set := func(t *testing.T, b *excelize.File, cells map[string]any) {
		t.Helper()
		for at, value := range cells {
			require.NoError(t, b.SetCellValue(sheet, at, value))
		}
	}
	header := map[string]any{"A1": "Id", "B1": "Email", "C1": "City"}
	style := func(t *testing.T, b *excelize.File, cell string, s excelize.Style) {
		t.Helper()
		id, err := b.NewStyle(&s)
		require.NoError(t, err)
		require.NoError(t, b.SetCellStyle(sheet, cell, cell, id))
	}
	text := func(s string) *string { return &s }
	for name, test := range map[string]struct {
		make   func(t *testing.T, b *excelize.File)
		config Config
		want   []segmenttest.Row
	}{
		"texts and numbers": {func(t *testing.T, b *excelize.File) {
			set(t, b, map[string]any{"A2": 4712345678, "B2": "anna@example.com", "C2": "Łódź", "A3": 1.5, "B3": int64(1e15), "C3": " a\nb "})
		}, Config{}, []segmenttest.Row{person(2, "4712345678", "anna@example.com", "Łódź"), person(3, "1.5", "1000000000000000", " a\nb ")}},
		"dates": {func(t *testing.T, b *excelize.File) {
			set(t, b, map[string]any{"A2": day, "B2": day.Add(10*time.Hour + 30*time.Minute), "C2": 45717})
			style(t, b, "C2", excelize.Style{CustomNumFmt: text("[$-415]d mmmm yyyy;@")})
			set(t, b, map[string]any{"A3": 45717, "B3": 45717, "C3": 0.4375})
			style(t, b, "A3", excelize.Style{NumFmt: 14})
			style(t, b, "B3", excelize.Style{CustomNumFmt: text(`0.00" days"`)})
			style(t, b, "C3", excelize.Style{CustomNumFmt: text("hh:mm")})
		}, Config{}, []segmenttest.Row{person(2, "2025-03-01", "2025-03-01T10:30:00", "2025-03-01"), person(3, "2025-03-01", "45717", "0.4375")}},
		"dates from 1904": {func(t *testing.T, b *excelize.File) {
			from := true
			require.NoError(t, b.SetWorkbookProps(&excelize.WorkbookPropsOptions{Date1904: &from}))
			set(t, b, map[string]any{"A2": 44255, "B2": "x"})
			style(t, b, "A2", excelize.Style{NumFmt: 14})
		}, Config{}, []segmenttest.Row{person(2, "2025-03-01", "x", "")}},
		"truth values": {func(t *testing.T, b *excelize.File) {
			set(t, b, map[string]any{"A2": true, "B2": false, "C2": "TRUE"})
		}, Config{}, []segmenttest.Row{person(2, "true", "false", "TRUE")}},
		"formulas with their last values": {func(t *testing.T, b *excelize.File) {
			set(t, b, map[string]any{"A2": 12, "B2": "a@b.example", "C2": 1.5})
			require.NoError(t, b.SetCellFormula(sheet, "A2", "=6*2"))
			require.NoError(t, b.SetCellFormula(sheet, "C2", "=A2/8"))
		}, Config{}, []segmenttest.Row{person(2, "12", "a@b.example", "1.5")}},
		"formulas never worked out": {func(t *testing.T, b *excelize.File) {
			set(t, b, map[string]any{"A2": "1"})
			require.NoError(t, b.SetCellFormula(sheet, "C2", "=6*2"))
		}, Config{}, []segmenttest.Row{person(2, "1", "", "")}},
		"rich text": {func(t *testing.T, b *excelize.File) {
			require.NoError(t, b.SetCellRichText(sheet, "A2", []excelize.RichTextRun{{Text: "two", Font: &excelize.Font{Bold: true}}, {Text: " pieces"}}))
		}, Config{}, []segmenttest.Row{person(2, "two pieces", "", "")}},
		"sparse rows": {func(t *testing.T, b *excelize.File) {
			set(t, b, map[string]any{"C4": "Oslo", "A9": "1", "XFD9": " "})
		}, Config{}, []segmenttest.Row{person(4, "", "", "Oslo"), person(9, "1", "", "")}},
		"a surplus value far right": {func(t *testing.T, b *excelize.File) {
			set(t, b, map[string]any{"A2": "1", "XFD2": "x"})
		}, Config{}, []segmenttest.Row{badRow(2, segment.ProblemColumns)}},
		"merged cells": {func(t *testing.T, b *excelize.File) {
			set(t, b, map[string]any{"A2": "1", "A3": "lost", "B2": "a@b.example", "B3": "c@d.example"})
			require.NoError(t, b.MergeCell(sheet, "A2", "A3"))
		}, Config{}, []segmenttest.Row{person(2, "1", "a@b.example", ""), person(3, "", "c@d.example", "")}},
		"a hidden first sheet": {func(t *testing.T, b *excelize.File) {
			_, err := b.NewSheet("People")
			require.NoError(t, err)
			require.NoError(t, b.SetSheetRow("People", "A1", &[]any{"Id", "Email", "City"}))
			require.NoError(t, b.SetSheetRow("People", "A2", &[]any{"1", "a@b.example", "Oslo"}))
			b.SetActiveSheet(1)
			require.NoError(t, b.SetSheetVisible(sheet, false))
		}, Config{}, []segmenttest.Row{person(2, "1", "a@b.example", "Oslo")}},
		"a sheet by its name": {func(t *testing.T, b *excelize.File) {
			_, err := b.NewSheet("Zoë & Co")
			require.NoError(t, err)
			require.NoError(t, b.SetSheetRow("Zoë & Co", "A1", &[]any{"Id", "Email", "City"}))
			require.NoError(t, b.SetSheetRow("Zoë & Co", "A2", &[]any{"1", "a@b.example", "Oslo"}))
		}, Config{Sheet: "Zoë & Co"}, []segmenttest.Row{person(2, "1", "a@b.example", "Oslo")}},
		"a filter, a table, comments and links": {func(t *testing.T, b *excelize.File) {
			set(t, b, map[string]any{"A2": "1", "B2": "a@b.example", "C2": "Oslo", "A3": "2", "B3": "c@d.example", "C3": "Kraków"})
			require.NoError(t, b.AddTable(sheet, &excelize.Table{Range: "A1:C3"}))
			require.NoError(t, b.AddComment(sheet, excelize.Comment{Cell: "B2", Text: "call first"}))
			require.NoError(t, b.SetCellHyperLink(sheet, "B2", "mailto:a@b.example", "External"))
			require.NoError(t, b.SetRowVisible(sheet, 3, false))
		}, Config{}, []segmenttest.Row{person(2, "1", "a@b.example", "Oslo"), person(3, "2", "c@d.example", "Kraków")}},
	} {
		t.Run(name, func(t *testing.T) {
			b := excelize.NewFile()
			set(t, b, header)
			test.make(t, b)
			var content bytes.Buffer
			require.NoError(t, b.Write(&content))
			f := newFolder(t)
			f.source.config = test.config
			f.put(t, "people.xlsx", content.Bytes())
			readsAs(t, f.source, test.want, nil)
		})
	}
}

// What excelize writes as a stream has its texts in the cells. A sheet of it that
// is cut off is damaged, and does not end there.
func TestAStreamOfExcelize(t *testing.T) {
	b := excelize.NewFile()
	stream, err := b.NewStreamWriter("Sheet1")
	require.NoError(t, err)
	require.NoError(t, stream.SetRow("A1", []any{"Id", "Email", "City"}))
	require.NoError(t, stream.SetRow("A2", []any{1, "a@b.example", []excelize.RichTextRun{{Text: "Os"}, {Text: "lo"}}}))
	require.NoError(t, stream.SetRow("A3", []any{2, "c@d.example", "Kraków"}))
	require.NoError(t, stream.Flush())
	var content bytes.Buffer
	require.NoError(t, b.Write(&content))
	f := newFolder(t)
	f.put(t, "people.xlsx", content.Bytes())
	want := []segmenttest.Row{person(2, "1", "a@b.example", "Oslo"), person(3, "2", "c@d.example", "Kraków")}
	readsAs(t, f.source, want, nil)

	f.put(t, "people.xlsx", withFile(t, content.Bytes(), "xl/worksheets/sheet1.xml", func(sheet []byte) []byte {
		return sheet[:bytes.LastIndex(sheet, []byte("<row"))]
	}))
	r, err := f.source.Open(t.Context(), "people", asked, nil)
	require.NoError(t, err)
	defer r.Close()
	rows, err := segmenttest.Drain(r)
	require.Equal(t, want[:1], rows)
	require.ErrorIs(t, err, segment.ErrMalformed)
}

// withFile copies a workbook and changes one of its files.
func withFile(t *testing.T, book []byte, name string, change func(content []byte) []byte) []byte {
	t.Helper()
	from, err := zip.NewReader(bytes.NewReader(book), int64(len(book)))
	require.NoError(t, err)
	var b bytes.Buffer
	to := zip.NewWriter(&b)
	for _, f := range from.File {
		r, err := f.Open()
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		if f.Name == name {
			content = change(content)
		}
		w, err := to.Create(f.Name)
		require.NoError(t, err)
		_, err = w.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, to.Close())
	return b.Bytes()
}
