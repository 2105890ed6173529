package files

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"golang.org/x/text/encoding"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/tree"
)

// Errors of a textReader, besides those of what it reads from.
var (
	errTooLong = errors.New("record too long")
	errDamaged = errors.New("compressed data are damaged or cut off")
)

// textReader reads text from an offset on. It ends with errTooLong when more is
// asked for than one record may take, so that a quote that is never closed does
// not pull the rest of the file into memory. It keeps what was read of the
// record that is being read.
type textReader struct {
	ctx   context.Context //nolint:containedctx // a reader lives as long as the call that opened it
	src   io.Reader
	at    int64 // of the next byte to be read
	limit int64 // where at may not go

	kept  []byte // what was read last, ending at at
	since int64  // what lies before need not be kept
	ended bool   // there is no more
	more  []byte // a buffer for readMore
}

func (t *textReader) Read(p []byte) (int, error) {
	if err := t.ctx.Err(); err != nil {
		return 0, err
	}
	if t.at >= t.limit {
		return 0, errTooLong
	}
	n, err := t.src.Read(p)
	if drop := t.since - (t.at - int64(len(t.kept))); drop > 0 {
		t.kept = t.kept[:copy(t.kept, t.kept[min(drop, int64(len(t.kept))):])]
	}
	t.kept = append(t.kept, p[:n]...)
	t.at += int64(n)
	t.ended = errors.Is(err, io.EOF)
	if n > 0 && t.ended {
		err = nil
	}
	return n, err
}

// openEnd says that the text has ended, with a line that is not.
func (t *textReader) openEnd() bool {
	return t.ended && len(t.kept) > 0 && t.kept[len(t.kept)-1] != '\n'
}

// line returns the line that begins at a position that was kept, with its end.
// It reads on as far as need be; io.EOF says that nothing is there.
func (t *textReader) line(from int64) ([]byte, error) {
	for seen := 0; ; {
		text := t.kept[from-(t.at-int64(len(t.kept))):]
		if end := bytes.IndexByte(text[seen:], '\n'); end >= 0 {
			return text[:seen+end+1], nil
		}
		seen = len(text)
		if err := t.readMore(); err != nil {
			if errors.Is(err, io.EOF) && seen > 0 {
				return text, nil
			}
			return nil, err
		}
	}
}

// passLine reads up to the end of the line that reading stopped in,
// keeps nothing of it, and returns where the next begins. io.EOF says that the
// text ended before.
func (t *textReader) passLine() (int64, error) {
	for {
		t.since = t.at
		t.limit = t.at + maxRecord
		if err := t.readMore(); err != nil {
			return t.at, err
		}
		if end := bytes.IndexByte(t.kept, '\n'); end >= 0 {
			return t.at - int64(len(t.kept)) + int64(end) + 1, nil
		}
	}
}

// between returns text that was kept.
func (t *textReader) between(from, to int64) ([]byte, bool) {
	start := t.at - int64(len(t.kept))
	if from < start || to > t.at || from > to {
		return nil, false
	}
	return t.kept[from-start : to-start], true
}

func (t *textReader) readMore() error {
	if t.more == nil {
		t.more = make([]byte, 32<<10)
	}
	_, err := t.Read(t.more)
	return err
}

// raw returns the unpacked bytes of a file from an offset on. Each read of the
// content asks for about chunk bytes.
func (s *set) raw(content tree.Content, size, from int64, chunk int) (io.Reader, error) {
	if !s.form.packed {
		if from > size {
			return nil, segment.ErrChanged
		}
		return io.NewSectionReader(content, from, size-from), nil
	}
	return skipped(&gunzip{packed: bufio.NewReaderSize(io.NewSectionReader(content, 0, size), chunk)}, from)
}

// text returns the text of a file from an offset on, as UTF-8: what the decoder
// makes of it, nil where it is UTF-8.
func (s *set) text(content tree.Content, size, from int64, chunk int, decoder encoding.Encoding) (io.Reader, error) {
	if decoder == nil {
		return s.raw(content, size, from, chunk)
	}
	raw, err := s.raw(content, size, 0, chunk)
	if err != nil {
		return nil, err
	}
	return skipped(decoder.NewDecoder().Reader(bufio.NewReaderSize(raw, chunk)), from)
}

func skipped(text io.Reader, n int64) (io.Reader, error) {
	if _, err := io.CopyN(io.Discard, text, n); errors.Is(err, io.EOF) {
		return nil, segment.ErrChanged
	} else if err != nil {
		return nil, err
	}
	return text, nil
}

// gunzip unpacks; what is wrong with the packed data is an errDamaged.
type gunzip struct {
	packed io.Reader
	unpack *gzip.Reader
}

func (g *gunzip) Read(p []byte) (int, error) {
	if g.unpack == nil {
		var err error
		if g.unpack, err = gzip.NewReader(g.packed); err != nil {
			return 0, g.explain(err)
		}
	}
	n, err := g.unpack.Read(p)
	return n, g.explain(err)
}

// explain tells damage from trouble with reading, which is passed on. A file of
// no bytes at all is an empty text.
func (g *gunzip) explain(err error) error {
	if err == nil || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if damaged(err) {
		return errDamaged
	}
	return err
}

func damaged(err error) bool {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	return corrupt || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF)
}
