package delivery

import (
	"context"
	"errors"

	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/run"
)

// A run's report is made of what the store holds. Its workflow says how the run
// stands and why, and no number: whatever polls the task queue in a worker's
// place can say anything.

// RecordInput is a run's new status, with its phase, its phases so far, its
// reason and what to do about it. Nothing else in the report is used.
type RecordInput struct {
	RunID  string      `json:"run_id"`
	Report *run.Report `json:"report"`
}

// OfRun returns the id of the run.
func (in RecordInput) OfRun() string { return in.RunID }

// Record stores the run's report, so that it can be looked up without Temporal.
// One with a status that ends the run ends it before its verdicts are booked:
// Finish alone finds that all went well. It may be repeated.
func (a *Steps) Record(ctx context.Context, in RecordInput) error {
	if in.Report == nil || in.Report.Status.Complete() {
		return job.ErrNotPermitted("its last step says whether all went well")
	}
	r, err := a.ReportOf(ctx, in.RunID, in.Report)
	if err != nil {
		return err
	}
	if r.Status.Ended() {
		return a.endUnbooked(ctx, in.RunID, r, errors.New(string(r.Reason)))
	}
	return a.SaveReport(ctx, in.RunID, r)
}
