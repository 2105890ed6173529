package delivery

import (
	"context"
	"errors"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/ledger"
	"github.com/segment-export/segment-export/internal/store"
)

// DropLedger removes an export's ledger while nobody books into it.
func (a *Steps) DropLedger(ctx context.Context, export string) error {
	return a.UnderLease(ctx, ledger.LeaseName(export), func(ctx context.Context, _ lease.Hold) error {
		return a.Store.DropLedger(ctx, export)
	})
}

// RemoveExport removes an export with its ledger and its claim on markers, for
// a command that was allowed to.
func (a *Steps) RemoveExport(ctx context.Context, e catalogue.Export, forCommand string) error {
	// Its own record of the account: it may be detached, and the connection gone.
	if err := a.Store.ClaimMarkers(ctx, e.Brand, e.Name, nil); err != nil {
		return err
	}
	if err := a.DropLedger(ctx, e.Name); err != nil {
		return err
	}
	if err := a.Workflows.RemoveSchedule(ctx, e.Name, forCommand); err != nil {
		return err
	}
	err := a.Store.DeleteObject(ctx, string(catalogue.KindExport), e.Name, forCommand)
	if errors.Is(err, store.ErrNotFound) {
		return nil // an earlier attempt did it
	}
	return err
}
