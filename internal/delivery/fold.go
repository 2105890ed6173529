package delivery

import (
	"context"
	"errors"
	"fmt"

	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/ledger"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// fold books the verdicts of a run's calls into its export's ledger. Repeating
// it books the same again, which changes nothing.
func (a *Steps) fold(ctx context.Context, j job.Job) error {
	calls, err := a.Store.SettledCalls(ctx, j.RunID)
	if err != nil {
		return err
	}
	if len(calls) == 0 {
		return nil
	}
	if err := a.doubtLeavers(ctx, j, calls); err != nil {
		return err
	}
	// Another run may be reconciling the same one: two at once would each write
	// the shards as they read them.
	return a.UnderLease(ctx, ledger.LeaseName(j.Export.Name), func(ctx context.Context, _ lease.Hold) error {
		n, _, err := a.Ledgers().Note(ctx, j.Export.Name)
		if err != nil {
			return err
		}
		if n == nil || n.ID != j.Ledger {
			// The ledger was reset, or its export removed, since the run: what it
			// learned belongs to no ledger, and its digests are of another key.
			return a.Store.MarkFolded(ctx, j.RunID, originsOf(calls))
		}
		return a.foldCalls(ctx, j, calls, false)
	})
}

// loseCalls notes that it is not known whose contacts these calls had: the
// account may have other data than the ledger says, so the next run of the
// export sends all of its contacts. Its caller holds the ledger's lease.
func (a *Steps) loseCalls(ctx context.Context, export, runID string, calls []store.Call) error {
	if len(calls) == 0 {
		return nil
	}
	n, _, err := a.Ledgers().Note(ctx, export)
	if err != nil {
		return err
	}
	n.Unsure = true
	if err := a.Store.SaveLedgerMeta(ctx, export, record.Encode(n)); err != nil {
		return err
	}
	a.Log.WarnContext(ctx, "the contacts of calls cannot be read any more: the next run sends all of the export's", "run", runID, "export", export, "calls", len(calls))
	return a.Store.MarkFolded(ctx, runID, originsOf(calls))
}

// foldCalls books calls. Those whose contacts have expired are lost, and if told
// to give up also those whose contacts cannot be read.
func (a *Steps) foldCalls(ctx context.Context, j job.Job, calls []store.Call, giveUp bool) error {
	f := &ledger.Folding{Ledgers: a.Ledgers(), Export: j.Export.Name}
	var err error
	if f.Without, err = a.Ledgers().Forgotten(ctx); err != nil {
		return err
	}
	var items []spool.BatchItem
	var lost []store.Call
	batch := -1
	for _, c := range calls {
		if c.Batch != batch {
			items, err = a.Batch(ctx, j.RunID, c.Batch)
			if _, blocked := errors.AsType[*fault.BlockedError](err); err != nil && (!giveUp || !blocked) {
				return err
			}
			batch = c.Batch
		}
		if items == nil {
			lost = append(lost, c)
			continue
		}
		if c.First+c.Count > len(items) {
			return fmt.Errorf("run %s: batch %d has %d contacts, a call of it %d", j.RunID, c.Batch, len(items), c.First+c.Count)
		}
		f.Add(c, items)
		f.Origins = append(f.Origins, c.Origin)
		if f.Count >= ledger.FoldAtOnce {
			if err := f.Flush(ctx, j.RunID); err != nil {
				return err
			}
		}
	}
	if err := f.Flush(ctx, j.RunID); err != nil {
		return err
	}
	return a.loseCalls(ctx, j.Export.Name, j.RunID, lost)
}

// GiveUp books what is known of a run's calls. Contacts that cannot be read any
// more make the next run of the export send all of its contacts.
func (a *Steps) GiveUp(ctx context.Context, r store.Run, calls []store.Call) error {
	return a.UnderLease(ctx, ledger.LeaseName(r.Export), func(ctx context.Context, _ lease.Hold) error {
		n, _, err := a.Ledgers().Note(ctx, r.Export)
		if err != nil {
			return err
		}
		j, err := a.Job(ctx, r.ID)
		known := err == nil
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if n == nil || known && n.ID != j.Ledger {
			return a.Store.MarkFolded(ctx, r.ID, originsOf(calls)) // they belong to no ledger any more
		}
		if !known {
			return a.loseCalls(ctx, r.Export, r.ID, calls)
		}
		return a.foldCalls(ctx, j, calls, true)
	})
}

func originsOf(calls []store.Call) []string {
	origins := make([]string, 0, len(calls))
	for _, c := range calls {
		origins = append(origins, c.Origin)
	}
	return origins
}
