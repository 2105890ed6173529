package intake

import (
	"bytes"
	"context"
	"slices"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/google/uuid"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/ledger"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/seal"
)

// bindLedger makes the export's ledger on its first run, and refuses one that
// belongs to another account later: its digests say nothing about that one.
func (a *Steps) bindLedger(ctx context.Context, j *job.Job, c catalogue.Connection) (halt *run.Halt, err error) {
	// A plan and a run may begin at the same moment: the ledger has one key.
	err = a.UnderLease(ctx, ledger.LeaseName(j.Export.Name), func(ctx context.Context, _ lease.Hold) error {
		halt, err = a.bind(ctx, j, c)
		return err
	})
	return halt, err
}

func (a *Steps) bind(ctx context.Context, j *job.Job, c catalogue.Connection) (*run.Halt, error) {
	n, _, err := a.Ledgers().Note(ctx, j.Export.Name)
	if err != nil {
		return nil, err
	}
	made := n == nil
	if made {
		wrapped, err := a.Keyring.WrapKey(seal.NewDataKey(), ledger.KeyContext(j.Export.Name))
		if err != nil {
			return nil, err
		}
		n = &ledger.Note{ID: uuid.NewString(), Endpoint: c.Endpoint, Brand: c.BrandID, Key: wrapped}
	}
	if n.Endpoint != c.Endpoint || n.Brand != c.BrandID {
		return &run.Halt{Kind: run.HaltPark, Reason: reason.Format("the ledger of %q is about brand %s at %s, its connection is brand %s at %s",
			j.Export.Name, n.Brand, n.Endpoint, c.BrandID, c.Endpoint),
			Action: "set the former connection again, or make a new export for this account"}, nil
	}
	j.Ledger = n.ID
	before := record.Encode(n)
	for _, s := range j.Export.Segments {
		if _, err := n.Bit(s); err != nil {
			return &run.Halt{Kind: run.HaltFail, Reason: reason.Text(err.Error())}, nil
		}
	}
	mapper, err := j.Mapper()
	if err != nil {
		return &run.Halt{Kind: run.HaltFail, Reason: reason.Text("the mapping cannot work: " + err.Error())}, nil
	}
	n.FieldBits(mapper.FieldNames())
	for _, name := range j.Export.Mapping.Properties() {
		if slices.Contains(n.Markers, name) {
			return &run.Halt{Kind: run.HaltFail, Reason: reason.Format("the custom property %s is mapped, and was a marker of this export: contacts may still carry it as such", name),
				Action: "map the field to a custom property of another name; nothing was sent"}, nil
		}
	}
	if after := record.Encode(n); made || !bytes.Equal(before, after) {
		return nil, a.Store.SaveLedgerMeta(ctx, j.Export.Name, after)
	}
	return nil, nil
}
