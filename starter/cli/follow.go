package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

const (
	// progressEvery is how often a run is asked how far it is.
	progressEvery = time.Second
	// silence is how long nobody may answer before it is said.
	silence = 10 * time.Second
	// approvalTime is how long a run may take to act on an approval.
	approvalTime = 20 * time.Second
	// parkedTwice is how many successive answers say "parked" before it is
	// believed: a run that was just resumed says it once more.
	parkedTwice = 2
	// showTries is how often a report is asked for whose worker is away.
	showTries = 5
)

// follower waits for one run.
type follower struct {
	s       *session
	run     protocol.RunStarted
	display display

	lastAnswer time.Time
	silent     bool
	parked     int         // successive answers
	approved   reason.Text // the reason of the parking that was answered with yes
	approvedAt time.Time   //
}

// follow waits for a run with progress, until it has ended or is parked, and
// returns its report as JSON and decoded. The run continues whatever happens
// here.
func (s *session) follow(ctx context.Context, started protocol.RunStarted) (json.RawMessage, *protocol.RunAnswer, error) {
	f := &follower{s: s, run: started, display: s.newDisplay(), lastAnswer: s.o.Now()}
	err := f.wait(ctx)
	f.display.stop()
	if ctx.Err() != nil {
		return nil, nil, fail(classInterrupted, "detached; run %s continues. Watch it: starter runs watch %s; stop it: starter runs cancel %s",
			started.RunID, started.RunID, started.RunID)
	}
	if err != nil {
		return nil, nil, err
	}
	return s.finalReport(ctx, started)
}

// wait returns when the run has ended or is parked.
func (f *follower) wait(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup // nothing uses the server after this
	defer func() {
		cancel()
		running.Wait()
	}()
	ended := make(chan error, 1)
	running.Go(func() { ended <- f.s.server.Ended(ctx, f.run.WorkflowID) })
	answers := make(chan *protocol.Progress, 1)
	ask := func() {
		p, err := f.s.server.Progress(ctx, f.run.WorkflowID)
		if err != nil {
			p = nil
		}
		answers <- p
	}
	running.Go(ask)
	asking := true
	ticks, stop := f.s.o.Ticker(progressEvery)
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			return err
		case p := <-answers:
			asking = false
			if done, err := f.heard(ctx, p); done || err != nil {
				return err
			}
		case <-ticks:
			if !asking {
				asking = true
				running.Go(ask)
			}
			f.checkSilence()
		}
	}
}

// heard takes an answer in; nil is none. It says whether there is nothing more
// to wait for.
func (f *follower) heard(ctx context.Context, p *protocol.Progress) (bool, error) {
	if p == nil {
		return false, nil
	}
	f.lastAnswer = f.s.o.Now()
	if f.silent {
		f.silent = false
		f.display.say("a worker answers again")
	}
	if p.RunID != "" && p.RunID != f.run.RunID {
		return true, nil // ours has ended, and another run of the export has started
	}
	f.display.update(p)
	if p.Status != run.Parked {
		f.parked = 0
		return false, nil
	}
	if f.parked++; f.parked < parkedTwice {
		return false, nil
	}
	if p.Reason == f.approved && f.s.o.Now().Sub(f.approvedAt) < approvalTime {
		return false, nil // it has not looked yet
	}
	return f.askFirstRun(ctx, p)
}

// askFirstRun asks the question of the guard first-run on a terminal. Other guards
// are not answered in passing.
func (f *follower) askFirstRun(ctx context.Context, p *protocol.Progress) (bool, error) {
	message := ""
	for _, g := range p.Guards {
		// The reason holds the messages of the guards that are not answered yet.
		if g.Guard == catalogue.GuardFirstRun && strings.Contains(string(p.Reason), g.Message) {
			message = g.Message
		}
	}
	if message == "" || !f.s.o.InTerminal || !f.s.o.ErrTerminal {
		return true, nil
	}
	f.display.stop()
	yes, err := f.s.ask(ctx, message+".\nSend them?")
	if err != nil || !yes {
		return true, err
	}
	_, err = f.s.call(ctx, order{name: protocol.RunsApprove,
		args: protocol.RunsApproveArgs{RunRef: protocol.RunRef{Run: f.run.RunID}, Guard: catalogue.GuardFirstRun}})
	if err != nil {
		return true, err
	}
	f.approved, f.approvedAt, f.parked, f.lastAnswer = p.Reason, f.s.o.Now(), 0, f.s.o.Now()
	return false, nil
}

func (f *follower) checkSilence() {
	if f.silent || f.s.o.Now().Sub(f.lastAnswer) < silence {
		return
	}
	f.silent = true
	f.display.say("no worker is answering for the run; waiting for one (see: starter status)")
}

// finalReport fetches the report of a run that has ended or is parked. The
// worker may just then be restarting.
func (s *session) finalReport(ctx context.Context, started protocol.RunStarted) (json.RawMessage, *protocol.RunAnswer, error) {
	var raw json.RawMessage
	for try := 1; ; try++ {
		var err error
		raw, err = s.call(ctx, order{name: protocol.RunsShow, args: protocol.RunRef{Run: started.RunID}})
		if err == nil {
			break
		}
		if try == showTries || !isClass(err, classNoServer, classNoWorker) {
			return nil, nil, fmt.Errorf("the report of run %s: %w", started.RunID, err)
		}
		s.say("%v; asking for the report again", err)
	}
	var a protocol.RunAnswer
	return raw, &a, decode(raw, &a)
}
