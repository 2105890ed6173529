package delivery

import (
	"context"
	"errors"
	"fmt"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/ledger"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// FinishInput is a run at its end. Of the report only its status is used, with
// its reason, what to do about it, and the phases: empty when all went well.
type FinishInput struct {
	RunID  string      `json:"run_id"`
	Report *run.Report `json:"report"`
}

// OfRun returns the id of the run.
func (in FinishInput) OfRun() string { return in.RunID }

// Finish books the verdicts into the ledger, counts the outcome of every
// contact, stores the report and deletes the spool. A run of which the store
// does not have all verdicts ends as failed, whatever its workflow says. It may
// be repeated: of a run that has ended it returns the report that was stored.
func (a *Steps) Finish(ctx context.Context, in FinishInput) (*run.Report, error) {
	var r *run.Report
	err := a.UnderLease(ctx, "run/"+in.RunID+"/finish", func(ctx context.Context, _ lease.Hold) error {
		stored, err := a.Store.Run(ctx, in.RunID)
		if err != nil {
			return err
		}
		if stored.EndedAt.IsZero() {
			r, err = a.end(ctx, in)
		} else { // by an earlier attempt
			r, err = job.StoredReport(stored)
		}
		if err != nil {
			return err
		}
		return a.dropSpool(ctx, in.RunID, r)
	})
	return r, err
}

// end brings a run to its end and stores its last report.
func (a *Steps) end(ctx context.Context, in FinishInput) (*run.Report, error) {
	said := run.Report{}
	if in.Report != nil {
		said = *in.Report
	}
	switch said.Status {
	case run.Skipped, run.Canceled, run.Failed, run.Expired:
	default: // whether all went well the store knows
		said.Status = ""
	}
	j, err := a.Job(ctx, in.RunID)
	started := err == nil // else its preflight did not end
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if started {
		if err := a.fold(ctx, j); err != nil {
			return nil, err
		}
	}
	r, err := a.ReportOf(ctx, in.RunID, &said)
	if err != nil {
		return nil, err
	}
	if started {
		if err := a.conclude(ctx, j, r); err != nil {
			return nil, err
		}
	}
	if r.Status == "" {
		r.Status, r.Reason = run.Failed, "its workflow ended it before it was done"
		r.Action = "run the export again: it continues from what Omnisend has confirmed"
	}
	now, err := a.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.sayWhyStopped(ctx, in.RunID, r); err != nil {
		return nil, err
	}
	r.Phase, r.EndedAt = run.PhaseEnded, &now
	r.EndPhases(now)
	r.DropUndecided()
	if err := r.Check(); err != nil {
		// Never hidden: the report says itself that it is wrong.
		a.Log.ErrorContext(ctx, "a report does not add up", "run", in.RunID, "error", err)
		r.Notes = append(r.Notes, "the numbers do not add up: "+err.Error())
	}
	return r, a.recordEnd(ctx, in.RunID, r)
}

// recordEnd stores the report of a run that ends, and tells of the end once.
func (a *Steps) recordEnd(ctx context.Context, runID string, r *run.Report) error {
	before, err := a.Store.Run(ctx, runID)
	if err != nil {
		return err
	}
	if err := a.SaveReport(ctx, runID, r); err != nil || !before.EndedAt.IsZero() {
		return err
	}
	if !r.Plan {
		a.Work.Ended(r.Export, string(r.Status), r.Buckets())
	}
	a.Log.InfoContext(ctx, "a run ended", "run", runID, "export", r.Export, "plan", r.Plan, "status", r.Status, "reason", r.Reason,
		"read", r.Read, "contacts", r.Contacts, "delivered", r.Delivered, "unchanged", r.Unchanged, "refused", r.Refused,
		"pending", r.Pending, "unsent", r.Unsent, "calls", r.Calls)
	return nil
}

// endUnbooked ends a run whose verdicts could not be booked, for a reason. They
// stay in the store, and the next run over the connection books them.
func (a *Steps) endUnbooked(ctx context.Context, runID string, r *run.Report, cause error) error {
	now, err := a.Store.Now(ctx)
	if err != nil {
		return err
	}
	r.Phase, r.EndedAt = run.PhaseEnded, &now
	r.DropUndecided()
	r.Notes = append(r.Notes, Unbooked(cause.Error()))
	return a.recordEnd(ctx, runID, r)
}

// Unbooked is the note of a run that ended before its verdicts were booked.
func Unbooked(reason string) string {
	return "what Omnisend has answered is not booked yet, the next run over the connection does it: " + reason
}

// sayWhyStopped gives a canceled run the reason that went with the cancel.
func (a *Steps) sayWhyStopped(ctx context.Context, runID string, r *run.Report) error {
	if r.Status != run.Canceled || r.Reason != "" {
		return nil
	}
	control, err := a.Control(ctx, job.RunInput{RunID: runID})
	r.Reason = reason.Text(control.Stopped)
	return err
}

// conclude counts refusals, and gives a run that its workflow did not cut short
// the status that the store shows.
func (a *Steps) conclude(ctx context.Context, j job.Job, r *run.Report) error {
	if !r.Plan {
		refused, err := a.refused(ctx, j.RunID)
		if err != nil {
			return err
		}
		job.MergeReasons(r, refused.reasons)
		r.Consent.WithoutEffect += refused.optOuts
	}
	if r.Status != "" {
		return nil // canceled, skipped, failed, expired
	}
	if done, err := a.complete(ctx, j); !done || err != nil {
		return err
	}
	r.Status = run.Completed
	switch {
	case r.Plan:
		return nil
	case r.Invalid > 0 || r.Refused > 0 || r.Consent.WithoutEffect > 0:
		r.Status = run.CompletedWithRejects
	}
	if r.Canary != nil {
		return nil // it says nothing about the segment as a whole
	}
	if j.Request.Remove != "" {
		if left := r.LeaversDue - r.Leavers; left > 0 {
			r.Notes = append(r.Notes, fmt.Sprintf("Omnisend refused to clear the markers of %d contacts; they stay there", left))
		}
		r.Notes = append(r.Notes, "the export is removed")
		return a.RemoveExport(ctx, j.Export, j.Request.Remove)
	}
	return a.noteComplete(ctx, j, r)
}

// noteComplete notes in the ledger what a complete run read.
func (a *Steps) noteComplete(ctx context.Context, j job.Job, r *run.Report) error {
	return a.UnderLease(ctx, ledger.LeaseName(j.Export.Name), func(ctx context.Context, _ lease.Hold) error {
		if err := a.dropStale(ctx, j); err != nil {
			return err
		}
		n, _, err := a.Ledgers().Note(ctx, j.Export.Name)
		if err != nil || n == nil || n.ID != j.Ledger {
			return err
		}
		if r.Full || n.LastRun == "" && !r.Adopt {
			n.LastFull = j.Began
		}
		n.LastMembers = map[string]int{}
		for _, s := range r.Segments {
			n.LastMembers[s.Segment] = s.Members
		}
		n.Unsure = n.Unsure && !r.Full
		n.LastRead, n.LastRun, n.LastAt, n.Rules = r.Contacts, j.RunID, j.Began, ledger.RulesOf(j.Export, j.Source)
		n.ConsentRules, n.LastUndeclared, n.LastUnreadable = ledger.ConsentRules, r.Consent.Undeclared.Share(), r.Consent.Unreadable.Share()
		return a.Store.SaveLedgerMeta(ctx, j.Export.Name, record.Encode(n))
	})
}

// dropStale removes the ledger's entries that the run found to be of no use:
// contacts that were refused and have left. Nothing else touches them during the run.
func (a *Steps) dropStale(ctx context.Context, j job.Job) error {
	for shard := range contact.Shards {
		blobs, err := a.Store.Blobs(ctx, j.RunID, store.BlobStale, shard)
		if err != nil {
			return err
		}
		for _, b := range blobs {
			data, err := a.OpenBlob(j.RunID, b)
			if err != nil {
				return err
			}
			stale := map[contact.Digest]bool{}
			for len(data) >= len(contact.Digest{}) {
				stale[contact.Digest(data[:len(contact.Digest{})])] = true
				data = data[len(contact.Digest{}):]
			}
			err = a.Ledgers().ChangeEntries(ctx, j.Export.Name, shard, func(e spool.Entry) *spool.Entry {
				if !stale[e.Address] {
					return &e
				}
				if left, ok := spool.Remember(e); ok {
					return &left
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// dropSpool deletes what the run no longer needs. While calls have no verdict, or
// one that is not in the ledger, their contacts stay for the run that reconciles
// them.
func (a *Steps) dropSpool(ctx context.Context, runID string, r *run.Report) error {
	totals, err := a.Store.Totals(ctx, runID)
	if err != nil {
		return err
	}
	unbooked, err := a.Store.SettledCalls(ctx, runID)
	if err != nil {
		return err
	}
	if totals.Unsettled > 0 || len(unbooked) > 0 {
		return a.Store.CommitStep(ctx, store.Step{Run: runID,
			Drop: []store.BlobKind{store.BlobPart, store.BlobTail, store.BlobSamples}})
	}
	keep := []store.BlobKind{store.BlobReject}
	if r.Plan {
		keep = append(keep, store.BlobSamples)
	}
	return a.Store.DropSpool(ctx, runID, keep...)
}

// refusals counts contacts that Omnisend turned down.
type refusals struct {
	reasons map[string]int
	optOuts int // of them, those that would have been unsubscribed
}

// refused counts the contacts of a run that Omnisend turned down.
func (a *Steps) refused(ctx context.Context, runID string) (refusals, error) {
	found := refusals{reasons: map[string]int{}}
	blobs, err := a.Store.Blobs(ctx, runID, store.BlobReject, job.RejectsRefused)
	if err != nil {
		return found, err
	}
	for _, b := range blobs {
		if job.PhaseOf(b.Seq/refusedPerBatch) != job.PhaseUploads {
			continue
		}
		rejects, err := a.Rejects(runID, b)
		if err != nil {
			return found, err
		}
		for _, r := range rejects {
			found.reasons[r.Reason]++
			if r.OptOut {
				found.optOuts++
			}
		}
	}
	return found, nil
}
