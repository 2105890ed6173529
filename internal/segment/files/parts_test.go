package files

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/unicode"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

func TestPartsOfASegment(t *testing.T) {
	const head = "Id,Email,City\n"
	a, b, c := "1,anna@example.com,Oslo\n", "2,bob@example.com,Kraków\n", "3,c@example.com,Rome\n"
	// With a header in each part, and in the first alone.
	each := []segmenttest.Row{person(2, "1", "anna@example.com", "Oslo"), person(4, "2", "bob@example.com", "Kraków"), person(6, "3", "c@example.com", "Rome")}
	first := []segmenttest.Row{person(2, each[0].Values...), person(3, each[1].Values...), person(4, each[2].Values...)}
	none := []segmenttest.Row{person(1, each[0].Values...), person(2, each[1].Values...), person(3, each[2].Values...)}
	le, be := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	tabs := func(text string) string { return strings.ReplaceAll(text, ",", "\t") }
	for name, test := range map[string]struct {
		files  map[string]string
		config Config
		want   []segmenttest.Row
		notes  []string
	}{
		"BigQuery":              {files: map[string]string{"people-000000000000.csv": head + a, "people-000000000002.csv": head + c, "people-000000000001.csv": head + b}, want: each},
		"BigQuery, no dash":     {files: map[string]string{"people000000000000.csv": head + a, "people000000000001.csv": head + b, "people000000000002.csv": head + c}, want: each},
		"BigQuery, compressed":  {files: map[string]string{"people-000000000000.csv.gz": string(packed(t, []byte(head+a))), "people-000000000001.csv.gz": string(packed(t, []byte(head+b))), "people-000000000002.csv.gz": string(packed(t, []byte(head+c)))}, want: each},
		"only one part":         {files: map[string]string{"people-000000000000.csv": head + a + b + c}, want: first},
		"another order":         {files: map[string]string{"people-000000000000.csv": head + a, "people-000000000001.csv": "City,Id,Email\nKraków,2,bob@example.com\n", "people-000000000002.csv": head + c}, want: each},
		"another separator":     {files: map[string]string{"people-000000000000.csv": head + a, "people-000000000001.csv": "sep=;\n" + strings.ReplaceAll(head+b, ",", ";"), "people-000000000002.csv": tabs(head + c)}, want: []segmenttest.Row{each[0], person(5, each[1].Values...), person(7, each[2].Values...)}},
		"Spark":                 {files: map[string]string{"people/part-00000-abc-c000.csv": head + a, "people/part-00001-abc-c000.csv": head + b, "people/part-00002-abc-c000.csv": head + c, "people/_SUCCESS": "", "people/.part-00000-abc-c000.csv.crc": "x", "people/_committed_1": "{}"}, want: each},
		"Spark, without a mark": {files: map[string]string{"people/part-00000.csv": head + a, "people/part-00001.csv": head + b, "people/part-00002.csv": head + c}, want: each},
		"a folder named .csv":   {files: map[string]string{"people.csv/part-00000.csv": head + a, "people.csv/part-00001.csv": head + b, "people.csv/part-00002.csv": head + c, "people.csv/_SUCCESS": ""}, want: each},
		"any name, with a mark": {files: map[string]string{"people/north.csv": head + a, "people/south.csv": head + b, "people/west.CSV": head + c, "people/_SUCCESS": ""}, want: each},
		"Snowflake":             {files: map[string]string{"people/data_0_0_0.csv.gz": string(packed(t, []byte(head+a))), "people/data_0_1_0.csv.gz": string(packed(t, []byte(head+b))), "people/data_0_2_0.csv.gz": string(packed(t, []byte(head+c)))}, want: each},
		"Beam":                  {files: map[string]string{"people-00000-of-00003.csv": head + a, "people-00001-of-00003.csv": head + b, "people-00002-of-00003.csv": head + c}, want: each},
		"a header in the first": {files: map[string]string{"people-000000000000.csv": head + a, "people-000000000001.csv": b, "people-000000000002.csv": c}, want: first},
		"no header, named":      {files: map[string]string{"people-000000000000.csv": a, "people-000000000001.csv": b, "people-000000000002.csv": c}, config: Config{Columns: asked}, want: none},
		"an empty part":         {files: map[string]string{"people-000000000000.csv": "", "people-000000000001.csv": head + a, "people-000000000002.csv": head + b + c}, want: []segmenttest.Row{each[0], each[1], person(5, each[2].Values...)}},
		"empty, compressed":     {files: map[string]string{"people-000000000000.csv.gz": string(packed(t, nil)), "people-000000000001.csv.gz": string(packed(t, []byte(head+a))), "people-000000000002.csv.gz": string(packed(t, nil)), "people-000000000003.csv.gz": string(packed(t, []byte(head+b+c)))}, want: []segmenttest.Row{each[0], each[1], person(5, each[2].Values...)}},
		"only a header":         {files: map[string]string{"people-000000000000.csv": head + a, "people-000000000001.csv": head, "people-000000000002.csv": head + b + c}, want: []segmenttest.Row{each[0], person(5, each[1].Values...), person(6, each[2].Values...)}},
		"UTF-16 of two kinds":   {files: map[string]string{"people-000000000000.csv": encoded(t, le, head+a), "people-000000000001.csv": encoded(t, be, tabs(head+b)), "people-000000000002.csv": "\ufeff" + head + c}, want: each},
		"UTF-16, one header":    {files: map[string]string{"people-000000000000.csv": encoded(t, le, head+a), "people-000000000001.csv": encoded(t, le, b), "people-000000000002.csv": encoded(t, be, c)}, want: first},
		"blank rows in parts":   {files: map[string]string{"people-000000000000.csv": ",,\n" + head + a + ",,\n", "people-000000000001.csv": head + ",,\n" + b, "people-000000000002.csv": head + c + ",,\n"}, want: []segmenttest.Row{person(3, each[0].Values...), person(7, each[1].Values...), person(9, each[2].Values...)}, notes: []string{`segment "people": blank rows skipped: 4`}},
		"JSON":                  {files: map[string]string{"people-000000000000.json.ndjson": "", "people/part-0.jsonl": `{"Id":1,"Email":"anna@example.com","City":"Oslo"}` + "\n", "people/part-1.jsonl": `{"City":"Kraków","Id":"2","Email":"bob@example.com","More":{"x":[1]}}`}, want: none[:2]},
		"big letters":           {files: map[string]string{"people.CSV": head + a + b + c}, want: first},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			for file, content := range test.files {
				f.write(t, file, content)
			}
			f.source.config = test.config
			infos, err := f.source.Segments(t.Context())
			require.NoError(t, err)
			require.Contains(t, namesOf(infos), "people")
			readsAs(t, f.source, test.want, test.notes)
		})
	}
}

func namesOf(infos []segment.Info) []string {
	var names []string
	for _, i := range infos {
		names = append(names, i.Name)
	}
	return names
}

func TestPartsThatCannotBeRead(t *testing.T) {
	const head, row = "Id,Email,City\n", "1,anna@example.com,Oslo\n"
	const first, second, third = "people-000000000000.csv", "people-000000000001.csv", "people-000000000002.csv"
	old := time.Now().Add(-time.Hour)
	for name, test := range map[string]struct {
		files map[string]string
		old   bool
		is    error
		says  string
	}{
		"a part is missing":             {map[string]string{first: head, third: head}, true, segment.ErrMalformed, "people-000000000000.csv has no part 1"},
		"a part may still come":         {map[string]string{first: head, third: head}, false, segment.ErrBusy, "the part 1 is missing"},
		"the first is missing":          {map[string]string{second: head}, true, segment.ErrMalformed, "has no part 0"},
		"the last is missing":           {map[string]string{"people-00000-of-00002.csv": head}, true, segment.ErrMalformed, "has no part 1"},
		"still being written":           {map[string]string{"people/part-00000.csv": head, "people/_temporary/0/x": ""}, true, segment.ErrBusy, "segments/people is still being written"},
		"several kinds":                 {map[string]string{"people/part-00000.csv": head, "people/part-00001.parquet": "", "people/_SUCCESS": ""}, true, segment.ErrMalformed, "segments/people holds parts of several kinds"},
		"parts and a file":              {map[string]string{first: head, "people.csv": head}, true, segment.ErrMalformed, `are both the segment "people"; remove one of them`},
		"parts and a folder":            {map[string]string{first: head, "people/part-0.csv": head}, true, segment.ErrMalformed, `and segments/people are both the segment "people"`},
		"parts of two kinds":            {map[string]string{first: head, "people-000000000001.csv.gz": ""}, true, segment.ErrMalformed, "are both the segment"},
		"a Delta table":                 {map[string]string{"people/part-00000.snappy.parquet": "", "people/_delta_log/00000000000000000000.json": "{}"}, true, segment.ErrMalformed, "segments/people is a Delta table"},
		"a Delta table, in partitions":  {map[string]string{"people/year=2026/part-00000.parquet": "", "people/_delta_log/00000000000000000000.json": "{}"}, true, segment.ErrMalformed, "segments/people is a Delta table"},
		"in a Delta table":              {map[string]string{"part-00000.snappy.parquet": "", "_delta_log/00000000000000000000.json": "{}"}, true, segment.ErrMalformed, "segments is a Delta table"},
		"neither a header nor a row":    {map[string]string{first: head + row, second: "Name,Mail,Town\nx,y,z\n"}, true, segment.ErrMalformed, "people-000000000001.csv: line 1: the first row is neither the header"},
		"a column is missing in a part": {map[string]string{first: head + row, second: "Id,Email\n2,b@example.com\n"}, true, nil, `people-000000000001.csv has no column "City"`},
		"a folder of something else":    {map[string]string{"people/notes.csv": head}, true, segment.ErrNotFound, "no such segment"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			for file, content := range test.files {
				f.write(t, file, content)
				if test.old {
					require.NoError(t, os.Chtimes(filepath.Join(f.dir, filepath.FromSlash(file)), old, old))
				}
			}
			r, err := f.source.Open(t.Context(), "people", asked, nil)
			if err == nil {
				_, err = segmenttest.Drain(r)
				require.NoError(t, r.Close())
			}
			require.ErrorContains(t, err, test.says)
			if test.is != nil {
				require.ErrorIs(t, err, test.is)
			}
		})
	}
}

// The parts of a segment are those that there were: one that comes is a change.
func TestAPartThatComesLater(t *testing.T) {
	const head = "Id,Email,City\n"
	f := newFolder(t)
	f.write(t, "people-000000000000.csv", head+"1,anna@example.com,Oslo\n")
	r, err := f.source.Open(t.Context(), "people", asked, nil)
	require.NoError(t, err)
	defer r.Close()
	_, err = r.Next()
	require.NoError(t, err)
	f.write(t, "people-000000000001.csv", head)
	_, err = r.Next()
	require.ErrorIs(t, err, segment.ErrChanged)
	_, err = f.source.Open(t.Context(), "people", asked, r.Cursor())
	require.ErrorIs(t, err, segment.ErrChanged)
}

// A break inside the second of three parts: the rows until then are right, and
// the read continues from there.
func TestBreaksInsideAPart(t *testing.T) {
	const people, read = 6_000, 2_100
	table := segmenttest.Table{Fields: asked}
	for i := range people {
		table.Rows = append(table.Rows, []string{segmenttest.ID(i), fmt.Sprintf("p%d@example.com", i), "Łódź"})
	}
	writers := forms()
	writers["parts, lines"] = func(d disk) *stored {
		return &stored{disk: d, write: inParts("%s-%012d.ndjson", linesOf)}
	}
	for _, on := range []string{"folder", "azure"} {
		for _, form := range []string{"parts", "parts, gzip", "parts, one header", "parts, parquet", "parts, lines", "customer insights"} {
			t.Run(on+", "+form, func(t *testing.T) {
				p := writers[form](disks[on](t))
				p.open(t)
				p.Put(t, "people", table)
				begin, mend := p.Break(t, "people", segmenttest.Cut)
				r, err := p.source.Open(t.Context(), "people", asked, nil)
				require.NoError(t, err)
				var got [][]string
				for range read {
					row, err := r.Next()
					require.NoError(t, err)
					got = append(got, slices.Clone(row.Values))
				}
				begin()
				rest, err := segmenttest.Drain(r)
				require.Error(t, err)
				require.NotErrorIs(t, err, segment.ErrMalformed)
				cursor := r.Cursor()
				require.NoError(t, r.Close())
				mend()
				for _, row := range append(rest, segmenttest.ReadAll(t, p.source, "people", asked, cursor)...) {
					require.Empty(t, row.Problem)
					got = append(got, row.Values)
				}
				require.Equal(t, table.Rows, got)
				require.Less(t, len(rest), people-read)
			})
		}
	}
}
