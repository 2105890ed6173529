package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// ledgerCounts goes through an export's ledger; zero when there is none.
func (a *Activities) ledgerCounts(ctx context.Context, export string) (protocol.LedgerCounts, error) {
	counts := protocol.LedgerCounts{Markers: map[string]int{}}
	n, _, err := a.note(ctx, export)
	if n == nil || err != nil {
		return counts, err
	}
	counts.LastFull = n.LastFull
	err = a.eachEntry(ctx, export, func(e spool.Entry) {
		counts.Contacts++
		if e.Segments != 0 {
			counts.Marked++
		}
		if e.State == spool.Refused {
			counts.Refused++
		}
		for _, m := range n.names(e.Segments) {
			counts.Markers[m]++
		}
	})
	return counts, err
}

// eachEntry visits all entries of an export's ledger.
func (a *Activities) eachEntry(ctx context.Context, export string, visit func(spool.Entry)) error {
	for shard := range contact.Shards {
		data, err := a.ledgerData(ctx, export, shard)
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

// idle refuses while a run of the export, or a plan, works with its ledger.
func (a *Activities) idle(ctx context.Context, export string) error {
	if err := a.ReapTerminated(ctx); err != nil {
		return err
	}
	for _, plan := range []bool{false, true} {
		open, err := a.openRun(ctx, export, plan)
		if err != nil {
			return err
		}
		if open != nil {
			return refuse(protocol.ErrConflict, "the export %q has a run going on; cancel it first: starter runs cancel %s", export, open.ID)
		}
	}
	return nil
}

// exportReset forgets what Omnisend has confirmed for an export: its next run is
// like a first one, and sends all.
func (a *Activities) exportReset(ctx context.Context, _ caller, args protocol.Named) (any, error) {
	e, _, err := get[catalogue.Export](ctx, a, catalogue.KindExport, args.Name)
	if err != nil {
		return nil, err
	}
	if err := a.idle(ctx, e.Name); err != nil {
		return nil, err
	}
	answer := protocol.ExportResetAnswer{Name: e.Name}
	if answer.Held, err = a.ledgerCounts(ctx, e.Name); err != nil {
		return nil, err
	}
	answer.Notes = []string{"the next run is like the first one: it sends all contacts and asks the guard first-run",
		"contacts that leave the segments before it keep their markers at Omnisend: nothing remembers them any more",
		"an audience that carries the markers already is taken over without sending it: starter run " + e.Name + " --adopt"}
	return answer, a.dropLedger(ctx, e.Name)
}

// dropLedger removes an export's ledger while nobody books into it.
func (a *Activities) dropLedger(ctx context.Context, export string) error {
	return a.underLease(ctx, ledgerLease(export), func(ctx context.Context, _ hold) error {
		return a.Store.DropLedger(ctx, export)
	})
}

// exportRemove removes an export and its ledger, at once or after a run that
// clears its markers.
func (a *Activities) exportRemove(ctx context.Context, c caller, args protocol.ExportRemoveArgs) (any, error) {
	e, _, err := get[catalogue.Export](ctx, a, catalogue.KindExport, args.Name)
	if err != nil {
		return nil, err
	}
	if args.Markers == protocol.MarkersClear {
		started, err := a.begin(ctx, c, e.Name, run.Request{Actor: c.Name, Remove: c.request.ID}, false)
		if err != nil {
			return nil, err
		}
		begun, _ := started.(protocol.RunStarted)
		return protocol.ExportRemoved{ExportAnswer: protocol.ExportAnswer{Export: e,
			Notes: []string{"the export is removed when the markers of all its contacts are cleared"}}, Run: &begun}, nil
	}
	if args.Markers != "" && args.Markers != protocol.MarkersKeep {
		return nil, refuse(protocol.ErrUsage, "--markers %q is neither %s nor %s", args.Markers, protocol.MarkersKeep, protocol.MarkersClear)
	}
	if err := a.idle(ctx, e.Name); err != nil {
		return nil, err
	}
	counts, err := a.ledgerCounts(ctx, e.Name)
	if err != nil {
		return nil, err
	}
	if counts.Marked > 0 && args.Markers == "" {
		return nil, refuse(protocol.ErrMarkers, "%d contacts carry markers of the export %q at Omnisend; say what to do with them: --markers %s leaves them there, --markers %s takes about %d calls",
			counts.Marked, e.Name, protocol.MarkersKeep, protocol.MarkersClear, calls(counts.Marked))
	}
	answer := protocol.ExportRemoved{ExportAnswer: protocol.ExportAnswer{Export: e}}
	if counts.Marked > 0 {
		answer.Notes = []string{fmt.Sprintf("the markers of %s stay at Omnisend", reason.Count(counts.Marked, "contact", "contacts"))}
	}
	if err := a.mayHave(ctx, c, &e); err != nil {
		return nil, err
	}
	return answer, a.removeExport(ctx, e, c.request.ID)
}

// removeExport removes an export with its ledger and its claim on markers, for
// a command that was allowed to.
func (a *Activities) removeExport(ctx context.Context, e catalogue.Export, forCommand string) error {
	// Its own record of the account: it may be detached, and the connection gone.
	if err := a.Store.ClaimMarkers(ctx, e.Brand, e.Name, nil); err != nil {
		return err
	}
	if err := a.dropLedger(ctx, e.Name); err != nil {
		return err
	}
	if err := a.removeSchedule(ctx, e.Name, forCommand); err != nil {
		return err
	}
	err := a.Store.DeleteObject(ctx, string(catalogue.KindExport), e.Name, forCommand)
	if errors.Is(err, store.ErrNotFound) {
		return nil // an earlier attempt did it
	}
	return err
}
