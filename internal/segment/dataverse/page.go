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

// readPage reads a page of rows: for each the texts of the columns, in their
// order, valid until the next row. It returns the link to the next page, empty
// at the end.
func readPage(body io.Reader, columns []string, row func(values []string, p segment.Problem) error) (string, error) {
	d := json.NewDecoder(body)
	if err := delimiter(d, '{'); err != nil {
		return "", err
	}
	next, seen := "", false
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return "", broken(err)
		}
		switch key {
		case "value":
			if err := readRows(d, columns, row); err != nil {
				return "", err
			}
			seen = true
		case "@odata.nextLink":
			if err := d.Decode(&next); err != nil {
				return "", shape(err)
			}
		default:
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return "", broken(err)
			}
		}
	}
	if err := delimiter(d, '}'); err != nil {
		return "", err
	}
	if !seen {
		return "", errAnswer
	}
	return next, nil
}

func readRows(d *json.Decoder, columns []string, row func([]string, segment.Problem) error) error {
	if err := delimiter(d, '['); err != nil {
		return err
	}
	values := make([]string, len(columns))
	fields := map[string]json.RawMessage{}
	for d.More() {
		clear(fields)
		if err := d.Decode(&fields); err != nil {
			return shape(err)
		}
		var problem segment.Problem
		for i, column := range columns {
			text, ok := text(fields[column])
			if !ok {
				problem = segment.ProblemEncoding
			}
			values[i] = text
		}
		if err := row(values, problem); err != nil {
			return err
		}
	}
	return delimiter(d, ']')
}

func delimiter(d *json.Decoder, want json.Delim) error {
	token, err := d.Token()
	if err != nil {
		return broken(err)
	}
	if token != want {
		return errAnswer
	}
	return nil
}

// broken makes an end in the middle what it is: the answer was cut.
func broken(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// shape tells JSON of another shape from JSON that breaks off.
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
func text(value json.RawMessage) (string, bool) {
	if len(value) == 0 {
		return "", true
	}
	switch value[0] {
	case 'n':
		return "", true
	case '"':
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

// mostExponent bounds what a number may become when it is written out; a
// double has at most 308.
const mostExponent = 400

// number writes a JSON number without an exponent.
func number(s string) (string, bool) {
	i := strings.IndexAny(s, "eE")
	if i < 0 {
		return s, true
	}
	exponent, err := strconv.Atoi(s[i+1:])
	if err != nil || exponent > mostExponent || exponent < -mostExponent {
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
