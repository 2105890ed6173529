package job

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// SaveReport stores a report.
func (a *Runs) SaveReport(ctx context.Context, runID string, r *run.Report) error {
	if err := a.Store.SaveRun(ctx, runID, string(r.Status), record.Encode(r), r.Status.Ended()); err != nil {
		return err
	}
	a.Changed()
	return nil
}

// StartReport is the report of a run of which nothing has been read. It does not
// name who began the run: that does not pass through Temporal.
func StartReport(r store.Run, j Job) *run.Report {
	request, segments := j.Request, j.Segments()
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

// ReadReport is the report of a run with what was read so far, and whether that
// is all.
func (a *Runs) ReadReport(ctx context.Context, j Job) (report *run.Report, complete bool, err error) {
	stored, err := a.Store.Run(ctx, j.RunID)
	if err != nil {
		return nil, false, err
	}
	report, complete = StartReport(stored, j), true
	for i := range report.Segments {
		c, err := a.Collected(ctx, j.RunID, i)
		if err != nil {
			return nil, false, err
		}
		complete = complete && c.Done
		report.Segments[i].Read, report.Segments[i].Invalid, report.Segments[i].Unreadable = c.Read, c.Invalid, c.Unreadable
		report.Read += c.Read
		report.Invalid += c.Invalid
		MergeReasons(report, c.Reasons)
		AddCounts(&report.LeftOut, c.LeftOut)
		AddCounts(&report.Corrected, c.Corrected)
		report.InvalidOptOuts += c.OptOuts
		report.Notes = append(report.Notes, c.Notes...)
	}
	return report, complete, nil
}

// AddCounts adds counts to those of a report.
func AddCounts(counts *map[string]int, more map[string]int) {
	for name, n := range more {
		if *counts == nil {
			*counts = map[string]int{}
		}
		(*counts)[name] += n
	}
}

// ReportOf is a run's report by what the store holds, with how its workflow says
// that it stands.
func (a *Runs) ReportOf(ctx context.Context, runID string, said *run.Report) (*run.Report, error) {
	report, err := a.known(ctx, runID)
	if err != nil {
		return nil, err
	}
	report.Status, report.Phase, report.Reason, report.Action = said.Status, said.Phase, said.Reason, said.Action
	report.Phases = slices.Clone(said.Phases)
	return report, nil
}

// known is a run's report as far as the store goes.
func (a *Runs) known(ctx context.Context, runID string) (*run.Report, error) {
	j, err := a.Job(ctx, runID)
	if errors.Is(err, store.ErrNotFound) { // its preflight has not ended
		r, err := a.Store.Run(ctx, runID)
		if err != nil {
			return nil, err
		}
		request, err := record.Decode[run.Request](r.Request)
		if err != nil {
			return nil, err
		}
		before, err := StoredReport(r)
		if err != nil {
			return nil, err
		}
		report := StartReport(r, Job{Request: request})
		report.Source = before.Source
		return report, nil
	}
	if err != nil {
		return nil, err
	}
	d, _, err := a.Decision(ctx, runID)
	if err != nil {
		return nil, err
	}
	if d.Report == nil {
		report, _, err := a.ReadReport(ctx, j)
		return report, err
	}
	if d.Report.Plan {
		return d.Report, nil
	}
	return d.Report, a.verdicts(ctx, &d)
}

// verdicts puts into a decision's report what has come of it.
func (a *Runs) verdicts(ctx context.Context, d *DecideState) error {
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
	adopted, err := a.Adoption(ctx, r.RunID)
	if err == nil && adopted.Booked == d.Uploads {
		r.Notes = append(r.Notes, fmt.Sprintf("nothing was sent: the account has these contacts already, of %d compared %d carry their markers",
			adopted.Checked, adopted.Carry))
		r.TakeOver(r.ToSend)
	}
	return err
}

// AmendReport changes a run's stored report on the way, so that it is right when
// the workflow is terminated. The status is the workflow's to record.
func (a *Runs) AmendReport(ctx context.Context, runID string, change func(*run.Report)) error {
	return a.Store.AmendReport(ctx, runID, func(stored json.RawMessage) (json.RawMessage, error) {
		r, err := record.Decode[run.Report](stored)
		if err != nil {
			return nil, err
		}
		change(&r)
		return record.Encode(r), nil
	})
}

// VerdictsOf puts the verdicts of a run's calls so far into a report, if it adds
// up then: one from before the run was decided does not.
func VerdictsOf(t store.CallTotals) func(*run.Report) {
	return func(r *run.Report) {
		with := *r
		with.Apply(t.New, t.Changed, t.Refused, t.Pending)
		with.Leavers, with.Calls = t.Leavers, t.Calls
		if with.Check() == nil {
			*r = with
		}
	}
}

// MergeReasons adds counts to a report's.
func MergeReasons(r *run.Report, reasons map[string]int) {
	for reason, n := range reasons {
		r.Reasons[reason] += n
	}
}

// StoredReport returns the report that a run has in the store.
func StoredReport(r store.Run) (*run.Report, error) {
	report, err := record.Decode[run.Report](r.Report)
	return &report, err
}
