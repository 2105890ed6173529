package console_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/starter/console"
	"github.com/segment-export/segment-export/starter/login"
)

// provider is one that takes a code only with the attempt that it was made for.
type provider struct {
	attempts int
	renewed  int
	refuses  bool
}

func (p *provider) Begin(_ context.Context, redirect string) (login.Attempt, error) {
	p.attempts++
	return login.Attempt{URL: "https://login.example.com/authorize", Redirect: redirect, State: "state"}, nil
}

func (p *provider) Finish(_ context.Context, a login.Attempt, answer url.Values) (login.Tokens, error) {
	if answer.Get("state") != a.State || answer.Get("code") == "" || p.refuses {
		return login.Tokens{}, login.ErrForeign
	}
	return login.Tokens{ID: "token-of-" + answer.Get("code"), Refresh: "r", Expiry: now.Add(time.Hour)}, nil
}

func (p *provider) Renew(_ context.Context, t login.Tokens) (login.Tokens, error) {
	if p.refuses {
		return login.Tokens{}, errors.New("invalid_grant")
	}
	p.renewed++
	t.Expiry = t.Expiry.Add(time.Hour)
	return t, nil
}

// clock is the time of a test.
type clock struct{ at time.Time }

const secureHost = "console.example.com"

func withProvider(t *testing.T, w *worker) (*console.Console, *provider, *clock) {
	t.Helper()
	p, at := &provider{}, &clock{now}
	w.people = map[string]string{"token-of-ada": "Ada", "token-of-bob": "Bob"}
	c, err := console.New(console.Options{Worker: w, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return at.at },
		Hosts: []string{secureHost}, TLS: true, URL: "https://" + secureHost, Login: p})
	require.NoError(t, err)
	return c, p, at
}

// jar is a browser that keeps the newest cookie of each name.
type jar struct {
	handler http.Handler
	cookies map[string]*http.Cookie
}

func (j *jar) do(r *http.Request) *httptest.ResponseRecorder {
	r.Host = secureHost
	for _, c := range j.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	j.handler.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		j.cookies[c.Name] = c
		if c.MaxAge < 0 {
			delete(j.cookies, c.Name)
		}
	}
	return w
}

func (j *jar) get(path string) *httptest.ResponseRecorder {
	return j.do(httptest.NewRequest(http.MethodGet, path, nil))
}

// enter logs a person in.
func enter(t *testing.T, c *console.Console, name string) *jar {
	t.Helper()
	j := &jar{c, map[string]*http.Cookie{}}
	require.Equal(t, http.StatusSeeOther, j.get("/login/start?to=/exports").Code)
	got := j.get("/login/callback?state=state&code=" + name)
	require.Equal(t, http.StatusSeeOther, got.Code, got.Body)
	require.Equal(t, "/exports", got.Header().Get("Location"))
	return j
}

func TestPeopleLogInAtTheProvider(t *testing.T) {
	w := full("contributor")
	c, _, _ := withProvider(t, w)
	stranger := &jar{c, map[string]*http.Cookie{}}
	got := stranger.get("/exports")
	assert.Equal(t, http.StatusUnauthorized, got.Code)
	assert.Contains(t, got.Body.String(), `href="/login/start?to=%2Fexports"`)
	ada, bob := enter(t, c, "ada"), enter(t, c, "bob")
	assert.Contains(t, ada.get("/").Body.String(), "Ada · contributor")
	assert.Contains(t, bob.get("/").Body.String(), "Bob · contributor", "answers are not shared between people")
	for _, cookie := range ada.cookies {
		assert.True(t, cookie.Secure && cookie.HttpOnly && cookie.SameSite == http.SameSiteLaxMode, cookie.Name)
		assert.True(t, strings.HasPrefix(cookie.Name, "__Host-"), cookie.Name)
		assert.NotContains(t, cookie.Value, "token")
	}
	assert.NotContains(t, ada.get("/").Body.String(), "token-of", "tokens stay on the server")
	assert.Contains(t, ada.get("/").Header().Get("Strict-Transport-Security"), "max-age")
	for _, o := range w.orders {
		assert.NotEmpty(t, o.Token, "every command is given as the visitor")
	}
}

func TestAnswersOfOtherLoginsAreRefused(t *testing.T) {
	c, p, at := withProvider(t, full("contributor"))
	ada := &jar{c, map[string]*http.Cookie{}}
	assert.Equal(t, http.StatusForbidden, ada.get("/login/callback?state=state&code=ada").Code, "no login was started here")
	ada.get("/login/start")
	assert.Equal(t, http.StatusForbidden, ada.get("/login/callback?state=other&code=ada").Code)
	assert.Equal(t, http.StatusForbidden, ada.get("/login/callback?state=state&code=ada").Code, "each login comes back once")
	ada.get("/login/start")
	at.at = at.at.Add(11 * time.Minute)
	assert.Equal(t, http.StatusForbidden, ada.get("/login/callback?state=state&code=ada").Code, "too late")
	for _, to := range []string{"https://evil.example", "//evil.example", `/\\evil.example`, "javascript:alert(1)"} {
		ada.get("/login/start?to=" + url.QueryEscape(to))
		assert.Equal(t, "/", ada.get("/login/callback?state=state&code=ada").Header().Get("Location"), to)
	}
	for range 20 {
		ada.get("/login/start")
	}
	assert.Equal(t, http.StatusTooManyRequests, ada.get("/login/start").Code)
	assert.Less(t, p.attempts, 20)
}

func TestTokensAreRenewedAndSessionsEndWithThem(t *testing.T) {
	w := full("contributor")
	c, p, at := withProvider(t, w)
	ada := enter(t, c, "ada")
	at.at = at.at.Add(59*time.Minute + 30*time.Second)
	assert.Equal(t, http.StatusOK, ada.get("/exports").Code)
	assert.Equal(t, 1, p.renewed)
	p.refuses = true
	at.at = at.at.Add(time.Hour)
	got := ada.get("/exports")
	assert.Equal(t, http.StatusUnauthorized, got.Code)
	assert.Contains(t, got.Body.String(), "Your session has ended")
	p.refuses = false
	assert.Equal(t, http.StatusUnauthorized, ada.get("/exports").Code, "it does not come back")

	w.people = nil
	bob := enter(t, c, "bob")
	got = bob.get("/exports")
	assert.Equal(t, http.StatusForbidden, got.Code)
	assert.Contains(t, got.Body.String(), "the token was not accepted")
}
