package files

import (
	"bufio"
	"context"
	"errors"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"

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
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// between returns text that was kept.
func (t *textReader) between(from, to int64) ([]byte, bool) {
	start := t.at - int64(len(t.kept))
	if from < start || to > t.at || from > to {
		return nil, false
	}
	return t.kept[from-start : to-start], true
}

// text returns the text of a file from an offset on, as UTF-8. Each read of the
// content asks for about chunk bytes.
func (s *set) text(content tree.Content, size, from int64, chunk int) (io.Reader, error) {
	if s.form == formCSV && s.csv.decoder == nil {
		if from > size {
			return nil, segment.ErrChanged
		}
		return io.NewSectionReader(content, from, size-from), nil
	}
	var text io.Reader = bufio.NewReaderSize(io.NewSectionReader(content, 0, size), chunk)
	if s.form == formGzip {
		text = &gunzip{packed: text}
	}
	if s.csv.decoder != nil {
		text = s.csv.decoder.NewDecoder().Reader(text)
	}
	if _, err := io.CopyN(io.Discard, text, from); errors.Is(err, io.EOF) {
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
