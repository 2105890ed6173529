package job

import (
	"context"
	"errors"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// Batch returns the contacts of a batch; none when there is no such batch.
func (a *Runs) Batch(ctx context.Context, runID string, n int) ([]spool.BatchItem, error) {
	blob, err := a.Store.Blob(ctx, runID, store.BlobBatch, 0, n)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	data, err := a.OpenBlob(runID, blob)
	if err != nil {
		return nil, err
	}
	items, err := spool.AllBatchItems(data)
	if err != nil {
		return nil, Unreadable(runID, store.BlobBatch, err)
	}
	return items, nil
}

const (
	// PartsPerSegment keeps the parts of an export's segments apart.
	PartsPerSegment = 1_000_000
	// RejectsRead is the group of the reject blobs of rows that were never sent.
	RejectsRead = 0
	// RejectsRefused is that of contacts that Omnisend rejected.
	RejectsRefused = 1
)

// BlobContext is the context that a run's blobs are sealed with.
func BlobContext(runID string, kind store.BlobKind) string {
	return "run/" + runID + "/" + string(kind)
}

// OpenBlob decrypts a blob of the spool; one without data is empty.
func (a *Runs) OpenBlob(runID string, b store.Blob) ([]byte, error) {
	if len(b.Data) == 0 {
		return nil, nil
	}
	data, err := a.Keyring.OpenBlob(b.Data, BlobContext(runID, b.Kind))
	if err != nil {
		return nil, Unreadable(runID, b.Kind, err)
	}
	return data, nil
}

// EachReject goes through the rejects that are kept of a run, group by group.
func (a *Runs) EachReject(ctx context.Context, runID string, do func(protocol.Reject), groups ...int) error {
	for _, group := range groups {
		blobs, err := a.Store.Blobs(ctx, runID, store.BlobReject, group)
		if err != nil {
			return err
		}
		for _, b := range blobs {
			rejects, err := a.Rejects(runID, b)
			if err != nil {
				return err
			}
			for _, r := range rejects {
				do(r)
			}
		}
	}
	return nil
}

// Rejects opens a blob of rejects.
func (a *Runs) Rejects(runID string, b store.Blob) ([]protocol.Reject, error) {
	data, err := a.OpenBlob(runID, b)
	if err != nil {
		return nil, err
	}
	return record.Decode[[]protocol.Reject](data)
}
