package files

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/tree"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

// A row that is longer than rows may be is one reject, and the read continues
// after it.
func TestRowsThatAreTooLong(t *testing.T) {
	const long = 3 * maxRecord
	anna, bob := person(2, "1", "anna@example.com", "Oslo"), person(4, "2", "bob@example.com", "Kraków")
	csv := func(row string) string {
		return "Id,Email,City\n1,anna@example.com,Oslo\n" + row + "\n2,bob@example.com,Kraków\n"
	}
	lines := func(row string) string {
		return `{"Id":"1","Email":"anna@example.com","City":"Oslo"}` + "\n" + row + "\n" + `{"Id":"2","Email":"bob@example.com","City":"Kraków"}` + "\n"
	}
	book := func(row string) string {
		return string(bookWriter{texts: "<si><t>" + strings.Repeat("z", 1<<20) + "</t></si>",
			rows: rowXML(t, 1, asked...) + rowXML(t, 2, anna.Values...) + row + rowXML(t, 4, bob.Values...)}.write(t))
	}
	for name, test := range map[string]struct {
		file, content string
		config        Config
		want          []segmenttest.Row
	}{
		"a long value": {"people.csv", csv("9,x@example.com," + strings.Repeat("z", long)), Config{},
			[]segmenttest.Row{anna, badRow(3, segment.ProblemLongRow), bob}},
		"a long value in quotes": {"people.csv", csv(`9,x@example.com,"` + strings.Repeat("z", long) + `"`), Config{},
			[]segmenttest.Row{anna, badRow(3, segment.ProblemLongRow), bob}},
		"many values": {"people.csv", csv(strings.Repeat("z,", long/2)), Config{},
			[]segmenttest.Row{anna, badRow(3, segment.ProblemLongRow), bob}},
		"a long value of many lines": {"people.csv", csv(`9,x@example.com,"` + strings.Repeat("zzz\n", long/4) + `"`), Config{},
			[]segmenttest.Row{anna, badRow(3, segment.ProblemLongRow), person(4+long/4, bob.Values...)}},
		"one after the other": {"people.csv", csv(strings.Repeat("z", long) + "\n" + strings.Repeat("y", long)), Config{},
			[]segmenttest.Row{anna, badRow(3, segment.ProblemLongRow), badRow(4, segment.ProblemLongRow), person(5, bob.Values...)}},
		"at the end": {"people.csv", strings.TrimSuffix(csv(""), "\n2,bob@example.com,Kraków\n") + strings.Repeat("z", long), Config{},
			[]segmenttest.Row{anna, badRow(3, segment.ProblemLongRow)}},
		"compressed": {"people.csv.gz", string(packed(t, []byte(csv(strings.Repeat("z", long))))), Config{},
			[]segmenttest.Row{anna, badRow(3, segment.ProblemLongRow), bob}},
		"with backslashes": {"people.csv", csv(`9,x@example.com,"` + strings.Repeat(`\"`, long/2) + `"`), Config{QuoteEscape: quoteBackslash},
			[]segmenttest.Row{anna, badRow(3, segment.ProblemLongRow), bob}},
		"JSON": {"people.ndjson", lines(`{"Id":"9","City":"` + strings.Repeat("z", long) + `"}`), Config{},
			[]segmenttest.Row{person(1, anna.Values...), badRow(2, segment.ProblemLongRow), person(3, bob.Values...)}},
		"JSON, at the end": {"people.ndjson", lines("") + strings.Repeat("z", long), Config{},
			[]segmenttest.Row{person(1, anna.Values...), person(3, bob.Values...), badRow(4, segment.ProblemLongRow)}},
		"a long text in a workbook": {"people.xlsx", book(rowXML(t, 3, "9", "x@example.com", strings.Repeat("z", maxRowXML))), Config{},
			[]segmenttest.Row{anna, badRow(3, segment.ProblemLongRow), bob}},
		"cells that share a long text": {"people.xlsx", book(`<row r="3">` + strings.Repeat(`<c t="s"><v>0</v></c>`, 20) + `</row>`), Config{},
			[]segmenttest.Row{anna, badRow(3, segment.ProblemLongRow), bob}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.source.config = test.config
			f.put(t, test.file, []byte(test.content))
			if strings.HasSuffix(test.file, ".xlsx") {
				require.Equal(t, test.want, segmenttest.ReadAll(t, f.source, "people", asked, nil))
				return
			}
			readsAs(t, f.source, test.want, nil)
			f.source.tree = inRanges{f.source.tree, 4 << 10}
			readsAs(t, f.source, test.want, nil)
		})
	}
}

// A row of a sheet may become too long at any of its bytes, also in its end.
func TestARowOfASheetThatBecomesTooLong(t *testing.T) {
	const head, rest = `<row r="1">`, `<c r="A1"><v>1</v></c></row ><x:row r="2"><x:c r="A2"><x:v>2</x:v></x:c></x:row><row r="3"><c><v>3</v></c></row></sheetData>`
	end := strings.Index(rest, "<x:row")
	for most := len(head); most < len(head)+end+5; most++ {
		r := &sheetRows{limit: newLimited(t.Context(), strings.NewReader(head+rest))}
		r.xml, r.limit.left = xml.NewDecoder(r.limit), int64(most)
		require.NoError(t, r.row(true))
		require.Equal(t, most < len(head)+end, r.long, most)
		for _, want := range []string{"2", "3"} {
			require.NoError(t, r.row(true))
			require.Equal(t, []string{want}, r.cells)
			require.False(t, r.long)
		}
		require.ErrorIs(t, r.row(true), io.EOF)
	}
}

// What is passed over is not held, however long it is.
func TestALongRowTakesNoMemory(t *testing.T) {
	const long = 32 << 20
	for name, row := range map[string]string{"a line": "z", "lines in quotes": "zzzzzzz\n"} {
		t.Run(name, func(t *testing.T) {
			head := "Id,Email,City\n1,anna@example.com,Oslo\n9,x@example.com,\""
			tail := "\"\n2,bob@example.com,Kraków\n"
			content := &generated{head: head, piece: row, times: long / len(row), tail: tail}
			of := set{}
			r, err := of.csvRows(t.Context(), content, content.size(), "file", asked, nil)
			require.NoError(t, err)
			var problems []segment.Problem
			require.Less(t, allocates(func() {
				for {
					row, err := r.next()
					if err != nil {
						require.ErrorIs(t, err, io.EOF)
						return
					}
					problems = append(problems, row.Problem)
				}
			}), uint64(16<<20))
			require.Equal(t, []segment.Problem{"", segment.ProblemLongRow, ""}, problems)
		})
	}
}

// generated is content that repeats a piece.
type generated struct {
	head, piece, tail string
	times             int
}

var _ tree.Content = (*generated)(nil)

func (g *generated) size() int64 { return int64(len(g.head) + len(g.piece)*g.times + len(g.tail)) }

func (g *generated) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		at := off + int64(i)
		if at >= g.size() {
			return i, io.EOF
		}
		p[i] = g.at(int(at))
	}
	return len(p), nil
}

func (g *generated) at(i int) byte {
	if i < len(g.head) {
		return g.head[i]
	}
	if i -= len(g.head); i < len(g.piece)*g.times {
		return g.piece[i%len(g.piece)]
	}
	return g.tail[i-len(g.piece)*g.times]
}

func (*generated) Chunk() int { return 128 << 10 }

func (*generated) Close() error { return nil }
