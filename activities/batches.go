package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// A run's batches are numbered by phase, generation, and place: uploads before
// leavers; generation 0 as decided, later ones hold contacts whose call came to
// nothing and which go again.
const (
	phaseUploads = 0
	phaseLeavers = 1

	batchesPerGeneration = 1_000_000
	generationsPerPhase  = 100
	// MaxGeneration is how often a contact is sent again when Omnisend gives no
	// final verdict on it; then it counts as refused.
	MaxGeneration = 5
)

func firstBatch(phase, generation int) int {
	return (phase*generationsPerPhase + generation) * batchesPerGeneration
}

func generationOf(batch int) int { return batch / batchesPerGeneration % generationsPerPhase }

func phaseOf(batch int) int { return batch / batchesPerGeneration / generationsPerPhase }

// FirstUpload and FirstLeaver are the numbers of the first batch of each
// generation, for the workflow.
func FirstUpload(generation int) int { return firstBatch(phaseUploads, generation) }

// FirstLeaver is the number of the first batch of leavers of a generation.
func FirstLeaver(generation int) int { return firstBatch(phaseLeavers, generation) }

// batch returns the contacts of a batch; none when there is no such batch.
func (a *Activities) batch(ctx context.Context, runID string, n int) ([]spool.BatchItem, error) {
	blob, err := a.Store.Blob(ctx, runID, store.BlobBatch, 0, n)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	data, err := a.openBlob(runID, blob)
	if err != nil {
		return nil, err
	}
	var items []spool.BatchItem
	for item, err := range spool.BatchItems(data) {
		if err != nil {
			return nil, unreadable(runID, store.BlobBatch, err)
		}
		items = append(items, item)
	}
	return items, nil
}

// ledgerShard returns the entries of one shard of an export's ledger.
func (a *Activities) ledgerShard(ctx context.Context, export string, shard int) ([]spool.Entry, error) {
	data, err := a.ledgerData(ctx, export, shard)
	if err != nil {
		return nil, err
	}
	var entries []spool.Entry
	for e, err := range spool.Entries(data) {
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func ledgerContext(export string) string { return "ledger/" + export }

// ledgerData returns a decrypted shard; nil when there is none.
func (a *Activities) ledgerData(ctx context.Context, export string, shard int) ([]byte, error) {
	sealed, err := a.Store.LedgerShard(ctx, export, shard)
	if sealed == nil || err != nil {
		return nil, err
	}
	data, err := a.Keyring.OpenBlob(sealed, ledgerContext(export))
	if err != nil {
		return nil, &blockedError{cause: err, reason: fmt.Sprintf("the ledger of %q cannot be read: %v", export, err),
			action: fmt.Sprintf("restore the store or its keyring from a backup, then resume; or forget what was confirmed, so that all is sent again: starter export edit %q --reset-ledger", export)}
	}
	return data, nil
}
