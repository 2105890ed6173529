package delivery

import (
	"context"

	"github.com/segment-export/segment-export/internal/job"
)

// What an activity of a run may do comes from the store: from what the steps
// before it put there, and from what operators answered. Its input only selects.

// permitted returns the decision that a run may act on, or why it may not: all
// must be decided, and every guard that asks be answered.
func (a *Steps) permitted(ctx context.Context, runID string) (d job.DecideState, why string, err error) {
	if d, _, err = a.Decision(ctx, runID); err != nil {
		return d, "", err
	}
	control, err := a.Control(ctx, job.RunInput{RunID: runID})
	switch {
	case err != nil:
	case d.Report == nil:
		why = "nothing has been decided about what to send"
	case d.Report.Plan:
		why = "it is a plan"
	case d.Report.OverLimit > 0:
		why = "it has more contacts than its connection allows"
	case len(d.Report.Unanswered(control)) > 0:
		why = "a guard asks and nobody has answered"
	}
	return d, why, err
}

// mayDeliver refuses a batch that is none of the run's, or whose time has not
// come.
func (a *Steps) mayDeliver(ctx context.Context, j job.Job, batch int) error {
	d, why, err := a.permitted(ctx, j.RunID)
	if err != nil {
		return err
	}
	if why == "" && j.Request.Adopt {
		why = "it takes an audience over and sends nothing"
	}
	if why != "" {
		return job.ErrNotPermitted(why)
	}
	if err := a.isBatch(ctx, j, d, batch); err != nil {
		return err
	}
	if job.PhaseOf(batch) == job.PhaseLeavers {
		totals, err := a.Store.Totals(ctx, j.RunID)
		if err != nil {
			return err
		}
		if totals.New+totals.Changed+totals.Refused < d.Report.Sends() {
			return job.ErrNotPermitted("leavers follow when all uploads have their verdict")
		}
	}
	return a.hasTurn(ctx, j)
}

// isBatch refuses the number of a batch that nothing made.
func (a *Steps) isBatch(ctx context.Context, j job.Job, d job.DecideState, batch int) error {
	phase, generation := job.PhaseOf(batch), job.GenerationOf(batch)
	if batch < 0 || phase > job.PhaseLeavers {
		return job.ErrNotPermitted("there is no such batch")
	}
	made := []int{d.Uploads, d.Leavers}[phase]
	if generation > 0 {
		again, err := a.Again(ctx, j.RunID)
		if err != nil {
			return err
		}
		made = 0
		if generation <= len(again.Made[phase]) {
			made = again.Made[phase][generation-1]
		}
	}
	if batch-job.FirstBatch(phase, generation) >= made {
		return job.ErrNotPermitted("there is no such batch")
	}
	return nil
}

// hasTurn refuses while another run has calls on the way to the brand, or has
// left some without a verdict: no contact may be in two calls at once.
func (a *Steps) hasTurn(ctx context.Context, j job.Job) error {
	got, err := a.Store.TakeTurn(ctx, j.Brand, j.RunID)
	if err != nil {
		return err
	}
	if !got {
		return job.ErrNotPermitted("it does not have the connection's turn")
	}
	open, err := a.Store.UnfoldedRuns(ctx, j.Brand)
	if err == nil && len(open) > 0 {
		err = job.ErrNotPermitted("verdicts of earlier runs are not collected")
	}
	return err
}

// complete says whether all that was decided has its verdict.
func (a *Steps) complete(ctx context.Context, j job.Job) (bool, error) {
	d, why, err := a.permitted(ctx, j.RunID)
	if err != nil || d.Report == nil {
		return false, err
	}
	if d.Report.Plan {
		return true, nil
	}
	if why != "" {
		return false, nil
	}
	if j.Request.Adopt {
		adopted, err := a.Adoption(ctx, j.RunID)
		return adopted.Booked == d.Uploads, err
	}
	t, err := a.Store.Totals(ctx, j.RunID)
	return t.Unsettled == 0 && t.New+t.Changed+t.Refused == d.Report.Sends() && t.Leavers+t.LeaversRefused == d.Report.LeaversDue, err
}
