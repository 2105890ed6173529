package files

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/tree"
)

// The problems of a row in JSON.
const (
	ProblemJSON   segment.Problem = "invalid_json" // a line is not a JSON object
	ProblemNested segment.Problem = "nested_value" // what is mapped is a list or an object
)

// lineSample is in how many rows, and in how much of a text, columns are looked
// for: an object may leave out what is null.
const (
	lineSample      = 1000
	lineSampleBytes = 1 << 20
)

// lineRows reads the rows of one file of JSON objects, one a line.
type lineRows struct {
	place   string
	decoded bool
	wanted  map[string][]int // places of the columns asked for among values

	src  *textReader
	text *bufio.Reader
	buf  int64    // how much is read ahead
	at   position // after the last row
	json *jsontext.Decoder
	line bytes.Reader

	blank  int64
	sample []byte // of what is not UTF-8
	values []string
}

// lineRows opens a file at a position, or where its rows begin.
func (s *set) lineRows(ctx context.Context, content tree.Content, size int64, where string, fields []string, from *position) (*lineRows, error) {
	start, err := s.readLines(ctx, content, size, where)
	if err != nil {
		return nil, err
	}
	if _, err := columnsOf(where, start.names, fields); err != nil {
		return nil, err
	}
	r := &lineRows{place: where, decoded: start.decoder != nil, wanted: make(map[string][]int, len(fields)), values: make([]string, len(fields)), at: start.end}
	for i, field := range fields {
		r.wanted[field] = append(r.wanted[field], i)
	}
	if from != nil {
		r.at = *from
	}
	chunk := content.Chunk()
	text, err := s.text(content, size, r.at.offset, chunk, start.decoder)
	if err != nil {
		return nil, r.broken(err)
	}
	if start.cr {
		text = &crLines{text}
	}
	r.src = &textReader{ctx: ctx, src: text, at: r.at.offset, since: r.at.offset}
	r.buf, r.text = int64(chunk), bufio.NewReaderSize(r.src, chunk)
	r.json = newObjects(&r.line)
	return r, nil
}

func newObjects(r io.Reader) *jsontext.Decoder {
	return jsontext.NewDecoder(r, jsontext.AllowInvalidUTF8(true))
}

// readLines reads the start of a file of JSON: which columns its rows have, in
// the order in which they come.
func (s *set) readLines(ctx context.Context, content tree.Content, size int64, where string) (header, error) {
	h := &headerReader{csv: s.csv, where: where, lines: true}
	raw, err := s.raw(content, size, 0, headerBuffer)
	if err != nil {
		return header{}, fmt.Errorf("%s: %w", where, err)
	}
	if err := h.open(ctx, raw); err != nil {
		return header{}, err
	}
	h.h.end = position{offset: h.skip}
	seen := map[string]bool{}
	rows, good := 0, 0
	for read := 0; rows < lineSample && read < lineSampleBytes; {
		line, err := h.text.ReadBytes('\n')
		read += len(line)
		if len(bytes.TrimSpace(line)) > 0 {
			rows++
			names, problem := objectNames(line)
			if problem == "" {
				good++
			}
			for _, name := range names {
				if !seen[name] {
					seen[name] = true
					h.h.names = append(h.h.names, name)
				}
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, errTooLong) && good > 0 {
			break
		}
		if errors.Is(err, errTooLong) {
			return header{}, h.malformed("line %d: the row does not end within %d bytes", max(rows, 1), maxRecord)
		}
		if err != nil {
			return header{}, h.failed(err)
		}
		if rows > 0 && good == 0 {
			break
		}
	}
	switch {
	case rows == 0:
		return header{}, fmt.Errorf("%s %w", where, segment.ErrEmpty)
	case good == 0:
		return header{}, h.malformed("the first line is not a JSON object; write one object a line, and not all in one list")
	}
	return h.h, nil
}

// objectNames returns the members of an object that can be a column's values.
func objectNames(line []byte) ([]string, segment.Problem) {
	var names []string
	problem := object(newObjects(bytes.NewReader(line)), func(d *jsontext.Decoder, name string) error {
		if kind := d.PeekKind(); kind != '{' && kind != '[' && utf8.ValidString(name) {
			names = append(names, name)
		}
		return d.SkipValue()
	})
	return names, problem
}

// object reads one object and nothing else; member reads the value that follows
// a name.
func object(d *jsontext.Decoder, member func(d *jsontext.Decoder, name string) error) segment.Problem {
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return ProblemJSON
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return ProblemJSON
		}
		if err := member(d, name.String()); err != nil {
			return ProblemJSON
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return ProblemJSON
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return ProblemJSON
	}
	return ""
}

func (r *lineRows) position() position { return r.at }

func (r *lineRows) skipped() int64 { return r.blank }

func (*lineRows) close() {}

// likely is the encoding that values could be in that are not UTF-8.
func (r *lineRows) likely() string {
	if len(r.sample) == 0 {
		return ""
	}
	return likelyEncoding(r.sample)
}

func (r *lineRows) next() (segment.Row, error) {
	for {
		r.src.limit = r.at.offset + maxRecord + r.buf
		r.src.since = r.at.offset
		line, err := r.read()
		if errors.Is(err, errTooLong) {
			return r.passLong()
		}
		if err != nil {
			return segment.Row{}, r.broken(err)
		}
		r.at = position{offset: r.at.offset + int64(len(line)), line: r.at.line + 1}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		row := segment.Row{Number: r.at.line, Problem: r.take(line)}
		if row.Problem == "" {
			row.Values = r.values
		}
		if row.Problem == "" && blankRecord(r.values) && len(r.values) > 0 {
			if names, _ := objectNames(line); len(names) == 0 { // {}
				r.blank++
				continue
			}
		}
		return row, nil
	}
}

// read returns the next line, with its end.
func (r *lineRows) read() ([]byte, error) {
	line, err := r.text.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line = bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) {
			var more []byte
			more, err = r.text.ReadSlice('\n')
			line = append(line, more...)
		}
	}
	if errors.Is(err, io.EOF) && len(line) > 0 {
		err = nil
	}
	return line, err
}

// passLong makes a row's problem of a line that is too long, and holds nothing
// of what is left of it.
func (r *lineRows) passLong() (segment.Row, error) {
	end, err := r.src.passLine()
	if err != nil && !errors.Is(err, io.EOF) {
		return segment.Row{}, r.broken(err)
	}
	ahead, _ := r.src.between(end, r.src.at)
	r.text.Reset(io.MultiReader(bytes.NewReader(bytes.Clone(ahead)), r.src))
	r.at = position{offset: end, line: r.at.line + 1}
	return segment.Row{Number: r.at.line, Problem: segment.ProblemLongRow}, nil
}

// take takes the values asked for out of a line.
func (r *lineRows) take(line []byte) segment.Problem {
	if !utf8.Valid(line) || r.decoded && bytes.ContainsRune(line, utf8.RuneError) {
		if !r.decoded && len(r.sample) < mostSample {
			r.sample = append(r.sample, line[:min(len(line), mostSample)]...)
		}
		return segment.ProblemEncoding
	}
	clear(r.values)
	r.line.Reset(line)
	r.json.Reset(&r.line, jsontext.AllowInvalidUTF8(true))
	nested := false
	problem := object(r.json, func(d *jsontext.Decoder, name string) error {
		places := r.wanted[name]
		if places == nil {
			return d.SkipValue()
		}
		raw, err := d.ReadValue()
		if err != nil {
			return err
		}
		value, ok := jsonText(raw)
		nested = nested || !ok
		for _, i := range places {
			r.values[i] = value
		}
		return nil
	})
	if problem == "" && nested {
		return ProblemNested
	}
	return problem
}

// jsonText is a value as a CSV file would show it.
func jsonText(raw jsontext.Value) (string, bool) {
	switch raw.Kind() {
	case '"':
		text, err := jsontext.AppendUnquote(nil, raw)
		return string(text), err == nil
	case 'n':
		return "", true
	case 't', 'f':
		return string(raw), true
	case '0':
		return plainNumber(string(raw)), true
	}
	return "", false
}

// broken says why the file cannot be read any further.
func (r *lineRows) broken(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case errors.Is(err, errDamaged):
		return segment.Malformed("%s: after line %d: the compressed data are damaged or cut off", r.place, r.at.line)
	}
	return fmt.Errorf("%s: after line %d: %w", r.place, r.at.line, err)
}

// longestNumber is the longest number whose exponent is worked out: that takes
// time by the square of its length.
const longestNumber = 100

// plainNumber writes a number without an exponent, as people write ids and
// phone numbers.
func plainNumber(number string) string {
	if len(number) > longestNumber || !strings.ContainsAny(number, "eE") {
		return number
	}
	f, ok := new(big.Float).SetPrec(200).SetString(number)
	if !ok || f.MantExp(nil) > 200 || f.MantExp(nil) < -200 {
		return number
	}
	return f.Text('f', -1)
}
