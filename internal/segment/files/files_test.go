package files

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

// folder is a files root with a source in it.
type folder struct {
	root   *os.Root
	dir    string
	source *Source
}

func newFolder(t testing.TB) *folder {
	t.Helper()
	base := t.TempDir()
	f := &folder{dir: filepath.Join(base, "segments")}
	require.NoError(t, os.Mkdir(f.dir, 0o700))
	root, err := os.OpenRoot(base)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, root.Close()) })
	f.root = root
	f.source, err = New(root, Config{Path: "segments"}, nil)
	require.NoError(t, err)
	return f
}

// write puts a file in place as a careful program does: beside, then renamed.
func (f *folder) write(t testing.TB, name, content string) {
	t.Helper()
	path := filepath.Join(f.dir, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path+".new", []byte(content), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

func TestFormats(t *testing.T) {
	row := func(line int64, values ...string) segmenttest.Row {
		return segmenttest.Row{Number: line, Values: values}
	}
	problem := func(line int64, p segment.Problem) segmenttest.Row { return segmenttest.Row{Number: line, Problem: p} }
	for name, test := range map[string]struct {
		content string
		want    []segmenttest.Row
	}{
		"plain":                   {"a,b\n1,2\n3,4\n", []segmenttest.Row{row(2, "1", "2"), row(3, "3", "4")}},
		"no last line break":      {"a,b\n1,2", []segmenttest.Row{row(2, "1", "2")}},
		"CRLF":                    {"a,b\r\n1,2\r\n\"x\r\ny\",4\r\n5,6\r\n", []segmenttest.Row{row(2, "1", "2"), row(3, "x\ny", "4"), row(5, "5", "6")}},
		"byte-order mark":         {"\ufeffa,b\n1,2\n", []segmenttest.Row{row(2, "1", "2")}},
		"mark, quoted header":     {"\ufeff\"a\",\"b\"\n1,2\n", []segmenttest.Row{row(2, "1", "2")}},
		"semicolons":              {"a;b\n1,5;2\n", []segmenttest.Row{row(2, "1,5", "2")}},
		"tabs":                    {"a\tb\n1;2\t3,4\n", []segmenttest.Row{row(2, "1;2", "3,4")}},
		"a quoted comma":          {"a;b;\"c,d\"\n1;2;3\n", []segmenttest.Row{row(2, "1", "2")}},
		"blank lines":             {"\n\na,b\n\n1,2\n\n\n3,4\n\n", []segmenttest.Row{row(5, "1", "2"), row(8, "3", "4")}},
		"spaces in the header":    {" a , b\n1, 2 \n", []segmenttest.Row{row(2, "1", " 2 ")}},
		"columns":                 {"a,b\n1\n1,2,3\n4,5\n", []segmenttest.Row{row(2, "1", ""), problem(3, segment.ProblemColumns), row(4, "4", "5")}},
		"encoding":                {"a,b\n\xe9,2\n3,\xc3\xa9\n", []segmenttest.Row{problem(2, segment.ProblemEncoding), row(3, "3", "é")}},
		"encoding, not asked for": {"a,b,c\n1,2,\xe9\n", []segmenttest.Row{row(2, "1", "2")}},
		"NUL":                     {"a,b\n1\x00,2\n", []segmenttest.Row{row(2, "1\x00", "2")}},
		"a lone quote":            {"a,b\n5\" pipe,2\n3,4\n", []segmenttest.Row{problem(2, ProblemQuote), row(3, "3", "4")}},
		"a lone quote, last":      {"a,b\n1,5\" pipe", []segmenttest.Row{problem(2, ProblemQuote)}},
		"a lone quote, late":      {"a,b\r\n\"x\r\ny\",5\" pipe\r\n3,4\r\n", []segmenttest.Row{problem(2, ProblemQuote), row(4, "3", "4")}},
		"only a header":           {"a,b\n", nil},
		"only a header line":      {"a,b", nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.write(t, "s.csv", test.content)
			got := segmenttest.ReadAll(t, f.source, "s", []string{"a", "b"}, nil)
			require.Equal(t, test.want, got)
			info, err := f.source.Describe(t.Context(), "s")
			require.NoError(t, err)
			require.Equal(t, []string{"a", "b"}, info.Fields[:2])
			require.Equal(t, int64(len(test.content)), info.Bytes)
		})
	}
	f := newFolder(t)
	f.write(t, "s.csv", "Email\na@example.com\n")
	require.Equal(t, []segmenttest.Row{row(2, "a@example.com")}, segmenttest.ReadAll(t, f.source, "s", []string{"Email"}, nil))
}

func TestWhatCannotBeRead(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		is      error
		text    string
	}{
		"empty":              {"", segment.ErrEmpty, "segments/s.csv is empty"},
		"only a mark":        {"\ufeff", segment.ErrEmpty, "segments/s.csv is empty"},
		"only blank lines":   {"\n\r\n\n", segment.ErrEmpty, "segments/s.csv is empty"},
		"a workbook":         {"PK\x03\x04...", segment.ErrMalformed, "an Excel workbook"},
		"compressed":         {"\x1f\x8b\x08...", segment.ErrMalformed, "unpack it first"},
		"header, open quote": {"a,\"b\n1,2\n", segment.ErrMalformed, "line 1: the header has a quote"},
		"header, lone quote": {"a,b\"c\n1,2\n", segment.ErrMalformed, "line 1: the header has a quote"},
		"header without end": {"a,\"b" + strings.Repeat("x\n", maxRecord), segment.ErrMalformed, "line 1: the header does not end"},
		"open quote at last": {"a,b\n1,2\n3,\"4", segment.ErrMalformed, "segments/s.csv: line 3: a quote in column"},
		"a row without end":  {"a,b\n1,2\n\n3,\"4" + strings.Repeat("x\n", maxRecord), segment.ErrMalformed, "line 3: the row that begins here does not end within"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.write(t, "s.csv", test.content)
			_, err := readAll(f.source, t)
			require.ErrorIs(t, err, test.is)
			require.ErrorContains(t, err, test.text)
		})
	}
}

func readAll(s *Source, t *testing.T) ([]segmenttest.Row, error) {
	r, err := s.Open(t.Context(), "s", nil, nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return segmenttest.Drain(r)
}

// endless counts how much is asked of it.
type endless struct{ read int64 }

func (e *endless) ReadAt(p []byte, _ int64) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.read += int64(len(p))
	return len(p), nil
}

// An open quote is found without reading gigabytes into memory.
func TestARecordIsLimited(t *testing.T) {
	file := &endless{}
	src := &textReader{ctx: t.Context(), src: io.NewSectionReader(file, 0, math.MaxInt64), limit: maxRecord}
	_, err := csv.NewReader(io.MultiReader(strings.NewReader(`a,"`), src)).Read()
	require.ErrorIs(t, err, errTooLong)
	require.Less(t, file.read, int64(2*maxRecord))
}

func TestPlaces(t *testing.T) {
	base := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(base, "root", "segments", "folder.csv"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(base, "secret.csv"), []byte("a\n1\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(base, "root", "shared.csv"), []byte("a\n1\n"), 0o600))
	for link, to := range map[string]string{"out": "../../secret.csv", "absolute": filepath.Join(base, "secret.csv"), "in": "../shared.csv", "nowhere": "gone.csv"} {
		require.NoError(t, os.Symlink(to, filepath.Join(base, "root", "segments", link+".csv")))
	}
	require.NoError(t, os.Symlink("..", filepath.Join(base, "root", "up")))
	require.NoError(t, os.WriteFile(filepath.Join(base, "root", "segments", ".hidden.csv"), []byte("a\n1\n"), 0o600))
	root, err := os.OpenRoot(filepath.Join(base, "root"))
	require.NoError(t, err)
	defer func() { require.NoError(t, root.Close()) }()

	for path, text := range map[string]string{
		"..":      ".. is not below the files root, which is " + filepath.Join(base, "root"),
		"../root": "is not below the files root",
		base:      "is not below the files root, which is " + filepath.Join(base, "root"),
		filepath.Join(base, "root", "..", "root", "gone"): "gone does not exist below the files root",
		filepath.Join(base, "root", "segments"):           "",
		filepath.Join(base, "root"):                       "",
		"up":                                              "up leads outside the files root",
		"nothere":                                         "nothere does not exist below the files root",
		"shared.csv":                                      "shared.csv is not a folder",
		"segments/..":                                     "",
		".":                                               "",
		"./segments/":                                     "",
	} {
		_, err := New(root, Config{Path: path}, nil)
		if text == "" {
			require.NoError(t, err, path)
		} else {
			require.ErrorContains(t, err, text, path)
		}
	}
	s, err := New(root, Config{Path: "segments"}, nil)
	require.NoError(t, err)
	infos, err := s.Segments(t.Context())
	require.NoError(t, err)
	require.NotZero(t, infos[0].RefreshedAt)
	require.Equal(t, []segment.Info{{Name: "in", Bytes: 4, RefreshedAt: infos[0].RefreshedAt}}, infos)
	require.Len(t, segmenttest.ReadAll(t, s, "in", []string{"a"}, nil), 1)
	for name, test := range map[string]struct {
		is   error
		text string
	}{
		"out":        {segment.ErrMalformed, "segments/out.csv leads outside the files root"},
		"absolute":   {segment.ErrMalformed, "segments/absolute.csv leads outside the files root"},
		"nowhere":    {segment.ErrNotFound, `segments/nowhere.csv: no such segment; there is "in"`},
		"folder":     {segment.ErrMalformed, "segments/folder.csv is not a regular file"},
		"../shared":  {segment.ErrNotFound, "cannot be the name of a segment"},
		".hidden":    {segment.ErrNotFound, "cannot be the name of a segment"},
		`..\shared`:  {segment.ErrNotFound, "cannot be the name of a segment"},
		"in\x00":     {segment.ErrNotFound, "cannot be the name of a segment"},
		"in.csv":     {segment.ErrNotFound, "no such segment"},
		"folder.csv": {segment.ErrNotFound, "no such segment"},
	} {
		_, err := s.Open(t.Context(), name, nil, nil)
		require.ErrorIs(t, err, test.is, name)
		require.ErrorContains(t, err, test.text, name)
		require.NotContains(t, err.Error(), base, "the worker's own paths are not shown")
	}
}

// Each way in which a file may change under a reader.
func TestChanges(t *testing.T) {
	content := "a,b\n" + strings.Repeat("1,2\n", 1000)
	for name, change := range map[string]func(t *testing.T, f *folder, path string){
		"replaced by the same":    func(t *testing.T, f *folder, _ string) { f.write(t, "s.csv", content) },
		"appended":                func(t *testing.T, _ *folder, path string) { appendTo(t, path, "3,4\n") },
		"appended, an open quote": func(t *testing.T, _ *folder, path string) { appendTo(t, path, "3,\"4") },
		"truncated":               func(t *testing.T, _ *folder, path string) { require.NoError(t, os.Truncate(path, 100)) },
		"emptied":                 func(t *testing.T, _ *folder, path string) { require.NoError(t, os.Truncate(path, 0)) },
		"removed":                 func(t *testing.T, _ *folder, path string) { require.NoError(t, os.Remove(path)) },
		"written in place": func(t *testing.T, _ *folder, path string) {
			info, err := os.Stat(path)
			require.NoError(t, err)
			later := info.ModTime().Add(1) // as a write of the same size would
			require.NoError(t, os.Chtimes(path, later, later))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.write(t, "s.csv", content)
			r, err := f.source.Open(t.Context(), "s", []string{"a"}, nil)
			require.NoError(t, err)
			defer r.Close()
			for range 10 {
				_, err = r.Next()
				require.NoError(t, err)
			}
			cursor := r.Cursor()
			change(t, f, filepath.Join(f.dir, "s.csv"))
			_, err = segmenttest.Drain(r)
			require.ErrorIs(t, err, segment.ErrChanged)
			_, err = f.source.Open(t.Context(), "s", []string{"a"}, cursor)
			if !errors.Is(err, segment.ErrNotFound) {
				require.ErrorIs(t, err, segment.ErrChanged)
			}
		})
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(text)
	require.NoError(t, errors.Join(err, f.Close()))
}

// FuzzFiles reads any bytes: without a panic, the same rows each time, and the
// same rest from each position.
func FuzzFiles(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n", "\ufeffa;b\r\n\"x\r\ny\";\"\"\"\"\r\n", "a\n\xff\n\n1\n", "a,b\n5\" pipe,2\n3,\"4", "\n\na\tb\n1\t2", "\"a\nb\",c\n\r\n1,2\r"} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	root, err := os.OpenRoot(dir)
	require.NoError(f, err)
	f.Cleanup(func() { _ = root.Close() })
	source, err := New(root, Config{Path: "."}, nil)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, data []byte) {
		name := fmt.Sprintf("f%d", os.Getpid())
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".csv"), data, 0o600))
		info, err := source.Describe(t.Context(), name)
		if err != nil {
			require.True(t, errors.Is(err, segment.ErrMalformed) || errors.Is(err, segment.ErrEmpty), "%v", err)
			return
		}
		read := func(after segment.Cursor) ([]segmenttest.Row, []segment.Cursor, error) {
			r, err := source.Open(t.Context(), name, info.Fields, after)
			require.NoError(t, err)
			defer r.Close()
			var rows []segmenttest.Row
			cursors := []segment.Cursor{r.Cursor()}
			for {
				row, err := r.Next()
				if errors.Is(err, io.EOF) {
					return rows, cursors, nil
				}
				if err != nil {
					require.ErrorIs(t, err, segment.ErrMalformed)
					return rows, cursors, err
				}
				if row.Problem == "" {
					require.Len(t, row.Values, len(info.Fields))
				}
				rows = append(rows, segmenttest.Row{Number: row.Number, Values: append([]string(nil), row.Values...), Problem: row.Problem})
				cursors = append(cursors, r.Cursor())
			}
		}
		rows, cursors, failed := read(nil)
		for i := 0; i < len(cursors); i += 1 + len(cursors)/20 {
			rest, _, err := read(cursors[i])
			require.Equal(t, append([]segmenttest.Row(nil), rows[i:]...), rest)
			if failed == nil {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, failed.Error())
			}
		}
	})
}
