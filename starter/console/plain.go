package console

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// plainView is what a page says to a visitor who is not logged in.
type plainView struct {
	Message string
	Login   string  // address to log in at; empty: there is none
	Reload  string  // address of the page that was asked for; empty: none
	Again   *resend // what was sent; nil: nothing
}

// resend is a form that was sent without a session. It stands in the page, so
// that nobody has to type it again.
type resend struct {
	Action  string
	Fields  []field
	Secrets bool // there were some, and they are not in the page
}

// field is one value of a form.
type field struct{ Name, Value string }

// secretFields are the fields of forms that no page repeats.
var secretFields = []string{"key", "credential", "password"}

// plain writes a page for a visitor who is not logged in.
func (c *Console) plain(w http.ResponseWriter, status int, key string) {
	c.plainPage(w, status, key, plainView{})
}

func (c *Console) plainPage(w http.ResponseWriter, status int, key string, v plainView) {
	v.Message = c.texts.say(key)
	if c.Login != nil {
		if text, ok := c.texts[key+".provider"]; ok { // no address in a terminal
			v.Message = text
		}
		if status != http.StatusTooManyRequests {
			v.Login = "/login/start?to=" + url.QueryEscape(v.Reload)
		}
	}
	var b bytes.Buffer
	if err := c.pages.render(&b, "plain", view{Title: c.texts.say(key + ".title"), Sandbox: c.Sandbox, Content: v}, time.UTC); err != nil {
		http.Error(w, v.Message, status)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w)
}

// turnAway answers a request without a session. What was sent comes back in a
// form, to be sent again after a login.
func (c *Console) turnAway(w http.ResponseWriter, r *http.Request) {
	_, err := r.Cookie(c.cookieName())
	switch ended := err == nil; {
	case r.Method == http.MethodPost && r.ParseForm() == nil:
		again := &resend{Action: r.URL.EscapedPath()}
		for name, values := range r.PostForm {
			if slices.Contains(secretFields, name) {
				again.Secrets = true
				continue
			}
			for _, value := range values {
				again.Fields = append(again.Fields, field{name, value})
			}
		}
		c.plainPage(w, http.StatusUnauthorized, "login.unsent", plainView{Again: again})
	case ended:
		c.plainPage(w, http.StatusUnauthorized, "login.ended", plainView{Reload: r.URL.RequestURI()})
	case c.Login != nil:
		c.plainPage(w, http.StatusUnauthorized, "login.needed", plainView{Reload: r.URL.RequestURI()})
	default:
		c.plain(w, http.StatusUnauthorized, "login.needed")
	}
}
