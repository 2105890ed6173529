// Package oidctest is an OpenID Connect provider on this machine for tests:
// discovery, keys that rotate, and tokens of any kind, false ones too.
package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// Audience is what the provider makes tokens for unless told otherwise.
const Audience = "segment-export"

// Key is a key that signs tokens.
type Key struct {
	ID        string
	Algorithm jose.SignatureAlgorithm
	Private   crypto.Signer
}

// Provider is a provider of identities.
type Provider struct {
	URL string

	t       *testing.T
	mu      sync.Mutex
	keys    []Key // that are published; the last one signs
	fetched int
	down    bool

	user    string // who logs in at the authorization endpoint; empty: the login is refused
	groups  []string
	now     func() time.Time
	codes   map[string]grant // authorization codes that were not used yet
	refresh map[string]grant
}

// New serves a provider with one RS256 key.
func New(t *testing.T) *Provider {
	t.Helper()
	p := &Provider{t: t, now: time.Now, codes: map[string]grant{}, refresh: map[string]grant{}}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.URL = server.URL
	p.Rotate(RSA(t, "first"))
	return p
}

// RSA makes an RS256 key.
func RSA(t *testing.T, id string) Key {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return Key{id, jose.RS256, private}
}

// EC makes an ES256 key.
func EC(t *testing.T, id string) Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return Key{id, jose.ES256, private}
}

// Rotate publishes these keys in the place of the former ones; the last signs.
func (p *Provider) Rotate(keys ...Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = keys
}

// Down makes the provider answer with errors, or no longer.
func (p *Provider) Down(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// Fetched is how often the keys were fetched.
func (p *Provider) Fetched() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fetched
}

// ServeHTTP answers discovery and the keys.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		// As some do, it names an algorithm that nobody should take.
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys",
			"authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
			"id_token_signing_alg_values_supported": []string{"none", "HS256", "RS256", "ES256"}})
	case "/keys":
		p.fetched++
		var set jose.JSONWebKeySet
		for _, k := range p.keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Private.Public(), KeyID: k.ID, Algorithm: string(k.Algorithm), Use: "sig"})
		}
		_ = json.NewEncoder(w).Encode(set)
	case "/authorize":
		p.authorize(w, r)
	case "/token":
		p.token(w, r)
	default:
		http.NotFound(w, r)
	}
}

// Claims are what a token says.
type Claims map[string]any

// Of are the claims of a good token for a person, with groups.
func (p *Provider) Of(name string, now time.Time, groups ...string) Claims {
	return Claims{"iss": p.URL, "aud": Audience, "sub": "sub-" + name, "preferred_username": name,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "groups": groups}
}

// With returns the claims with one of them changed; nil takes it away.
func (c Claims) With(name string, value any) Claims {
	changed := Claims{}
	for k, v := range c {
		changed[k] = v
	}
	changed[name] = value
	if value == nil {
		delete(changed, name)
	}
	return changed
}

// Token is a token signed with the provider's newest key.
func (p *Provider) Token(c Claims) string {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sign(c)
}

func (p *Provider) sign(c Claims) string {
	key := p.keys[len(p.keys)-1]
	return Sign(p.t, key.Algorithm, jose.JSONWebKey{Key: key.Private, KeyID: key.ID}, c)
}

// Sign signs claims with any key.
func Sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, c Claims) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	require.NoError(t, err)
	raw, err := json.Marshal(c)
	require.NoError(t, err)
	signed, err := signer.Sign(raw)
	require.NoError(t, err)
	token, err := signed.CompactSerialize()
	require.NoError(t, err)
	return token
}

// Unsigned is a token of the algorithm "none".
func Unsigned(t *testing.T, c Claims) string {
	t.Helper()
	raw, err := json.Marshal(c)
	require.NoError(t, err)
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + part(raw) + "."
}
