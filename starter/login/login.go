// Package login logs people in at an OpenID Connect provider: the authorization
// code flow with PKCE, state and nonce. The tokens it gets are for a worker,
// which verifies them.
package login

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/segment-export/segment-export/internal/omnisend"
)

const (
	// timeout bounds a request to the provider.
	timeout = 10 * time.Second
	// early is how long before its end a token is renewed.
	early = time.Minute
)

// Options say at which provider, and as which of its clients.
type Options struct {
	Issuer   string // as the provider names itself; https unless on this machine
	ClientID string // the audience that the worker expects
	Secret   string // of a confidential client; empty: a public one, protected by PKCE
	Scopes   []string
	Now      func() time.Time
	// Client makes the requests to the provider; nil: one with a timeout.
	Client *http.Client
}

// Provider is a provider of identities. It is safe for concurrent use.
type Provider struct {
	o Options

	mu    sync.Mutex
	found *oidc.Provider // nil until it was reached
}

// New returns a provider, which is asked for its configuration at the first
// login.
func New(o Options) (*Provider, error) {
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil || u.Host == "":
		return nil, fmt.Errorf("the issuer %q is not a URL", o.Issuer)
	case u.Scheme != "https" && !omnisend.IsLoopback(o.Issuer):
		return nil, fmt.Errorf("the issuer %s is not https: others could read the login", o.Issuer)
	case o.ClientID == "":
		return nil, errors.New("the client ID is missing")
	}
	if len(o.Scopes) == 0 {
		o.Scopes = []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess}
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: timeout}
	}
	return &Provider{o: o}, nil
}

// Attempt is a login that has started. Its fields are secrets of the one who
// logs in: State and Nonce bind the answer to it, Verifier proves who started it.
type Attempt struct {
	URL      string // of the provider's page
	Redirect string
	State    string
	Nonce    string
	Verifier string
}

// Tokens are what a login gave.
type Tokens struct {
	ID      string    `json:"id_token"`
	Refresh string    `json:"refresh_token,omitempty"` // empty: it cannot be renewed
	Expiry  time.Time `json:"expiry"`
}

// Due says that the token must be renewed before it is used.
func (t Tokens) Due(now time.Time) bool { return !now.Before(t.Expiry.Add(-early)) }

// Begin starts a login that comes back to the redirect address.
func (p *Provider) Begin(ctx context.Context, redirect string) (Attempt, error) {
	config, err := p.config(ctx, redirect)
	if err != nil {
		return Attempt{}, err
	}
	a := Attempt{Redirect: redirect, State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	a.URL = config.AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier))
	return a, nil
}

// ErrForeign says that an answer is not one to this attempt.
var ErrForeign = errors.New("the provider's answer does not belong to this login: start it again")

// Finish takes the query of the provider's answer and gets the tokens. An
// attempt is used once.
func (p *Provider) Finish(ctx context.Context, a Attempt, answer url.Values) (Tokens, error) {
	if subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(a.State)) != 1 || a.State == "" {
		return Tokens{}, ErrForeign
	}
	if code := answer.Get("error"); code != "" {
		return Tokens{}, fmt.Errorf("the provider refused the login: %s", plain(code))
	}
	config, err := p.config(ctx, a.Redirect)
	if err != nil {
		return Tokens{}, err
	}
	got, err := config.Exchange(p.client(ctx), answer.Get("code"), oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return Tokens{}, refusedBy(err)
	}
	return p.verified(ctx, got, a.Nonce)
}

// Renew gets a new token for one that ends.
func (p *Provider) Renew(ctx context.Context, t Tokens) (Tokens, error) {
	if t.Refresh == "" {
		return Tokens{}, errors.New("the login has expired: log in again")
	}
	config, err := p.config(ctx, "")
	if err != nil {
		return Tokens{}, err
	}
	got, err := config.TokenSource(p.client(ctx), &oauth2.Token{RefreshToken: t.Refresh}).Token()
	if err != nil {
		return Tokens{}, refusedBy(err)
	}
	return p.verified(ctx, got, "")
}

// verified checks that the ID token comes from the provider, for this client
// and, with a nonce, for this login.
func (p *Provider) verified(ctx context.Context, got *oauth2.Token, nonce string) (Tokens, error) {
	raw, ok := got.Extra("id_token").(string)
	if !ok {
		return Tokens{}, errors.New("the provider gave no ID token: the client must be allowed the scope openid")
	}
	provider, err := p.reach(ctx)
	if err != nil {
		return Tokens{}, err
	}
	verifier := provider.VerifierContext(p.client(ctx), &oidc.Config{ClientID: p.o.ClientID, Now: p.o.Now})
	id, err := verifier.Verify(p.client(ctx), raw)
	if err != nil { // its text repeats parts of the token
		return Tokens{}, errors.New("the provider's ID token is not valid: check the issuer, the client ID and this machine's clock")
	}
	if nonce != "" && subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(nonce)) != 1 {
		return Tokens{}, ErrForeign
	}
	return Tokens{ID: raw, Refresh: got.RefreshToken, Expiry: id.Expiry}, nil
}

func (p *Provider) config(ctx context.Context, redirect string) (*oauth2.Config, error) {
	provider, err := p.reach(ctx)
	if err != nil {
		return nil, err
	}
	return &oauth2.Config{ClientID: p.o.ClientID, ClientSecret: p.o.Secret, Endpoint: provider.Endpoint(), RedirectURL: redirect, Scopes: p.o.Scopes}, nil
}

// reach asks the provider for its configuration, once.
func (p *Provider) reach(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	found, err := oidc.NewProvider(p.client(context.WithoutCancel(ctx)), p.o.Issuer)
	if err != nil {
		return nil, fmt.Errorf("the OpenID Connect provider %s cannot be used: %w", p.o.Issuer, err)
	}
	p.found = found
	return found, nil
}

func (p *Provider) client(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, p.o.Client)
}

// refusedBy says that the provider gave no token, without repeating its answer.
func refusedBy(err error) error {
	if refusal, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return fmt.Errorf("the provider gave no token: %s", plain(refusal.ErrorCode))
	}
	return errors.New("the provider gave no token: it does not answer, or not as OpenID Connect says")
}

// plain keeps what an error code may have; anything else comes from elsewhere.
func plain(code string) string {
	if code == "" || len(code) > 60 || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "error"
	}
	return code
}
