package segment

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// NetworkCause describes a failure of the network in words that speak of hosts,
// ports and certificates only: what an error says besides may hold addresses
// with filters or signatures in them, and those hold names and secrets.
func NetworkCause(err error) string {
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
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), strings.Contains(err.Error(), "EOF"), strings.Contains(err.Error(), "closed"):
		return "the connection was cut"
	}
	return "the network failed"
}
