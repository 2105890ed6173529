package segment

import (
	"context"
	"errors"

	"github.com/segment-export/segment-export/internal/fault"
)

// Chunk is rows that follow each other in a segment.
type Chunk struct {
	Rows   []Row  // valid until the next call of Next
	Cursor Cursor // the position after them
	Err    error  // not nil: nothing follows these rows, for that reason; see Reader.Next

	values []string // of all rows
}

const (
	// chunkRows and chunkBytes are how many rows, and how many bytes of values, end
	// a chunk.
	chunkRows  = 256
	chunkBytes = 256 << 10
	// chunksAhead is how many chunks there are: one that is read, one that waits,
	// one in the caller's hands.
	chunksAhead = 3
)

// Ahead reads rows with a goroutine of its own, so that the next ones are read
// while the caller works on the ones before. It is used by one goroutine, which
// must close it, and the reader only after that.
type Ahead struct {
	full, free chan *Chunk
	stop       context.CancelFunc
	held       *Chunk // what Next returned last
}

// ReadAhead starts to read. A chunk ends at every multiple of that many rows, and
// where its values have that many bytes, so that parts of such a size can be stored
// with the position after them. Closing calls stop, which must end the context that
// the reader was opened with.
func ReadAhead(r Reader, rows, bytes int, stop context.CancelFunc) *Ahead {
	a := &Ahead{full: make(chan *Chunk), free: make(chan *Chunk, chunksAhead), stop: stop}
	for range chunksAhead {
		a.free <- &Chunk{}
	}
	go func() {
		defer close(a.full)
		read := 0
		for c := range a.free {
			c.fill(r, min(chunkRows, rows-read%rows), min(chunkBytes, bytes))
			read += len(c.Rows)
			a.full <- c
			if c.Err != nil {
				return
			}
		}
	}()
	return a
}

// fill reads until there are so many rows, or so many bytes of values.
func (c *Chunk) fill(r Reader, rows, bytes int) {
	c.Rows, c.values = c.Rows[:0], c.values[:0]
	// A panic on this goroutine would end the process; Next passes it on.
	c.Err = fault.Guard(func() error { return c.read(r, rows, bytes) })
}

func (c *Chunk) read(r Reader, rows, bytes int) error {
	for len(c.Rows) < rows && bytes > 0 {
		row, err := r.Next()
		if err != nil {
			c.Cursor = r.Cursor()
			return err
		}
		c.Rows = append(c.Rows, c.keep(row))
		for _, v := range row.Values {
			bytes -= len(v)
		}
	}
	c.Cursor = r.Cursor()
	return nil
}

// keep copies a row's values, which are the reader's until its next row.
func (c *Chunk) keep(row Row) Row {
	if row.Problem != "" {
		row.Values = nil
		return row
	}
	first := len(c.values)
	c.values = append(c.values, row.Values...)
	row.Values = c.values[first:len(c.values):len(c.values)]
	return row
}

// Next returns the rows that follow. It must not be called after a chunk with an
// error.
func (a *Ahead) Next() *Chunk {
	if a.held != nil {
		a.free <- a.held
	}
	a.held = <-a.full
	if e, ok := errors.AsType[*fault.Error](a.held.Err); ok {
		panic(e) // as if the caller had read itself
	}
	return a.held
}

// Close ends reading and waits for the end.
func (a *Ahead) Close() {
	a.stop()
	close(a.free)
	for {
		if _, more := <-a.full; !more { // what was read ahead is not wanted
			return
		}
	}
}
