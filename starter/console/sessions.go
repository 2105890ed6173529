package console

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"maps"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/segment-export/segment-export/starter/login"
)

const (
	// sessionIdle is how long a session lasts without a request.
	sessionIdle = 12 * time.Hour
	// loginsPerMinute and loginBurst bound how often a login may be tried.
	loginsPerMinute = 10
	loginBurst      = 10
)

// sessions are the browsers that are logged in.
type sessions struct {
	now func() time.Time

	mu     sync.Mutex
	once   [sha256.Size]byte // digest of the login address that is valid; zero: none
	all    map[[sha256.Size]byte]*visitor
	tries  map[[sha256.Size]byte]try // logins at a provider that have not come back
	logins *rate.Limiter
}

// visitor is one browser that is logged in.
type visitor struct {
	id    string // tells visitors apart, and is no secret; empty: the console's own identity
	seen  time.Time
	flash string // what the last button did, shown once

	renewing sync.Mutex
	tokens   login.Tokens // of a login at a provider
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, all: map[[sha256.Size]byte]*visitor{}, tries: map[[sha256.Size]byte]try{},
		logins: rate.NewLimiter(rate.Every(time.Minute/loginsPerMinute), loginBurst)}
}

// invite makes a one-time secret for a login address and forgets the one before.
func (s *sessions) invite() string {
	secret := rand.Text() + rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.once = sha256.Sum256([]byte(secret))
	return secret
}

// outcome is how an attempt to log in ended.
type outcome int

const (
	loginGood outcome = iota
	loginWrong
	loginTooOften
)

// open uses a one-time secret up and returns the value of a session's cookie.
func (s *sessions) open(secret string) (string, outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.logins.AllowN(s.now(), 1) {
		return "", loginTooOften
	}
	digest := sha256.Sum256([]byte(secret))
	if s.once == [sha256.Size]byte{} || subtle.ConstantTimeCompare(digest[:], s.once[:]) != 1 {
		return "", loginWrong
	}
	s.once = [sha256.Size]byte{}
	cookie := rand.Text() + rand.Text()
	s.all[sha256.Sum256([]byte(cookie))] = &visitor{seen: s.now()}
	return cookie, loginGood
}

// find returns the visitor of a cookie and keeps their session alive.
func (s *sessions) find(cookie string) (*visitor, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for key, v := range s.all {
		if now.Sub(v.seen) > sessionIdle {
			delete(s.all, key)
		}
	}
	v, ok := s.all[sha256.Sum256([]byte(cookie))]
	if ok {
		v.seen = now
	}
	return v, ok
}

func (s *sessions) close(cookie string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sha256.Sum256([]byte(cookie)))
}

// drop ends a visitor's session.
func (s *sessions) drop(v *visitor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.all, func(_ [sha256.Size]byte, other *visitor) bool { return other == v })
}

// leave keeps a message for the visitor's next page.
func (s *sessions) leave(v *visitor, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v.flash = message
}

// take returns the message for the visitor and forgets it.
func (s *sessions) take(v *visitor) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	message := v.flash
	v.flash = ""
	return message
}

// cookieName is the session's cookie. The prefix makes browsers insist on TLS.
func (c *Console) cookieName() string {
	if c.TLS {
		return "__Host-console"
	}
	return "console"
}

func (c *Console) setCookie(w http.ResponseWriter, value string, maxAge int) {
	c.setNamed(w, c.cookieName(), value, maxAge)
}

func (c *Console) setNamed(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure wherever there is TLS; on this machine there is none
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		Secure: c.TLS, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// login makes a session of a one-time address.
func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	if c.Login != nil {
		c.plain(w, http.StatusOK, "login.needed")
		return
	}
	cookie, outcome := c.sessions.open(r.URL.Query().Get("once"))
	switch outcome {
	case loginTooOften:
		c.plain(w, http.StatusTooManyRequests, "login.often")
	case loginWrong:
		if _, in := c.visitor(r); in { // the address was opened twice
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		c.plain(w, http.StatusForbidden, "login.wrong")
	case loginGood:
		c.setCookie(w, cookie, 0)
		if c.LoggedIn != nil {
			c.LoggedIn()
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

// logout ends the session.
func (c *Console) logout(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(c.cookieName()); err == nil {
		c.sessions.close(cookie.Value)
	}
	c.setCookie(w, "", -1)
	c.plain(w, http.StatusOK, "login.out")
}

func (c *Console) visitor(r *http.Request) (*visitor, bool) {
	cookie, err := r.Cookie(c.cookieName())
	if err != nil {
		return nil, false
	}
	return c.sessions.find(cookie.Value)
}
