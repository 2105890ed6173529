package dataverse

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/segment-export/segment-export/internal/segment"
)

// The problems of rows that only this source finds.
const (
	// ProblemNoProfile: a member of the segment has no profile in the table of
	// profiles, as while a refresh has not written it yet.
	ProblemNoProfile segment.Problem = "no_profile"
	// ProblemMembership: the list of a customer's segments cannot be read, so
	// that nobody knows whether this one is among them.
	ProblemMembership segment.Problem = "unreadable_membership"
)

// errAnswer says that JSON is not what the Web API answers with.
var errAnswer = segment.Malformed("the answer is not a page of rows as the Dataverse Web API describes it")

// mostValue bounds a value as it travels; the longest that a column of Dataverse
// can hold has about a million characters.
const mostValue = 16 << 20

var errLongValue = segment.Malformed("the answer has a value of more than %d MiB, which no column of Dataverse can hold", mostValue>>20)

// bounded is a body that ends with errLongValue when one value asks for more
// than mostValue: the decoder would make room for any.
type bounded struct {
	body io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLongValue
	}
	n, err := b.body.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// page reads one answer with rows, without keeping it: a page may have 5,000
// wide ones.
type page struct {
	d       *jsontext.Decoder
	body    *bounded
	columns map[string][]int // places in values; one may be asked for twice
	values  []string
}

// readPage reads a page of rows: for each the texts of the columns, in their
// order, valid until the next row. It returns the link to the next page, empty
// at the end.
func readPage(body io.Reader, columns []string, row func(values []string, p segment.Problem) error) (next string, err error) {
	// One row with what is no text is that row's problem, not the page's.
	b := &bounded{body, mostValue}
	p := &page{body: b, d: jsontext.NewDecoder(b, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)),
		columns: make(map[string][]int, len(columns)), values: make([]string, len(columns))}
	for i, column := range columns {
		p.columns[column] = append(p.columns[column], i)
	}
	seen := false
	err = p.object(func(name string) error {
		switch name {
		case "value":
			seen = true
			return p.rows(row)
		case "@odata.nextLink":
			value, err := p.d.ReadValue()
			if err != nil {
				return err
			}
			var ok bool
			if next, ok = text(value); !ok || value.Kind() != '"' {
				return errAnswer
			}
			return nil
		}
		return p.d.SkipValue()
	})
	switch {
	case err != nil:
		return "", broken(err)
	case !seen:
		return "", errAnswer
	}
	return next, nil
}

func (p *page) rows(row func([]string, segment.Problem) error) error {
	if err := p.open('['); err != nil {
		return err
	}
	for p.d.PeekKind() != ']' {
		clear(p.values)
		var problem segment.Problem
		err := p.object(func(name string) error {
			p.body.left = mostValue
			places := p.columns[name]
			if places == nil {
				return p.d.SkipValue()
			}
			value, err := p.d.ReadValue()
			if err != nil {
				return err
			}
			text, ok := text(value)
			if !ok {
				problem = segment.ProblemEncoding
			}
			for _, i := range places {
				p.values[i] = text
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := row(p.values, problem); err != nil {
			return err
		}
	}
	_, err := p.d.ReadToken()
	return err
}

// object reads an object; member reads the value that follows a name.
func (p *page) object(member func(name string) error) error {
	if err := p.open('{'); err != nil {
		return err
	}
	for p.d.PeekKind() != '}' {
		name, err := p.d.ReadToken()
		if err != nil {
			return err
		}
		if err := member(name.String()); err != nil {
			return err
		}
	}
	_, err := p.d.ReadToken()
	return err
}

func (p *page) open(want jsontext.Kind) error {
	token, err := p.d.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != want {
		return errAnswer
	}
	return nil
}

// broken makes an end in the middle what it is: the answer was cut.
func broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// shape tells JSON of another shape from JSON that ends early.
func shape(err error) error {
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return errAnswer
	}
	return broken(err)
}

// text is a value as a file of Customer Insights' own export would show it:
// nothing for null, true and false, numbers with a point and without an
// exponent, dates in ISO 8601 as they come. It is not ok when the value is no
// single value, or holds what is not Unicode text.
func text(value []byte) (string, bool) {
	if len(value) == 0 {
		return "", true
	}
	switch value[0] {
	case 'n':
		return "", true
	case '"':
		if bytes.IndexByte(value, '\\') < 0 { // as most are: what stands there is the text
			if !utf8.Valid(value) {
				return "", false
			}
			return string(value[1 : len(value)-1]), true
		}
		var s string
		if json.Unmarshal(value, &s) != nil || !utf8.Valid(value) {
			return "", false
		}
		// A lone half of a surrogate pair becomes U+FFFD when it is decoded.
		if strings.ContainsRune(s, utf8.RuneError) && !bytes.ContainsRune(value, utf8.RuneError) && !bytes.Contains(bytes.ToLower(value), []byte(`\ufffd`)) {
			return "", false
		}
		return s, true
	case 't', 'f':
		return string(value), true
	case '{', '[':
		return "", false
	}
	return number(string(value))
}

// mostExponent bounds what a number with an exponent may become when it is
// written out, and its digits; a double has at most 308.
const mostExponent = 400

// number writes a JSON number without an exponent.
func number(s string) (string, bool) {
	i := strings.IndexAny(s, "eE")
	if i < 0 {
		return s, true
	}
	exponent, err := strconv.Atoi(s[i+1:])
	if err != nil || i > mostExponent || exponent > mostExponent || exponent < -mostExponent {
		return "", false
	}
	exact, ok := new(big.Rat).SetString(s)
	if !ok {
		return "", false
	}
	plain := exact.FloatString(mostExponent + i)
	return strings.TrimRight(strings.TrimRight(plain, "0"), "."), true
}

// segmentNames reads the column msdynci_segments, a JSON list; nil when it is
// none.
func segmentNames(list string) []string {
	var names []string
	if json.Unmarshal([]byte(list), &names) != nil {
		return nil
	}
	return names
}
