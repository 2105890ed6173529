package activities

import (
	"context"

	"go.temporal.io/sdk/temporal"
)

// What an activity of a run may do comes from the store: from what the steps
// before it put there, and from what operators answered. Its input only selects.

// errNotPermitted ends for good what the store does not permit.
func errNotPermitted(why string) error {
	return temporal.NewNonRetryableApplicationError("the store does not permit this step of the run: "+why, ErrorFail, nil)
}

// decision returns how far deciding is, and whether it has begun. Its Report is
// nil until all is decided.
func (a *Activities) decision(ctx context.Context, runID string) (d decideState, began bool, err error) {
	state, err := a.Store.StepState(ctx, runID, decideStep)
	if err != nil || state == nil {
		return d, false, err
	}
	d, err = decode[decideState](state)
	return d, true, err
}

// permitted returns the decision that a run may act on, or why it may not: all
// must be decided, and every guard that asks be answered.
func (a *Activities) permitted(ctx context.Context, runID string) (d decideState, why string, err error) {
	if d, _, err = a.decision(ctx, runID); err != nil {
		return d, "", err
	}
	control, err := a.Control(ctx, RunInput{RunID: runID})
	switch {
	case err != nil:
	case d.Report == nil:
		why = "it is not decided what is to be sent"
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
func (a *Activities) mayDeliver(ctx context.Context, j job, batch int) error {
	d, why, err := a.permitted(ctx, j.RunID)
	if err != nil {
		return err
	}
	if why == "" && j.Request.Adopt {
		why = "it takes an audience over and sends nothing"
	}
	if why != "" {
		return errNotPermitted(why)
	}
	if err := a.isBatch(ctx, j, d, batch); err != nil {
		return err
	}
	if phaseOf(batch) == phaseLeavers {
		totals, err := a.Store.Totals(ctx, j.RunID)
		if err != nil {
			return err
		}
		if totals.New+totals.Changed+totals.Refused < d.Report.Sends() {
			return errNotPermitted("leavers follow when all uploads have their verdict")
		}
	}
	return a.hasTurn(ctx, j)
}

// isBatch refuses the number of a batch that nothing made.
func (a *Activities) isBatch(ctx context.Context, j job, d decideState, batch int) error {
	phase, generation := phaseOf(batch), generationOf(batch)
	if batch < 0 || phase > phaseLeavers {
		return errNotPermitted("there is no such batch")
	}
	made := []int{d.Uploads, d.Leavers}[phase]
	if generation > 0 {
		again, err := a.again(ctx, j.RunID)
		if err != nil {
			return err
		}
		made = 0
		if generation <= len(again.Made[phase]) {
			made = again.Made[phase][generation-1]
		}
	}
	if batch-firstBatch(phase, generation) >= made {
		return errNotPermitted("there is no such batch")
	}
	return nil
}

// hasTurn refuses while another run has calls on the way to the brand, or has
// left some without a verdict: no contact may be in two calls at once.
func (a *Activities) hasTurn(ctx context.Context, j job) error {
	got, err := a.Store.TakeTurn(ctx, j.Brand, j.RunID)
	if err != nil {
		return err
	}
	if !got {
		return errNotPermitted("it does not have the connection's turn")
	}
	open, err := a.Store.UnfoldedRuns(ctx, j.Brand)
	if err == nil && len(open) > 0 {
		err = errNotPermitted("verdicts of earlier runs are not collected")
	}
	return err
}

// complete says whether all that was decided has its verdict.
func (a *Activities) complete(ctx context.Context, j job) (bool, error) {
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
		adopted, err := a.adoption(ctx, j.RunID)
		return adopted.Booked == d.Uploads, err
	}
	t, err := a.Store.Totals(ctx, j.RunID)
	return t.Unsettled == 0 && t.New+t.Changed+t.Refused == d.Report.Sends() && t.Leavers+t.LeaversRefused == d.Report.LeaversDue, err
}
