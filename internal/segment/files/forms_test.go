package files

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
	"github.com/segment-export/segment-export/internal/segment/synthetic"
)

// What makes a CSV file bad makes a compressed one bad, with the same words.
func TestCompressedFilesThatCannotBeRead(t *testing.T) {
	long := []byte("a,b\n" + strings.Repeat("1,2\n", 100_000))
	wrongSum := packed(t, long)
	wrongSum[len(wrongSum)-8] ^= 1
	damagedWithin := packed(t, long)
	copy(damagedWithin[len(damagedWithin)/2:], "\xff\xff\xff\xff")
	for name, test := range map[string]struct {
		content []byte
		is      error
		text    string
	}{
		"no bytes":            {nil, segment.ErrEmpty, "segments/s.csv.gz is empty"},
		"nothing in it":       {packed(t, nil), segment.ErrEmpty, "segments/s.csv.gz is empty"},
		"not compressed":      {[]byte("a,b\n1,2\n"), segment.ErrMalformed, "segments/s.csv.gz: the compressed data are damaged or cut off, or the file is not gzip at all"},
		"cut off":             {packed(t, long)[:len(packed(t, long))-20], segment.ErrMalformed, "the compressed data are damaged or cut off"},
		"cut off at the head": {packed(t, long)[:9], segment.ErrMalformed, "the compressed data are damaged or cut off"},
		"a wrong checksum":    {wrongSum, segment.ErrMalformed, "segments/s.csv.gz: after line 100001: the compressed data are damaged or cut off"},
		"damaged within":      {damagedWithin, segment.ErrMalformed, "the compressed data are damaged or cut off"},
		"garbage behind":      {append(packed(t, long), "garbage"...), segment.ErrMalformed, "after line 100001: the compressed data are damaged or cut off"},
		"packed twice":        {packed(t, packed(t, long)), segment.ErrMalformed, "the file is compressed; unpack it first"},
		"cut off in quotes":   {packed(t, []byte("a,b\n1,2\n3,\"4\n")), segment.ErrMalformed, "segments/s.csv.gz: line 3: a quote in column"},
		"a row without end":   {packed(t, []byte("a,b\n1,2\n\n3,\"4"+strings.Repeat("x\n", maxRecord))), segment.ErrMalformed, "line 3: the row that begins here does not end within"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.put(t, "s.csv.gz", test.content)
			_, err := readAll(f.source, t)
			require.ErrorIs(t, err, test.is)
			require.ErrorContains(t, err, test.text)
		})
	}
}

// Rows with a problem of their own, and files of several compressed members.
func TestCompressedRows(t *testing.T) {
	f := newFolder(t)
	want := []segmenttest.Row{{Number: 2, Values: []string{"1", ""}}, {Number: 3, Problem: ProblemQuote},
		{Number: 4, Problem: segment.ProblemEncoding}, {Number: 6, Values: []string{"x\ny", "ü"}}}
	f.put(t, "s.csv.gz", append(packed(t, []byte("\ufeffa;b\r\n1\n5\" pipe;2\n\xff;2\n\n\"x\r")), packed(t, []byte("\ny\";ü\n"))...))
	require.Equal(t, want, segmenttest.ReadAll(t, f.source, "s", []string{"a", "b"}, nil))
	r, err := f.source.Open(t.Context(), "s", []string{"a", "b"}, nil)
	require.NoError(t, err)
	defer r.Close()
	for i := range want {
		require.Equal(t, want[i:], segmenttest.ReadAll(t, f.source, "s", []string{"a", "b"}, r.Cursor()))
		_, err := r.Next()
		require.NoError(t, err)
	}
}

func TestOneSegmentInTwoForms(t *testing.T) {
	f := newFolder(t)
	f.put(t, "s.csv", []byte("a\n1\n"))
	f.put(t, "s.csv.gz", packed(t, []byte("a\n1\n")))
	infos, err := f.source.Segments(t.Context())
	require.NoError(t, err)
	require.Len(t, infos, 1)
	_, err = f.source.Describe(t.Context(), "s")
	require.ErrorIs(t, err, segment.ErrMalformed)
	require.EqualError(t, err, `segments/s.csv and segments/s.csv.gz are both the segment "s"; remove one of them`)
}

// peopleFile writes invented people in each form.
var peopleFiles = map[string]func(t testing.TB, f *folder, n int){
	"csv": func(t testing.TB, f *folder, n int) {
		create(t, f, "s.csv", func(w io.Writer) error { _, err := synthetic.Write(w, n, 1); return err })
	},
	"gzip": func(t testing.TB, f *folder, n int) {
		create(t, f, "s.csv.gz", func(w io.Writer) error {
			z := gzip.NewWriter(w)
			_, err := synthetic.Write(z, n, 1)
			return errors.Join(err, z.Close())
		})
	},
	"parts": func(t testing.TB, f *folder, n int) {
		const parts = 40
		var part *os.File
		row := 0
		require.NoError(t, inventedRows(n, func(values []string) error {
			if row%((n+parts-1)/parts) == 0 {
				require.NoError(t, closed(part))
				name := fmt.Sprintf("s-%012d.csv", row/((n+parts-1)/parts))
				var err error
				part, err = os.Create(f.dir + "/" + name)
				require.NoError(t, err)
				_, err = part.Write(csvOf(t, segmenttest.Table{Fields: synthetic.Header}))
				require.NoError(t, err)
			}
			row++
			_, err := part.Write(csvOf(t, segmenttest.Table{Rows: [][]string{values}}))
			return err
		}))
		require.NoError(t, closed(part))
	},
	"workbook": func(t testing.TB, f *folder, n int) {
		f.put(t, "s.xlsx", workbookOf(t, inventedTable(t, n)))
	},
	"lines": func(t testing.TB, f *folder, n int) {
		f.put(t, "s.ndjson", linesOf(t, inventedTable(t, n)))
	},
	"parquet": func(t testing.TB, f *folder, n int) {
		group := parquet.Group{}
		for _, name := range synthetic.Header {
			group[name] = parquet.Optional(parquet.String())
		}
		create(t, f, "s.parquet", func(w io.Writer) error {
			p := parquet.NewWriter(w, parquet.NewSchema("people", orderedGroup{group, synthetic.Header}), parquet.Compression(&parquet.Snappy))
			err := inventedRows(n, func(values []string) error {
				row := make(parquet.Row, len(values))
				for i, value := range values {
					row[i] = parquet.ByteArrayValue([]byte(value)).Level(0, 1, i)
				}
				_, err := p.WriteRows([]parquet.Row{row})
				return err
			})
			return errors.Join(err, p.Close())
		})
	},
	"customer insights": func(t testing.TB, f *folder, n int) {
		const parts = 4
		files := make([]*os.File, parts)
		var locations []string
		e := &exportWriter{}
		for i := range files {
			name := fmt.Sprintf("s/%s/s_%d.csv", testRun, i+1)
			f.put(t, name, nil)
			var err error
			files[i], err = os.Create(f.dir + "/" + name)
			require.NoError(t, err)
			locations = append(locations, name)
		}
		row := 0
		require.NoError(t, inventedRows(n, func(values []string) error {
			_, err := files[row*parts/n].WriteString(strings.TrimPrefix(string(csvOf(t, segmenttest.Table{Rows: [][]string{values}})), "\n"))
			row++
			return err
		}))
		for _, file := range files {
			require.NoError(t, file.Close())
		}
		e.model(t, f, "s", synthetic.Header, locations)
	},
}

func closed(file *os.File) error {
	if file == nil {
		return nil
	}
	return file.Close()
}

func inventedTable(t testing.TB, n int) segmenttest.Table {
	t.Helper()
	table := segmenttest.Table{Fields: synthetic.Header}
	require.NoError(t, inventedRows(n, func(values []string) error {
		table.Rows = append(table.Rows, append([]string(nil), values...))
		return nil
	}))
	return table
}

func create(t testing.TB, f *folder, name string, write func(io.Writer) error) {
	t.Helper()
	file, err := os.Create(f.dir + "/" + name)
	require.NoError(t, err)
	require.NoError(t, errors.Join(write(file), file.Close()))
}

// inventedRows calls f with the rows that synthetic.Write writes.
func inventedRows(n int, f func([]string) error) error {
	r, w := io.Pipe()
	go func() {
		_, err := synthetic.Write(w, n, 1)
		w.CloseWithError(err)
	}()
	defer r.Close()
	return rowsOf(r, f)
}

// rowsOf calls f with the rows of a CSV text after its header.
func rowsOf(r io.Reader, f func([]string) error) error {
	text := csv.NewReader(r)
	if _, err := text.Read(); err != nil {
		return err
	}
	for {
		values, err := text.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(values); err != nil {
			return err
		}
	}
}

// The same people in each form are the same rows, to the byte.
func TestEachFormGivesTheSame(t *testing.T) {
	const people = 1_000
	var want []string
	require.NoError(t, inventedRows(people, func(values []string) error {
		want = append(want, strings.Join(values, "\x00"))
		return nil
	}))
	for form, write := range peopleFiles {
		t.Run(form, func(t *testing.T) {
			f := newFolder(t)
			write(t, f, people)
			var got []string
			for _, row := range segmenttest.ReadAll(t, f.source, "s", synthetic.Header, nil) {
				require.Empty(t, row.Problem)
				got = append(got, strings.Join(row.Values, "\x00"))
			}
			require.Equal(t, want, got)
		})
	}
}
