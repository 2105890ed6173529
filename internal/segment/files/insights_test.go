package files

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

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
		"a column twice":     {`{"entities": [{"name": "Gold", "attributes": [{"name": "id"}, {"name": "id"}]}]}`, `table "Gold" names its column 2 a second time`},
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
	require.ErrorIs(t, drain(), segment.ErrMalformed)
	require.ErrorContains(t, drain(), "Gold_2.csv: the first line has none of the mapped columns")
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
	// Without its model an export has files, and no columns.
	f.put(t, "bare/Gold/2026/11/25/0615/Gold_1.csv", []byte("1\n"))
	_, err = f.read(t, Config{Path: "bare", Layout: LayoutCustomerInsights}).Segments(t.Context())
	require.ErrorIs(t, err, segment.ErrMalformed)
	require.ErrorContains(t, err, "or its model.json was not copied with it, and that alone tells the columns")
	checks, err := f.read(t, Config{Path: "bare"}).Test(t.Context())
	require.NoError(t, err)
	require.False(t, checks[0].OK)
	require.Contains(t, checks[0].Action, "with its model.json")
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
	require.Len(t, infos, 1)
	require.NotZero(t, infos[0].RefreshedAt)
	infos[0].RefreshedAt = time.Time{}
	require.Equal(t, []segment.Info{{Name: "plain", Bytes: 5}}, infos)
}
