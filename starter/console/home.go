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

const (
	// cardsPerPage is how many exports home shows on one page.
	cardsPerPage = 30
	// sparkRuns is how many runs the small plot of an export has.
	sparkRuns = 30
)

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
	protocol.ExportAnswer

	Run   *protocol.RunAnswer // the open one, else the last
	Next  time.Time
	Spark template.HTML
	Bars  int // runs in the plot
}

// Route names the segments of the export.
func (c card) Route() []string {
	var names []string
	for _, s := range c.Segments {
		names = append(names, s.Segment)
	}
	return names
}

// home shows what needs attention, then each export.
func (q *request) home() error {
	var (
		status      protocol.StatusAnswer
		exports     []protocol.ExportAnswer
		connections []catalogue.Connection
		sources     []catalogue.Source
		schedules   []protocol.ScheduleAnswer
	)
	var g errgroup.Group
	g.Go(func() error { return ask(q, Order{Name: protocol.Status}, &status) })
	g.Go(func() error { return ask(q, Order{Name: protocol.ExportList}, &exports) })
	g.Go(func() error {
		return ask(q, Order{Name: protocol.ScheduleShow, Args: protocol.ScheduleShowArgs{}}, &schedules)
	})
	if q.contributes() {
		g.Go(func() error { return ask(q, Order{Name: protocol.ConnectionList}, &connections) })
		g.Go(func() error { return ask(q, Order{Name: protocol.SourceList}, &sources) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	find := strings.TrimSpace(q.r.URL.Query().Get("find"))
	v := homeView{Now: q.Now(), Attend: q.attention(&status, connections), All: len(exports), Find: find, Problems: status.Problems,
		Workers: len(status.Workers), Example: q.Sandbox && q.Example != "" && q.administers(), First: firstSteps{len(connections), len(sources), len(exports)}}
	var cards []card
	for _, c := range q.cards(&status, exports, schedules) {
		if find == "" || strings.Contains(strings.ToLower(c.Name), strings.ToLower(find)) {
			cards = append(cards, c)
		}
	}
	v.Page, v.Pages, v.Cards = paged(cards, q.r.URL.Query().Get("page"), cardsPerPage)
	for i := range v.Cards {
		if err := q.plot(&v.Cards[i]); err != nil {
			return err
		}
	}
	return q.show("home", view{Title: q.texts.say("home.title"), Section: "home", Command: "starter status", Reload: homeReload, Content: v})
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
func (q *request) attention(s *protocol.StatusAnswer, connections []catalogue.Connection) []attention {
	var list []attention
	if len(s.Workers) == 0 {
		list = append(list, attention{Class: "bad", Title: q.texts.say("attend.worker"), Detail: q.texts.say("attend.worker.detail")})
	}
	reported := map[string]bool{}
	for _, a := range s.Attend {
		one := attention{Class: stateClass(a.Status), Detail: strings.TrimSpace(a.Reason)}
		switch {
		case a.Connection != "":
			reported[a.Connection] = true
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
	for _, c := range connections {
		switch {
		case c.BrandID == "" || reported[c.Name]: // its outline; or it is in the list
		case c.Stopped != nil:
			list = append(list, attention{Class: "ask", Title: q.texts.say("attend.stopped", c.Name), Link: address("connections", c.Name)})
		case c.Consent == nil:
			list = append(list, attention{Class: "ask", Title: q.texts.say("attend.agreement", c.Name), Link: address("connections", c.Name)})
		}
	}
	return list
}

// cards brings together what is known of each export.
func (q *request) cards(s *protocol.StatusAnswer, exports []protocol.ExportAnswer, schedules []protocol.ScheduleAnswer) []card {
	open := map[string]*protocol.ExportStatus{}
	for i := range s.Exports {
		open[s.Exports[i].Export] = &s.Exports[i]
	}
	next := map[string]time.Time{}
	for _, at := range schedules {
		if len(at.Next) > 0 {
			next[at.Export] = at.Next[0]
		}
	}
	cards := make([]card, 0, len(exports))
	for _, e := range exports {
		c := card{ExportAnswer: e, Run: e.LastRun, Next: next[e.Name]}
		if known := open[e.Name]; known != nil {
			switch {
			case known.Open != nil:
				c.Run = known.Open
			case known.Last != nil:
				c.Run = known.Last
			}
		}
		cards = append(cards, c)
	}
	return cards
}

// plot fills in the small plot of an export's last runs.
func (q *request) plot(c *card) error {
	var page protocol.RunsPage
	err := ask(q, Order{Name: protocol.RunsList, Args: protocol.RunsListArgs{Export: c.Name, Limit: sparkRuns}}, &page)
	if err != nil {
		return err
	}
	bars := make([]bar, 0, len(page.Runs))
	for i := len(page.Runs) - 1; i >= 0; i-- {
		r := page.Runs[i]
		bars = append(bars, bar{Good: r.Delivered, Bad: r.Refused + r.Invalid})
	}
	c.Bars = len(bars)
	c.Spark = spark(bars, q.texts.say("home.spark", len(bars), c.Name))
	return nil
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
