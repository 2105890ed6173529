package segment

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/fault"
)

// numbers reads rows that hold their own number, in one and the same slice as
// readers do, and ends with an error, or waits for its context.
type numbers struct {
	ctx    context.Context
	rows   int
	size   int // bytes of a value
	end    error
	last   int
	values [1]string
}

func (n *numbers) Next() (Row, error) {
	if n.last == n.rows {
		if n.end == nil {
			<-n.ctx.Done()
			return Row{}, n.ctx.Err()
		}
		return Row{}, n.end
	}
	n.last++
	n.values[0] = strconv.Itoa(n.last) + strings.Repeat(" ", n.size)
	row := Row{Number: int64(n.last), Values: n.values[:]}
	if n.last%10 == 0 {
		row.Problem = ProblemColumns
	}
	return row, nil
}

func (n *numbers) Cursor() Cursor { return Cursor(strconv.Itoa(n.last)) }

func (*numbers) Close() error { return nil }

func TestReadAheadGivesEveryRowInOrder(t *testing.T) {
	fault := errors.New("the file is gone")
	for name, c := range map[string]struct {
		rows, part, size int
		end              error
		most             int // rows of a chunk
	}{
		"no rows":            {0, 100, 0, io.EOF, 0},
		"less than a chunk":  {7, 1000, 0, io.EOF, 7},
		"parts of one row":   {20, 1, 0, io.EOF, 1},
		"parts of odd sizes": {5_000, 999, 0, io.EOF, chunkRows},
		"long values":        {100, 1000, 64 << 10, io.EOF, 5},
		"a fault":            {1_000, 300, 0, fault, chunkRows},
	} {
		t.Run(name, func(t *testing.T) {
			a := ReadAhead(&numbers{rows: c.rows, size: c.size, end: c.end}, c.part, chunkBytes, func() {})
			defer a.Close()
			read := 0
			for {
				chunk := a.Next()
				require.LessOrEqual(t, len(chunk.Rows), c.most)
				for _, row := range chunk.Rows {
					read++
					require.Equal(t, int64(read), row.Number)
					if read%10 == 0 {
						require.Equal(t, ProblemColumns, row.Problem)
						continue
					}
					require.Equal(t, strconv.Itoa(read), strings.TrimSpace(row.Values[0]))
				}
				require.Equal(t, strconv.Itoa(read), string(chunk.Cursor))
				if chunk.Err != nil {
					require.Equal(t, c.end, chunk.Err)
					break
				}
				if read/c.part > (read-len(chunk.Rows))/c.part {
					require.Zero(t, read%c.part, "a chunk ends where a part does")
				}
			}
			require.Equal(t, c.rows, read)
		})
	}
}

// broken panics in the middle of its rows.
type broken struct{ numbers }

func (b *broken) Next() (Row, error) {
	if b.last == 5 {
		panic("a fault of this program")
	}
	return b.numbers.Next()
}

func TestAPanicOfTheReaderIsTheCallers(t *testing.T) {
	err := fault.Guard(func() error {
		a := ReadAhead(&broken{numbers{rows: 10, end: io.EOF}}, 100, chunkBytes, func() {})
		defer a.Close()
		a.Next()
		return nil
	})
	e, ok := errors.AsType[*fault.Error](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, "a panic with a string", e.What)
	require.Contains(t, e.Stack, "broken")
}

// A source that does not answer must not keep its reader from being closed.
func TestReadAheadEndsWhileTheSourceWaits(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	r := &numbers{ctx: ctx, rows: 300}
	a := ReadAhead(r, 1000, chunkBytes, stop)
	require.Len(t, a.Next().Rows, chunkRows)
	a.Close()
	require.Error(t, ctx.Err())
	require.Equal(t, 300, r.last, "nothing reads any more")
}
