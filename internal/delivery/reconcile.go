package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// Reconcile collects and books the verdicts of calls that outlived their run,
// of any export of the run's brand: until then it is not known what the account
// holds, and no contact may be in two calls at once.
func (a *Steps) Reconcile(ctx context.Context, in job.RunInput) (*SweepResult, error) {
	result := &SweepResult{}
	err := a.UnderLease(ctx, "run/"+in.RunID+"/reconcile", func(ctx context.Context, h lease.Hold) error {
		j, err := a.Job(ctx, in.RunID)
		if err != nil {
			return err
		}
		runs, err := a.Store.UnfoldedRuns(ctx, j.Brand)
		if err != nil {
			return err
		}
		for _, id := range runs {
			if id == in.RunID {
				continue
			}
			if err := h.Stopped(); err != nil {
				return err // what was not looked at may be open
			}
			refused, err := a.refused(ctx, id)
			if err != nil {
				return err
			}
			s, halt, err := a.sweeperOver(ctx, id, h, j.Export.Connection)
			if errors.Is(err, store.ErrNotFound) {
				if err := a.forgetCalls(ctx, j.Brand, id); err != nil {
					return err
				}
				continue
			}
			if err == nil && halt == nil {
				err = fault.Guard(func() error {
					var err error
					halt, err = s.outlived(ctx)
					return err
				})
			}
			if err != nil {
				return reconciling(id, err)
			}
			if halt != nil {
				result.Halt = halt
				return nil
			}
			totals, err := a.Store.Totals(ctx, id)
			if err != nil {
				return err
			}
			if err := a.setRight(ctx, id, totals, refused); err != nil {
				return err
			}
			result.Totals.Unsettled += totals.Unsettled
			result.Found += s.found
		}
		return nil
	})
	return result, err
}

// setRight brings the report of a run that has ended to the verdicts that came
// since; before is who had been turned down until then.
func (a *Steps) setRight(ctx context.Context, id string, totals store.CallTotals, before refusals) error {
	now, err := a.refused(ctx, id)
	if err != nil {
		return err
	}
	return a.AmendReport(ctx, id, func(r *run.Report) {
		job.VerdictsOf(totals)(r)
		for reason, n := range now.reasons {
			if more := n - before.reasons[reason]; more > 0 {
				r.Reasons[reason] += more
			}
		}
		r.Consent.WithoutEffect += max(0, now.optOuts-before.optOuts)
	})
}

// reconciling says in the reconciling of which run an error came up, and how to
// get round one that is a fault of this program.
func reconciling(id string, err error) error {
	err = fmt.Errorf("reconcile run %s: %w", id, err)
	if _, faulty := errors.AsType[*fault.Error](err); !faulty {
		return err
	}
	return &fault.BlockedError{Reason: err.Error(), Cause: err,
		Action: fmt.Sprintf("%s; or give that run up with: starter runs abandon %s", fault.Action, id)}
}

// ProcessingTime is how long after a call was made Omnisend may still be
// processing it, where nothing can be learned of it.
const ProcessingTime = time.Hour

// forgetCalls closes the calls of an ended run of which nothing is left to judge them
// by.
func (a *Steps) forgetCalls(ctx context.Context, brand, runID string) error {
	r, err := a.Store.Run(ctx, runID)
	if err != nil {
		return err
	}
	open, err := a.Store.Unsettled(ctx, brand, runID, 0)
	if err != nil {
		return err
	}
	settled := make([]store.Settlement, 0, len(open))
	for _, c := range open {
		settled = append(settled, store.Settlement{Origin: c.Origin, State: store.CallSettled, Verdict: NoVerdict(c)})
	}
	if err := a.Store.SettleCalls(ctx, runID, settled); err != nil {
		return err
	}
	calls, err := a.Store.SettledCalls(ctx, runID)
	if err != nil {
		return err
	}
	return a.GiveUp(ctx, r, calls)
}

// outlived sweeps a run that has ended. Contacts that would go again are left
// to the next run of that export, which finds them missing in the ledger.
func (s *sweeper) outlived(ctx context.Context) (*run.Halt, error) {
	unanswered, err := s.findIntended(ctx)
	if err != nil {
		return s.RunHalt(ctx, s.job.RunID, err, s.job.Export.Connection)
	}
	if halt, err := s.sweep(ctx, true); halt != nil || err != nil {
		return halt, err
	}
	if halt, err := s.giveUpUnanswered(ctx, unanswered); halt != nil || err != nil {
		return halt, err
	}
	if err := s.fold(ctx, s.job); err != nil {
		return nil, err
	}
	totals, err := s.Store.Totals(ctx, s.job.RunID)
	if err != nil || totals.Unsettled > 0 {
		return nil, err
	}
	return nil, s.Store.DropSpool(ctx, s.job.RunID, store.BlobReject, store.BlobSamples)
}

// findIntended looks for calls of an ended run whose answer was lost, and returns
// those that the list does not show.
func (s *sweeper) findIntended(ctx context.Context) ([]store.Call, error) {
	calls, err := s.Store.Unsettled(ctx, s.job.Brand, s.job.RunID, maxSweep)
	if err != nil {
		return nil, err
	}
	u := &uploader{Steps: s.Steps, in: UploadInput{RunID: s.job.RunID}, hold: s.hold, job: s.job, api: s.api}
	var unanswered []store.Call
	for _, c := range calls {
		if c.State != store.CallIntended {
			continue
		}
		id, err := u.look(ctx, &c)
		if err != nil {
			return nil, err
		}
		if id == "" {
			unanswered = append(unanswered, c)
			continue
		}
		c.BatchID = id
		if err := s.Store.IntendCalls(ctx, s.hold.Lease, &c); err != nil {
			return nil, err
		}
	}
	return unanswered, nil
}

// giveUpUnanswered settles calls whose answer was lost: what they did cannot be
// learned, so their contacts are unsure. While Omnisend may still be processing
// one it waits: nothing may be sent beside it.
func (s *sweeper) giveUpUnanswered(ctx context.Context, calls []store.Call) (*run.Halt, error) {
	if len(calls) == 0 {
		return nil, nil
	}
	now, err := s.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	first, last := calls[0].IntendedAt, calls[0].IntendedAt
	for _, c := range calls {
		if c.IntendedAt.Before(first) {
			first = c.IntendedAt
		}
		if c.IntendedAt.After(last) {
			last = c.IntendedAt
		}
	}
	if until := last.Add(ProcessingTime); now.Before(until) {
		working, err := s.mayBeWorking(ctx, first, now.Sub(last) < ArrivalTime)
		if err != nil {
			return s.RunHalt(ctx, s.job.RunID, err, s.job.Export.Connection)
		}
		if working {
			return &run.Halt{Kind: run.HaltWait, Wait: askProcessed, Reason: reason.Format(
				"%d calls of run %s got no answer and Omnisend may still be processing them: nothing is sent beside them, until %s at the latest",
				len(calls), s.job.RunID, until.UTC().Format(time.DateTime+" MST"))}, nil
		}
	}
	settled := make([]store.Settlement, 0, len(calls))
	for _, c := range calls {
		settled = append(settled, store.Settlement{Origin: c.Origin, State: store.CallSettled, Verdict: NoVerdict(c)})
	}
	s.found += len(settled)
	return nil, s.Store.SettleCalls(ctx, s.job.RunID, settled)
}

const (
	// ArrivalTime is how long a call may take to arrive and to be listed.
	ArrivalTime = 2 * time.Minute
	// askProcessed is when the list of batches is read again.
	askProcessed = 15 * time.Second
)

// mayBeWorking says whether Omnisend may be working on a call that it does not
// show by its origin. Where it shows origins there is no such call. Where it does
// not, any batch that has not ended may be one, and so may a young call that is
// not listed yet.
func (s *sweeper) mayBeWorking(ctx context.Context, since time.Time, young bool) (bool, error) {
	q := omnisend.ListQuery{DateFrom: since.Add(-24 * time.Hour), Limit: omnisend.MaxListed} // clocks differ, days are compared
	working := young
	for {
		page, err := s.api.ListBatches(ctx, q)
		if err != nil {
			return false, err
		}
		for _, b := range page.Batches {
			if strings.HasPrefix(b.Origin, originPrefix) {
				return false, nil
			}
			working = working || b.Origin == "" && !b.Status.Ended()
		}
		if !page.More || len(page.Batches) == 0 {
			return working, nil
		}
		if err := s.hold.Stopped(); err != nil {
			return false, err
		}
		q.Offset += len(page.Batches)
	}
}
