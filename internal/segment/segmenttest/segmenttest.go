// Package segmenttest is what every segment.Source must do. An implementation
// calls Run in a test of its own.
package segmenttest

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
)

// Table is a segment's content.
type Table struct {
	Fields []string
	Rows   [][]string
}

// Place is where an implementation keeps the segments of one test.
type Place interface {
	// Put stores a segment, in place of one of that name.
	Put(t *testing.T, name string, table Table)
	// Source returns the source of what was put.
	Source() segment.Source
	// Pages makes what is read at once about so many rows, where more than one
	// row is.
	Pages(rows int)
	// Break makes reads of a segment of some thousand rows that are opened from
	// now on end in the middle, once begin was called, until restore is called.
	Break(t *testing.T, name string, how Fault) (begin, restore func())
}

// Fault is what can happen to a source in mid-read.
type Fault string

// The faults.
const (
	Cut    Fault = "cut"    // what is read ends before its time
	Silent Fault = "silent" // nothing comes any more, and nothing says so
)

// Filler is a Place that stores a long segment without holding it.
type Filler interface {
	Fill(t *testing.T, name string, fields []string, rows int, row func(i int) []string)
}

// Options say what an implementation does not promise.
type Options struct {
	// NoResume: an interrupted read starts from the beginning; Open with a cursor
	// may give ErrChanged. Otherwise it must continue where it was.
	NoResume bool
	// NoHeader: only rows tell the fields, so a segment without rows is empty.
	NoHeader bool
	// NeverSilent: there is no connection that could fall silent.
	NeverSilent bool
	// Many is how many rows the longest segment has; 0: 10,000.
	Many int
	// Holds is how many bytes a reader and its server hold in this process while
	// they read the longest segment; 0: 2 MiB.
	Holds int64
}

// Run checks an implementation. It makes an empty place for each test.
func Run(t *testing.T, make func(t *testing.T) Place, o Options) {
	tests := map[string]func(*testing.T, Place, Options){
		"segments are listed":        listed,
		"all rows in order":          complete,
		"fields in the order asked":  order,
		"missing fields":             missing,
		"no such segment":            notFound,
		"no rows":                    noRows,
		"odd characters":             oddCharacters,
		"wide rows and empty values": wide,
		"values that are too long":   tooLong,
		"resume from every row":      resume,
		"resume from every page":     resumePages,
		"a foreign cursor":           foreignCursor,
		"change in mid-read":         changed,
		"change before a resume":     changedBeforeResume,
		"break in mid-read":          broken,
		"cancellation":               canceled,
		"several readers at once":    concurrent,
		"reading changes nothing":    repeatable,
		"many rows in flat memory":   many,
	}
	if !o.NeverSilent {
		tests["silence in mid-read"] = silent
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, make(t), o) })
	}
}

// Row is a row that was read, with its values copied.
type Row struct {
	Number  int64
	Values  []string
	Problem segment.Problem
}

// ReadAll reads a segment to its end.
func ReadAll(t testing.TB, s segment.Source, name string, fields []string, after segment.Cursor) []Row {
	t.Helper()
	r, err := s.Open(t.Context(), name, fields, after)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	rows, err := Drain(r)
	require.NoError(t, err)
	return rows
}

// Drain reads what is left of a reader; the error is nil at the end.
func Drain(r segment.Reader) ([]Row, error) {
	var rows []Row
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows = append(rows, Row{row.Number, slices.Clone(row.Values), row.Problem})
	}
}

func values(rows []Row) [][]string {
	var all [][]string
	for _, row := range rows {
		all = append(all, row.Values)
	}
	return all
}

// ID is the customer id of the row with that index. Ids in the order of the
// rows: some sources read in the order of ids.
func ID(row int) string { return fmt.Sprintf("%08d", row) }

// people makes a table of n rows.
func people(n int) Table {
	table := Table{Fields: []string{"CustomerId", "Email", "City"}}
	for i := range n {
		city := "Łódź"
		if i%3 == 0 {
			city = ""
		}
		table.Rows = append(table.Rows, []string{ID(i), fmt.Sprintf("p%d@example.com", i), city})
	}
	return table
}

func listed(t *testing.T, p Place, _ Options) {
	infos, err := p.Source().Segments(t.Context())
	require.NoError(t, err)
	require.Empty(t, infos)
	for _, name := range []string{"winter", "autumn", "spring"} {
		p.Put(t, name, people(2))
	}
	infos, err = p.Source().Segments(t.Context())
	require.NoError(t, err)
	var names []string
	for _, info := range infos {
		names = append(names, info.Name)
		info, err = p.Source().Describe(t.Context(), info.Name)
		require.NoError(t, err)
		require.Equal(t, people(0).Fields, info.Fields)
	}
	require.Equal(t, []string{"autumn", "spring", "winter"}, names)
}

func complete(t *testing.T, p Place, _ Options) {
	table := people(100)
	p.Put(t, "s", table)
	rows := ReadAll(t, p.Source(), "s", table.Fields, nil)
	require.Equal(t, table.Rows, values(rows))
	last := int64(0)
	for _, row := range rows {
		require.Empty(t, row.Problem)
		require.Greater(t, row.Number, last)
		last = row.Number
	}
}

func order(t *testing.T, p Place, _ Options) {
	p.Put(t, "s", people(2))
	rows := ReadAll(t, p.Source(), "s", []string{"City", "CustomerId", "City"}, nil)
	require.Equal(t, [][]string{{"", ID(0), ""}, {"Łódź", ID(1), "Łódź"}}, values(rows))
	require.Len(t, ReadAll(t, p.Source(), "s", nil, nil), 2)
}

func missing(t *testing.T, p Place, _ Options) {
	p.Put(t, "s", people(2))
	_, err := p.Source().Open(t.Context(), "s", []string{"Email", "Phone", "email", "City"}, nil)
	var e *segment.MissingFieldsError
	require.ErrorAs(t, err, &e)
	require.Equal(t, []string{"Phone", "email"}, e.Missing)
	require.Equal(t, people(0).Fields, e.Fields)
	require.NotEmpty(t, e.Place)
}

func notFound(t *testing.T, p Place, _ Options) {
	p.Put(t, "here", people(1))
	for _, name := range []string{"s", "", "../here", "here/../here", "HERE\x00"} {
		_, err := p.Source().Open(t.Context(), name, nil, nil)
		require.ErrorIs(t, err, segment.ErrNotFound, "%q", name)
		_, err = p.Source().Describe(t.Context(), name)
		require.ErrorIs(t, err, segment.ErrNotFound, "%q", name)
	}
	_, err := p.Source().Open(t.Context(), "s", nil, nil)
	require.ErrorContains(t, err, `"here"`, "it names what exists")
}

func noRows(t *testing.T, p Place, o Options) {
	p.Put(t, "s", people(0))
	if o.NoHeader {
		_, err := p.Source().Open(t.Context(), "s", []string{"Email"}, nil)
		require.ErrorIs(t, err, segment.ErrEmpty)
		return
	}
	require.Empty(t, ReadAll(t, p.Source(), "s", []string{"Email"}, nil))
}

func oddCharacters(t *testing.T, p Place, _ Options) {
	table := Table{Fields: []string{"id", "Name, full", `"quoted"`}, Rows: [][]string{
		{"1", "O'Brien", `say "hi"`},
		{"2", "a,b;c\td", "line\nbreak"},
		{"3", "Zoë 東京 👩\u200d👧", "\u202e"},
		{"4", "", ""},
		{"5", " spaces ", `"`},
		{"6", "NULL", `\N`},
		{"7", "line\n\n\nbreaks", "\n"},
		{"8", `\"`, `''`},
	}}
	p.Put(t, "s", table)
	require.Equal(t, table.Rows, values(ReadAll(t, p.Source(), "s", table.Fields, nil)))
}

// Wide rows come whole, and what is empty or null in them is empty: at the start,
// in the middle, at the end, or everywhere.
func wide(t *testing.T, p Place, _ Options) {
	const columns, rows = 500, 12
	table := Table{Fields: []string{"CustomerId"}}
	for c := 1; c < columns; c++ {
		table.Fields = append(table.Fields, fmt.Sprintf("Field%03d", c))
	}
	for i := range rows {
		row := []string{ID(i)}
		for c := 1; c < columns; c++ {
			value := fmt.Sprintf("ž%d/%d", i, c)
			if (i+c)%4 == 0 || i == 7 || i == 8 || i == 9 && c < columns-1 {
				value = ""
			}
			row = append(row, value)
		}
		table.Rows = append(table.Rows, row)
	}
	p.Put(t, "s", table)
	info, err := p.Source().Describe(t.Context(), "s")
	require.NoError(t, err)
	require.Equal(t, table.Fields, info.Fields)
	require.Equal(t, table.Rows, values(ReadAll(t, p.Source(), "s", table.Fields, nil)))
	few := ReadAll(t, p.Source(), "s", []string{"Field499", "Field001", "CustomerId"}, nil)
	for i, row := range few {
		require.Equal(t, []string{table.Rows[i][499], table.Rows[i][1], ID(i)}, row.Values)
	}
	require.Len(t, few, rows)
}

// A read also resumes after pages that end between any two rows.
func resumePages(t *testing.T, p Place, o Options) {
	p.Pages(6)
	resume(t, p, o)
}

func resume(t *testing.T, p Place, o Options) {
	table := people(20)
	table.Rows[7][2] = "two\nlines"
	table.Rows[11][2] = "three\n\"quoted\"\nlines"
	p.Put(t, "s", table)
	all := ReadAll(t, p.Source(), "s", table.Fields, nil)
	r, err := p.Source().Open(t.Context(), "s", table.Fields, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	for n := 0; n <= len(all); n++ {
		if n > 0 {
			_, err := r.Next()
			require.NoError(t, err)
		}
		cursor := r.Cursor()
		if o.NoResume {
			_, err := p.Source().Open(t.Context(), "s", table.Fields, cursor)
			require.ErrorIs(t, err, segment.ErrChanged)
			continue
		}
		again, err := p.Source().Open(t.Context(), "s", table.Fields, cursor)
		require.NoError(t, err)
		require.Equal(t, cursor, again.Cursor(), "nothing read, nothing moved")
		rest, err := Drain(again)
		require.NoError(t, err)
		require.NoError(t, again.Close())
		require.Equal(t, append([]Row(nil), all[n:]...), rest, "after %d rows", n)
	}
	_, err = r.Next()
	require.ErrorIs(t, err, io.EOF)
	_, err = r.Next()
	require.ErrorIs(t, err, io.EOF, "the end stays the end")
}

func foreignCursor(t *testing.T, p Place, _ Options) {
	p.Put(t, "a", people(5))
	p.Put(t, "b", people(5))
	r, err := p.Source().Open(t.Context(), "a", nil, nil)
	require.NoError(t, err)
	cursor := r.Cursor()
	require.NoError(t, r.Close())
	damaged := slices.Clone(cursor)
	damaged[len(damaged)/2] ^= 1
	for name, cursors := range map[string][]segment.Cursor{"a": {{}, []byte("x"), damaged, cursor[:len(cursor)-1]}, "b": {cursor}} {
		for _, cursor := range cursors {
			_, err := p.Source().Open(t.Context(), name, nil, cursor)
			require.ErrorIs(t, err, segment.ErrChanged, "%s: %q", name, cursor)
		}
	}
}

func changed(t *testing.T, p Place, _ Options) {
	table := people(long)
	p.Put(t, "s", table)
	r, err := p.Source().Open(t.Context(), "s", table.Fields, nil)
	require.NoError(t, err)
	defer r.Close()
	row, err := r.Next()
	require.NoError(t, err)
	read := [][]string{slices.Clone(row.Values)}
	p.Put(t, "s", people(long+1))
	rest, err := Drain(r)
	if err != nil {
		require.ErrorIs(t, err, segment.ErrChanged)
		return
	}
	require.Equal(t, table.Rows, append(read, values(rest)...), "a source that can keep its view reads it to the end")
}

func changedBeforeResume(t *testing.T, p Place, _ Options) {
	p.Put(t, "s", people(10))
	r, err := p.Source().Open(t.Context(), "s", []string{"Email"}, nil)
	require.NoError(t, err)
	_, err = r.Next()
	require.NoError(t, err)
	cursor := r.Cursor()
	require.NoError(t, r.Close())
	p.Put(t, "s", people(11))
	_, err = p.Source().Open(t.Context(), "s", []string{"Email"}, cursor)
	require.ErrorIs(t, err, segment.ErrChanged)
	require.Len(t, ReadAll(t, p.Source(), "s", []string{"Email"}, nil), 11)
}

func concurrent(t *testing.T, p Place, _ Options) {
	table := people(500)
	p.Put(t, "s", table)
	source := p.Source()
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			r, err := source.Open(t.Context(), "s", table.Fields, nil)
			if err != nil {
				errs[i] = err
				return
			}
			rows, err := Drain(r)
			if err == nil && !slices.EqualFunc(table.Rows, rows, func(a []string, b Row) bool { return slices.Equal(a, b.Values) }) {
				err = errors.New("other rows than were put")
			}
			errs[i] = errors.Join(err, r.Close())
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
}

func repeatable(t *testing.T, p Place, _ Options) {
	p.Put(t, "s", people(50))
	first := ReadAll(t, p.Source(), "s", []string{"Email"}, nil)
	require.Equal(t, first, ReadAll(t, p.Source(), "s", []string{"Email"}, nil))
}
