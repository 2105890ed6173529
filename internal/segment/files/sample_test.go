package files

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/unicode"

	"github.com/segment-export/segment-export/internal/segment"
)

func TestHowASegmentIsTaken(t *testing.T) {
	const row = "1,anna@example.com,Oslo\n"
	for name, test := range map[string]struct {
		files  map[string]string
		config Config
		want   segment.Sample
	}{
		"plain": {map[string]string{"people.csv": "Id,Email,City\n" + row + row + row + row}, Config{},
			segment.Sample{How: []string{"CSV", "UTF-8", "comma between columns", "header in line 1"}, Looked: 4,
				Rows: [][]string{{"1", "anna@example.com", "Oslo"}, {"1", "anna@example.com", "Oslo"}, {"1", "anna@example.com", "Oslo"}}}},
		"all at once": {map[string]string{"people/part-0.csv.gz": string(packed(t, []byte(encoded(t, unicode.UTF16(unicode.BigEndian, unicode.UseBOM), "sep=;\n;;\nId;Email;City\n1;\"\\\"a\";x;y\n;;\n2;b;c")))), "people/part-1.csv.gz": string(packed(t, nil))},
			Config{QuoteEscape: "backslash"},
			segment.Sample{How: []string{"CSV", "UTF-16BE with a byte-order mark", "semicolon between columns", "header in line 3", "backslash before quotes", "compressed", "2 files", "blank rows skipped: 2"}, Looked: 2,
				Problems: map[segment.Problem]int{segment.ProblemColumns: 1}, Rows: [][]string{{"2", "b", "c"}}}},
		"a name twice": {map[string]string{"people.csv": "Id,Notes,Email,Notes\n1,a,b,c\n"}, Config{},
			segment.Sample{How: []string{"CSV", "UTF-8", "comma between columns", "header in line 1"}, Looked: 1, Rows: [][]string{{"1", "b"}}}},
		"no header": {map[string]string{"people.csv": row}, Config{Columns: asked, Encoding: "windows-1250"},
			segment.Sample{How: []string{"CSV", "windows-1250", "comma between columns", "no header, columns named by the source"}, Looked: 1, Rows: [][]string{{"1", "anna@example.com", "Oslo"}}}},
		"a workbook": {map[string]string{"people.xlsx": string(bookWriter{rows: rowXML(t, 1, "Id")}.write(t))}, Config{}, segment.Sample{How: []string{"workbook", `sheet "People" of 2`}}},
		"JSON":       {map[string]string{"people.ndjson": `{"Id":1}`}, Config{}, segment.Sample{How: []string{"JSON, one object a line"}, Looked: 1, Rows: [][]string{{"1"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			for file, content := range test.files {
				f.write(t, file, content)
			}
			f.source.config = test.config
			if test.want.Problems == nil {
				test.want.Problems = map[segment.Problem]int{}
			}
			got, err := f.source.Sample(t.Context(), "people")
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
	f := newFolder(t)
	f.write(t, "people.csv", row+row)
	_, err := f.source.Sample(t.Context(), "people")
	require.ErrorIs(t, err, segment.ErrMalformed)
	require.ErrorContains(t, err, "the first line looks like a row of values: is the header missing?")
	require.NotContains(t, err.Error(), "anna")
}
