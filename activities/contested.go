package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// Exports of one account may fill one attribute from different fields. Of a
// contact in both, the account has what was sent last. When a contact leaves one
// of them, the next run of the other sends it again, although its own data did
// not change.

// rival is an export of the same account that fills attributes from other fields.
type rival struct {
	catalogue.Export

	attributes []string
}

// rivals returns the rivals of an export, detached ones too.
func (a *Activities) rivals(ctx context.Context, e catalogue.Export) ([]rival, error) {
	exports, err := list[catalogue.Export](ctx, a, catalogue.KindExport)
	if err != nil {
		return nil, err
	}
	var found []rival
	for _, other := range exports {
		if other.Name == e.Name || e.Brand == "" || other.Brand != e.Brand {
			continue
		}
		if both := e.Mapping.Contested(other.Mapping, e.Source == other.Source); len(both) > 0 {
			found = append(found, rival{other, both})
		}
	}
	return found, nil
}

// rivalNotes says which attributes other active exports fill too.
func (a *Activities) rivalNotes(ctx context.Context, e catalogue.Export) ([]string, error) {
	rivals, err := a.rivals(ctx, e)
	var notes []string
	for _, r := range rivals {
		if r.Connection != "" {
			notes = append(notes, fmt.Sprintf("%s filled by the export %q too, from another field (%s): of a contact in both, Omnisend keeps what is sent last",
				reason.Count(len(r.attributes), "attribute is", "attributes are"), r.Name, strings.Join(r.attributes, ", ")))
		}
	}
	return notes, err
}

// doubtLeavers makes the rivals of a run's export send those contacts again that
// left it by these calls. It is called before the calls are booked; done twice
// it sends a contact once more at most.
func (a *Activities) doubtLeavers(ctx context.Context, j job, calls []store.Call) error {
	e := j.Export
	e.Brand = j.Brand
	rivals, err := a.rivals(ctx, e)
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
func (a *Activities) left(ctx context.Context, runID string, calls []store.Call) ([]string, error) {
	var emails []string
	var items []spool.BatchItem
	batch := -1
	for _, c := range calls {
		if phaseOf(c.Batch) != phaseLeavers {
			continue
		}
		if c.Batch != batch {
			var err error
			items, err = a.batch(ctx, runID, c.Batch)
			if _, blocked := errors.AsType[*blockedError](err); err != nil && !blocked {
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
func (a *Activities) doubt(ctx context.Context, export string, emails []string) error {
	return a.underLease(ctx, ledgerLease(export), func(ctx context.Context, _ hold) error {
		n, key, err := a.note(ctx, export)
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
			err := a.changeEntries(ctx, export, shard, func(e spool.Entry) *spool.Entry {
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
