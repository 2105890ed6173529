// Package files reads segments from a folder of CSV files: each SEGMENT.csv in
// it is a segment.
//
// A file is what RFC 4180 describes: a header and rows, in UTF-8, with or
// without a byte-order mark, lines ending in LF or CRLF, fields in double
// quotes where need be. Columns are separated by comma; by semicolon or else
// tab when the header line has no comma. Blank lines are skipped. A row with too
// few or too many columns, with invalid UTF-8 in a field that is asked for, or
// with a lone quote inside an unquoted field is a Row with a Problem; what makes
// it doubtful where rows begin and end is an ErrMalformed for the whole file.
package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/segment-export/segment-export/internal/segment"
)

const extension = ".csv"

// Source is a folder of CSV files.
type Source struct {
	root *os.Root
	dir  string
}

var _ segment.Source = (*Source)(nil)

// New returns the source of a folder below root. What leads out of root, be it
// by a symbolic link, is refused. The caller closes root, after the last use of
// the source.
func New(root *os.Root, folder string) (*Source, error) {
	s := &Source{root: root, dir: path.Clean(filepath.ToSlash(folder))}
	info, err := root.Stat(s.dir)
	if err != nil {
		return nil, place(s.dir, err)
	}
	if !info.IsDir() {
		return nil, malformed("%s is not a folder", s.dir)
	}
	return s, nil
}

// Segments lists the files, with their size and without their fields.
func (s *Source) Segments(ctx context.Context) ([]segment.Info, error) {
	dir, err := s.root.Open(s.dir)
	if err != nil {
		return nil, place(s.dir, err)
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, place(s.dir, err)
	}
	var infos []segment.Info
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), extension)
		if !ok || check(name) != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		// Of a link, the file that it leads to; what cannot be read is no segment.
		if info, err := s.root.Stat(s.path(name)); err == nil && info.Mode().IsRegular() {
			infos = append(infos, segment.Info{Name: name, Bytes: info.Size()})
		}
	}
	slices.SortFunc(infos, func(a, b segment.Info) int { return strings.Compare(a.Name, b.Name) })
	return infos, nil
}

// Describe reads a file's header.
func (s *Source) Describe(ctx context.Context, name string) (segment.Info, error) {
	f, v, err := s.open(ctx, name)
	if err != nil {
		return segment.Info{}, err
	}
	defer f.Close()
	h, err := readHeader(ctx, f, s.path(name))
	return segment.Info{Name: name, Fields: h.fields, Bytes: v.size}, err
}

// Open starts to read a file, see segment.Source.
func (s *Source) Open(ctx context.Context, name string, fields []string, after segment.Cursor) (segment.Reader, error) {
	f, v, err := s.open(ctx, name)
	if err != nil {
		return nil, err
	}
	r, err := s.reader(ctx, f, v, name, fields, after)
	if err != nil {
		f.Close()
		return nil, err
	}
	return r, nil
}

func (s *Source) reader(ctx context.Context, f *os.File, v view, name string, fields []string, after segment.Cursor) (*reader, error) {
	from := position{}
	if after != nil {
		was, at, ok := parseCursor(after, name)
		if !ok || was != v {
			return nil, fmt.Errorf("%s: %w", s.path(name), segment.ErrChanged)
		}
		from = at
	}
	h, err := readHeader(ctx, f, s.path(name))
	if err != nil {
		return nil, err
	}
	if after == nil {
		from = h.end
	}
	r := &reader{ctx: ctx, source: s, file: f, view: v, name: name, place: s.path(name), columns: len(h.fields)}
	var missing []string
	for _, field := range fields {
		i := slices.Index(h.fields, field)
		if i < 0 {
			missing = append(missing, field)
		}
		r.wanted = append(r.wanted, i)
	}
	if len(missing) > 0 {
		return nil, &segment.MissingFieldsError{Place: r.place, Missing: missing, Fields: h.fields}
	}
	r.values = make([]string, len(fields))
	return r, r.start(from, h.comma)
}

func (s *Source) path(name string) string { return path.Join(s.dir, name+extension) }

// check refuses names that are no plain file name.
func check(name string) error {
	if name == "" || strings.HasPrefix(name, ".") || strings.ContainsAny(name, "/\\\x00") {
		return fmt.Errorf("%q cannot be the name of a segment: %w", name, segment.ErrNotFound)
	}
	return nil
}

// open opens a segment's file and notes what it is.
func (s *Source) open(ctx context.Context, name string) (*os.File, view, error) {
	if err := errors.Join(ctx.Err(), check(name)); err != nil {
		return nil, view{}, err
	}
	where := s.path(name)
	// Looked at first: to open a pipe would wait for somebody to write to it.
	info, err := s.root.Stat(where)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, view{}, s.notFound(ctx, where)
	}
	if err != nil {
		return nil, view{}, place(where, err)
	}
	if !info.Mode().IsRegular() {
		return nil, view{}, malformed("%s is not a regular file", where)
	}
	f, err := s.root.Open(where)
	if err != nil {
		return nil, view{}, place(where, err)
	}
	if info, err = f.Stat(); err != nil {
		f.Close()
		return nil, view{}, place(where, err)
	}
	return f, viewOf(info), nil
}

// mostNamed is how many of the segments that do exist an error names.
const mostNamed = 10

func (s *Source) notFound(ctx context.Context, where string) error {
	infos, err := s.Segments(ctx)
	if err != nil {
		return err
	}
	names := make([]string, 0, mostNamed)
	for _, info := range infos[:min(len(infos), mostNamed)] {
		names = append(names, fmt.Sprintf("%q", info.Name))
	}
	there := "there are no .csv files in that folder"
	if len(names) > 0 {
		there = "there is " + strings.Join(names, ", ")
	}
	if more := len(infos) - len(names); more > 0 {
		there += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Errorf("%s: %w; %s", where, segment.ErrNotFound, there)
}

// place says what an error of the file system means for whoever set the path.
func place(where string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist below the files root: %w", where, segment.ErrNotFound)
	case errors.Is(err, fs.ErrPermission):
		return malformed("%s: the worker may not read it", where)
	case escapes(err):
		return malformed("%s leads outside the files root, which is not allowed", where)
	}
	return fmt.Errorf("%s: %w", where, err)
}

// escapes recognises os.Root's refusal, for which package os has no exported
// error.
func escapes(err error) bool {
	return strings.Contains(err.Error(), "path escapes from parent")
}

// malformed makes an ErrMalformed that says what is wrong and no more.
func malformed(format string, args ...any) error {
	return &malformedError{fmt.Sprintf(format, args...)}
}

type malformedError struct{ what string }

func (e *malformedError) Error() string { return e.what }

func (e *malformedError) Is(target error) bool { return target == segment.ErrMalformed }

// limitedReader reads a file from an offset on. It ends with errTooLong when
// more is asked for than one record may take, so that a quote that is never
// closed does not pull the rest of the file into memory.
type limitedReader struct {
	ctx   context.Context
	file  io.ReaderAt
	at    int64 // of the next byte to be read
	limit int64 // where at may not go
}

var errTooLong = errors.New("record too long")

func (l *limitedReader) Read(p []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	if l.at >= l.limit {
		return 0, errTooLong
	}
	n, err := l.file.ReadAt(p, l.at)
	l.at += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
