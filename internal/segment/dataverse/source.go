package dataverse

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// Clock tells the time and waits.
type Clock interface {
	Now() time.Time
	// Sleep waits for d, or until ctx ends and returns its error.
	Sleep(ctx context.Context, d time.Duration) error
}

// Options are what a test, or a special network, sets differently.
type Options struct {
	HTTP  *http.Client // nil: one that trusts the system's certificate authorities
	Clock Clock        // nil: the real one
}

// Source is one environment of Customer Insights - Data.
type Source struct {
	config Config
	login  *login
	clock  Clock
}

// New returns the source of an environment. secret is the client secret, or
// the certificate with its private key; nil where the login needs none. It
// makes no request.
func New(c Config, secret []byte, o Options) (*Source, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = realClock{}
	}
	client := http.Client{Transport: newTransport()}
	if o.HTTP != nil {
		client = *o.HTTP
	}
	// A redirect would carry the token to where it does not belong.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	l, err := newLogin(c, secret, &client)
	if err != nil {
		return nil, err
	}
	return &Source{config: c, login: l, clock: o.Clock}, nil
}

// newTransport keeps as many connections as requests are made at once. It has
// no cookie jar around it, on purpose: Dataverse's affinity cookie would bind
// all requests, and so the limits on them, to one of its servers.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: mostParallel,
		IdleConnTimeout:     30 * time.Second,
	}
}

// mostParallel is how many requests one login makes at once; Dataverse allows
// 52 and more, which other programs may want to share.
const mostParallel = 6

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
