package segment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segment-export/segment-export/internal/reason"
)

// ErrBusy says that a segment cannot be read just now, and can be later without
// anyone's help. Errors that wrap it are *BusyError.
var ErrBusy = errors.New("cannot be read just now")

// BusyError says why a source makes its readers wait and how long. It is a
// wait, not a failure: what was read so far stands, and a read may
// continue from the reader's cursor.
type BusyError struct {
	Reason     string        // for people, such as "a refresh is running"
	RetryAfter time.Duration // after which it is worth trying again
}

// Error says why, and when to try again.
func (e *BusyError) Error() string {
	return fmt.Sprintf("%s; try again in %s", e.Reason, e.RetryAfter.Round(time.Second))
}

// Is makes it an ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// ErrAccess says that the source refuses access until a person changes a login
// or a permission. Errors that wrap it are *AccessError.
var ErrAccess = errors.New("no access")

// AccessError says what a source refuses and what its administrator can do
// about it. Neither text holds a secret or anybody's data.
type AccessError struct {
	Message string // what is refused, and why
	Action  string // what to do, and where
}

// Error says both.
func (e *AccessError) Error() string { return e.Message + "; " + e.Action }

// Is makes it an ErrAccess.
func (e *AccessError) Is(target error) bool { return target == ErrAccess }

// Malformed makes an ErrMalformed that says what is wrong and no more.
func Malformed(format string, args ...any) error {
	return &sentence{reason.Format(format, args...), ErrMalformed}
}

// NotFound makes an ErrNotFound that says what is missing and no more.
func NotFound(format string, args ...any) error {
	return &sentence{reason.Format(format, args...), ErrNotFound}
}

// sentence is an error of a kind that has words of its own.
type sentence struct {
	text reason.Text
	kind error
}

func (s *sentence) Error() string { return string(s.text) }

func (s *sentence) Is(target error) bool { return target == s.kind }

// ChangedError is an ErrChanged that says why a read cannot continue where it was
// and starts again.
type ChangedError struct {
	Reason string // a part of a sentence, after "because"
}

// Error says why.
func (e *ChangedError) Error() string { return "it is read again from the start because " + e.Reason }

// Is makes it an ErrChanged.
func (e *ChangedError) Is(target error) bool { return target == ErrChanged }

// Whole is a Source whose segments are read in one go: the view that a reader
// has ends with it, and Open with a cursor gives an error wrapping ErrChanged.
// Its caller reads on without a pause where it can.
type Whole interface {
	ReadsWhole()
}

// Noter is a Reader that may have something to say of a complete read,
// for the run's report. Notes are complete after Next gave io.EOF.
type Noter interface {
	Notes() []string
}

// Check is one thing that was looked at when a source was tested.
type Check struct {
	Name   string `json:"name"`             // such as "login"
	OK     bool   `json:"ok"`               // false: runs would stop here
	Detail string `json:"detail"`           // what was found
	Action string `json:"action,omitempty"` // what to do when it is not OK, or what would make it better
}

// Tester is a Source that can look whether runs would work: the login, the
// permissions and a first page. What is wrong with the source is a Check; the
// error is for what stopped the test itself, such as the end of ctx.
type Tester interface {
	Test(ctx context.Context) ([]Check, error)
}
