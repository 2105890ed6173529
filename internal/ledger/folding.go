package ledger

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// Adopted is the reason of an entry of the ledger that was never sent.
const Adopted = "adopted"

// FoldAtOnce is how many verdicts are gathered before the shards they belong
// to are written: batches come in the order of shards, so that most shards are
// written once.
const FoldAtOnce = 50_000

// Folding gathers verdicts by shard.
type Folding struct {
	*Ledgers
	Export  string
	Note    string // kept with each confirmed entry as its reason; mostly empty
	Without Forgotten
	updates [contact.Shards][]update
	free    [][]update // emptied, for other shards
	Count   int
	Origins []string
}

// update is one contact's verdict: its new entry, or that its markers are gone.
type update struct {
	spool.Entry
	gone   bool
	unsure bool // no verdict came: the account has the old content or this
}

// Add takes in the verdict of one call.
func (f *Folding) Add(c store.Call, items []spool.BatchItem) {
	without := map[int]string{} // items that this call did not deliver, with the reason of a refusal
	for _, i := range c.Verdict.Moved {
		without[i] = ""
	}
	for _, r := range c.Verdict.Refused {
		without[r.Item] = r.Reason
	}
	for i := c.First; i < c.First+c.Count; i++ {
		item := items[i]
		if item.Email == "" || f.Without.Has(item.Email) {
			continue // it was forgotten meanwhile: the ledger must not learn it again
		}
		reason, undelivered := without[i]
		if undelivered && item.Kind == spool.Leaver {
			continue // its entry stays, so that it is sent again
		}
		// A leaver that keeps a marker stays, with no content that a row could equal.
		u := update{gone: item.Kind == spool.Leaver && item.Segments == 0, Entry: spool.Entry{Address: item.Address, Content: item.Content,
			Email: item.Email, Segments: item.Segments, State: spool.Confirmed, SentAt: c.AnsweredAt.Unix(), Reason: f.Note,
			Memory: item.Memory, Filled: item.Filled}}
		switch {
		case undelivered && reason == "":
			// It may have taken effect or not. Unless a later call has a verdict, the
			// next run sends it, whatever the source has by then.
			u.unsure, u.Content = true, contact.ContentDigest{}
			u.Memory.Mail.Sent, u.Memory.SMS.Sent = "", ""
		case undelivered:
			u.State, u.Reason = spool.Refused, reason
		case f.Note == Adopted:
			// It was never sent: the account may have it otherwise, and an opt-out has
			// to go with the next run.
			u.Memory.Mail.Sent, u.Memory.SMS.Sent = "", ""
			if contact.Carries(item.Item, contact.Unsubscribed) {
				u.Content.Consent = [8]byte{}
			}
		}
		shard := contact.Shard(item.Address)
		if n := len(f.free); f.updates[shard] == nil && n > 0 {
			f.updates[shard], f.free = f.free[n-1], f.free[:n-1]
		}
		f.updates[shard] = append(f.updates[shard], u)
		f.Count++
	}
}

// Flush writes the gathered verdicts into the ledger and marks their calls as
// booked. It may be repeated.
func (f *Folding) Flush(ctx context.Context, runID string) error {
	// Shards have nothing in common: as many are merged at a time as there are CPUs.
	group, merging := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for shard, updates := range f.updates {
		if len(updates) > 0 {
			group.Go(func() error { return fault.Guard(func() error { return f.merge(merging, shard, updates) }) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for shard, updates := range f.updates {
		if updates != nil {
			f.free = append(f.free, updates[:0])
		}
		f.updates[shard] = nil
	}
	if len(f.Origins) > 0 {
		if err := f.Store.MarkFolded(ctx, runID, f.Origins); err != nil {
			return err
		}
	}
	f.Count, f.Origins = 0, f.Origins[:0]
	return nil
}

// merge writes one shard with its updates.
func (f *Folding) merge(ctx context.Context, shard int, updates []update) error {
	old, err := f.Data(ctx, f.Export, shard)
	if err != nil {
		return err
	}
	undelivered := map[contact.Digest][]*update{}
	entries := make([]spool.Entry, 0, len(updates))
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
				return fmt.Errorf("ledger of %q, shard %d: %w", f.Export, shard, err)
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
	for i := range updates {
		if u := &updates[i]; !u.gone {
			entries = append(entries, u.Entry)
		}
	}
	data, err := spool.MergeShard(old, entries, removals)
	if err != nil {
		return fmt.Errorf("ledger of %q, shard %d: %w", f.Export, shard, err)
	}
	return f.SaveShard(ctx, f.Export, shard, data)
}
