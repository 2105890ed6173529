package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/run"
)

// delivering is the state of one execution's loop; nothing of it outlives the
// execution, which ends only when nothing is in flight.
type delivering struct {
	*exporter
	d        *Delivery
	inFlight int
	sweeping bool
	parked   *activities.Halt
	failed   *ending
	waitTill time.Time // before it no call may be made
	sweepTil time.Time // before it no sweep is made for want of other work
	changed  bool      // something happened: look again
	uploads  workflow.Context
	stop     workflow.CancelFunc // asks the uploads in flight to end after the call in hand
	stopped  bool
}

// deliver uploads the batches and collects their verdicts, first all uploads,
// then the leavers.
func (e *exporter) deliver(_, work workflow.Context) (ending, bool) {
	if e.state.Report.Plan || e.state.Report.Adopt {
		return ending{}, true
	}
	l := &delivering{exporter: e, d: &e.state.Delivery}
	if l.d.SweepAt == 0 {
		l.d.SweepAt = sweepAt
	}
	if !l.d.Leavers {
		e.enter(work, run.PhaseDeliver)
	}
	l.uploads, l.stop = workflow.WithCancel(work)
	for {
		end, done, err := l.turn(work)
		if err != nil {
			return e.drained(l, e.ended(err)), false
		}
		if done {
			return end, end == ending{}
		}
		if err := l.await(work); err != nil {
			return e.drained(l, e.ended(err)), false
		}
	}
}

// drained waits for what is in flight after a cancel: it has been asked to end
// and does so after the call in hand.
func (e *exporter) drained(l *delivering, end ending) ending {
	ctx, _ := workflow.NewDisconnectedContext(l.uploads)
	l.stop()
	_ = workflow.Await(ctx, func() bool { return l.inFlight == 0 && !l.sweeping }) // cannot be canceled
	return end
}

// turn looks at everything once and starts what can be started.
func (l *delivering) turn(work workflow.Context) (ending, bool, error) {
	l.changed = false
	if err := l.look(work); err != nil {
		return ending{}, false, err
	}
	if l.control.Resumes > l.state.Resumes {
		l.parked = nil // said before it parked, it would not have been meant for this
		l.state.Resumes = l.control.Resumes
	}
	if l.parked != nil && l.control.Superseded && l.failed == nil {
		end := unansweredInTime(string(l.parked.Reason))
		l.failed = &end
	}
	held := l.control.Paused || l.parked != nil
	if err := l.tell(work, held); err != nil {
		return ending{}, false, err
	}
	idle := l.inFlight == 0 && !l.sweeping
	again := l.longHistory(work)
	switch {
	case l.failed != nil || held || again:
		if !l.stopped && (l.failed != nil || held) {
			l.stop()
			l.stopped = true
		}
		if idle && l.failed != nil {
			return *l.failed, true, nil
		}
		if idle && again {
			return ending{again: true}, true, nil
		}
		if idle && held && !l.d.mayBeOpen() && l.state.HasTurn {
			if err := l.yieldTurn(work); err != nil {
				return ending{}, false, err
			}
		}
	case !l.state.HasTurn:
		if end, ok := l.takeTurn(nil, work); !ok {
			return end, true, nil
		}
		l.changed = true
		return ending{}, false, nil
	default:
		if l.stopped && l.inFlight == 0 {
			l.uploads, l.stop = workflow.WithCancel(work)
			l.stopped = false
		}
		l.begin(work)
	}
	if !again && !l.sweeping && l.sweepDue(work) {
		l.sweep(work)
	}
	if l.inFlight > 0 || l.sweeping || held || l.d.mayBeOpen() || !l.d.begunAll() {
		return ending{}, false, nil
	}
	if l.d.Leavers || l.d.LeaverBatches == 0 {
		return ending{}, true, nil
	}
	l.d.Leavers, l.d.Batches, l.d.Begun = true, []int{l.d.LeaverBatches}, []int{0}
	l.enter(work, run.PhaseLeavers)
	l.changed = true
	return ending{}, false, nil
}

// tell shows whether the run is paused, parked or running.
func (l *delivering) tell(work workflow.Context, held bool) error {
	status, halt := run.Running, (*activities.Halt)(nil)
	switch {
	case held && l.parked != nil:
		status, halt = run.Parked, l.parked
	case held:
		status = run.Paused
	}
	return l.setStatus(work, status, halt)
}

// await waits until something happened, or until time lets something begin.
func (l *delivering) await(work workflow.Context) error {
	happened := func() bool { return l.changed || l.unread }
	var till time.Time
	if l.waitTill.After(workflow.Now(work)) && !l.d.begunAll() {
		till = l.waitTill
	}
	if l.quiet() && !l.sweeping && l.d.mayBeOpen() {
		sweep := l.sweepTil
		if l.waitTill.After(sweep) {
			sweep = l.waitTill // before it no sweep is due either
		}
		if till.IsZero() || sweep.Before(till) {
			till = sweep
		}
	}
	if till.IsZero() {
		return workflow.Await(work, happened)
	}
	_, err := workflow.AwaitWithTimeout(work, max(till.Sub(workflow.Now(work)), time.Millisecond), happened)
	return err
}

// quiet says that no upload is in flight and none can begin now.
func (l *delivering) quiet() bool {
	return l.inFlight == 0 && (l.d.begunAll() || l.stopped)
}

// begin starts as many uploads as the window has room for.
func (l *delivering) begin(work workflow.Context) {
	for l.inFlight < l.in.Window && !workflow.Now(work).Before(l.waitTill) && !l.stopped {
		batch, ok := l.d.next()
		if !ok {
			return
		}
		l.inFlight++
		ctx := long(l.uploads, "upload batch "+count(batch))
		future := workflow.ExecuteActivity(ctx, acts.UploadBatch, activities.UploadInput{RunID: l.in.RunID, Batch: batch})
		workflow.Go(ctx, func(ctx workflow.Context) {
			var result activities.UploadResult
			err := future.Get(ctx, &result)
			l.inFlight--
			l.changed = true
			l.uploaded(ctx, batch, result, err)
		})
	}
}

// uploaded takes in what an attempt at a batch came to.
func (l *delivering) uploaded(ctx workflow.Context, batch int, r activities.UploadResult, err error) {
	l.d.Unsure = true
	halt, err := fault(err)
	if halt != nil {
		l.d.Again = append(l.d.Again, batch)
		l.halt(ctx, halt)
		return
	}
	if err != nil {
		l.d.Again = append(l.d.Again, batch)
		if !temporal.IsCanceledError(err) && l.failed == nil {
			end := l.ended(err)
			l.failed = &end
		}
		return
	}
	l.d.Unswept += r.Calls
	l.d.Open += r.Calls
	l.d.Sent += r.Contacts
	l.state.Report.Calls += r.Calls
	if !r.Done {
		l.d.Again = append(l.d.Again, batch)
	}
	if l.quiet() {
		l.sweepTil = workflow.Now(ctx).Add(l.sweepWait())
	}
	l.halt(ctx, r.Halt)
	l.show(ctx)
}

// halt takes in why an activity stopped short.
func (l *delivering) halt(ctx workflow.Context, h *activities.Halt) {
	if h == nil {
		return
	}
	switch h.Kind {
	case activities.HaltWait:
		if till := workflow.Now(ctx).Add(max(h.Wait, 100*time.Millisecond)); till.After(l.waitTill) {
			l.waitTill = till
		}
	case activities.HaltPark:
		l.parked = h
	default:
		if l.failed == nil {
			end := halted(h)
			l.failed = &end
		}
	}
}

// sweepDue says whether to read the list of batches now: when enough calls are
// due, or when there is nothing else to do.
func (l *delivering) sweepDue(work workflow.Context) bool {
	now := workflow.Now(work)
	switch {
	case !l.d.mayBeOpen() || now.Before(l.waitTill):
		return false
	case l.quiet():
		return !now.Before(l.sweepTil)
	}
	return l.d.Unswept >= l.d.SweepAt
}

// sweepWait is how long to leave Omnisend to its work before asking again.
func (l *delivering) sweepWait() time.Duration {
	longest := time.Minute
	if l.parked != nil {
		longest = 10 * time.Minute
	}
	return min(longest, 500*time.Millisecond<<min(l.d.Idle, 11))
}

// sweep collects verdicts beside the uploads.
func (l *delivering) sweep(work workflow.Context) {
	due := l.d.Unswept
	l.d.Unswept, l.d.Unsure, l.sweeping = 0, false, true
	ctx := long(work, "collect verdicts")
	future := workflow.ExecuteActivity(ctx, acts.Sweep, activities.SweepInput{RunID: l.in.RunID, Whole: l.quiet()})
	workflow.Go(ctx, func(ctx workflow.Context) {
		var result activities.SweepResult
		err := future.Get(ctx, &result)
		l.sweeping, l.changed = false, true
		halt, err := fault(err)
		switch {
		case halt != nil:
			l.halt(ctx, halt)
			l.d.Unsure = true
			l.d.Idle++
		case err == nil:
			l.d.swept(result, due)
			l.sayMissing(result)
			l.halt(ctx, result.Halt)
			l.show(ctx)
		case !temporal.IsCanceledError(err) && l.failed == nil:
			end := l.ended(err)
			l.failed = &end
		}
		if err != nil {
			l.d.Unsure = true // it found out nothing
		}
		l.sweepTil = workflow.Now(ctx).Add(l.sweepWait())
	})
}

// sayMissing shows which verdicts the run waits for that may never come.
func (l *delivering) sayMissing(r activities.SweepResult) {
	if l.state.Report.Status != run.Running {
		return // there its reason is another one
	}
	l.state.Report.Reason = ""
	if r.Missing > 0 {
		l.state.Report.Reason = reason.Text("Omnisend does not find the batches of " + count(r.Missing) + " calls that it took; they are asked for until " +
			r.MissingUntil.UTC().Format("15:04:05 MST") + ", then their contacts are sent again")
	}
}

func (e *exporter) yieldTurn(work workflow.Context) error {
	err := workflow.ExecuteActivity(short(work, "let others have the connection"), acts.YieldTurn,
		activities.RunInput{RunID: e.in.RunID}).Get(work, nil)
	if err == nil {
		e.state.HasTurn = false
	}
	return err
}

// lastVerdicts is how long a run that was cut short still collects verdicts.
const lastVerdicts = 2 * time.Minute

// collectVerdicts collects verdicts of a run that was cut short, for a while;
// what is left then is for the next run to reconcile.
func (e *exporter) collectVerdicts(ctx workflow.Context) {
	until := workflow.Now(ctx).Add(lastVerdicts)
	d, r := &e.state.Delivery, e.state.Report
	if e.canceled {
		r.Status = run.Canceling
	}
	for try := 0; d.mayBeOpen() && workflow.Now(ctx).Before(until); try++ {
		d.Unsure = false
		r.Reason = reason.Text("waiting for verdicts of calls that were sent already, until " + until.UTC().Format("15:04:05 UTC") + " at the latest")
		if d.Open > 0 {
			r.Reason = reason.Text(reason.Count(d.Open, "call", "calls") + " without a verdict; waiting for them until " + until.UTC().Format("15:04:05 UTC") + " at the latest")
		}
		e.show(ctx)
		var result activities.SweepResult
		err := workflow.ExecuteActivity(long(ctx, "collect the last verdicts"), acts.Sweep,
			activities.SweepInput{RunID: e.in.RunID, Whole: true}).Get(ctx, &result)
		if err != nil || (result.Halt != nil && result.Halt.Kind != activities.HaltWait) {
			return
		}
		d.swept(result, 0)
		e.show(ctx)
		if d.Open > 0 && workflow.Sleep(ctx, backoff(try)) != nil {
			return
		}
	}
}
