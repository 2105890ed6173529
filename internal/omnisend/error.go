package omnisend

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Class says what may be done about a failed request. It is decided in one
// place, by Classify.
type Class string

// The outcome classes.
const (
	Wait   Class = "wait"   // over the limit: wait, it is not a failed attempt
	Retry  Class = "retry"  // passing fault: try again with backoff
	Split  Class = "split"  // the call as a whole was refused: halve it
	Park   Class = "park"   // an operator can fix it
	Reject Class = "reject" // this one contact is refused
	Fail   Class = "fail"   // it cannot be fixed for this run
	Gone   Class = "gone"   // 404 on a batch: unknown, or its results have expired
)

// FieldError is one complaint of a validation answer.
type FieldError struct {
	Field   string `json:"field"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Error is a request that did not succeed. Its text never holds a key, an
// address, or the answer's free text, which may quote what was sent.
type Error struct {
	Op         string        // the request: "POST /batches"
	Class      Class         //
	Status     int           // HTTP status; 0 when no answer came
	Unanswered bool          // the request may have taken effect all the same
	RetryAfter time.Duration // of a Wait; 0 when the answer did not say
	Fields     []FieldError  // of a 400; Message is left empty
	Instance   string        // Omnisend's id of the request, for its support
	// Sentence is what the answer said in words. It may quote what was sent, so
	// that Error leaves it out: it is for sealed places only.
	Sentence string
	Cause    error // of a transport failure
}

// Error tells the request, the status and the codes of the complaint.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	switch {
	case e.Status != 0:
		fmt.Fprintf(&b, " was answered with %d", e.Status)
		if e.Cause != nil {
			fmt.Fprintf(&b, ", which cannot be used: %v", e.Cause)
		}
	case e.Cause != nil:
		fmt.Fprintf(&b, " got no answer: %v", e.Cause)
	default:
		b.WriteString(" got no answer")
	}
	for _, f := range e.Fields {
		fmt.Fprintf(&b, "; %s: %s", f.Field, f.Code)
	}
	if e.Instance != "" {
		fmt.Fprintf(&b, " (%s)", e.Instance)
	}
	return b.String()
}

// Unwrap gives the transport failure, if that is what it was.
func (e *Error) Unwrap() error { return e.Cause }

// ClassOf returns the class of err: that of the *Error in it, else Retry.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return Retry
}
