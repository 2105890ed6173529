package alerting

import (
	"context"
	"crypto/x509"
	"time"
)

// Timeout bounds one attempt.
const Timeout = 30 * time.Second

// Message is what is delivered.
type Message struct {
	ID      string    // the same at every attempt, so that a receiver can tell
	At      time.Time // when it was written
	Subject string    // one line
	Text    string    // lines for people, the subject not repeated
	Fields  any       // the same for programs, as JSON
}

// Channel delivers messages. A delivery that failed may have arrived all the
// same.
type Channel interface {
	Deliver(ctx context.Context, m Message) error
}

// Roots are the certificate authorities that servers are checked against; nil
// is the system's.
type Roots = *x509.CertPool

// PermanentError is a failure that a later attempt does not fix.
type PermanentError struct{ Message string }

func (e *PermanentError) Error() string { return e.Message }
