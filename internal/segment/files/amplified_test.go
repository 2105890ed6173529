package files

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

// allocates is how many bytes f allocates.
func allocates(f func()) uint64 {
	before := allocated()
	f()
	return allocated() - before
}

// A row of a workbook is small, and the text that all of its cells share is not.
func TestCellsThatShareALongText(t *testing.T) {
	var row strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&row, `<c r="%s2" t="s"><v>0</v></c>`, columnName(i))
	}
	f := newFolder(t)
	f.put(t, "s.xlsx", bookWriter{rows: `<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c></row><row r="2">` + row.String() + `</row>`,
		texts: "<si><t>" + strings.Repeat("x", 1<<20) + "</t></si>"}.write(t))
	require.Less(t, allocates(func() {
		rows, err := readWith(t, f, "a")
		require.NoError(t, err)
		require.Equal(t, []segmenttest.Row{badRow(2, segment.ProblemLongRow)}, rows)
	}), uint64(40<<20))
}

// What describes a workbook is nested as deeply as its length allows, or long.
func TestWorkbooksWithStrangeDescriptions(t *testing.T) {
	for name, styles := range map[string]string{
		"nested":     "<cellXfs>" + strings.Repeat("<xf>", 700_000) + strings.Repeat("</xf>", 700_000) + "</cellXfs>",
		"left open":  "<cellXfs>" + strings.Repeat("<xf>", 700_000),
		"very long":  "<cellXfs>" + strings.Repeat("<xf/>", maxDescription/5+1) + "</cellXfs>",
		"one thing":  "<cellXfs><xf " + strings.Repeat("x='y' ", 100_000) + "></cellXfs>",
		"not closed": "<cellXfs></xf></cellXfs></styleSheet></styleSheet>",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.put(t, "s.xlsx", bookWriter{rows: rowXML(t, 1, "a"), styles: styles}.write(t))
			require.Less(t, allocates(func() {
				_, err := f.source.Describe(t.Context(), "s")
				require.ErrorIs(t, err, segment.ErrMalformed)
			}), uint64(600<<20))
		})
	}
}

// The list of a workbook's files says that it is short, and is long.
func TestAWorkbookWithMoreFilesThanItSays(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	_, err := z.Create("x")
	require.NoError(t, err)
	require.NoError(t, z.Close())
	raw := b.Bytes()
	at := bytes.LastIndex(raw, []byte("PK\x05\x06"))
	end := bytes.Clone(raw[at:])
	from := binary.LittleEndian.Uint32(end[16:])
	const times = 1<<18 + 1
	binary.LittleEndian.PutUint32(end[16:], from+uint32(at-int(from))*(times-1))
	long := append(bytes.Clone(raw[:from]), bytes.Repeat(raw[from:at], times)...)
	long = append(long, end...)
	binary.LittleEndian.PutUint32(long[len(long)-len(end)+16:], from)

	f := newFolder(t)
	f.put(t, "s.xlsx", long)
	require.Less(t, allocates(func() {
		_, err := f.source.Describe(t.Context(), "s")
		require.ErrorIs(t, err, segment.ErrMalformed)
	}), uint64(60<<20))
}

// Quotes that are not doubled, in every second row of a file, cost no more than
// other rows.
func TestManyMisplacedQuotes(t *testing.T) {
	const times = 20_000
	f := newFolder(t)
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "s.csv"), []byte("a,b\n"+strings.Repeat("1,2\n\"x\"y\",\"1\n", times)), 0o600))
	var rows []segmenttest.Row
	require.Less(t, allocates(func() {
		var err error
		rows, err = readWith(t, f, "a", "b")
		require.NoError(t, err)
	}), uint64(times*24<<10))
	require.Len(t, rows, 2*times)
	for i, row := range rows {
		want := segmenttest.Row{Number: int64(i + 2), Values: []string{"1", "2"}}
		if i%2 == 1 {
			want = segmenttest.Row{Number: int64(i + 2), Problem: ProblemQuote}
		}
		require.Equal(t, want, row)
	}
}

// The exponent of a number as long as a row is not worked out.
func TestANumberAsLongAsARow(t *testing.T) {
	long := strings.Repeat("9", 900_000) + "e5"
	require.Equal(t, long, plainNumber(long))
	require.Equal(t, "471200", plainNumber("4.712e5"))
}

// readWith reads the fields of the segment "s".
func readWith(t *testing.T, f *folder, fields ...string) ([]segmenttest.Row, error) {
	t.Helper()
	r, err := f.source.Open(t.Context(), "s", fields, nil)
	require.NoError(t, err)
	defer r.Close()
	return segmenttest.Drain(r)
}

// A header with very many columns costs time by their number, not by its square,
// and its separator is found though its end is not seen.
func TestVeryManyColumns(t *testing.T) {
	const columns = 120_000
	names := make([]string, columns)
	for i := range names {
		names[i] = fmt.Sprintf("c%d", i)
	}
	for name, separator := range map[string]string{"comma": ",", "semicolon": ";", "tab": "\t"} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.put(t, "s.csv", []byte(strings.Join(names, separator)+"\n"+strings.Repeat(separator, columns-1)+"x\n"))
			sample, err := f.source.Sample(t.Context(), "s")
			require.NoError(t, err)
			require.Contains(t, sample.How, name+" between columns")
			require.Len(t, sample.Rows[0], columns)
		})
	}
}
