package console

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/segment-export/segment-export/starter/login"
)

const (
	// callbackPath is where the provider sends browsers back to.
	callbackPath = "/login/callback"
	// tryTime is how long a person may take at the provider, and mostTries how
	// many may be there at once.
	tryTime   = 10 * time.Minute
	mostTries = 1000
)

// try is a login at the provider that has not come back.
type try struct {
	attempt login.Attempt
	to      string // path that was asked for
	at      time.Time
}

// loginStart sends the browser to the provider. The cookie ties the answer to
// this browser.
func (c *Console) loginStart(w http.ResponseWriter, r *http.Request) {
	if c.Login == nil {
		c.plain(w, http.StatusNotFound, "login.needed")
		return
	}
	if !c.sessions.allow() {
		c.plain(w, http.StatusTooManyRequests, "login.often")
		return
	}
	attempt, err := c.Login.Begin(r.Context(), c.URL+callbackPath)
	if err != nil {
		c.Log.WarnContext(r.Context(), "login cannot start", "error", err)
		c.plain(w, http.StatusBadGateway, "login.provider")
		return
	}
	cookie := c.sessions.begin(try{attempt: attempt, to: localPath(r.URL.Query().Get("to"))})
	c.setNamed(w, c.tryCookie(), cookie, int(tryTime.Seconds()))
	http.Redirect(w, r, attempt.URL, http.StatusSeeOther)
}

// loginDone takes the provider's answer and makes a session. The tokens stay
// here.
func (c *Console) loginDone(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie(c.tryCookie())
	if c.Login == nil || err != nil {
		c.plain(w, http.StatusForbidden, "login.foreign")
		return
	}
	c.setNamed(w, c.tryCookie(), "", -1)
	t, ok := c.sessions.end(cookie.Value)
	if !ok {
		c.plain(w, http.StatusForbidden, "login.foreign")
		return
	}
	tokens, err := c.Login.Finish(r.Context(), t.attempt, r.URL.Query())
	if err != nil {
		c.Log.WarnContext(r.Context(), "login failed", "error", err)
		c.plain(w, http.StatusForbidden, "login.refused")
		return
	}
	c.setCookie(w, c.sessions.enter(tokens), 0)
	http.Redirect(w, r, t.to, http.StatusSeeOther)
}

// localPath keeps an address within the console.
func localPath(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n") {
		return "/"
	}
	return to
}

// token returns the visitor's token, renewed when it ends. It fails when the
// provider does not renew it.
func (c *Console) token(ctx context.Context, v *visitor) (string, error) {
	if c.Login == nil {
		return "", nil
	}
	v.renewing.Lock()
	defer v.renewing.Unlock()
	if v.tokens.Due(c.Now()) {
		renewed, err := c.Login.Renew(ctx, v.tokens)
		if err != nil {
			return "", err
		}
		v.tokens = renewed
	}
	return v.tokens.ID, nil
}

// tryCookie is the cookie of a login that has not come back.
func (c *Console) tryCookie() string { return c.cookieName() + "-login" }

// allow says whether another login may be tried now.
func (s *sessions) allow() bool { return s.logins.AllowN(s.now(), 1) }

// begin remembers a login and returns the cookie that it belongs to.
func (s *sessions) begin(t try) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.at = s.now()
	for key, other := range s.tries {
		if t.at.Sub(other.at) > tryTime {
			delete(s.tries, key)
		}
	}
	if len(s.tries) >= mostTries {
		clear(s.tries) // those at the provider start again
	}
	cookie := rand.Text() + rand.Text()
	s.tries[sha256.Sum256([]byte(cookie))] = t
	return cookie
}

// end takes a login out. Each comes back once.
func (s *sessions) end(cookie string) (try, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sha256.Sum256([]byte(cookie))
	t, ok := s.tries[key]
	delete(s.tries, key)
	return t, ok && s.now().Sub(t.at) <= tryTime
}

// enter makes a session of a login at the provider and returns its cookie.
func (s *sessions) enter(tokens login.Tokens) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	cookie := rand.Text() + rand.Text()
	s.all[sha256.Sum256([]byte(cookie))] = &visitor{id: rand.Text(), seen: s.now(), tokens: tokens}
	return cookie
}
