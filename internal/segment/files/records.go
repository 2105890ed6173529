package files

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"regexp"
	"strings"
)

// recordReader is a csv.Reader, or reads lines without quotes.
type recordReader interface {
	Read() ([]string, error)
	FieldPos(field int) (line, column int)
	InputOffset() int64
}

// newRecords reads the records of a text.
func newRecords(text io.Reader, comma rune, d dialect) recordReader {
	if d.noQuotes {
		return &lineReader{r: bufio.NewReader(text), comma: string(comma)}
	}
	if d.escape {
		text = &unescaper{src: text}
	}
	records := csv.NewReader(text)
	records.Comma = comma
	records.ReuseRecord = true
	records.TrimLeadingSpace = d.spaced
	records.FieldsPerRecord = -1 // checked here, so that a short row is one row's problem
	return records
}

// spacedQuotes is how a header looks in which spaces follow the separators.
var spacedQuotes = regexp.MustCompile(`"[,;|] +"`)

// endsWithCR says that the lines at the start of a text end with CR alone, as
// those of old Macs do.
func endsWithCR(start []byte) bool {
	return bytes.IndexByte(start, '\r') >= 0 && bytes.IndexByte(start, '\n') < 0 && bytes.IndexByte(start, '\r') < len(start)-1
}

// crLines makes each CR an LF.
type crLines struct{ src io.Reader }

func (c *crLines) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	for i, b := range p[:n] {
		if b == '\r' {
			p[i] = '\n'
		}
	}
	return n, err
}

// lastLine returns the line, counted from 1 at the start of the reader, on
// which the record ends that was read last. (A line break within quotes is one
// LF in the value, whatever it is in the file.)
func lastLine(r recordReader, record []string) int64 {
	last := len(record) - 1
	line, _ := r.FieldPos(last)
	return int64(line + strings.Count(record[last], "\n"))
}

// unescaper doubles quotes that have a backslash in front, as CSV has them: in
// place of the backslash, so that every byte stays where it is.
type unescaper struct {
	src     io.Reader
	held    bool // a backslash that the next byte decides about
	escaped bool // the next byte has a backslash in front
	err     error

	buffer [4 << 10]byte
	ready  []byte // of the buffer
}

func (u *unescaper) Read(p []byte) (int, error) {
	if len(u.ready) == 0 {
		n, err := u.fill(u.buffer[:])
		if u.ready = u.buffer[:n]; n == 0 {
			return 0, err
		}
	}
	n := copy(p, u.ready)
	u.ready = u.ready[n:]
	return n, nil
}

// fill reads into two bytes or more.
func (u *unescaper) fill(p []byte) (int, error) {
	if u.err != nil && !u.held {
		return 0, u.err
	}
	n := 0
	if u.held {
		p[0], n, u.held = '\\', 1, false
	}
	if u.err == nil {
		var m int
		m, u.err = u.src.Read(p[n:])
		for i := n; i < n+m; i++ {
			switch {
			case u.escaped:
				if p[i] == '"' {
					p[i-1] = '"'
				}
				u.escaped = false
			case p[i] == '\\':
				u.escaped = true
			}
		}
		n += m
		if u.escaped && u.err == nil && n > 0 {
			n--
			u.held = true
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, u.err
}

// lineReader reads records in which quotes are characters like others, so that
// each line is one.
type lineReader struct {
	r      *bufio.Reader
	comma  string
	line   int
	offset int64
	fields []string
}

func (l *lineReader) Read() ([]string, error) {
	for {
		var long []byte
		text, err := l.r.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, text...)
			text, err = l.r.ReadSlice('\n')
		}
		if long != nil {
			text = append(long, text...)
		}
		if err != nil && (len(text) == 0 || !errors.Is(err, io.EOF)) {
			return nil, err
		}
		l.offset += int64(len(text))
		l.line++
		record := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
		if record == "" {
			continue
		}
		l.fields = l.fields[:0]
		for {
			field, rest, more := strings.Cut(record, l.comma)
			l.fields = append(l.fields, field)
			if !more {
				return l.fields, nil
			}
			record = rest
		}
	}
}

func (l *lineReader) FieldPos(int) (line, column int) { return l.line, 1 }

func (l *lineReader) InputOffset() int64 { return l.offset }
