// Package console serves the product's pages in a browser. Each page and each
// button is one of the commands: a worker authorises it, carries it out and
// keeps it on record. The console holds no store, no key and no state of its
// own besides who is logged in.
package console

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/starter/login"
)

// Order is one command for a worker.
type Order struct {
	Name     string // "runs list"
	Args     any
	Object   string // name of what the command is about; Temporal's Web UI shows it
	Secret   any    // travels sealed to the worker's key
	Personal bool   // the answer travels sealed
	Token    string // of who gives it; empty: the console's own identity
}

// Worker carries out commands. It is safe for concurrent use. Its errors may
// be of the type Failure.
type Worker interface {
	// Call carries out a command and returns its answer.
	Call(ctx context.Context, do Order) (json.RawMessage, error)
	// Progress asks a running workflow how far it is. Errors are temporary: a
	// worker or the server may be restarting.
	Progress(ctx context.Context, workflowID string) (*protocol.Progress, error)
}

// Login logs people in at a provider of identities. It is safe for concurrent
// use. Package login has one.
type Login interface {
	Begin(ctx context.Context, redirect string) (login.Attempt, error)
	Finish(ctx context.Context, a login.Attempt, answer url.Values) (login.Tokens, error)
	Renew(ctx context.Context, t login.Tokens) (login.Tokens, error)
}

// Failure is an error with one of the classes of package command.
type Failure interface {
	error
	Class() string
}

// Options are what the console takes from its surroundings. All fields are
// required unless they say otherwise.
type Options struct {
	Worker Worker
	Log    *slog.Logger
	Now    func() time.Time
	// Every returns a channel that ticks at this interval until stop is called.
	Every func(time.Duration) (ticks <-chan time.Time, stop func())
	// Hosts are the values of the Host header that are accepted, such as
	// 127.0.0.1:8234. Other requests are refused: they come by way of a name
	// that points here without the console knowing.
	Hosts []string
	// TLS says that browsers reach the console over TLS.
	TLS bool
	// WebUI is the address of Temporal's Web UI, with the namespace, to which run
	// pages link; empty: they do not.
	WebUI string
	// Login is where people log in. Nil: with a one-time address, as the identity
	// that the console has.
	Login Login
	// URL is the address of the console as browsers see it, without a path. It is
	// needed with Login.
	URL string
	// LoggedIn is called after each login with the one-time address used up. Nil
	// is allowed.
	LoggedIn func()
	// Sandbox says that the worker sends to a sandbox: the console offers the
	// example.
	Sandbox bool
	// Example is the folder with the example's segments, below the worker's files
	// root; empty: there is none to offer.
	Example string
}

// Console is the HTTP handler of all pages. Make one with New.
type Console struct {
	Options

	texts    texts
	pages    *pages
	sessions *sessions
	cache    *cache
	live     *live
	handler  http.Handler
}

// New returns a console. It makes no connection.
func New(o Options) (*Console, error) {
	c := &Console{Options: o, sessions: newSessions(o.Now), cache: newCache(o.Now)}
	var err error
	if c.texts, err = readTexts(language); err != nil {
		return nil, err
	}
	if c.pages, err = readPages(c.texts); err != nil {
		return nil, err
	}
	c.live = newLive(c)
	c.handler = c.protect(c.routes())
	return c, nil
}

// ServeHTTP serves one request. It may be called by several goroutines at once.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// LoginPath returns the path and query of a new one-time login address. The
// address before it stops working.
func (c *Console) LoginPath() string { return "/login?once=" + c.sessions.invite() }

// routes are all pages and buttons, each with the command it gives.
func (c *Console) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", http.StripPrefix("/static/", staticFiles()))
	mux.HandleFunc("GET /login", c.login)
	mux.HandleFunc("GET /login/start", c.loginStart)
	mux.HandleFunc("GET "+callbackPath, c.loginDone)
	mux.HandleFunc("POST /logout", c.logout)
	for pattern, page := range map[string]page{
		"GET /{$}": (*request).home,

		"POST /example": (*request).exampleAdd,

		"GET /runs":               (*request).runs,
		"GET /runs/{run}":         (*request).run,
		"GET /runs/{run}/events":  (*request).runEvents,
		"GET /runs/{run}/rejects": (*request).rejects,
		"GET /runs/{run}/samples": (*request).samples,
		"POST /runs/{run}":        (*request).steer,

		"GET /exports":                (*request).exports,
		"GET /exports/new":            (*request).exportNew,
		"POST /exports/new":           (*request).exportSave,
		"GET /exports/{name}":         (*request).export,
		"GET /exports/{name}/edit":    (*request).exportEdit,
		"POST /exports/{name}/edit":   (*request).exportSave,
		"POST /exports/{name}":        (*request).exportDo,
		"POST /exports/{name}/remove": (*request).exportRemove,

		"GET /connections":                (*request).connections,
		"GET /connections/new":            (*request).connectionNew,
		"POST /connections/new":           (*request).connectionAdd,
		"GET /connections/{name}":         (*request).connection,
		"POST /connections/{name}":        (*request).connectionDo,
		"POST /connections/{name}/remove": (*request).connectionRemove,

		"GET /sources":                (*request).sources,
		"GET /sources/new":            (*request).sourceNew,
		"POST /sources/new":           (*request).sourceSave,
		"GET /sources/{name}/edit":    (*request).sourceEdit,
		"POST /sources/{name}/edit":   (*request).sourceSave,
		"GET /sources/{name}":         (*request).source,
		"POST /sources/{name}":        (*request).sourceDo,
		"POST /sources/{name}/remove": (*request).sourceRemove,

		"GET /schedules":         (*request).schedules,
		"POST /schedules":        (*request).scheduleSet,
		"POST /schedules/system": (*request).refreshSet,

		"GET /records":         (*request).audit,
		"GET /records/people":  (*request).people,
		"POST /records/people": (*request).peopleDo,
		"GET /records/person":  (*request).personForm,
		"POST /records/person": (*request).person,
		"GET /records/alerts":  (*request).alerts,
		"POST /records/alerts": (*request).alertDo,

		"GET /records/alerts/new":            (*request).alertNew,
		"POST /records/alerts/new":           (*request).alertSave,
		"GET /records/alerts/{name}":         (*request).alertEdit,
		"POST /records/alerts/{name}":        (*request).alertSave,
		"POST /records/alerts/{name}/remove": (*request).alertRemove,
	} {
		mux.Handle(pattern, c.serve(page))
	}
	mux.Handle("/", c.serve((*request).missing))
	return mux
}
