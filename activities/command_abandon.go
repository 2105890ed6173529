package activities

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// runsAbandon gives a run up that cannot be ended, or reconciled, in any other
// way. An open one ends as failed, and its calls are left to the next run. Of one
// that has ended the calls are given up too.
func (a *Activities) runsAbandon(ctx context.Context, _ caller, args protocol.RunRef) (any, error) {
	r, err := a.findRun(ctx, args.Run)
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
	return runAnswer(r)
}

// abandonOpen ends a run without its workflow.
func (a *Activities) abandonOpen(ctx context.Context, r store.Run) error {
	if err := a.mayAbandon(ctx, r); err != nil {
		return err
	}
	// An upload that is at work all the same makes no further call.
	if err := a.controlRun(ctx, r.ID, func(c *run.Control) error { c.Canceled = true; return nil }); err != nil {
		return err
	}
	open, err := a.isOpen(ctx, r)
	if err != nil {
		return err
	}
	if open {
		err := a.Temporal.TerminateWorkflow(ctx, protocol.WorkflowID(r.Export, r.Plan), "", "run "+r.ID+" was abandoned")
		if _, closed := errors.AsType[*serviceerror.NotFound](err); err != nil && !closed {
			return err
		}
	}
	return a.endWithout(ctx, r, "it was abandoned: runs abandon")
}

// mayAbandon refuses to abandon a run that can be canceled.
func (a *Activities) mayAbandon(ctx context.Context, r store.Run) error {
	control, err := decode[run.Control](r.Control)
	if err != nil || control.Canceled {
		return err
	}
	s := &protocol.StatusAnswer{}
	if activity.IsActivity(ctx) {
		if err := a.queueStatus(ctx, s); err != nil {
			return err
		}
	}
	now, err := a.Store.Now(ctx)
	if err != nil {
		return err
	}
	w, err := a.stuck(ctx, r, now, s.Workers)
	if err == nil && w.Reason == "" {
		err = refuse(protocol.ErrConflict, "run %s of %q is at work (%s); end it with: starter runs cancel %s. Abandon it if that does not end it", r.ID, r.Export, r.Status, r.ID)
	}
	return err
}

// abandonEnded gives up the calls of a run that has ended: what Omnisend has not
// confirmed counts as unsure, so that the next run of its export sends it again.
func (a *Activities) abandonEnded(ctx context.Context, r store.Run) error {
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
		if done := c.IntendedAt.Add(processingTime); now.Before(done) {
			return refuse(protocol.ErrConflict, "Omnisend may still be processing calls of run %s, and nothing can be sent beside them; abandon it after %s",
				r.ID, done.UTC().Format(time.DateTime+" MST"))
		}
		settled = append(settled, store.Settlement{Origin: c.Origin, State: store.CallSettled, Verdict: noVerdict(c)})
	}
	if err := a.Store.SettleCalls(ctx, r.ID, settled); err != nil {
		return err
	}
	calls, err := a.Store.SettledCalls(ctx, r.ID)
	if err != nil {
		return err
	}
	if len(calls) == 0 {
		return refuse(protocol.ErrConflict, "run %s of %q has ended (%s), and nothing of it is left to give up", r.ID, r.Export, r.Status)
	}
	a.Log.WarnContext(ctx, "the calls of a run are given up", "run", r.ID, "export", r.Export, "calls", len(calls))
	return a.giveUp(ctx, r, calls)
}

// giveUp books what is known of a run's calls. Contacts that cannot be read any
// more make the next run of the export send all of its contacts.
func (a *Activities) giveUp(ctx context.Context, r store.Run, calls []store.Call) error {
	return a.underLease(ctx, ledgerLease(r.Export), func(ctx context.Context, _ hold) error {
		n, _, err := a.note(ctx, r.Export)
		if err != nil {
			return err
		}
		j, err := a.job(ctx, r.ID)
		known := err == nil
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if n == nil || known && n.ID != j.Ledger {
			return a.Store.MarkFolded(ctx, r.ID, originsOf(calls)) // they belong to no ledger any more
		}
		if !known {
			return a.loseCalls(ctx, r.Export, r.ID, calls)
		}
		return a.foldCalls(ctx, j, calls, true)
	})
}

func originsOf(calls []store.Call) []string {
	origins := make([]string, 0, len(calls))
	for _, c := range calls {
		origins = append(origins, c.Origin)
	}
	return origins
}
