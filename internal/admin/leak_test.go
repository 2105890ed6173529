package admin

import (
	"bytes"
	"compress/gzip"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/connect"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/segment"
)

// marker stands in every value and in every column that nothing maps.
const marker = "ZQX"

// leakingFiles are inputs that cannot be read as they should be, by the name of
// the file.
func leakingFiles(t *testing.T) map[string][]byte {
	person := "7ZQX,annZQX@example.com,AnnZQX,ZQXstreet\n"
	full := "Id,Email,Name,OtherZQX\n" + person
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write([]byte(full + strings.Repeat(person, 100)))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	utf16 := []byte{0xfe, 0xff}
	for _, c := range full {
		utf16 = append(utf16, 0, byte(c))
	}
	return map[string][]byte{
		"no header.csv":             []byte(person + person),
		"no header, one column.csv": []byte(strings.Repeat("annZQX@example.com\n", 5)),
		"a long first line.csv":     []byte(strings.Repeat(person[:len(person)-1]+",", 60_000)),
		"utf-16.csv":                utf16,
		"utf-16 as text.csv":        utf16[2:],
		"a column twice.csv":        []byte("Id,Email,Name,OtherZQX,OtherZQX\n" + person),
		"a mapped column twice.csv": []byte("Id,Email,Name,Email\n" + person),
		"no name.csv":               []byte("Id,Email,,OtherZQX\n" + person),
		"a missing column.csv":      []byte("Id,Mail,Name,OtherZQX\n" + person),
		"a quote left open.csv":     []byte(full + "8,\"annZQX@example.com,Ann\n" + strings.Repeat(person, 10)),
		"a quote in a field.csv":    []byte(full + "8,annZQX@example.com,An\"nZQX,x\n" + person),
		"a header's quote.csv":      []byte("Id,\"EmailZQX,Name\n" + person),
		"not utf-8.csv":             []byte(full + "8,annZQX@example.com,P\xe9terZQX,x\n"),
		"rows of commas.csv":        []byte(full + ",,,\n" + person + "ZQX\n"),
		"nul.csv":                   []byte("Id,Email\x00ZQX\n" + person),
		"cr alone.csv":              []byte(strings.ReplaceAll(full, "\n", "\r")),
		"a cut archive.csv.gz":      packed.Bytes()[:packed.Len()-12],
		"no archive.csv.gz":         []byte(full),
		"text.parquet":              []byte(full),
		"frames.parquet":            []byte("PAR1" + full + "PAR1"),
		"text.xlsx":                 []byte(full),
		"text.ndjson":               []byte(full),
		"a list.ndjson":             []byte("[\"annZQX@example.com\"]\n"),
		"cut.ndjson":                []byte("{\"Id\":\"7\",\"Email\":\"annZQX@example.com\",\"Name\":\"AnnZQX"),
		"other names.ndjson":        []byte("{\"Id\":\"7\",\"ZQX\":\"annZQX@example.com\"}\n"),
		"nested.ndjson":             []byte("{\"Id\":\"7\",\"Email\":{\"ZQX\":1},\"Name\":[\"ZQX\"]}\n"),
	}
}

// Nothing of a row, and no name of a column that nobody asked for, is in what a
// run, a command or a test of the source says of an input that cannot be read.
func TestNothingOfARowInAMessage(t *testing.T) {
	for file, content := range leakingFiles(t) {
		t.Run(file, func(t *testing.T) {
			s := newSteps(t, sandbox.Options{})
			var log bytes.Buffer
			s.Log = slog.New(slog.NewJSONHandler(&log, nil))
			require.NoError(t, os.WriteFile(filepath.Join(s.Dir, file), content, 0o600))
			name, _, _ := strings.Cut(file, ".")
			s.Export.Segments[0].Segment = name
			said := []string{}
			hear := func(err error) {
				if err == nil || errors.Is(err, segment.ErrNotFound) {
					return // this form is not read
				}
				said = append(said, err.Error())
				halt, other := s.Connect().SourceHalt(t.Context(), "crm", &connect.Trouble{}, connect.SourceFault(err))
				require.NoError(t, other)
				said = append(said, string(record.Encode(halt)))
			}
			src, now, err := s.Connect().Source(t.Context(), "crm")
			require.NoError(t, err)
			_, err = src.Describe(t.Context(), name)
			hear(err)
			if err := s.checkMapping(t.Context(), s.Export, now); err != nil {
				said = append(said, err.Error())
			}
			r, err := src.Open(t.Context(), name, []string{"Email", "Name", "Id"}, nil)
			hear(err)
			for err == nil {
				var row segment.Row
				if row, err = r.Next(); err != nil {
					if n, ok := r.(segment.Noter); ok {
						said = append(said, n.Notes()...)
					}
					hear(err)
				}
				said = append(said, string(row.Problem))
			}
			if tester, ok := src.(segment.Tester); ok {
				checks, err := tester.Test(t.Context())
				require.NoError(t, err)
				said = append(said, string(record.Encode(checks)))
			}
			said = append(said, log.String())
			for _, text := range said {
				require.NotContains(t, text, marker)
				require.LessOrEqual(t, len(text), 3*reason.MaxBytes)
			}
		})
	}
}

// A run tells of such a row too: in its report and its notes.
func TestNothingOfARowInAReport(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.People("buyers", 0, 3, func(i int) string { return []string{marker, marker + "\xe9", marker + "," + marker}[i] })
	r := s.Begin(run.Request{})
	require.Equal(t, 2, r.Invalid)
	require.NotContains(t, string(record.Encode(r)), marker)
}
