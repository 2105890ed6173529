package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
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

// Record stores the run's report, so that it can be looked up without Temporal.
// One with a status that ends the run ends it before its verdicts are booked:
// Finish alone finds that all went well. It may be repeated.
func (a *Activities) Record(ctx context.Context, in RecordInput) error {
	if in.Report == nil || in.Report.Status.Complete() {
		return errNotPermitted("its last step says whether all went well")
	}
	r, err := a.reportOf(ctx, in.RunID, in.Report)
	if err != nil {
		return err
	}
	if r.Status.Ended() {
		return a.endUnbooked(ctx, in.RunID, r, errors.New(r.Reason))
	}
	return a.saveReport(ctx, in.RunID, r)
}

// saveReport stores a report.
func (a *Activities) saveReport(ctx context.Context, runID string, r *run.Report) error {
	if err := a.Store.SaveRun(ctx, runID, string(r.Status), encode(r), r.Status.Ended()); err != nil {
		return err
	}
	a.Changed()
	return nil
}

// startReport is the report of a run of which nothing has been read. It does not
// name who began the run: that does not pass through Temporal.
func startReport(r store.Run, j job) *run.Report {
	request, segments := j.Request, j.segments()
	report := &run.Report{Export: r.Export, RunID: r.ID, Source: j.Export.Source, Plan: r.Plan, AnsweredYes: request.Yes,
		Trigger: cmp.Or(request.Trigger, run.OnDemand), Segments: make([]run.SegmentCount, 0, len(segments)),
		Reasons: map[string]int{}, StartedAt: r.StartedAt}
	for _, s := range segments {
		report.Segments = append(report.Segments, run.SegmentCount{Segment: s.Segment, Marker: s.Marker})
	}
	if request.Note != "" {
		report.Notes = []string{request.Note}
	}
	return report
}

// readReport is the report of a run with what was read so far, and whether that
// is all.
func (a *Activities) readReport(ctx context.Context, j job) (report *run.Report, complete bool, err error) {
	stored, err := a.Store.Run(ctx, j.RunID)
	if err != nil {
		return nil, false, err
	}
	report, complete = startReport(stored, j), true
	for i := range report.Segments {
		c, err := a.collected(ctx, j.RunID, i)
		if err != nil {
			return nil, false, err
		}
		complete = complete && c.Done
		report.Segments[i].Read, report.Segments[i].Invalid, report.Segments[i].Unreadable = c.Read, c.Invalid, c.Unreadable
		report.Read += c.Read
		report.Invalid += c.Invalid
		mergeReasons(report, c.Reasons)
		addCounts(&report.LeftOut, c.LeftOut)
		addCounts(&report.Mended, c.Mended)
		report.InvalidOptOuts += c.OptOuts
		report.Notes = append(report.Notes, c.Notes...)
	}
	return report, complete, nil
}

// addCounts adds counts to those of a report.
func addCounts(counts *map[string]int, more map[string]int) {
	for name, n := range more {
		if *counts == nil {
			*counts = map[string]int{}
		}
		(*counts)[name] += n
	}
}

// reportOf is a run's report by what the store holds, with how its workflow says
// that it stands.
func (a *Activities) reportOf(ctx context.Context, runID string, said *run.Report) (*run.Report, error) {
	report, err := a.known(ctx, runID)
	if err != nil {
		return nil, err
	}
	report.Status, report.Phase, report.Reason, report.Action = said.Status, said.Phase, said.Reason, said.Action
	report.Phases = slices.Clone(said.Phases)
	return report, nil
}

// known is a run's report as far as the store goes.
func (a *Activities) known(ctx context.Context, runID string) (*run.Report, error) {
	j, err := a.job(ctx, runID)
	if errors.Is(err, store.ErrNotFound) { // its preflight has not ended
		r, err := a.Store.Run(ctx, runID)
		if err != nil {
			return nil, err
		}
		request, err := decode[run.Request](r.Request)
		if err != nil {
			return nil, err
		}
		before, err := storedReport(r)
		if err != nil {
			return nil, err
		}
		report := startReport(r, job{Request: request})
		report.Source = before.Source
		return report, nil
	}
	if err != nil {
		return nil, err
	}
	d, _, err := a.decision(ctx, runID)
	if err != nil {
		return nil, err
	}
	if d.Report == nil {
		report, _, err := a.readReport(ctx, j)
		return report, err
	}
	if d.Report.Plan {
		return d.Report, nil
	}
	return d.Report, a.verdicts(ctx, &d)
}

// verdicts puts into a decision's report what has come of it.
func (a *Activities) verdicts(ctx context.Context, d *decideState) error {
	r := d.Report
	totals, err := a.Store.Totals(ctx, r.RunID)
	if err != nil {
		return err
	}
	r.Apply(totals.New, totals.Changed, totals.Refused, totals.Pending)
	r.Leavers, r.Calls = totals.Leavers, totals.Calls
	if !r.Adopt || r.ToSend == 0 {
		return nil
	}
	adopted, err := a.adoption(ctx, r.RunID)
	if err == nil && adopted.Booked == d.Uploads {
		r.Notes = append(r.Notes, fmt.Sprintf("nothing was sent: the account has these contacts already, of %d compared %d carry their markers",
			adopted.Checked, adopted.Carry))
		r.TakeOver(r.ToSend)
	}
	return err
}
