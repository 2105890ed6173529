package intake

import (
	"context"

	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// packer fills batches of one kind.
type packer struct {
	first int  // number of the first batch
	made  *int // batches made so far
	tail  int  // the group of its tail blob
	data  []byte
	count int
}

func (p *packer) add(item spool.BatchItem) {
	p.data = spool.AppendBatchItem(p.data, item)
	p.count++
}

// The groups of tail blobs; a tail's Seq is how many contacts it holds.
const (
	tailUploads = 0
	tailLeavers = 1
)

// pack closes a batch.
func (d *decider) pack(p *packer) (store.Blob, error) {
	sealed, err := d.Keyring.SealBlob(p.data, job.BlobContext(d.job.RunID, store.BlobBatch))
	blob := store.Blob{Kind: store.BlobBatch, Seq: p.first + *p.made, Data: sealed}
	*p.made++
	p.data, p.count = p.data[:0], 0
	return blob, err
}

func (d *decider) loadTail(ctx context.Context, p *packer) error {
	tails, err := d.Store.Blobs(ctx, d.job.RunID, store.BlobTail, p.tail)
	if err != nil || len(tails) == 0 {
		return err
	}
	p.count = tails[0].Seq
	p.data, err = d.OpenBlob(d.job.RunID, tails[0])
	return err
}
