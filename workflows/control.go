package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/run"
)

// listen notes signals and a cancel. It only sets state: the steps look at it
// where they can act on it.
func (e *exporter) listen(ctx workflow.Context) {
	workflow.Go(ctx, func(ctx workflow.Context) {
		signals := workflow.GetSignalChannel(ctx, protocol.ControlSignal)
		for signals.Receive(ctx, nil) {
			e.unread = true
		}
	})
	workflow.Go(ctx, func(ctx workflow.Context) {
		ctx.Done().Receive(ctx, nil)
		e.canceled = true
	})
	// A decision made before the run listened is in the store already.
	e.unread = true
}

// expireLater ends the run when its time is over.
func (e *exporter) expireLater(work workflow.Context, stop workflow.CancelFunc) {
	left := e.state.ExpiresAt.Sub(workflow.Now(work))
	workflow.Go(work, func(ctx workflow.Context) {
		if workflow.NewTimerWithOptions(ctx, left, workflow.TimerOptions{Summary: "the run expires"}).Get(ctx, nil) == nil {
			e.expired = true
			stop()
		}
	})
}

// look reads the operators' decisions if there are new ones.
func (e *exporter) look(work workflow.Context) error {
	for e.unread {
		e.unread = false
		err := workflow.ExecuteActivity(short(work, "what operators decided"), acts.Control,
			activities.RunInput{RunID: e.in.RunID}).Get(work, &e.control)
		if err != nil {
			return err
		}
	}
	return nil
}

// pause holds the run between two steps while an operator wants it paused.
func (e *exporter) pause(work workflow.Context) (ending, bool) {
	if err := e.look(work); err != nil {
		return e.ended(err), false
	}
	if !e.control.Paused {
		return ending{}, true
	}
	if err := e.setStatus(work, run.Paused, nil); err != nil {
		return e.ended(err), false
	}
	for e.control.Paused {
		if err := e.nextDecision(work); err != nil {
			return e.ended(err), false
		}
	}
	return e.goOn(work)
}

// nextDecision waits for a decision and reads it.
func (e *exporter) nextDecision(work workflow.Context) error {
	if err := workflow.Await(work, func() bool { return e.unread }); err != nil {
		return err
	}
	return e.look(work)
}

// goOn makes the run running again.
func (e *exporter) goOn(work workflow.Context) (ending, bool) {
	e.state.Resumes = e.control.Resumes
	if err := e.setStatus(work, run.Running, nil); err != nil {
		return e.ended(err), false
	}
	return ending{}, true
}

// wait does what a halt asks for: lets time pass, waits for an operator, or
// ends the run.
func (e *exporter) wait(work workflow.Context, h *activities.Halt) (ending, bool) {
	switch h.Kind {
	case activities.HaltWait:
		e.state.Report.Reason = h.Reason
		e.show(work)
		err := workflow.Sleep(work, max(h.Wait, time.Second))
		e.state.Report.Reason = ""
		if err != nil {
			return e.ended(err), false
		}
		return e.pause(work)
	case activities.HaltPark:
		if err := e.look(work); err != nil {
			return e.ended(err), false
		}
		e.state.Resumes = e.control.Resumes // what was said before it parked was not meant for this
		if err := e.setStatus(work, run.Parked, h); err != nil {
			return e.ended(err), false
		}
		for e.control.Resumes <= e.state.Resumes {
			if e.control.Superseded {
				return unansweredInTime(string(h.Reason)), false
			}
			if err := e.nextDecision(work); err != nil {
				return e.ended(err), false
			}
		}
		return e.goOn(work)
	}
	return halted(h), false
}

// unansweredInTime ends a run that waits for an answer: the next automatic start
// has come, and that one reads everything again.
func unansweredInTime(question string) ending {
	return halted(&activities.Halt{Kind: activities.HaltSkip, Reason: reason.Text("unanswered question: " + question),
		Action: "the next run asks again if it has to; answer with: starter runs approve, or starter runs resume"})
}

// guards parks the run until every guard that asks is answered.
func (e *exporter) guards(_, work workflow.Context) (ending, bool) {
	r := e.state.Report
	if r.OverLimit > 0 {
		return halted(overLimit(r)), false
	}
	if r.Plan || e.state.Passed {
		return ending{}, true
	}
	for {
		if err := e.look(work); err != nil {
			return e.ended(err), false
		}
		open := r.Unanswered(e.control)
		if len(open) == 0 {
			break
		}
		asks, action := "", "approve to "+wouldDo(r)+": "
		for i, g := range open {
			asks += "guard " + string(g.Guard) + ": " + g.Message + ". "
			if i > 0 {
				action += "; and: "
			}
			action += "starter runs approve " + r.RunID + " --guard " + string(g.Guard)
		}
		action += "; cancel to send nothing: starter runs cancel " + r.RunID
		asks = string(reason.Clean(asks[:len(asks)-1]))
		if err := e.setStatus(work, run.Parked, &activities.Halt{Reason: reason.Text(asks), Action: reason.Text(action)}); err != nil {
			return e.ended(err), false
		}
		if e.control.Superseded {
			return unansweredInTime(asks), false
		}
		if err := e.nextDecision(work); err != nil {
			return e.ended(err), false
		}
	}
	e.state.Passed = true
	if r.Status == run.Parked {
		return e.goOn(work)
	}
	return ending{}, true
}

// wouldDo says what a run does once its guards are approved.
func wouldDo(r *run.Report) string {
	does := "send " + reason.Count(r.Sends(), "contact", "contacts")
	if r.Adopt {
		does = "take over " + reason.Count(r.ToSend, "contact", "contacts") + " without sending them"
	}
	if r.LeaversDue > 0 {
		does += " and clear the markers of " + reason.Count(r.LeaversDue, "contact", "contacts")
	}
	return does + " (" + reason.Count(r.PlannedCalls, "call", "calls") + ")"
}

func overLimit(r *run.Report) *activities.Halt {
	return &activities.Halt{Kind: activities.HaltSkip,
		Reason: reason.Text("the export has " + count(r.Contacts) + " contacts, its connection allows " + count(r.OverLimit)),
		Action: "make the segment smaller, or raise the connection's --max-contacts if the contract with Omnisend allows it"}
}

// takeTurn waits until no other run has calls on the way to the brand.
func (e *exporter) takeTurn(_, work workflow.Context) (ending, bool) {
	if e.state.Report.Plan || e.state.Report.Adopt || e.state.HasTurn {
		return ending{}, true
	}
	for try := 0; ; try++ {
		var got bool
		err := workflow.ExecuteActivity(short(work, "take the connection's turn"), acts.TakeTurn,
			activities.RunInput{RunID: e.in.RunID}).Get(work, &got)
		halt, err := fault(err)
		if err != nil {
			return e.ended(err), false
		}
		if halt != nil {
			if end, ok := e.wait(work, halt); !ok {
				return end, false
			}
			continue
		}
		if got {
			e.state.HasTurn = true
			if try > 0 {
				if end, ok := e.goOn(work); !ok {
					return end, false
				}
			}
			// Others may have had the turn since this run looked, and left calls.
			return e.reconcile(work)
		}
		if try == 0 {
			if err := e.setStatus(work, run.Queued, &activities.Halt{Reason: "waiting for another run on the same brand to finish"}); err != nil {
				return e.ended(err), false
			}
		}
		if err := workflow.Sleep(work, backoff(try)); err != nil {
			return e.ended(err), false
		}
		if e.longHistory(work) {
			return ending{again: true}, false
		}
	}
}
