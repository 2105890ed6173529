package segmenttest

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
)

const (
	// long is how many rows a segment has that is not read at once.
	long = 6_000
	// manyBytes is the length of the texts in a segment of many rows.
	manyBytes = 4 << 20
	// flat is how much more may be held while many rows are read: much less than
	// their texts.
	flat = 2 << 20
	// looks is how often it is looked how much is held.
	looks = 10
	// manyPage is how many of many rows are read at once.
	manyPage = 2_000
)

// broken ends a read in the middle. That is an error that may pass, never an
// end; the rows before it are right, and a read that continues from
// there misses nothing.
func broken(t *testing.T, p Place, o Options) {
	table := people(long)
	p.Put(t, "s", table)
	begin, restore := p.Break(t, "s", Cut)
	r, err := p.Source().Open(t.Context(), "s", table.Fields, nil)
	require.NoError(t, err)
	row, err := r.Next()
	require.NoError(t, err)
	read := []Row{{row.Number, append([]string(nil), row.Values...), row.Problem}}
	begin()
	rest, err := Drain(r)
	require.Error(t, err)
	for _, lasting := range []error{io.EOF, segment.ErrMalformed, segment.ErrAccess, segment.ErrNotFound, segment.ErrEmpty} {
		require.NotErrorIs(t, err, lasting)
	}
	_, again := r.Next()
	require.Equal(t, err, again, "it stays broken")
	cursor := r.Cursor()
	require.NoError(t, r.Close())
	read = append(read, rest...)
	require.Equal(t, table.Rows[:len(read)], values(read))
	restore()
	if o.NoResume {
		_, err = p.Source().Open(t.Context(), "s", table.Fields, cursor)
		require.ErrorIs(t, err, segment.ErrChanged)
		read, cursor = nil, nil
	}
	require.Equal(t, table.Rows, values(append(read, ReadAll(t, p.Source(), "s", table.Fields, cursor)...)))
}

// EndsSoon tells how long something took to end once it was not wanted: less
// than a second where nothing else runs. Only much more is a failure, since
// machines are shared and what hangs does so for longer.
func EndsSoon(t *testing.T, began time.Time) {
	t.Helper()
	took := time.Since(began)
	t.Logf("it ended after %s", took)
	require.Less(t, took, 20*time.Second)
}

// silent waits in mid-read for what does not come, until nobody wants it.
func silent(t *testing.T, p Place, _ Options) {
	p.Put(t, "s", people(long))
	begin, restore := p.Break(t, "s", Silent)
	defer restore()
	const wanted = 300 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := p.Source().Open(ctx, "s", []string{"Email"}, nil)
	require.NoError(t, err)
	_, err = r.Next()
	require.NoError(t, err)
	begin()
	var began time.Time
	time.AfterFunc(wanted, func() { began = time.Now(); cancel() })
	rows, err := Drain(r)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, r.Close())
	EndsSoon(t, began)
	require.Less(t, len(rows), long-1)
}

// canceled stops a read that goes well.
func canceled(t *testing.T, p Place, _ Options) {
	p.Put(t, "s", people(long))
	ctx, cancel := context.WithCancel(t.Context())
	r, err := p.Source().Open(ctx, "s", []string{"Email"}, nil)
	require.NoError(t, err)
	for range 1_000 {
		_, err = r.Next()
		require.NoError(t, err)
	}
	began := time.Now()
	cancel()
	left, err := Drain(r)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, r.Close())
	EndsSoon(t, began)
	require.LessOrEqual(t, len(left), 1_000, "noticed soon")
	_, err = p.Source().Open(ctx, "s", nil, nil)
	require.ErrorIs(t, err, context.Canceled)
}

var customerFields = []string{"CustomerId", "Email", "FirstName", "Note", "Street", "City", "PostalCode", "Country"}

// customer returns rows as wide as an export's mapping, with a text of its own
// in each that makes a segment of so many rows long.
func customer(rows int) func(i int) []string {
	note := strings.Repeat("x", manyBytes/rows)
	return func(i int) []string {
		n := strconv.Itoa(i)
		return []string{ID(i), "person." + n + "@example.com", "Zoë", n + note, "ul. Piotrkowska " + n, "Łódź", "", "PL"}
	}
}

// manyRows is how many rows many reads: SEGMENT_ROWS=1000000 makes it a million.
func manyRows(o Options) int {
	if n, err := strconv.Atoi(os.Getenv("SEGMENT_ROWS")); err == nil {
		return n
	}
	if o.Many > 0 {
		return o.Many
	}
	return 10_000
}

// many reads a segment that is too long to hold. Where reads can be resumed, it
// is interrupted again and again: no row is lost and none comes twice.
func many(t *testing.T, p Place, o Options) {
	rows := manyRows(o)
	row := customer(rows)
	p.Pages(manyPage)
	if f, ok := p.(Filler); ok {
		f.Fill(t, "s", customerFields, rows, row)
	} else {
		table := Table{Fields: customerFields}
		for i := range rows {
			table.Rows = append(table.Rows, row(i))
		}
		p.Put(t, "s", table)
	}
	var memory runtime.MemStats
	held := func() int64 {
		runtime.GC()
		runtime.ReadMemStats(&memory)
		return int64(memory.HeapAlloc)
	}
	runtime.GC() // what pools hold goes with the second
	before, most := held(), int64(0)
	part := rows/3 + 1
	if o.NoResume {
		part = rows + 1
	}
	var cursor segment.Cursor
	var took time.Duration
	seen := 0
	for done := false; !done; {
		began := time.Now()
		r, err := p.Source().Open(t.Context(), "s", customerFields, cursor)
		require.NoError(t, err)
		for n := 0; n < part && !done; n++ {
			row, err := r.Next()
			if done = errors.Is(err, io.EOF); done {
				break
			}
			require.NoError(t, err)
			if row.Problem != "" || row.Values[0] != ID(seen) || row.Values[7] != "PL" {
				t.Fatalf("row %d is %q with the problem %q", seen, row.Values, row.Problem)
			}
			if seen++; seen%(rows/looks) == 0 {
				took += time.Since(began)
				most = max(most, held()-before)
				began = time.Now()
			}
		}
		cursor = r.Cursor()
		require.NoError(t, r.Close())
		took += time.Since(began)
	}
	require.Equal(t, rows, seen)
	require.Less(t, len(cursor), 200)
	t.Logf("%d rows in %s, %.0f rows/s, at most %d KiB held", rows, took.Round(time.Millisecond), float64(rows)/took.Seconds(), most>>10)
	require.Less(t, most, cmp.Or(o.Holds, flat))
}
