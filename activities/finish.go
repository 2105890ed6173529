package activities

import (
	"context"
	"fmt"

	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// FinishInput is a run at its end, with the status it ends with; Completed when
// all went well.
type FinishInput struct {
	RunID  string      `json:"run_id"`
	Report *run.Report `json:"report"`
}

// Finish books the verdicts into the ledger, counts what became of every
// contact, stores the report and deletes the spool. It may be repeated.
func (a *Activities) Finish(ctx context.Context, in FinishInput) (*run.Report, error) {
	r := in.Report
	err := a.underLease(ctx, "run/"+in.RunID+"/finish", func(ctx context.Context, _ hold) error {
		state, err := a.Store.StepState(ctx, in.RunID, jobState)
		if err != nil {
			return err
		}
		if state != nil { // else the run never got that far, or this was done already
			j, err := decode[job](state)
			if err != nil {
				return err
			}
			if err := a.settleReport(ctx, j, r); err != nil {
				return err
			}
		}
		now, err := a.Store.Now(ctx)
		if err != nil {
			return err
		}
		r.Phase, r.EndedAt = run.PhaseEnded, &now
		r.DropUndecided()
		if err := r.Check(); err != nil {
			// Never hidden: the report says itself that it is wrong.
			a.Log.ErrorContext(ctx, "a report does not add up", "run", in.RunID, "error", err)
			r.Notes = append(r.Notes, "the numbers do not add up: "+err.Error())
		}
		if err := a.recordEnd(ctx, in.RunID, r); err != nil {
			return err
		}
		return a.dropSpool(ctx, in.RunID, r)
	})
	return r, err
}

// recordEnd stores the report of a run that ends, and tells of the end once.
func (a *Activities) recordEnd(ctx context.Context, runID string, r *run.Report) error {
	before, err := a.Store.Run(ctx, runID)
	if err != nil {
		return err
	}
	if err := a.Record(ctx, RecordInput{RunID: runID, Report: r}); err != nil {
		return err
	}
	if !before.EndedAt.IsZero() {
		return nil
	}
	if !r.Plan {
		a.Work.Ended(r.Export, string(r.Status), r.Buckets())
	}
	a.Log.InfoContext(ctx, "a run ended", "run", runID, "export", r.Export, "plan", r.Plan, "status", r.Status, "reason", r.Reason,
		"read", r.Read, "contacts", r.Contacts, "delivered", r.Delivered, "unchanged", r.Unchanged, "refused", r.Refused,
		"pending", r.Pending, "unsent", r.Unsent, "calls", r.Calls)
	return nil
}

// settleReport books verdicts and brings the report's numbers to their end.
func (a *Activities) settleReport(ctx context.Context, j job, r *run.Report) error {
	if err := a.fold(ctx, j); err != nil {
		return err
	}
	if r.Plan {
		if r.Status == "" {
			r.Status = run.Completed
		}
		return nil
	}
	totals, err := a.Store.Totals(ctx, j.RunID)
	if err != nil {
		return err
	}
	r.Apply(totals.New, totals.Changed, totals.Refused, totals.Pending)
	r.Leavers, r.Calls = totals.Leavers, totals.Calls
	reasons, err := a.refusedReasons(ctx, j.RunID)
	if err != nil {
		return err
	}
	mergeReasons(r, reasons)
	if r.Status != "" {
		return nil // canceled, skipped, failed, expired
	}
	r.Status = run.Completed
	if r.Invalid > 0 || r.Refused > 0 {
		r.Status = run.CompletedWithRejects
	}
	return a.underLease(ctx, ledgerLease(j.Export.Name), func(ctx context.Context, _ hold) error {
		n, _, err := a.note(ctx, j.Export.Name)
		if err != nil {
			return err
		}
		n.LastRead, n.LastRun, n.LastAt = r.Contacts, j.RunID, j.Began
		return a.Store.SaveLedgerMeta(ctx, j.Export.Name, encode(n))
	})
}

// dropSpool deletes what the run no longer needs. While calls have no verdict
// their contacts stay, for the run that will reconcile them.
func (a *Activities) dropSpool(ctx context.Context, runID string, r *run.Report) error {
	totals, err := a.Store.Totals(ctx, runID)
	if err != nil {
		return err
	}
	if totals.Unsettled > 0 {
		return a.Store.CommitStep(ctx, store.Step{Run: runID, Name: decideStep,
			Drop: []store.BlobKind{store.BlobPart, store.BlobTail, store.BlobSamples}})
	}
	keep := []store.BlobKind{store.BlobReject}
	if r.Plan {
		keep = append(keep, store.BlobSamples)
	}
	return a.Store.DropSpool(ctx, runID, keep...)
}

// refusedReasons counts the contacts of a run that Omnisend turned down, by reason.
func (a *Activities) refusedReasons(ctx context.Context, runID string) (map[string]int, error) {
	blobs, err := a.Store.Blobs(ctx, runID, store.BlobReject, rejectsRefused)
	if err != nil {
		return nil, err
	}
	reasons := map[string]int{}
	for _, b := range blobs {
		if phaseOf(b.Seq/refusedPerBatch) != phaseUploads {
			continue
		}
		rejects, err := a.rejects(runID, b)
		if err != nil {
			return nil, err
		}
		for _, r := range rejects {
			reasons[r.Reason]++
		}
	}
	return reasons, nil
}

// rejects opens a blob of rejects.
func (a *Activities) rejects(runID string, b store.Blob) ([]command.Reject, error) {
	data, err := a.openBlob(runID, b)
	if err != nil {
		return nil, err
	}
	return decode[[]command.Reject](data)
}

// foldAtOnce is how many verdicts are gathered before the shards they belong
// to are written: batches come in the order of shards, so that most shards are
// written once.
const foldAtOnce = 50_000

// fold books the verdicts of a run's calls into its export's ledger. Repeating
// it books the same again, which changes nothing.
func (a *Activities) fold(ctx context.Context, j job) error {
	calls, err := a.Store.SettledCalls(ctx, j.RunID)
	if err != nil {
		return err
	}
	if len(calls) == 0 {
		return nil
	}
	// Another run may be reconciling the same one: two at once would each write
	// the shards as they read them.
	return a.underLease(ctx, ledgerLease(j.Export.Name), func(ctx context.Context, _ hold) error {
		return a.foldCalls(ctx, j, calls)
	})
}

func (a *Activities) foldCalls(ctx context.Context, j job, calls []store.Call) error {
	f := &folding{Activities: a, export: j.Export.Name}
	var items []spool.BatchItem
	var err error
	batch := -1
	for _, c := range calls {
		if c.Batch != batch {
			if items, err = a.batch(ctx, j.RunID, c.Batch); err != nil {
				return err
			}
			batch = c.Batch
		}
		if items == nil { // expired: what became of its contacts cannot be booked any more
			f.origins = append(f.origins, c.Origin)
			continue
		}
		if c.First+c.Count > len(items) {
			return fmt.Errorf("run %s: batch %d has %d contacts, a call of it %d", j.RunID, c.Batch, len(items), c.First+c.Count)
		}
		f.add(c, items)
		if f.count >= foldAtOnce {
			if err := f.flush(ctx, j.RunID); err != nil {
				return err
			}
		}
	}
	return f.flush(ctx, j.RunID)
}

// folding gathers verdicts by shard.
type folding struct {
	*Activities
	export  string
	updates [contact.Shards][]update
	count   int
	origins []string
}

// update is one contact's verdict: its new entry, or that its marker is gone.
type update struct {
	spool.Entry
	gone bool
}

func (f *folding) add(c store.Call, items []spool.BatchItem) {
	without := map[int]string{} // items that this call did not deliver, with the reason of a refusal
	for _, i := range c.Verdict.Moved {
		without[i] = ""
	}
	for _, r := range c.Verdict.Refused {
		without[r.Item] = r.Reason
	}
	for i := c.First; i < c.First+c.Count; i++ {
		item := items[i]
		reason, undelivered := without[i]
		if undelivered && (reason == "" || item.Kind == spool.Leaver) {
			continue // what is known of it has not changed
		}
		u := update{gone: item.Kind == spool.Leaver, Entry: spool.Entry{Address: item.Address, Content: item.Content,
			Email: item.Email, Segments: item.Segments, State: spool.Confirmed, SentAt: c.AnsweredAt.Unix()}}
		if undelivered {
			u.State, u.Reason = spool.Refused, reason
		}
		shard := contact.Shard(item.Address)
		f.updates[shard] = append(f.updates[shard], u)
		f.count++
	}
	f.origins = append(f.origins, c.Origin)
}

func (f *folding) flush(ctx context.Context, runID string) error {
	for shard, updates := range f.updates {
		if len(updates) == 0 {
			continue
		}
		if err := f.merge(ctx, shard, updates); err != nil {
			return err
		}
		f.updates[shard] = nil // not kept for reuse: in the end that would be all contacts
	}
	if len(f.origins) > 0 {
		if err := f.Store.MarkFolded(ctx, runID, f.origins); err != nil {
			return err
		}
	}
	f.count, f.origins = 0, f.origins[:0]
	return nil
}

// merge writes one shard with its updates.
func (f *folding) merge(ctx context.Context, shard int, updates []update) error {
	old, err := f.ledgerData(ctx, f.export, shard)
	if err != nil {
		return err
	}
	refused := map[contact.Digest]*spool.Entry{}
	var entries []spool.Entry
	var removals []contact.Digest
	for i := range updates {
		switch u := &updates[i]; {
		case u.gone:
			removals = append(removals, u.Address)
		case u.State == spool.Refused:
			u.Segments = 0
			refused[u.Address] = &u.Entry
		}
	}
	if len(refused) > 0 {
		// The account still has what was confirmed before the refusal.
		for e, err := range spool.Entries(old) {
			if err != nil {
				return fmt.Errorf("ledger of %q, shard %d: %w", f.export, shard, err)
			}
			if u, ok := refused[e.Address]; ok {
				u.Segments = e.Segments
			}
		}
	}
	for _, u := range updates {
		if !u.gone {
			entries = append(entries, u.Entry)
		}
	}
	data, err := spool.MergeShard(old, entries, removals)
	if err != nil {
		return fmt.Errorf("ledger of %q, shard %d: %w", f.export, shard, err)
	}
	sealed, err := f.Keyring.SealBlob(data, ledgerContext(f.export))
	if err != nil {
		return err
	}
	return f.Store.SaveLedgerShard(ctx, f.export, shard, sealed)
}
