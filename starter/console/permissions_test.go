package console_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/protocol"
)

// button is a button of a page with the form that it sends.
type button struct {
	action string
	form   url.Values
}

// buttons are all that can be pressed on a page, each with its form filled in.
func buttons(t *testing.T, page, body string) (all []button) {
	t.Helper()
	document, err := html.Parse(strings.NewReader(body))
	require.NoError(t, err)
	for form := range document.Descendants() {
		if form.Type != html.ElementNode || form.Data != "form" || attribute(form, "method") != "post" {
			continue
		}
		action := attribute(form, "action")
		if action == "" {
			action = page
		}
		if action == "/logout" {
			continue
		}
		values := url.Values{}
		for n := range form.Descendants() {
			fill(values, n, action)
		}
		for n := range form.Descendants() {
			if n.Type == html.ElementNode && n.Data == "button" {
				pressed := url.Values{}
				for name, v := range values {
					pressed[name] = v
				}
				if name := attribute(n, "name"); name != "" {
					pressed.Set(name, attribute(n, "value"))
				}
				all = append(all, button{action, pressed})
			}
		}
	}
	return all
}

// fill gives one element of a form a value that the form takes.
func fill(values url.Values, n *html.Node, action string) {
	if n.Type != html.ElementNode {
		return
	}
	name, value := attribute(n, "name"), attribute(n, "value")
	switch {
	case n.Data == "select":
		for option := range n.Descendants() {
			if option.Type != html.ElementNode || option.Data != "option" {
				continue
			}
			value, selected := "", false
			if option.FirstChild != nil {
				value = option.FirstChild.Data
			}
			for _, a := range option.Attr {
				if a.Key == "value" {
					value = a.Val
				}
				selected = selected || a.Key == "selected"
			}
			if selected || !values.Has(name) {
				values.Set(name, value)
			}
		}
	case n.Data != "input":
	case name == "confirm":
		object, err := url.PathUnescape(path.Base(path.Dir(action)))
		if err != nil || path.Base(action) != "remove" {
			object, _ = url.PathUnescape(path.Base(action))
		}
		if values.Has("email") {
			object = values.Get("email")
		}
		values.Set(name, object)
	case attribute(n, "type") == "radio" && values.Has(name):
	case attribute(n, "type") == "email" && value == "":
		values.Set(name, "a@b.example")
	case attribute(n, "inputmode") != "":
		values.Set(name, "10")
	case value != "" || attribute(n, "type") == "hidden":
		values.Add(name, value)
	default:
		values.Set(name, "x")
	}
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func links(t *testing.T, body string) (all []string) {
	t.Helper()
	document, err := html.Parse(strings.NewReader(body))
	require.NoError(t, err)
	for n := range document.Descendants() {
		if n.Type == html.ElementNode && n.Data == "a" && strings.HasPrefix(attribute(n, "href"), "/") {
			all = append(all, attribute(n, "href"))
		}
	}
	return all
}

// alert is what a page says against a request.
func alert(w *httptest.ResponseRecorder) string {
	return strings.Join(regexp.MustCompile(`role="alert".*`).FindAllString(w.Body.String(), -1), "\n")
}

// needed is the least role for all commands that were given.
func needed(t *testing.T, w *worker) access.Role {
	t.Helper()
	role := access.Viewer
	for _, name := range w.given() {
		needs, ok := access.Required(name)
		require.True(t, ok, name)
		role = max(role, needs)
	}
	return role
}

// Everybody sees the links and buttons that they may use and no others, and
// what is sent by hand is refused by a page that says who can help.
func TestRolesSeeAndMayDoWhatTheyMay(t *testing.T) {
	type request struct {
		path string
		form url.Values
	}
	requests := map[string]request{}
	needs := map[string]access.Role{}
	note := func(w *worker, key string, r request) {
		requests[key], needs[key] = r, needed(t, w)
	}
	for _, page := range pages {
		w := full("admin")
		b := open(t, w)
		w.orders = nil
		body := b.get(page)
		require.Equal(t, http.StatusOK, body.Code, page)
		note(w, "GET "+page, request{path: page})
		for form, command := range map[string]string{"/connections/new": protocol.ConnectionAdd, "/sources/new": protocol.SourceAdd, "/records/person": protocol.Explain,
			"/records/alerts/": protocol.AlertEdit, "/sources/crm/edit": protocol.SourceEdit} {
			if strings.HasPrefix(page, form) {
				needs["GET "+page], _ = access.Required(command)
			}
		}
		for _, press := range buttons(t, page, body.Body.String()) {
			w := full("admin")
			b := open(t, w)
			w.orders = nil
			got := b.post(press.action, press.form)
			require.Less(t, got.Code, 400, "%s %v: %s", press.action, press.form, alert(got))
			note(w, "POST "+press.action+" "+press.form.Get("do")+press.form.Get("then"), request{press.action, press.form})
		}
	}
	require.Greater(t, len(requests), len(pages)+25, "buttons were found")
	for _, role := range []access.Role{access.Viewer, access.Contributor, access.Admin} {
		for key, r := range requests {
			w := full(role.String())
			b := open(t, w)
			got := b.get(r.path)
			if r.form != nil {
				got = b.post(r.path, r.form)
			}
			if role >= needs[key] || r.form == nil && got.Code == http.StatusOK {
				assert.Less(t, got.Code, 400, "%s as %s: %s", key, role, alert(got))
				continue
			}
			assert.Equal(t, http.StatusForbidden, got.Code, "%s as %s", key, role)
			assert.Contains(t, got.Body.String(), "Ask an administrator", key)
			assert.Contains(t, got.Body.String(), "needs a", key)
		}
		tried := map[string]bool{}
		for _, page := range pages {
			b := open(t, full(role.String()))
			got := b.get(page)
			if got.Code == http.StatusForbidden {
				continue
			}
			for _, link := range links(t, got.Body.String()) {
				if !tried[link] {
					assert.Less(t, b.get(link).Code, 400, "%s shows %s to a %s", page, link, role)
				}
				tried[link] = true
			}
			for _, press := range buttons(t, page, got.Body.String()) {
				key := press.action + press.form.Get("do") + press.form.Get("then")
				if !tried[key] {
					got := open(t, full(role.String())).post(press.action, press.form)
					assert.Less(t, got.Code, 400, "%s shows a %s the button %v: %s", page, role, press.form, alert(got))
				}
				tried[key] = true
			}
		}
	}
}
