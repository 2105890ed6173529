package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// Reconcile collects and books the verdicts of calls that outlived their run,
// of any export of the run's brand: until then it is not known what the account
// holds, and no contact may be in two calls at once.
func (a *Activities) Reconcile(ctx context.Context, in RunInput) (*SweepResult, error) {
	result := &SweepResult{}
	err := a.underLease(ctx, "run/"+in.RunID+"/reconcile", func(ctx context.Context, h hold) error {
		j, err := a.job(ctx, in.RunID)
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
			if err := h.stopped(); err != nil {
				return err // what was not looked at may be open
			}
			refused, err := a.refusedReasons(ctx, id)
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
// since; refused are the reasons of contacts that were turned down before.
func (a *Activities) setRight(ctx context.Context, id string, totals store.CallTotals, refused map[string]int) error {
	reasons, err := a.refusedReasons(ctx, id)
	if err != nil {
		return err
	}
	return a.amendReport(ctx, id, func(r *run.Report) {
		verdictsOf(totals)(r)
		for reason, n := range reasons {
			if more := n - refused[reason]; more > 0 {
				r.Reasons[reason] += more
			}
		}
	})
}

// reconciling says in the reconciling of which run an error came up, and how to
// get round one that is a fault of this program.
func reconciling(id string, err error) error {
	err = fmt.Errorf("reconcile run %s: %w", id, err)
	if _, faulty := errors.AsType[*fault.Error](err); !faulty {
		return err
	}
	return &blockedError{reason: err.Error(), cause: err,
		action: fmt.Sprintf("%s; or give that run up with: starter runs abandon %s", FaultAction, id)}
}

// processingTime is how long after a call was made Omnisend may still be
// processing it, where nothing can be learned of it.
const processingTime = time.Hour

// forgetCalls closes the calls of an ended run of which nothing is left to judge them
// by.
func (a *Activities) forgetCalls(ctx context.Context, brand, runID string) error {
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
		settled = append(settled, store.Settlement{Origin: c.Origin, State: store.CallSettled, Verdict: noVerdict(c)})
	}
	if err := a.Store.SettleCalls(ctx, runID, settled); err != nil {
		return err
	}
	calls, err := a.Store.SettledCalls(ctx, runID)
	if err != nil {
		return err
	}
	return a.giveUp(ctx, r, calls)
}

// outlived sweeps a run that has ended. Contacts that would go again are left
// to the next run of that export, which finds them missing in the ledger.
func (s *sweeper) outlived(ctx context.Context) (*Halt, error) {
	if err := s.findIntended(ctx); err != nil {
		return s.runHalt(ctx, s.job.RunID, err, s.job.Export.Connection)
	}
	if halt, err := s.sweep(ctx, true); halt != nil || err != nil {
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

// findIntended looks for calls of an ended run whose answer was lost. One that
// the list does not show has no verdict any more, and its contacts are unsure.
func (s *sweeper) findIntended(ctx context.Context) error {
	calls, err := s.Store.Unsettled(ctx, s.job.Brand, s.job.RunID, maxSweep)
	if err != nil {
		return err
	}
	u := &uploader{Activities: s.Activities, in: UploadInput{RunID: s.job.RunID}, hold: s.hold, job: s.job, api: s.api}
	for _, c := range calls {
		if c.State != store.CallIntended {
			continue
		}
		id, err := u.look(ctx, &c)
		if err != nil {
			return err
		}
		if id == "" {
			err = s.Store.SettleCalls(ctx, c.Run, []store.Settlement{{Origin: c.Origin, State: store.CallSettled, Verdict: noVerdict(c)}})
		} else {
			c.BatchID = id
			err = s.Store.IntendCalls(ctx, s.hold.lease, &c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
