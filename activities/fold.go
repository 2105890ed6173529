package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

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
	if err := a.doubtLeavers(ctx, j, calls); err != nil {
		return err
	}
	// Another run may be reconciling the same one: two at once would each write
	// the shards as they read them.
	return a.underLease(ctx, ledgerLease(j.Export.Name), func(ctx context.Context, _ hold) error {
		n, _, err := a.note(ctx, j.Export.Name)
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
func (a *Activities) loseCalls(ctx context.Context, export, runID string, calls []store.Call) error {
	if len(calls) == 0 {
		return nil
	}
	n, _, err := a.note(ctx, export)
	if err != nil {
		return err
	}
	n.Unsure = true
	if err := a.Store.SaveLedgerMeta(ctx, export, encode(n)); err != nil {
		return err
	}
	a.Log.WarnContext(ctx, "the contacts of calls cannot be read any more: the next run sends all of the export's", "run", runID, "export", export, "calls", len(calls))
	return a.Store.MarkFolded(ctx, runID, originsOf(calls))
}

// foldCalls books calls. Those whose contacts have expired are lost, and if told
// to give up also those whose contacts cannot be read.
func (a *Activities) foldCalls(ctx context.Context, j job, calls []store.Call, giveUp bool) error {
	f := &folding{Activities: a, export: j.Export.Name}
	var err error
	if f.without, err = a.forgottenNow(ctx); err != nil {
		return err
	}
	var items []spool.BatchItem
	var lost []store.Call
	batch := -1
	for _, c := range calls {
		if c.Batch != batch {
			items, err = a.batch(ctx, j.RunID, c.Batch)
			if _, blocked := errors.AsType[*blockedError](err); err != nil && (!giveUp || !blocked) {
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
		f.add(c, items)
		f.origins = append(f.origins, c.Origin)
		if f.count >= foldAtOnce {
			if err := f.flush(ctx, j.RunID); err != nil {
				return err
			}
		}
	}
	if err := f.flush(ctx, j.RunID); err != nil {
		return err
	}
	return a.loseCalls(ctx, j.Export.Name, j.RunID, lost)
}

// folding gathers verdicts by shard.
type folding struct {
	*Activities
	export  string
	note    string // kept with each confirmed entry as its reason; mostly empty
	without forgotten
	updates [contact.Shards][]update
	count   int
	origins []string
}

// update is one contact's verdict: its new entry, or that its markers are gone.
type update struct {
	spool.Entry
	gone   bool
	unsure bool // no verdict came: the account has the old content or this
}

// add takes in the verdict of one call.
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
		if item.Email == "" || f.without.has(item.Email) {
			continue // it was forgotten meanwhile: the ledger must not learn it again
		}
		reason, undelivered := without[i]
		if undelivered && item.Kind == spool.Leaver {
			continue // its entry stays, so that it is sent again
		}
		// A leaver that keeps a marker stays, with no content that a row could equal.
		u := update{gone: item.Kind == spool.Leaver && item.Segments == 0, Entry: spool.Entry{Address: item.Address, Content: item.Content,
			Email: item.Email, Segments: item.Segments, State: spool.Confirmed, SentAt: c.AnsweredAt.Unix(), Reason: f.note,
			Memory: item.Memory, Filled: item.Filled}}
		switch {
		case undelivered && reason == "":
			// It may have taken effect or not. Unless a later call has a verdict, the
			// next run sends it, whatever the source has by then.
			u.unsure, u.Content = true, contact.ContentDigest{}
			u.Memory.Mail.Sent, u.Memory.SMS.Sent = "", ""
		case undelivered:
			u.State, u.Reason = spool.Refused, reason
		case f.note == adopted:
			// It was never sent: the account may have it otherwise, and an opt-out has
			// to go with the next run.
			u.Memory.Mail.Sent, u.Memory.SMS.Sent = "", ""
			if carries(item.Item, contact.Unsubscribed) {
				u.Content.Consent = [8]byte{}
			}
		}
		shard := contact.Shard(item.Address)
		f.updates[shard] = append(f.updates[shard], u)
		f.count++
	}
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
	undelivered := map[contact.Digest][]*update{}
	var entries []spool.Entry
	var removals []contact.Digest
	for i := range updates {
		switch u := &updates[i]; {
		case u.gone:
			if left, ok := spool.Remember(u.Entry); ok {
				entries = append(entries, left)
			} else {
				removals = append(removals, u.Address)
			}
		case u.State == spool.Refused:
			// What was confirmed before is still what the account has.
			u.Segments, u.Filled, u.Memory = 0, 0, contact.Memory{}
			undelivered[u.Address] = append(undelivered[u.Address], u)
		case u.unsure:
			undelivered[u.Address] = append(undelivered[u.Address], u)
		}
	}
	if len(undelivered) > 0 {
		// The account still has the markers that were confirmed before.
		for e, err := range spool.Entries(old) {
			if err != nil {
				return fmt.Errorf("ledger of %q, shard %d: %w", f.export, shard, err)
			}
			for _, u := range undelivered[e.Address] {
				u.Segments |= e.Segments
				u.Filled |= e.Filled
				if u.State == spool.Refused {
					u.Memory = e.Memory
				}
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
	return f.saveShard(ctx, f.export, shard, data)
}

// saveShard writes one shard of a ledger; whoever calls it holds the ledger's
// lease.
func (a *Activities) saveShard(ctx context.Context, export string, shard int, data []byte) error {
	sealed, err := a.Keyring.SealBlob(data, ledgerContext(export))
	if err != nil {
		return err
	}
	return a.Store.SaveLedgerShard(ctx, export, shard, sealed)
}

// changeEntries replaces the entries of a shard that change returns another one
// for, and removes those that it returns nil for. Whoever calls it holds the
// ledger's lease.
func (a *Activities) changeEntries(ctx context.Context, export string, shard int, change func(spool.Entry) *spool.Entry) error {
	old, err := a.ledgerData(ctx, export, shard)
	if err != nil {
		return err
	}
	var changed []spool.Entry
	var removals []contact.Digest
	for e, err := range spool.Entries(old) {
		if err != nil {
			return fmt.Errorf("ledger of %q, shard %d: %w", export, shard, err)
		}
		switch now := change(e); {
		case now == nil:
			removals = append(removals, e.Address)
		case *now != e:
			changed = append(changed, *now)
		}
	}
	if len(removals)+len(changed) == 0 {
		return nil
	}
	data, err := spool.MergeShard(old, changed, removals)
	if err != nil {
		return fmt.Errorf("ledger of %q, shard %d: %w", export, shard, err)
	}
	return a.saveShard(ctx, export, shard, data)
}
