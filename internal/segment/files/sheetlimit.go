package files

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
)

// limited is XML that is unpacked, of which a piece and the whole may take so
// many bytes: few packed ones can be very many. It is read byte by byte, so that
// what follows a piece that is too long can be read by another decoder.
type limited struct {
	src         *bufio.Reader
	left, total int64
	markup      []byte // the start of the last piece of markup
}

func newLimited(ctx context.Context, src io.Reader) *limited {
	return &limited{src: bufio.NewReader(&interruptible{ctx, src}), left: maxRowXML, total: maxSheet}
}

// decoder begins to read XML where reading stopped.
func (l *limited) decoder() *xml.Decoder {
	return xml.NewDecoder(l)
}

func (l *limited) ReadByte() (byte, error) {
	if l.left <= 0 || l.total <= 0 {
		return 0, errTooLong
	}
	c, err := l.src.ReadByte()
	if err != nil {
		return 0, err
	}
	l.left--
	l.total--
	if c == '<' {
		l.markup = l.markup[:0]
	}
	if len(l.markup) < mostMarkup {
		l.markup = append(l.markup, c)
	}
	return c, nil
}

// Read is there for the type; a decoder reads bytes.
func (l *limited) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c, err := l.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = c
	return 1, nil
}

// mostMarkup is longer than the end of a row.
const mostMarkup = 64

// passRow reads up to the end of a row, and holds nothing of it.
func (l *limited) passRow() error {
	l.left = maxSheet
	defer func() { l.left = maxRowXML }()
	for !l.endsRow() {
		if _, err := l.ReadByte(); err != nil {
			return err
		}
	}
	return nil
}

// endsRow says that the end of a row was just read.
func (l *limited) endsRow() bool {
	name, ends := bytes.CutPrefix(l.markup, []byte("</"))
	name, whole := bytes.CutSuffix(name, []byte(">"))
	if at := bytes.IndexByte(name, ':'); at >= 0 {
		name = name[at+1:]
	}
	return ends && whole && string(bytes.TrimSpace(name)) == "row"
}

// interruptible ends when it is not wanted any more.
type interruptible struct {
	ctx context.Context //nolint:containedctx // a reader lives as long as the call that opened it
	src io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.src.Read(p)
}

// chunked reads the content a chunk at a time, however little is asked for.
type chunked struct {
	noted

	size   int64
	most   int64 // how much may be asked for; 0: no bound
	asked  int64
	buffer []byte
	from   int64
}

func (c *chunked) ReadAt(p []byte, off int64) (int, error) {
	if c.asked += int64(len(p)); c.most > 0 && c.asked > c.most {
		return 0, errTooLong
	}
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= c.size {
			return n, io.EOF
		}
		if at < c.from || at >= c.from+int64(len(c.buffer)) {
			chunk := min(int64(c.Chunk()), c.size-at)
			if cap(c.buffer) < int(chunk) {
				c.buffer = make([]byte, chunk)
			}
			m, err := c.noted.ReadAt(c.buffer[:chunk], at)
			c.buffer, c.from = c.buffer[:m], at
			if m == 0 {
				if err == nil || errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				return n, err
			}
		}
		n += copy(p[n:], c.buffer[at-c.from:])
	}
	return n, nil
}
