package dataverse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"

	"github.com/segment-export/segment-export/internal/segment"
)

// passingError is a fault that may be gone the next time.
type passingError struct{ text string }

func (e *passingError) Error() string { return e.text }

func passing(format string, args ...any) error { return &passingError{fmt.Sprintf(format, args...)} }

// malformedError is an ErrMalformed that says what is wrong and no more.
type malformedError struct{ text string }

func (e *malformedError) Error() string { return e.text }

func (e *malformedError) Is(target error) bool { return target == segment.ErrMalformed }

func malformed(format string, args ...any) error {
	return &malformedError{fmt.Sprintf(format, args...)}
}

var notPlain = regexp.MustCompile(`[^0-9A-Za-z_.-]+`)

// plainWord makes an identifier from outside fit for a message.
func plainWord(s string) string {
	s = notPlain.ReplaceAllString(s, "")
	return s[:min(len(s), 80)]
}

// transportCause describes a transport failure in words that speak of hosts,
// ports and certificates only: an URL holds filters, and those hold names.
func transportCause(err error) string {
	var (
		certificate *tls.CertificateVerificationError
		operation   *net.OpError
		lookup      *net.DNSError
		number      syscall.Errno
		timeout     net.Error
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &certificate):
		return certificate.Error()
	case errors.As(err, &lookup):
		return lookup.Error()
	case errors.As(err, &operation) && operation.Op == "dial":
		return operation.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &number):
		return number.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "EOF"):
		return "the connection was cut"
	}
	return "transport failure"
}
