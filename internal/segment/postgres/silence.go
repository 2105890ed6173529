package postgres

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// silenceError says that nothing came over a connection for as long as it may
// take: no answer, no end. The network's own signs of life do not notice a
// server that hangs, or something between it and us that does.
type silenceError struct{ lasted time.Duration }

func (e *silenceError) Error() string { return fmt.Sprintf("nothing came for %s", e.lasted) }

// listening is a connection with a timeout for each read, which its user may
// change at any time.
type listening struct {
	net.Conn

	most *atomic.Int64 // how long to wait for something, in nanoseconds

	mu       sync.Mutex
	deadline time.Time // that was set from outside; zero for none
}

// SetDeadline keeps the deadline in force together with our own.
func (l *listening) SetDeadline(t time.Time) error {
	if err := l.SetReadDeadline(t); err != nil {
		return err
	}
	return l.SetWriteDeadline(t)
}

// SetReadDeadline keeps the deadline in force together with our own.
func (l *listening) SetReadDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = t
	return l.Conn.SetReadDeadline(t)
}

func (l *listening) Read(p []byte) (int, error) {
	most := time.Duration(l.most.Load())
	l.mu.Lock()
	ends, ours := time.Now().Add(most), true
	if !l.deadline.IsZero() && l.deadline.Before(ends) {
		ends, ours = l.deadline, false
	}
	err := l.Conn.SetReadDeadline(ends)
	l.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := l.Conn.Read(p)
	if ours && errors.Is(err, os.ErrDeadlineExceeded) && !time.Now().Before(ends) {
		err = &silenceError{most}
	}
	return n, err
}
