package console

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/segment-export/segment-export/internal/protocol"
)

const (
	// liveEvery is how often a watched run is asked how far it is.
	liveEvery = time.Second
	// announceEvery is how often a screen reader is given the state of a run.
	announceEvery = 15 * time.Second
	// silence is how long nobody may answer before the page says so.
	silence = 10 * time.Second
)

// live asks runs how far they are: one poller for each run that is watched,
// whatever the number of viewers.
type live struct {
	c *Console

	mu    sync.Mutex
	polls map[string]*poll
}

// poll asks one run, and tells all who watch it.
type poll struct {
	stop     context.CancelFunc
	watchers map[chan *protocol.Progress]struct{}
	last     *protocol.Progress
}

func newLive(c *Console) *live { return &live{c: c, polls: map[string]*poll{}} }

// watch returns what the workflow answers from now on, nil for a time at which
// nothing answered. leave ends it.
func (l *live) watch(workflowID string) (answers <-chan *protocol.Progress, leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.polls[workflowID]
	if !ok {
		ctx, stop := context.WithCancel(context.Background())
		p = &poll{stop: stop, watchers: map[chan *protocol.Progress]struct{}{}}
		l.polls[workflowID] = p
		go l.ask(ctx, workflowID, p)
	}
	mine := make(chan *protocol.Progress, 1)
	if p.last != nil {
		mine <- p.last
	}
	p.watchers[mine] = struct{}{}
	return mine, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(p.watchers, mine)
		if len(p.watchers) == 0 && l.polls[workflowID] == p {
			delete(l.polls, workflowID)
			p.stop()
		}
	}
}

func (l *live) ask(ctx context.Context, workflowID string, p *poll) {
	ticks, stop := l.c.Every(liveEvery)
	defer stop()
	for {
		answer, err := l.c.Worker.Progress(ctx, workflowID)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			answer = nil
		}
		l.mu.Lock()
		p.last = answer
		for w := range p.watchers {
			select { // a slow browser misses answers, and gets the newest
			case <-w:
			default:
			}
			w <- answer
		}
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
	}
}

// runEvents sends the changing part of a run's page until the run is over.
func (q *request) runEvents() error {
	var a protocol.RunAnswer
	id := q.r.PathValue("run")
	if err := ask(q, Order{Name: protocol.RunsShow, Args: protocol.RunRef{Run: id}, Object: id}, &a); err != nil {
		return err
	}
	out := http.NewResponseController(q.w)
	q.w.Header().Set("Content-Type", "text/event-stream")
	q.w.WriteHeader(http.StatusOK)
	if a.Status.Ended() {
		return q.over(out)
	}
	shown := q.r.URL.Query().Get("shown")
	answers, leave := q.live.watch(a.WorkflowID)
	defer leave()
	heard, announced := q.Now(), time.Time{}
	for {
		var p *protocol.Progress
		select {
		case <-q.ctx().Done():
			return nil
		case p = <-answers:
		}
		now := q.Now()
		v := q.runView(&a, p)
		switch {
		case p == nil:
			v.Silent = now.Sub(heard)
			if ended, err := q.ended(id); err == nil && ended {
				return q.over(out)
			}
			if v.Silent < silence {
				continue
			}
		case p.RunID != "" && p.RunID != a.RunID || p.Status.Ended():
			return q.over(out)
		default:
			heard = now
			actor := a.Actor
			a.Report = p.Report
			a.Actor = actor
			v = q.runView(&a, p)
			if v.Shown() != shown { // the run asks something now, or no longer
				return q.over(out)
			}
		}
		if err := q.event("run", "run-live", v); err != nil {
			return nil //nolint:nilerr // the browser has gone
		}
		if now.Sub(announced) >= announceEvery {
			announced = now
			if err := q.event("announce", "run-announce", v); err != nil {
				return nil //nolint:nilerr // the browser has gone
			}
		}
		if err := out.Flush(); err != nil {
			return nil //nolint:nilerr // the browser has gone
		}
	}
}

// ended asks the worker whether a run is over that does not answer.
func (q *request) ended(id string) (bool, error) {
	var a protocol.RunAnswer
	err := ask(q, Order{Name: protocol.RunsShow, Args: protocol.RunRef{Run: id}, Object: id}, &a)
	return err == nil && a.Status.Ended(), err
}

// over tells the browser to load the page again, for the report.
func (q *request) over(out *http.ResponseController) error {
	q.cache.clear()
	fmt.Fprint(q.w, "event: over\ndata: over\n\n")
	_ = out.Flush()
	return nil
}

// event writes a part of a page as one event.
func (q *request) event(name, part string, v runView) error {
	var b bytes.Buffer
	if err := q.pages.part(&b, "run", part, v, q.zone()); err != nil {
		return err
	}
	_, err := fmt.Fprintf(q.w, "event: %s\ndata: %s\n\n", name, strings.ReplaceAll(b.String(), "\n", "\ndata: "))
	return err
}
