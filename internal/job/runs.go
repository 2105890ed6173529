package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// OpenRun returns the export's run (or plan) that has not ended; nil when none.
func (a *Runs) OpenRun(ctx context.Context, export string, plan bool) (*store.Run, error) {
	// By status: many starts may have been skipped while one run was open.
	for _, status := range []run.Status{run.Running, run.Queued, run.Parked, run.Paused} {
		runs, err := a.Store.ListRuns(ctx, store.RunFilter{Export: export, Status: string(status), Plans: plan})
		if err != nil {
			return nil, err
		}
		for i := range runs {
			if runs[i].Plan == plan && runs[i].EndedAt.IsZero() {
				return &runs[i], nil
			}
		}
	}
	return nil, nil
}

// Answer shows a run: its report with what the store knows better.
func Answer(r store.Run) (*protocol.RunAnswer, error) {
	report, err := record.Decode[run.Report](r.Report)
	if err != nil {
		return nil, err
	}
	request, err := record.Decode[run.Request](r.Request)
	if err != nil {
		return nil, err
	}
	control, err := record.Decode[run.Control](r.Control)
	if err != nil {
		return nil, err
	}
	report.Trigger = cmp.Or(request.Trigger, run.OnDemand)
	report.Actor = request.Actor // which the report has not on its way through Temporal
	report.Export, report.RunID, report.Plan, report.Status = r.Export, r.ID, r.Plan, run.Status(r.Status)
	if r.EndedAt.IsZero() && control.Canceled {
		report.Status = run.Canceling
	}
	if !r.EndedAt.IsZero() {
		report.EndedAt = &r.EndedAt
	}
	return &protocol.RunAnswer{Report: report, WorkflowID: protocol.WorkflowID(r.Export, r.Plan), CreatedAt: r.CreatedAt}, nil
}

// FindRun finds the run that a command means: by id, by the beginning of one,
// or the newest of an export; with nothing said, the newest of all.
func (a *Runs) FindRun(ctx context.Context, ref string) (store.Run, error) {
	if r, err := a.Store.Run(ctx, ref); err == nil || !errors.Is(err, store.ErrNotFound) {
		return r, err
	}
	if ref != "" {
		// Before newer ones that were skipped because of it.
		if open, err := a.OpenRun(ctx, ref, false); open != nil || err != nil {
			return deref(open), err
		}
	}
	runs, err := a.Store.ListRuns(ctx, store.RunFilter{Export: ref, Limit: 1})
	if err != nil {
		return store.Run{}, err
	}
	if len(runs) > 0 {
		return runs[0], nil
	}
	if ref == "" {
		return store.Run{}, protocol.Refuse(protocol.ErrNotFound, "there is no run yet; start one with: starter run EXPORT")
	}
	if _, err := a.Store.Object(ctx, string(catalogue.KindExport), ref); err == nil {
		return store.Run{}, protocol.Refuse(protocol.ErrNotFound, "the export %q has not run yet; start it: starter run %q", ref, ref)
	}
	const recent, shortest = 1000, 4
	if runs, err = a.Store.ListRuns(ctx, store.RunFilter{Plans: true, Limit: recent}); err != nil {
		return store.Run{}, err
	}
	var found []store.Run
	for _, r := range runs {
		if len(ref) >= shortest && strings.HasPrefix(r.ID, ref) {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		return store.Run{}, protocol.Refuse(protocol.ErrNotFound, "no export is called %q, and %s; see: starter runs list", ref, matching(len(found)))
	}
	return found[0], nil
}

// matching says how many runs have an id that begins as was asked for.
func matching(n int) string {
	if n == 0 {
		return "no run has an id that begins with it"
	}
	return fmt.Sprintf("%d runs have an id that begins with it", n)
}

// deref is a run that may not be there; the zero Run then.
func deref(r *store.Run) store.Run {
	if r == nil {
		return store.Run{}
	}
	return *r
}

// LookBack is how many of an export's newest runs are looked at for the last
// complete one.
const LookBack = 50
