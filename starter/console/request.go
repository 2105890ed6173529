package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/segment-export/segment-export/internal/protocol"
)

// page answers one request. An error becomes a page that says what was wrong.
type page func(*request) error

// request is one request by a visitor who is logged in.
type request struct {
	*Console

	w       http.ResponseWriter
	r       *http.Request
	visitor *visitor
	token   string // of the visitor; empty: the console's own identity
	me      protocol.WhoAmIAnswer
}

// serve makes a handler of a page, for those who are logged in.
func (c *Console) serve(p page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, ok := c.visitor(r)
		if !ok {
			c.turnAway(w, r)
			return
		}
		token, err := c.token(r.Context(), v)
		if err != nil {
			c.Log.WarnContext(r.Context(), "session ended", "error", err)
			c.sessions.drop(v)
			c.turnAway(w, r)
			return
		}
		q := &request{Console: c, w: w, r: r, visitor: v, token: token}
		err = ask(q, Order{Name: protocol.WhoAmI}, &q.me)
		if err == nil {
			err = p(q)
		}
		if err != nil {
			q.failed(err)
		}
	})
}

// ctx ends when the browser has gone.
func (q *request) ctx() context.Context { return q.r.Context() }

// ask gives a command that changes nothing and decodes its answer, which may be
// a few seconds old.
func ask[T any](q *request, do Order, answer *T) error {
	raw, err := json.Marshal(do.Args)
	if err != nil {
		return err
	}
	do.Token = q.token
	content, err := q.cache.get(q.visitor.id+" "+do.Name+" "+string(raw), func() (json.RawMessage, error) {
		// Others may wait for the same answer when this browser has gone.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(q.ctx()), protocol.Timeout)
		defer cancel()
		return q.Worker.Call(ctx, do)
	})
	if err != nil {
		return err
	}
	return decode(content, answer)
}

// act gives a command that changes something, or shows personal data. Nothing
// of its answer is kept.
func act[T any](q *request, do Order, answer *T) error {
	defer q.cache.clear()
	do.Token = q.token
	content, err := q.Worker.Call(q.ctx(), do)
	if err != nil {
		return err
	}
	return decode(content, answer)
}

func decode(raw json.RawMessage, v any) error {
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("the worker's answer cannot be read; console and worker may be of different releases: %w", err)
	}
	return nil
}

// any answer.
type ignored json.RawMessage

func (*ignored) UnmarshalJSON([]byte) error { return nil }

// done keeps a message for the next page and sends the browser there.
func (q *request) done(to, key string, args ...any) error {
	q.sessions.leave(q.visitor, q.texts.say(key, args...))
	http.Redirect(q.w, q.r, to, http.StatusSeeOther)
	return nil
}

// view is what every page is made of.
type view struct {
	Title   string
	Section string // of the navigation
	Me      protocol.WhoAmIAnswer
	Flash   string
	Command string // that shows or does the same
	Reload  int    // seconds after which a browser without JavaScript loads the page again; 0: never
	Content any
	Sandbox bool
}

// show renders a page.
func (q *request) show(name string, v view) error { return q.render(http.StatusOK, name, v) }

// renderForm shows a form: what failed says why it was not saved, empty when it was
// not tried.
func (q *request) renderForm(name, failed string, v view) error {
	status := http.StatusOK
	if failed != "" {
		status = http.StatusUnprocessableEntity
	}
	return q.render(status, name, v)
}

// canBeCorrected says that what was typed is at fault, or was changed by another
// user meanwhile: the form is shown again with the reason.
func canBeCorrected(err error) bool {
	status, _ := statusOf(err)
	return status == http.StatusUnprocessableEntity || status == http.StatusConflict
}

func (q *request) render(status int, name string, v view) error {
	v.Me, v.Flash, v.Sandbox = q.me, q.sessions.take(q.visitor), q.Sandbox
	var b bytes.Buffer
	if err := q.pages.render(&b, name, v, q.zone()); err != nil {
		return err
	}
	q.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	q.w.WriteHeader(status)
	_, _ = b.WriteTo(q.w)
	return nil
}

// zone is the viewer's time zone, which their browser says in a cookie; UTC
// until it has.
func (q *request) zone() *time.Location {
	cookie, err := q.r.Cookie("zone")
	if err != nil {
		return time.UTC
	}
	zone, err := time.LoadLocation(cookie.Value)
	if err != nil || cookie.Value == "Local" {
		return time.UTC
	}
	return zone
}

// failureView is what a page says about an error.
type failureView struct{ Message, Next string }

// invalid is an error in what a form says.
type invalid struct{ message string }

func (e *invalid) Error() string { return e.message }

// failed shows an error.
func (q *request) failed(err error) {
	if q.ctx().Err() != nil {
		return
	}
	status, next := statusOf(err)
	if status == http.StatusInternalServerError {
		q.Log.ErrorContext(q.ctx(), "page failed", "path", q.r.Pattern, "error", err)
	}
	v := view{Title: q.texts.say("failure.title"), Content: failureView{Message: err.Error(), Next: q.texts.say(next)}}
	if err := q.render(status, "failure", v); err != nil {
		q.Log.ErrorContext(q.ctx(), "error page failed", "error", err)
		q.plain(q.w, http.StatusInternalServerError, "failure.title")
	}
}

// classOf is the class of a worker's refusal; empty for other errors.
func classOf(err error) string {
	if f, ok := errors.AsType[Failure](err); ok {
		return f.Class()
	}
	return ""
}

// statusOf is the HTTP status for an error, and the key of what to do next.
func statusOf(err error) (int, string) {
	if _, ok := errors.AsType[*invalid](err); ok {
		return http.StatusUnprocessableEntity, "failure.back"
	}
	f, ok := errors.AsType[Failure](err)
	if !ok {
		return http.StatusInternalServerError, "failure.log"
	}
	switch f.Class() {
	case protocol.ErrUsage, protocol.ErrMarkers, protocol.ErrFailed:
		return http.StatusUnprocessableEntity, "failure.back"
	case protocol.ErrNotFound:
		return http.StatusNotFound, "failure.home"
	case protocol.ErrNotAllowed:
		return http.StatusForbidden, "failure.ask"
	case protocol.ErrExists, protocol.ErrConflict:
		return http.StatusConflict, "failure.reload"
	case "no server", "no worker":
		return http.StatusServiceUnavailable, "failure.worker"
	}
	return http.StatusUnprocessableEntity, "failure.back"
}

// missing is the page for an address that leads nowhere.
func (q *request) missing() error {
	return q.render(http.StatusNotFound, "failure", view{Title: q.texts.say("missing.title"),
		Content: failureView{Message: q.texts.say("missing.message"), Next: q.texts.say("failure.home")}})
}
