package ledger

import (
	"context"
	"fmt"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/spool"
)

// Shard returns the entries of one shard of an export's ledger.
func (a *Ledgers) Shard(ctx context.Context, export string, shard int) ([]spool.Entry, error) {
	data, err := a.Data(ctx, export, shard)
	if err != nil {
		return nil, err
	}
	return spool.AllEntries(data)
}

// ShardContext is the context that a ledger's shards are sealed with.
func ShardContext(export string) string { return "ledger/" + export }

// Data returns a decrypted shard; nil when there is none.
func (a *Ledgers) Data(ctx context.Context, export string, shard int) ([]byte, error) {
	sealed, err := a.Store.LedgerShard(ctx, export, shard)
	if sealed == nil || err != nil {
		return nil, err
	}
	data, err := a.Keyring.OpenBlob(sealed, ShardContext(export))
	if err != nil {
		return nil, &fault.BlockedError{Cause: err, Reason: fmt.Sprintf("the ledger of %q cannot be read: %v", export, err),
			Action: fmt.Sprintf("restore the store or its keyring from a backup, then resume; or forget what was confirmed, so that all is sent again: starter export edit %q --reset-ledger", export)}
	}
	return data, nil
}

// Counts goes through an export's ledger; zero when there is none.
func (a *Ledgers) Counts(ctx context.Context, export string) (protocol.LedgerCounts, error) {
	counts := protocol.LedgerCounts{Markers: map[string]int{}}
	n, _, err := a.Note(ctx, export)
	if n == nil || err != nil {
		return counts, err
	}
	counts.LastFull = n.LastFull
	err = a.EachEntry(ctx, export, func(e spool.Entry) {
		counts.Contacts++
		if e.Segments != 0 {
			counts.Marked++
		}
		if e.State == spool.Refused {
			counts.Refused++
		}
		for _, m := range n.Names(e.Segments) {
			counts.Markers[m]++
		}
	})
	return counts, err
}

// EachEntry visits all entries of an export's ledger.
func (a *Ledgers) EachEntry(ctx context.Context, export string, visit func(spool.Entry)) error {
	for shard := range contact.Shards {
		data, err := a.Data(ctx, export, shard)
		if err != nil {
			return err
		}
		for e, err := range spool.Entries(data) {
			if err != nil {
				return fmt.Errorf("ledger of %q, shard %d: %w", export, shard, err)
			}
			visit(e)
		}
	}
	return nil
}

// Entry returns what an export's ledger holds of an address; nil for nothing.
func (a *Ledgers) Entry(ctx context.Context, export string, address contact.Digest) (*spool.Entry, error) {
	data, err := a.Data(ctx, export, contact.Shard(address))
	if err != nil {
		return nil, err
	}
	for e, err := range spool.Entries(data) {
		if err != nil {
			return nil, fmt.Errorf("ledger of %q: %w", export, err)
		}
		if e.Address == address {
			return &e, nil
		}
	}
	return nil, nil
}

// SaveShard writes one shard of a ledger; the caller holds the ledger's lease.
func (a *Ledgers) SaveShard(ctx context.Context, export string, shard int, data []byte) error {
	sealed, err := a.Keyring.SealBlob(data, ShardContext(export))
	if err != nil {
		return err
	}
	return a.Store.SaveLedgerShard(ctx, export, shard, sealed)
}

// ChangeEntries replaces the entries of a shard that change returns another one
// for, and removes those that it returns nil for. The caller holds the ledger's
// lease.
func (a *Ledgers) ChangeEntries(ctx context.Context, export string, shard int, change func(spool.Entry) *spool.Entry) error {
	old, err := a.Data(ctx, export, shard)
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
	return a.SaveShard(ctx, export, shard, data)
}
