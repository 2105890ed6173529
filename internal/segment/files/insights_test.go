package files

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

// insights is an export in a folder, of which the test writes each file.
type insights struct {
	*folder
	*exportWriter
	clock time.Time
}

func newInsights(t *testing.T, settings map[string]any) *insights {
	t.Helper()
	f := newFolder(t)
	i := &insights{folder: f, exportWriter: &exportWriter{settings: settings}, clock: time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)}
	f.source.now = func() time.Time { return i.clock }
	return i
}

// file writes a file that is a number of minutes old.
func (i *insights) file(t *testing.T, name, content string, minutes int) {
	t.Helper()
	i.put(t, name, []byte(content))
	at := i.clock.Add(-time.Duration(minutes) * time.Minute)
	require.NoError(t, os.Chtimes(filepath.Join(i.dir, filepath.FromSlash(name)), at, at))
}

func (i *insights) lines(t *testing.T) (string, []string) {
	t.Helper()
	r, err := i.source.Open(t.Context(), "Gold", []string{"id"}, nil)
	require.NoError(t, err)
	defer r.Close()
	rows, err := segmenttest.Drain(r)
	require.NoError(t, err)
	var ids []string
	for _, row := range rows {
		ids = append(ids, row.Values...)
	}
	return strings.Join(ids, " "), r.(segment.Noter).Notes()
}

func TestTheNewestCompleteRunIsRead(t *testing.T) {
	const old, recent, newest = "Gold/2026/11/24/0615/", "Gold/2026/11/25/0615/", "Gold/2026/11/25/0750/"
	for name, test := range map[string]struct {
		arrange func(t *testing.T, i *insights)
		want    string
		note    string
	}{
		"named by the model, just written": {func(t *testing.T, i *insights) {
			i.file(t, newest+"Gold_1.csv", "n\n", 0)
			i.model(t, i, "Gold", []string{"id"}, []string{newest + "Gold_1.csv"})
		}, "n", ""},
		"named, one missing": {func(t *testing.T, i *insights) {
			i.file(t, newest+"Gold_1.csv", "n\n", 30)
			i.model(t, i, "Gold", []string{"id"}, []string{newest + "Gold_1.csv", newest + "Gold_2.csv"})
		}, "r1 r2", "lacks Gold_2.csv, which model.json names"},
		"not named, settled": {func(t *testing.T, i *insights) {
			i.file(t, newest+"Gold_1.csv", "n\n", 10)
		}, "n", ""},
		"not named, being written": {func(t *testing.T, i *insights) {
			i.file(t, newest+"Gold_1.csv", "n\n", 30)
			i.file(t, newest+"Gold_2.csv", "n\n", 9)
		}, "r1 r2", `segment "Gold" was read from the run of 2026/11/25/0615: a newer run is not complete (segments/Gold/2026/11/25/0750: it is still being written, or was until 2026-11-25T07:51:00Z)`},
		"a gap in the numbers": {func(t *testing.T, i *insights) {
			i.file(t, newest+"Gold_1.csv", "n\n", 30)
			i.file(t, newest+"Gold_3.csv", "n\n", 30)
		}, "r1 r2", "it has a file 3 and no file 2"},
		"the first is missing": {func(t *testing.T, i *insights) { i.file(t, newest+"Gold_2.csv", "n\n", 30) }, "r1 r2", "it has no file 1"},
		"a number twice": {func(t *testing.T, i *insights) {
			i.file(t, newest+"Gold_1.csv", "n\n", 30)
			i.file(t, newest+"Gold_01.csv", "n\n", 30)
		}, "r1 r2", "two files with the number 1"},
		"partly compressed": {func(t *testing.T, i *insights) {
			i.file(t, newest+"Gold_1.csv", "n\n", 30)
			i.put(t, newest+"Gold_2.csv.gz", packed(t, []byte("n\n")))
		}, "r1 r2", "some of its files are compressed and some are not"},
		"an empty folder":       {func(t *testing.T, i *insights) { i.file(t, newest+"_SUCCESS", "", 30) }, "r1 r2", "it has no files of the table"},
		"numbers from 0":        {func(t *testing.T, i *insights) { i.file(t, newest+"Gold_0.csv", "n\n", 30) }, "n", ""},
		"in the order of 2, 10": {func(t *testing.T, i *insights) { tenFiles(t, i, newest) }, "1 2 3 4 5 6 7 8 9 10", ""},
		"other folders and files": {func(t *testing.T, i *insights) {
			i.file(t, "Gold/2027/1/1/0000/Gold_1.csv", "x\n", 30)
			i.file(t, "Gold/latest/01/01/0000/Gold_1.csv", "x\n", 30)
			i.file(t, recent+"Silver_1.csv", "x\n", 30)
			i.file(t, recent+"Gold_1.csv.tmp", "x\n", 30)
		}, "r1 r2", ""},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInsights(t, nil)
			i.file(t, old+"Gold_1.csv", "o\n", 60)
			i.file(t, recent+"Gold_1.csv", "r1\n", 60)
			i.file(t, recent+"Gold_2.csv", "r2\n", 60)
			i.model(t, i, "Gold", []string{"id"}, nil)
			test.arrange(t, i)
			got, notes := i.lines(t)
			require.Equal(t, test.want, got)
			if test.note == "" {
				require.Empty(t, notes)
			} else {
				require.Len(t, notes, 1)
				require.Contains(t, notes[0], test.note)
			}
		})
	}
}

func tenFiles(t *testing.T, i *insights, run string) {
	t.Helper()
	for n := 1; n <= 10; n++ {
		i.file(t, fmt.Sprintf("%sGold_%d.csv", run, n), fmt.Sprintf("%d\n", n), 30)
	}
}

func TestNoCompleteRun(t *testing.T) {
	const run = "Gold/2026/11/25/0750/"
	i := newInsights(t, nil)
	i.model(t, i, "Gold", []string{"id"}, nil)
	open := func() error {
		_, err := i.source.Open(t.Context(), "Gold", []string{"id"}, nil)
		return err
	}
	require.ErrorIs(t, open(), segment.ErrNotFound, "no folder of the table")
	require.NoError(t, os.Mkdir(filepath.Join(i.dir, "Gold"), 0o700))
	require.ErrorIs(t, open(), segment.ErrNotFound)
	require.ErrorContains(t, open(), "segments/Gold has no folder of a run (yyyy/MM/dd/HHmm) with Gold_1.csv")

	i.file(t, run+"Gold_1.csv", "1\n", 4)
	var busy *segment.BusyError
	require.ErrorAs(t, open(), &busy)
	require.Equal(t, 6*time.Minute, busy.RetryAfter)
	require.Contains(t, busy.Reason, "it is still being written")
	i.clock = i.clock.Add(6 * time.Minute)
	require.NoError(t, open())

	i.file(t, run+"Gold_3.csv", "3\n", 60)
	i.file(t, run+"Gold_1.csv", "1\n", 60)
	require.ErrorIs(t, open(), segment.ErrMalformed, "it will not mend itself")
	require.ErrorContains(t, open(), "segments/Gold has no complete run; segments/Gold/2026/11/25/0750: it has a file 3 and no file 2")
}

// A read stays in the run that it began with, and goes on there when it was
// broken off, whatever has been exported since.
func TestANewerRunDoesNotDisturbAReading(t *testing.T) {
	const first, second = "Gold/2026/11/25/0615/", "Gold/2026/11/25/0750/"
	i := newInsights(t, nil)
	i.file(t, first+"Gold_1.csv", "1\n2\n", 60)
	i.file(t, first+"Gold_2.csv", "3\n4\n", 60)
	i.model(t, i, "Gold", []string{"id"}, []string{first + "Gold_1.csv", first + "Gold_2.csv"})
	r, err := i.source.Open(t.Context(), "Gold", []string{"id"}, nil)
	require.NoError(t, err)
	defer r.Close()
	for range 3 {
		_, err = r.Next()
		require.NoError(t, err)
	}
	i.file(t, second+"Gold_1.csv", "new\n", 0)
	i.model(t, i, "Gold", []string{"id"}, []string{second + "Gold_1.csv"})
	rest := segmenttest.ReadAll(t, i.source, "Gold", []string{"id"}, r.Cursor())
	require.Equal(t, []segmenttest.Row{{Number: 4, Values: []string{"4"}}}, rest)
	same, err := segmenttest.Drain(r)
	require.NoError(t, err)
	require.Equal(t, rest, same)
	got, _ := i.lines(t)
	require.Equal(t, "new", got)

	info, err := i.source.Describe(t.Context(), "Gold")
	require.NoError(t, err)
	require.Equal(t, segment.Info{Name: "Gold", Fields: []string{"id"}, Bytes: 4, RefreshedAt: time.Date(2026, 11, 25, 7, 50, 0, 0, time.UTC)}, info)

	// With other columns the same files mean something else.
	i.model(t, i, "Gold", []string{"id", "more"}, []string{second + "Gold_1.csv"})
	_, err = i.source.Open(t.Context(), "Gold", []string{"id"}, r.Cursor())
	require.ErrorIs(t, err, segment.ErrChanged)
	require.NoError(t, os.RemoveAll(filepath.Join(i.dir, "Gold/2026/11/25/0615")))
	i.model(t, i, "Gold", []string{"id"}, []string{second + "Gold_1.csv"})
	_, err = i.source.Open(t.Context(), "Gold", []string{"id"}, r.Cursor())
	require.ErrorIs(t, err, segment.ErrChanged, "the run is gone")
}

func TestAPartitionThatChangesInMidRead(t *testing.T) {
	const run = "Gold/2026/11/25/0615/"
	for name, change := range map[string]func(i *insights){
		"the one being read": func(i *insights) { i.file(t, run+"Gold_1.csv", "9\n9\n", 60) },
		"one read before":    func(i *insights) { i.file(t, run+"Gold_0.csv", "9\n9\n", 60) },
		"a later one":        func(i *insights) { i.file(t, run+"Gold_2.csv", "9\n9\n", 60) },
		"a later one gone":   func(i *insights) { require.NoError(t, os.Remove(filepath.Join(i.dir, run+"Gold_2.csv"))) },
	} {
		t.Run(name, func(t *testing.T) {
			i := newInsights(t, nil)
			var locations []string
			for n := range 3 {
				locations = append(locations, fmt.Sprintf("%sGold_%d.csv", run, n))
				i.file(t, locations[n], "1\n2\n", 60)
			}
			i.model(t, i, "Gold", []string{"id"}, locations)
			r, err := i.source.Open(t.Context(), "Gold", []string{"id"}, nil)
			require.NoError(t, err)
			defer r.Close()
			for range 3 {
				_, err = r.Next()
				require.NoError(t, err)
			}
			change(i)
			_, err = segmenttest.Drain(r)
			require.ErrorIs(t, err, segment.ErrChanged)
		})
	}
}

func TestHowAnExportIsWritten(t *testing.T) {
	latin1 := func(s string) string {
		text, err := charmap.Windows1252.NewEncoder().String(s)
		require.NoError(t, err)
		return text
	}
	utf16 := func(s string) string {
		text, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(s)
		require.NoError(t, err)
		return text
	}
	row := func(number int64, values ...string) segmenttest.Row {
		return segmenttest.Row{Number: number, Values: values}
	}
	for name, test := range map[string]struct {
		settings map[string]any
		config   Config
		content  string
		want     []segmenttest.Row
	}{
		"by default":             {nil, Config{}, "1,\"a, \"\"b\"\"\"\n2,c\n", []segmenttest.Row{row(1, "1", `a, "b"`), row(2, "2", "c")}},
		"a mark":                 {nil, Config{}, "\ufeff1,a\n", []segmenttest.Row{row(1, "1", "a")}},
		"all quoted":             {map[string]any{"quoteStyle": "QuoteStyle.Csv", "csvStyle": "CsvStyle.QuoteAlways"}, Config{}, "\"1\",\"a\n\"\r\n", []segmenttest.Row{row(1, "1", "a\n")}},
		"a header":               {map[string]any{"columnHeaders": true}, Config{}, "name,id\na,1\n", []segmenttest.Row{row(2, "1", "a")}},
		"semicolons":             {map[string]any{"delimiter": ";"}, Config{}, "1;a,b\n", []segmenttest.Row{row(1, "1", "a,b")}},
		"tabs":                   {map[string]any{"delimiter": "\t"}, Config{}, "1\ta;b\n", []segmenttest.Row{row(1, "1", "a;b")}},
		"bars, by the source":    {nil, Config{Delimiter: "|"}, "1|a,b\n", []segmenttest.Row{row(1, "1", "a,b")}},
		"tabs, by the source":    {map[string]any{"delimiter": ","}, Config{Delimiter: "tab"}, "1\ta,b\n", []segmenttest.Row{row(1, "1", "a,b")}},
		"no quotes":              {map[string]any{"quoteStyle": "QuoteStyle.None"}, Config{}, "1,\"a\r\n\n2,b\"c\"\n3", []segmenttest.Row{row(1, "1", `"a`), row(3, "2", `b"c"`), {Number: 4, Problem: segment.ProblemColumns}}},
		"windows-1252":           {map[string]any{"encoding": "windows-1252"}, Config{}, latin1("1,Zoë €\n2,é\n"), []segmenttest.Row{row(1, "1", "Zoë €"), row(2, "2", "é")}},
		"windows, by the source": {map[string]any{"encoding": "UTF-8"}, Config{Encoding: "windows-1252"}, latin1("1,Zoë\n"), []segmenttest.Row{row(1, "1", "Zoë")}},
		"UTF-16":                 {map[string]any{"encoding": "utf-16le"}, Config{}, utf16("1,東京\n2,👩\n"), []segmenttest.Row{row(1, "1", "東京"), row(2, "2", "👩")}},
		"UTF-16, half a pair":    {map[string]any{"encoding": "utf-16le"}, Config{}, utf16("1,a\n") + "2\x00,\x00\x00\xd8\n\x003\x00,\x00b\x00", []segmenttest.Row{row(1, "1", "a"), {Number: 2, Problem: segment.ProblemEncoding}, row(3, "3", "b")}},
		"too many columns":       {nil, Config{}, "1,a,x\n2,b\n", []segmenttest.Row{{Number: 1, Problem: segment.ProblemColumns}, row(2, "2", "b")}},
		"nothing":                {nil, Config{}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInsights(t, test.settings)
			i.source.config = test.config
			const file = "Gold/2026/11/25/0615/Gold_1.csv"
			i.file(t, file, test.content, 60)
			i.model(t, i, "Gold", []string{"id", "name"}, []string{file})
			require.Equal(t, test.want, segmenttest.ReadAll(t, i.source, "Gold", []string{"id", "name"}, nil))
			// From each row on.
			r, err := i.source.Open(t.Context(), "Gold", []string{"id", "name"}, nil)
			require.NoError(t, err)
			defer r.Close()
			for n := range test.want {
				require.Equal(t, test.want[n:], segmenttest.ReadAll(t, i.source, "Gold", []string{"id", "name"}, r.Cursor()))
				_, err := r.Next()
				require.NoError(t, err)
			}
		})
	}
}

func TestAnExportThatCannotBeRead(t *testing.T) {
	const file = "Gold/2026/11/25/0615/Gold_1.csv"
	entity := func(rest string) string {
		return `{"entities": [{"name": "Gold", "attributes": [{"name": "id"}], "partitions": [{"location": "https://x/` + file + `"` + rest + `}]}]}`
	}
	for name, test := range map[string]struct{ model, text string }{
		"no JSON":            {"<html>", "segments/model.json is not the description of an export"},
		"another JSON":       {`{"entities": 1}`, "segments/model.json is not the description of an export"},
		"no name":            {`{"entities": [{}]}`, "has a table without a name"},
		"two of a name":      {`{"entities": [{"name": "Gold"}, {"name": "Gold"}]}`, `has two tables "Gold"`},
		"no columns":         {`{"entities": [{"name": "Gold"}]}`, `table "Gold" has no columns, and its files have no header`},
		"a column, no name":  {`{"entities": [{"name": "Gold", "attributes": [{"name": "id"}, {}]}]}`, "column 2 has no name"},
		"a column twice":     {`{"entities": [{"name": "Gold", "attributes": [{"name": "id"}, {"name": "id"}]}]}`, `names the column "id" twice`},
		"a long delimiter":   {entity(`, "fileFormatSettings": {"delimiter": "||"}`), `"||" cannot separate columns`},
		"a quote between":    {entity(`, "fileFormatSettings": {"delimiter": "\""}`), `cannot separate columns`},
		"an odd encoding":    {entity(`, "fileFormatSettings": {"encoding": "klingon"}`), `"klingon" is not the name of an encoding`},
		"an odd quote style": {entity(`, "fileFormatSettings": {"quoteStyle": "QuoteStyle.Wild"}`), `the quote style "QuoteStyle.Wild" is not known`},
		"two ways": {`{"entities": [{"name": "Gold", "attributes": [{"name": "id"}], "partitions": [{}, {"fileFormatSettings": {"delimiter": ";"}}]}]}`,
			"are not all written the same way"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInsights(t, nil)
			i.file(t, file, "1\n", 60)
			i.put(t, modelName, []byte(test.model))
			_, err := i.source.Open(t.Context(), "Gold", []string{"id"}, nil)
			require.ErrorIs(t, err, segment.ErrMalformed)
			require.ErrorContains(t, err, test.text)
		})
	}
	i := newInsights(t, nil)
	i.file(t, file, "1,\"a\n", 60)
	i.model(t, i, "Gold", []string{"id", "name"}, nil)
	_, err := i.source.Open(t.Context(), "Gold", []string{"id", "Name"}, nil)
	var missing *segment.MissingFieldsError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, []string{"Name"}, missing.Missing)
	r, err := i.source.Open(t.Context(), "Gold", []string{"id"}, nil)
	require.NoError(t, err)
	defer r.Close()
	_, err = r.Next()
	require.ErrorIs(t, err, segment.ErrMalformed)
	require.ErrorContains(t, err, "segments/"+file+": line 1: a quote in column")
	_, err = i.source.Open(t.Context(), "gold", nil, nil)
	require.ErrorContains(t, err, `segments/gold.csv: no such segment; there is "Gold"`)
	i.file(t, file, "PK\x03\x04", 60)
	_, err = i.source.Open(t.Context(), "Gold", nil, nil)
	require.ErrorContains(t, err, "an Excel workbook")
}

// A header that the model promises, in a later file that has none.
func TestALaterFileWithoutItsHeader(t *testing.T) {
	const run = "Gold/2026/11/25/0615/"
	i := newInsights(t, map[string]any{"columnHeaders": true})
	i.file(t, run+"Gold_1.csv", "id\n1\n", 60)
	i.file(t, run+"Gold_2.csv", "", 60)
	i.model(t, i, "Gold", []string{"id"}, []string{run + "Gold_1.csv", run + "Gold_2.csv"})
	drain := func() error {
		r, err := i.source.Open(t.Context(), "Gold", []string{"id"}, nil)
		require.NoError(t, err)
		defer r.Close()
		_, err = segmenttest.Drain(r)
		return err
	}
	require.ErrorIs(t, drain(), segment.ErrMalformed)
	require.ErrorContains(t, drain(), "Gold_2.csv is empty, and should begin with a header")
	i.file(t, run+"Gold_2.csv", "2\n", 60)
	var missing *segment.MissingFieldsError
	require.ErrorAs(t, drain(), &missing)
	require.Contains(t, missing.Place, "Gold_2.csv")
}

func TestWhereTheExportIs(t *testing.T) {
	put := func(t *testing.T, f *folder, export string) {
		t.Helper()
		f.put(t, export+"/Gold/2026/11/25/0615/Gold_1.csv", []byte("1\n"))
		f.put(t, export+"/"+modelName, []byte(`{"entities": [{"name": "Gold", "attributes": [{"name": "id"}], "partitions": [{"location": "https://x/Gold/2026/11/25/0615/Gold_1.csv"}]}]}`))
	}
	f := newFolder(t)
	put(t, f, "lake/CustomerInsights_1234/daily")
	for _, at := range []string{"lake", "lake/CustomerInsights_1234", "lake/CustomerInsights_1234/daily"} {
		for _, layout := range []Layout{"", LayoutAuto, LayoutCustomerInsights} {
			s := f.read(t, Config{Path: at, Layout: layout})
			infos, err := s.Segments(t.Context())
			require.NoError(t, err)
			require.Equal(t, []segment.Info{{Name: "Gold"}}, infos, at)
			require.Len(t, segmenttest.ReadAll(t, s, "Gold", []string{"id"}, nil), 1)
		}
		infos, err := f.read(t, Config{Path: at, Layout: LayoutPlain}).Segments(t.Context())
		require.NoError(t, err)
		require.Empty(t, infos)
	}
	_, err := f.read(t, Config{Path: "lake/CustomerInsights_1234/daily/Gold", Layout: LayoutCustomerInsights}).Segments(t.Context())
	require.ErrorIs(t, err, segment.ErrMalformed)
	require.ErrorContains(t, err, "it is not an export of Customer Insights")
	put(t, f, "lake/CustomerInsights_1234/weekly")
	for _, at := range []string{"lake", "lake/CustomerInsights_1234"} {
		_, err := f.read(t, Config{Path: at}).Segments(t.Context())
		require.ErrorIs(t, err, segment.ErrMalformed)
		require.ErrorContains(t, err, "has several exports of Customer Insights; name one of them")
		require.ErrorContains(t, err, `daily"`)
		require.ErrorContains(t, err, `weekly"`)
	}
	// Elsewhere a model.json further down means nothing.
	put(t, f, "other/deeper")
	f.put(t, "other/plain.csv", []byte("id\n1\n"))
	infos, err := f.read(t, Config{Path: "other"}).Segments(t.Context())
	require.NoError(t, err)
	require.Equal(t, []segment.Info{{Name: "plain", Bytes: 5}}, infos)
}

func FuzzModel(f *testing.F) {
	for _, seed := range []string{
		`{"entities": [{"name": "Gold", "attributes": [{"name": "id"}], "partitions": [{"location": "https://x/Gold/2026/11/25/0615/Gold_1.csv", "fileFormatSettings": {"delimiter": ";"}}]}]}`,
		"\ufeff{}", `{"entities": null}`, `{"entities": [{"name": "a", "partitions": [{"location": "%"}]}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseModel(data, "model.json")
		if err != nil {
			require.ErrorIs(t, err, segment.ErrMalformed)
			return
		}
		for _, e := range m.Entities {
			d, err := e.dialect(Config{}, "model.json")
			if err != nil {
				require.ErrorIs(t, err, segment.ErrMalformed)
			} else {
				require.NotZero(t, d.comma)
			}
			for run, files := range e.named() {
				require.Regexp(t, `^\d{4}/\d{2}/\d{2}/\d{4}$`, run)
				require.NotEmpty(t, files)
			}
		}
	})
}

// FuzzExport reads any bytes as the file of an export, plain or compressed,
// without a header: the same rows each time, and the same rest from each place.
func FuzzExport(f *testing.F) {
	for _, seed := range []string{"1,2\n3,4\n", "\ufeff1,2", "\"x\r\ny\",\"\"\"\"\n", "1\n\xff,2\n5\" pipe,2\n3,\"4", "\n\n1,2\r\n"} {
		f.Add([]byte(seed), false, false)
		f.Add([]byte(seed), true, true)
		f.Add(packed(f, []byte(seed)), false, true)
		f.Add(packed(f, []byte(seed))[:15], false, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, noQuotes, compressed bool) {
		of := set{csv: dialect{comma: ',', fields: []string{"a", "b"}, noQuotes: noQuotes}}
		if compressed {
			of.form = formGzip
		}
		read := func(from *position) (rows []segmenttest.Row, at []position, err error) {
			r, err := of.csvRows(t.Context(), bytesContent(data), int64(len(data)), "file", of.csv.fields, from)
			if err != nil {
				return nil, nil, err
			}
			at = append(at, r.position())
			for {
				row, err := r.next()
				if err != nil {
					return rows, at, err
				}
				rows = append(rows, segmenttest.Row{Number: row.Number, Values: append([]string(nil), row.Values...), Problem: row.Problem})
				at = append(at, r.position())
			}
		}
		rows, at, failed := read(nil)
		if failed != io.EOF { //nolint:errorlint // nothing wraps it
			require.ErrorIs(t, failed, segment.ErrMalformed)
		}
		for i := 0; i < len(at); i += 1 + len(at)/20 {
			rest, _, err := read(&at[i])
			require.Equal(t, append([]segmenttest.Row(nil), rows[i:]...), rest)
			require.Equal(t, failed.Error(), err.Error())
		}
	})
}

// bytesContent is content in memory.
type bytesContent []byte

func (b bytesContent) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (bytesContent) Close() error { return nil }

func (bytesContent) Chunk() int { return 4 << 10 }
