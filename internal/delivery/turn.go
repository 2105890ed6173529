package delivery

import (
	"context"
	"errors"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// TakeTurn asks for the run's turn on its brand: true when it has it. A turn
// that belongs to a run whose workflow was ended from outside is taken away.
func (a *Steps) TakeTurn(ctx context.Context, in job.RunInput) (bool, error) {
	j, err := a.Job(ctx, in.RunID)
	if err != nil {
		return false, err
	}
	got, err := a.Store.TakeTurn(ctx, j.Brand, in.RunID)
	if got || err != nil {
		return got, err
	}
	if err := a.ReapTerminated(ctx); err != nil {
		return false, err
	}
	return a.Store.TakeTurn(ctx, j.Brand, in.RunID)
}

// YieldTurn lets others have the brand, unless calls are on the way to it.
func (a *Steps) YieldTurn(ctx context.Context, in job.RunInput) error {
	j, err := a.Job(ctx, in.RunID)
	if err != nil {
		return err
	}
	totals, err := a.Store.Totals(ctx, in.RunID)
	if err != nil || totals.Unsettled > 0 {
		return err // others must not deliver beside its calls
	}
	return a.Store.YieldTurn(ctx, j.Brand, in.RunID)
}

// ReapTerminated ends, in the store, the runs whose workflow was terminated or
// timed out in Temporal and so could not do it itself, and deletes what they
// left. Calls without a verdict stay, to be reconciled.
func (a *Steps) ReapTerminated(ctx context.Context) error {
	now, err := a.Store.Now(ctx)
	if err != nil {
		return err
	}
	for _, status := range []run.Status{run.Queued, run.Running, run.Paused, run.Parked} {
		runs, err := a.Store.ListRuns(ctx, store.RunFilter{Status: string(status), Plans: true, Limit: 1000})
		if err != nil {
			return err
		}
		for _, r := range runs {
			if !r.Started && now.Sub(r.CreatedAt) < 2*protocol.Timeout {
				continue // its workflow may be about to begin
			}
			open, err := a.Workflows.IsOpen(ctx, r)
			if err != nil {
				return err
			}
			if open {
				continue
			}
			if err := a.endTerminated(ctx, r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Steps) endTerminated(ctx context.Context, r store.Run) error {
	return a.EndWithout(ctx, r, "its workflow was ended in Temporal from outside, or Temporal has lost it")
}

// EndWithout ends a run as failed, without its workflow.
func (a *Steps) EndWithout(ctx context.Context, r store.Run, why reason.Text) error {
	report, err := record.Decode[run.Report](r.Report)
	if err != nil {
		return err
	}
	report.Export, report.RunID, report.Plan = r.Export, r.ID, r.Plan
	report.Status, report.StartedAt = run.Failed, r.StartedAt
	report.Reason = why
	report.Action = "run the export again: it continues from what Omnisend has confirmed"
	_, err = a.Finish(ctx, FinishInput{RunID: r.ID, Report: &report})
	if err == nil || ctx.Err() != nil || errors.Is(err, lease.ErrStopping) {
		return err
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		a.NoteFault(ctx, f)
	}
	a.Log.WarnContext(ctx, "the verdicts of a run that was ended from outside are not booked", "run", r.ID, "error", err)
	// Whatever it was, a fault of this program too, it must not stop other runs.
	return a.endUnbooked(ctx, r.ID, &report, err)
}
