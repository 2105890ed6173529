package console

import (
	"html/template"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

// cardsPerPage is how many exports home shows on one page.
const cardsPerPage = 30

// homeView is what home shows.
type homeView struct {
	Now      time.Time
	Attend   []attention
	Cards    []card
	All      int // exports in all
	Page     int
	Pages    int
	Find     string
	Example  bool // can be set up
	Problems []string
	Workers  int
	First    firstSteps
}

// attention is one thing that waits for a person.
type attention struct {
	Class  string
	Title  string
	Detail string
	Link   string
}

// firstSteps says what is there already, for a first visit.
type firstSteps struct{ Connections, Sources, Exports int }

// Empty says that nothing was set up yet.
func (f firstSteps) Empty() bool { return f.Connections == 0 && f.Sources == 0 && f.Exports == 0 }

// card is one export on home.
type card struct {
	protocol.ExportCard

	Run   *protocol.RunBrief // the newest; nil: none
	Spark template.HTML
}

// home shows what needs attention, then each export.
func (q *request) home() error {
	page, err := strconv.Atoi(q.r.URL.Query().Get("page"))
	if err != nil {
		page = 1
	}
	args := protocol.OverviewArgs{Find: strings.TrimSpace(q.r.URL.Query().Get("find")), Page: page, Limit: cardsPerPage, Runs: protocol.RunsPerCard}
	var (
		status   protocol.StatusAnswer
		overview protocol.OverviewAnswer
	)
	var g errgroup.Group
	g.Go(func() error {
		return ask(q, Order{Name: protocol.Status, Args: protocol.StatusArgs{Brief: true}}, &status)
	})
	g.Go(func() error { return ask(q, Order{Name: protocol.Overview, Args: args}, &overview) })
	if err := g.Wait(); err != nil {
		return err
	}
	v := homeView{Now: q.Now(), Attend: q.attention(&status), All: overview.All, Page: overview.Page, Pages: overview.Pages, Find: args.Find,
		Problems: status.Problems, Workers: len(status.Workers), Example: q.Sandbox && q.Example != "" && q.administers(), First: firstSteps{Exports: overview.All}}
	if overview.All == 0 && q.contributes() {
		if err := q.countFirst(&v.First); err != nil {
			return err
		}
	}
	for _, e := range overview.Cards {
		v.Cards = append(v.Cards, q.card(e))
	}
	return q.show("home", view{Title: q.texts.say("home.title"), Section: "home", Command: "starter status", Reload: homeReload, Content: v})
}

// countFirst counts what there is besides exports.
func (q *request) countFirst(f *firstSteps) error {
	var connections []catalogue.Connection
	var sources []catalogue.Source
	err := ask(q, Order{Name: protocol.ConnectionList}, &connections)
	if err == nil {
		err = ask(q, Order{Name: protocol.SourceList}, &sources)
	}
	f.Connections, f.Sources = len(connections), len(sources)
	return err
}

// card adds to an export the plot of its last runs.
func (q *request) card(e protocol.ExportCard) card {
	c := card{ExportCard: e}
	if len(e.Runs) == 0 {
		return c
	}
	c.Run = &c.Runs[0]
	bars := make([]bar, 0, len(e.Runs))
	for i := len(e.Runs) - 1; i >= 0; i-- {
		bars = append(bars, bar{Good: e.Runs[i].Delivered, Bad: e.Runs[i].Rejected})
	}
	c.Spark = spark(bars, q.texts.say("home.spark", len(bars), e.Name))
	return c
}

// homeReload is after how many seconds a browser without JavaScript loads home
// again.
const homeReload = 30

// refused is a refusal by the console itself, with the class of a worker's.
type refused struct{ message string }

func (e *refused) Error() string { return e.message }

// Class is that of a command that the visitor may not give.
func (e *refused) Class() string { return protocol.ErrNotAllowed }

// allowed refuses a form whose command the visitor may not give, before they
// fill it in. The worker decides in any case.
func (q *request) allowed(command string) error {
	role, err := access.ParseRole(q.me.Role)
	if err != nil {
		role = access.Nobody
	}
	if err := access.Check(access.Principal{Role: role}, command); err != nil {
		return &refused{err.Error()}
	}
	return nil
}

// contributes says that the visitor may see sources and connections.
func (q *request) contributes() bool { return q.me.Role == roleContributor || q.me.Role == roleAdmin }

// administers says that the visitor may do everything.
func (q *request) administers() bool { return q.me.Role == roleAdmin }

// The roles, as whoami names them.
const (
	roleContributor = "contributor"
	roleAdmin       = "admin"
)

// attention lists what waits for a person, the most urgent first.
func (q *request) attention(s *protocol.StatusAnswer) []attention {
	var list []attention
	if len(s.Workers) == 0 {
		list = append(list, attention{Class: "bad", Title: q.texts.say("attend.worker"), Detail: q.texts.say("attend.worker.detail")})
	}
	for _, a := range s.Attend {
		one := attention{Class: stateClass(a.Status), Detail: strings.TrimSpace(a.Reason)}
		switch {
		case a.Connection != "":
			one.Class, one.Title = "ask", q.texts.say("attend.connection", a.Connection)
			if q.contributes() {
				one.Link = address("connections", a.Connection)
			}
		case a.Alert != "":
			one.Class, one.Title, one.Link = "bad", q.texts.say("attend.alert", a.Alert), "/records/alerts"
		default:
			one.Title, one.Link = q.texts.say("attend.run", a.Export, a.Status), address("runs", a.RunID)
		}
		list = append(list, one)
	}
	return list
}

// paged cuts one page out of a list. Pages count from 1.
func paged[T any](all []T, page string, size int) (number, pages int, part []T) {
	pages = max(1, (len(all)+size-1)/size)
	number, err := strconv.Atoi(page)
	if err != nil || number < 1 {
		number = 1
	}
	number = min(number, pages)
	from := (number - 1) * size
	return number, pages, all[from:min(len(all), from+size)]
}

// runs lists runs, the newest first.
func (q *request) runs() error {
	query := q.r.URL.Query()
	args := protocol.RunsListArgs{Export: query.Get("export"), Status: query.Get("status"), Plans: query.Get("plans") != "",
		Page: query.Get("page"), Limit: runsPerPage}
	var page protocol.RunsPage
	if err := ask(q, Order{Name: protocol.RunsList, Args: args}, &page); err != nil {
		return err
	}
	line := "starter runs list"
	for _, f := range []struct{ name, value string }{{"export", args.Export}, {"status", args.Status}} {
		if f.value != "" {
			line += " --" + f.name + " " + quoted(f.value)
		}
	}
	type content struct {
		protocol.RunsPage
		Args     protocol.RunsListArgs
		Statuses []run.Status
	}
	return q.show("runs", view{Title: q.texts.say("runs.title"), Section: "runs", Command: line,
		Content: content{page, args, statuses}})
}

const runsPerPage = 50

var statuses = []run.Status{run.Queued, run.Running, run.Paused, run.Parked, run.Completed, run.CompletedWithRejects,
	run.Skipped, run.Canceled, run.Failed, run.Expired}

// quoted is a word as a shell takes it.
func quoted(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/@=,") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// form is the form of a POST, or an error that says it cannot be read.
func (q *request) form() error {
	if err := q.r.ParseForm(); err != nil {
		return &invalid{q.texts.say("form.unreadable")}
	}
	return nil
}

// confirmed refuses what cannot be undone unless the name was typed.
func (q *request) confirmed(name string) error {
	if q.r.PostForm.Get("confirm") != name {
		return &invalid{q.texts.say("form.confirm", name)}
	}
	return nil
}
