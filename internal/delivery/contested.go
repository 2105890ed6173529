package delivery

import (
	"context"
	"errors"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/ledger"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// doubtLeavers makes the rivals of a run's export send those contacts again that
// left it by these calls. It is called before the calls are booked; done twice
// it sends a contact once more at most.
func (a *Steps) doubtLeavers(ctx context.Context, j job.Job, calls []store.Call) error {
	e := j.Export
	e.Brand = j.Brand
	rivals, err := a.Rivals(ctx, e)
	if err != nil || len(rivals) == 0 {
		return err
	}
	emails, err := a.left(ctx, j.RunID, calls)
	if err != nil || len(emails) == 0 {
		return err
	}
	for _, r := range rivals {
		if err := a.doubt(ctx, r.Name, emails); err != nil {
			return err
		}
	}
	return nil
}

// left lists who has left an export by these calls.
func (a *Steps) left(ctx context.Context, runID string, calls []store.Call) ([]string, error) {
	var emails []string
	var items []spool.BatchItem
	batch := -1
	for _, c := range calls {
		if job.PhaseOf(c.Batch) != job.PhaseLeavers {
			continue
		}
		if c.Batch != batch {
			var err error
			items, err = a.Batch(ctx, runID, c.Batch)
			if _, blocked := errors.AsType[*fault.BlockedError](err); err != nil && !blocked {
				return nil, err // who cannot be read is booking's to tell
			}
			batch = c.Batch
		}
		for i := c.First; i < min(c.First+c.Count, len(items)); i++ {
			if items[i].Segments == 0 && items[i].Email != "" {
				emails = append(emails, items[i].Email)
			}
		}
	}
	return emails, nil
}

// doubt makes contacts of an export's ledger differ from whatever its source has.
func (a *Steps) doubt(ctx context.Context, export string, emails []string) error {
	return a.UnderLease(ctx, ledger.LeaseName(export), func(ctx context.Context, _ lease.Hold) error {
		n, key, err := a.Ledgers().Note(ctx, export)
		if n == nil || err != nil {
			return err
		}
		digester := contact.NewDigester(key)
		var shards [contact.Shards]map[contact.Digest]bool
		for _, email := range emails {
			address := digester.Address(email)
			shard := contact.Shard(address)
			if shards[shard] == nil {
				shards[shard] = map[contact.Digest]bool{}
			}
			shards[shard][address] = true
		}
		for shard, doubted := range shards {
			if doubted == nil {
				continue
			}
			err := a.Ledgers().ChangeEntries(ctx, export, shard, func(e spool.Entry) *spool.Entry {
				if doubted[e.Address] && e.State == spool.Confirmed {
					e.Content.Profile = [8]byte{}
				}
				return &e
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}
