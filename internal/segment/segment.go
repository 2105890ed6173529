// Package segment reads segments of customer profiles. A Source is one place
// that has segments; every implementation passes the suite in segmenttest.
package segment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segment-export/segment-export/internal/reason"
)

// Cursor is an opaque position in a segment, short enough to store with every
// part of a run. It names the view it belongs to, so that a read never continues
// in a segment that has changed. It may hold the id of a customer, so store it
// encrypted.
type Cursor []byte

// Info describes a segment without reading it.
type Info struct {
	Name   string
	Fields []string // in the order of the source
	Bytes  int64    // size of the underlying file; 0 when unknown

	// What only some sources know:
	Title       string    // the name that people gave it; empty when unknown
	Members     *int64    // how many rows it had when it was last refreshed; nil when unknown
	RefreshedAt time.Time // zero when unknown
}

// Row is one customer profile, or a row that could not be read as one.
type Row struct {
	Number  int64    // the line of a file, counted from 1, or the row's ordinal
	Values  []string // the values of the fields asked for, in their order; valid until the next call of Next
	Problem Problem  // not empty: the row is invalid and Values must not be used
}

// Problem is why a row cannot be read as a profile.
type Problem string

// The problems a source finds itself.
const (
	ProblemColumns   Problem = "wrong_column_count"
	ProblemEncoding  Problem = "invalid_utf8"
	ProblemLongRow   Problem = "row_too_long"   // longer than MaxRow
	ProblemLongField Problem = "field_too_long" // longer than MaxField
)

const (
	// MaxRow is the longest row in bytes. It bounds what a reader holds; a row of
	// the source that is longer is a Row with ProblemLongRow.
	MaxRow = 1 << 20
	// MaxField is the longest value in bytes of a field that is asked for. No name
	// or address comes near it; a row with a longer one is rejected.
	MaxField = 16 << 10
	// MaxValues is how long the values of all fields that are asked for may be
	// together; a row with more is a row with ProblemLongRow.
	MaxValues = 64 << 10
)

// Long says what is too long about the values of a row; empty when nothing is.
// Readers that hold more than one row reject long ones with it; for the others
// their caller does.
func Long[T ~string | ~[]byte](values []T) Problem {
	all := 0
	for _, v := range values {
		if len(v) > MaxField {
			return ProblemLongField
		}
		all += len(v)
	}
	if all > MaxValues {
		return ProblemLongRow
	}
	return ""
}

// Source is one place that has segments. Its methods may be called from
// several goroutines at once and as often as one likes: reading changes nothing.
type Source interface {
	// Segments lists what can be read, sorted by name, without row data.
	Segments(ctx context.Context) ([]Info, error)
	// Describe returns one segment's fields. A segment that is there but wholly
	// empty, without even field names, gives an error that wraps ErrEmpty.
	Describe(ctx context.Context, segment string) (Info, error)
	// Open starts to read a segment's rows after the given cursor, or from the
	// start when the cursor is nil. It returns an error wrapping ErrChanged when
	// the cursor's view is gone: the caller then begins again from the start.
	// Fields that the segment lacks give a *MissingFieldsError.
	Open(ctx context.Context, segment string, fields []string, after Cursor) (Reader, error)
}

// Reader reads the rows of one segment in a fixed order from a view that does
// not move. It is used by one goroutine.
type Reader interface {
	// Next returns the next row. It ends with io.EOF, only after the whole view
	// was read and found unchanged; an error wrapping ErrChanged says that it
	// did change. Other errors are about the whole segment and name the place.
	Next() (Row, error)
	// Cursor returns the position after the last row that Next returned.
	Cursor() Cursor
	Close() error
}

// ErrChanged says that the segment is no longer the one that was being read.
var ErrChanged = errors.New("the segment was replaced while it was being read")

// ErrEmpty says that a segment has no rows and no field names.
var ErrEmpty = errors.New("is empty")

// ErrNotFound says that the source has no such segment.
var ErrNotFound = errors.New("no such segment")

// ErrMalformed says that a segment cannot be read as what it claims to be.
// Trying again does not help: the data must be corrected.
var ErrMalformed = errors.New("malformed")

// MissingFieldsError names fields that a mapping wants and a segment lacks.
type MissingFieldsError struct {
	Place   string   // the file or table
	Missing []string // in the order asked for
	Fields  []string // those that exist; never for a message: without a header they are values
}

// Error names what is missing, and not what exists.
func (e *MissingFieldsError) Error() string {
	return fmt.Sprintf("%s has no column %s; see which it has (starter source show NAME --segment SEGMENT) and map one of those",
		e.Place, reason.Names(e.Missing...))
}
