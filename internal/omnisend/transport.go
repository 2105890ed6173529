package omnisend

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// ParallelCalls is how many requests the client's own transport keeps
// connections for.
const ParallelCalls = 16

// idleTimeout is below what load balancers commonly allow an idle connection
// (60 s and more), so that it is seldom the far side that closes first: a POST
// into a connection that is just being closed ends without an answer.
const idleTimeout = 30 * time.Second

// newTransport speaks HTTP/1.1 only: of calls in parallel on one HTTP/2
// connection all would be left unanswered when it breaks, here it is one.
func newTransport() *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		MaxIdleConns:          2 * ParallelCalls,
		MaxIdleConnsPerHost:   ParallelCalls,
		IdleConnTimeout:       idleTimeout,
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        8 << 10,
		Protocols:             &protocols,
		ResponseHeaderTimeout: 0, // the request's own deadline covers it
	}
}

// noBody is the body of a request without one. net/http sends a GET a second
// time, unasked, when a reused connection breaks before the answer; it does so
// only for a request that it can play again, which one with a body and without
// GetBody is not. Every request is counted against the brand's budget, so
// there must be none that nobody knows of.
type noBody struct{}

func (noBody) Read([]byte) (int, error) { return 0, io.EOF }
func (noBody) Close() error             { return nil }

var (
	errShape   = errors.New("the answer is not what the contract says")
	errTooLong = errors.New("the answer is longer than the client reads")
)

// cause is a transport failure whose text is safe: net/http quotes a malformed
// answer in its errors, and an answer may quote what was sent. It matches what
// the failure matches, but does not unwrap to it.
type cause struct {
	text string
	err  error
}

func (c *cause) Error() string        { return c.text }
func (c *cause) Is(target error) bool { return errors.Is(c.err, target) }

// safeCause describes a transport failure in words of our own or of the net,
// syscall and TLS packages, which speak of hosts, ports and certificates only.
func safeCause(err error) error {
	if err == nil {
		return nil
	}
	var (
		certificate *tls.CertificateVerificationError
		operation   *net.OpError
		lookup      *net.DNSError
		number      syscall.Errno
		timeout     net.Error
	)
	text := "transport failure"
	switch {
	case errors.Is(err, errShape), errors.Is(err, errTooLong):
		return err
	case errors.Is(err, context.Canceled):
		text = "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		text = "timeout"
	case errors.As(err, &certificate):
		text = certificate.Error()
	case errors.As(err, &lookup):
		text = lookup.Error()
	case errors.As(err, &operation) && operation.Op == "dial":
		text = operation.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		text = "timeout"
	case errors.As(err, &number):
		text = number.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		text = "connection closed"
	}
	return &cause{text: text, err: err}
}
