package operate

import (
	"context"
	"time"

	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// runsAbandon gives a run up that cannot be ended, or reconciled, in any other
// way. An open one ends as failed, and its calls are left to the next run. Of one
// that has ended the calls are given up too.
func (a *Commands) runsAbandon(ctx context.Context, c command.Caller, args protocol.RunRef) (any, error) {
	r, err := a.RunOf(ctx, c, args.Run)
	if err != nil {
		return nil, err
	}
	if r.EndedAt.IsZero() {
		err = a.abandonOpen(ctx, r)
	} else {
		err = a.abandonEnded(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	if r, err = a.Store.Run(ctx, r.ID); err != nil {
		return nil, err
	}
	return job.Answer(r)
}

// abandonOpen ends a run without its workflow.
func (a *Commands) abandonOpen(ctx context.Context, r store.Run) error {
	if err := a.mayAbandon(ctx, r); err != nil {
		return err
	}
	// An upload that is at work all the same makes no further call.
	if err := a.ControlRun(ctx, r.ID, func(c *run.Control) error { c.Canceled = true; return nil }); err != nil {
		return err
	}
	open, err := a.IsOpen(ctx, r)
	if err != nil {
		return err
	}
	if open {
		if err := a.Terminate(ctx, r, "run "+r.ID+" was abandoned"); err != nil {
			return err
		}
	}
	return a.EndWithout(ctx, r, "it was abandoned: runs abandon")
}

// mayAbandon refuses to abandon a run that can be canceled.
func (a *Commands) mayAbandon(ctx context.Context, r store.Run) error {
	control, err := record.Decode[run.Control](r.Control)
	if err != nil || control.Canceled {
		return err
	}
	s := &protocol.StatusAnswer{}
	if err := a.QueueStatus(ctx, s); err != nil {
		return err
	}
	now, err := a.Store.Now(ctx)
	if err != nil {
		return err
	}
	w, err := a.Stuck(ctx, r, now, s.Workers)
	if err == nil && w.Reason == "" {
		err = protocol.Refuse(protocol.ErrConflict, "run %s of %q is at work (%s); end it with: starter runs cancel %s. Abandon it if that does not end it", r.ID, r.Export, r.Status, r.ID)
	}
	return err
}

// abandonEnded gives up the calls of a run that has ended: what Omnisend has not
// confirmed counts as unsure, so that the next run of its export sends it again.
func (a *Commands) abandonEnded(ctx context.Context, r store.Run) error {
	open, err := a.Store.Unsettled(ctx, r.Brand, r.ID, 0)
	if err != nil {
		return err
	}
	now, err := a.Store.Now(ctx)
	if err != nil {
		return err
	}
	settled := make([]store.Settlement, 0, len(open))
	for _, c := range open {
		if done := c.IntendedAt.Add(delivery.ProcessingTime); now.Before(done) {
			return protocol.Refuse(protocol.ErrConflict, "Omnisend may still be processing calls of run %s, and nothing can be sent beside them; abandon it after %s",
				r.ID, done.UTC().Format(time.DateTime+" MST"))
		}
		settled = append(settled, store.Settlement{Origin: c.Origin, State: store.CallSettled, Verdict: delivery.NoVerdict(c)})
	}
	if err := a.Store.SettleCalls(ctx, r.ID, settled); err != nil {
		return err
	}
	calls, err := a.Store.SettledCalls(ctx, r.ID)
	if err != nil {
		return err
	}
	if len(calls) == 0 {
		return protocol.Refuse(protocol.ErrConflict, "run %s of %q has ended (%s), and nothing of it is left to give up", r.ID, r.Export, r.Status)
	}
	a.Log.WarnContext(ctx, "the calls of a run are given up", "run", r.ID, "export", r.Export, "calls", len(calls))
	return a.GiveUp(ctx, r, calls)
}
