package files

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// separators are what columns are separated by, the usual one first.
var separators = []rune{',', ';', '\t', '|'}

// sepLine is the line with which Excel tells itself the separator. A program
// that saved the file again may have put its own behind it.
var sepLine = regexp.MustCompile(`(?i)^"?sep=(.)"?[,;\t|]*\r?\n`)

// sampleRows is how many rows are looked at to find out the separator.
const sampleRows = 20

// sample returns the start of the text, as far as there are whole lines, and
// passes over a line that tells the separator, which comes first then.
func (r *headerReader) sample() (sample, error) {
	start, err := r.text.Peek(r.text.Size())
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errTooLong) {
		return sample{}, r.failed(err)
	}
	s := sample{candidates: separators}
	if line := sepLine.FindSubmatch(start); line != nil {
		told, _ := utf8.DecodeRune(line[1])
		if !strings.ContainsRune("\"\r\n\x00", told) && told != utf8.RuneError {
			s.candidates, s.told = append([]rune{told}, separators...), told
		}
		n, _ := r.text.Discard(len(line[0]))
		r.skip += int64(n)
		r.line++
		start = start[n:]
	}
	s.text = bytes.Clone(start)
	if end := bytes.LastIndexByte(s.text, '\n') + 1; err == nil && end > 0 { // there is more, and the last line may be cut off
		s.text = s.text[:end]
	}
	return s, nil
}

// sample is the start of a text.
type sample struct {
	text       []byte
	candidates []rune
	told       rune // by the text itself
}

// separator is the one that yields the columns asked for; of several such, or
// where none is asked for, what the text tells itself, else the one that makes
// the rows most alike.
func (r *headerReader) separator(s sample) rune {
	best, found, alike := s.candidates[0], -1, -1.0
	for _, comma := range s.candidates {
		names, likeness := r.columnsBy(s.text, comma)
		n := count(names, r.known())
		if comma == s.told {
			likeness = float64(maxRecord)
		}
		if n > found || n == found && likeness > alike {
			best, found, alike = comma, n, likeness
		}
	}
	return best
}

// columnsBy returns the header that a separator makes, and how many columns it
// makes of it, less where the rows below have another number of them.
func (r *headerReader) columnsBy(text []byte, comma rune) (names []string, likeness float64) {
	records := newRecords(bytes.NewReader(text), comma, r.csv)
	rows, like := 0, 0
	for rows <= sampleRows {
		record, err := records.Read()
		if parse, ok := errors.AsType[*csv.ParseError](err); ok && parse.StartLine == parse.Line && names != nil {
			continue // the line is passed over
		}
		if err != nil {
			break
		}
		if blankRecord(record) {
			continue
		}
		if names == nil {
			names = trimmed(record)
			continue
		}
		rows++
		if len(record) == len(names) {
			like++
		}
	}
	return names, float64(len(names)-1) * float64(1+like) / float64(1+rows)
}

// looksLikeRow says whether a first row is one of values rather than a header.
func looksLikeRow(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		return addressLike.MatchString(name) || valueLike.MatchString(name)
	})
}

// addressLike is an e-mail address, near enough.
var addressLike = regexp.MustCompile(`\S@\S+\.\S`)

// valueLike is what few columns are called: a number, a date, a truth value.
var valueLike = regexp.MustCompile(`^(?:[-+]?\d+(?:[.,]\d+)*|\d{4}-\d\d-\d\d.*|\d{1,2}[./]\d{1,2}[./]\d{2,4}.*|(?i:true|false))$`)
