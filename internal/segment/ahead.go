package segment

import "context"

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

// ReadAhead starts to read. A chunk ends at every multiple of part rows, so that
// parts of that many rows can be stored with the position after them. Closing
// calls stop, which must end the context that the reader was opened with.
func ReadAhead(r Reader, part int, stop context.CancelFunc) *Ahead {
	a := &Ahead{full: make(chan *Chunk), free: make(chan *Chunk, chunksAhead), stop: stop}
	for range chunksAhead {
		a.free <- &Chunk{}
	}
	go func() {
		defer close(a.full)
		read := 0
		for c := range a.free {
			c.fill(r, part-read%part)
			read += len(c.Rows)
			a.full <- c
			if c.Err != nil {
				return
			}
		}
	}()
	return a
}

// fill reads at most so many rows.
func (c *Chunk) fill(r Reader, most int) {
	c.Rows, c.values, c.Err = c.Rows[:0], c.values[:0], nil
	for bytes := 0; len(c.Rows) < min(most, chunkRows) && bytes < chunkBytes; {
		row, err := r.Next()
		if err != nil {
			c.Err = err
			break
		}
		c.Rows = append(c.Rows, c.keep(row))
		for _, v := range row.Values {
			bytes += len(v)
		}
	}
	c.Cursor = r.Cursor()
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
