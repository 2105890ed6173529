package oidctest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// grant is what an authorization code or a refresh token stands for.
type grant struct {
	client, redirect, challenge, nonce string
	user                               string
	groups                             []string
}

// LogIn says who logs in from now on, without being asked; an empty name refuses
// the login. now is the provider's clock; nil leaves it.
func (p *Provider) LogIn(user string, now func() time.Time, groups ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.user, p.groups = user, groups
	if now != nil {
		p.now = now
	}
}

// Revoke makes every refresh token invalid.
func (p *Provider) Revoke() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.refresh)
}

// authorize answers as a provider whose user has just logged in. It insists on
// PKCE with S256.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || !back.IsAbs() || q.Get("client_id") != Audience || q.Get("response_type") != "code" ||
		q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" {
		http.Error(w, "invalid_request", http.StatusBadRequest)
		return
	}
	answer := url.Values{"state": {q.Get("state")}}
	if p.user == "" {
		answer.Set("error", "access_denied")
	} else {
		code := rand.Text()
		p.codes[code] = grant{q.Get("client_id"), q.Get("redirect_uri"), q.Get("code_challenge"), q.Get("nonce"), p.user, p.groups}
		answer.Set("code", code)
	}
	back.RawQuery = answer.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound) //nolint:gosec // tests only, and to whom the client said
}

// token gives tokens for a code or a refresh token. Each is used once.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	client, _, basic := r.BasicAuth()
	if !basic {
		client = r.PostFormValue("client_id")
	}
	var g grant
	ok := r.Method == http.MethodPost
	switch r.PostFormValue("grant_type") {
	case "authorization_code":
		code := r.PostFormValue("code")
		proof := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		var known bool
		g, known = p.codes[code]
		delete(p.codes, code)
		ok = ok && known && r.PostFormValue("redirect_uri") == g.redirect && base64.RawURLEncoding.EncodeToString(proof[:]) == g.challenge
	case "refresh_token":
		token := r.PostFormValue("refresh_token")
		var known bool
		g, known = p.refresh[token]
		delete(p.refresh, token)
		g.nonce = ""
		ok = ok && known
	default:
		ok = false
	}
	if !ok || client != g.client {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant"})
		return
	}
	claims := p.Of(g.user, p.now(), g.groups...)
	if g.nonce != "" {
		claims = claims.With("nonce", g.nonce)
	}
	next := rand.Text()
	p.refresh[next] = g
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 3600,
		"id_token": p.sign(claims), "refresh_token": next})
}
