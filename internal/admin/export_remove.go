package admin

import (
	"context"
	"fmt"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
)

// idle refuses while a run of the export, or a plan, works with its ledger.
func (a *Commands) idle(ctx context.Context, export string) error {
	if err := a.ReapTerminated(ctx); err != nil {
		return err
	}
	for _, plan := range []bool{false, true} {
		open, err := a.OpenRun(ctx, export, plan)
		if err != nil {
			return err
		}
		if open != nil {
			return protocol.Refuse(protocol.ErrConflict, "the export %q has an open run; cancel it first: starter runs cancel %s", export, open.ID)
		}
	}
	return nil
}

// exportReset forgets what Omnisend has confirmed for an export: its next run is
// like a first one, and sends all.
func (a *Commands) exportReset(ctx context.Context, _ command.Caller, args protocol.Named) (any, error) {
	e, _, err := record.Find[catalogue.Export](ctx, a.Store, catalogue.KindExport, args.Name)
	if err != nil {
		return nil, err
	}
	if err := a.idle(ctx, e.Name); err != nil {
		return nil, err
	}
	answer := protocol.ExportResetAnswer{Name: e.Name}
	if answer.Held, err = a.Ledgers().Counts(ctx, e.Name); err != nil {
		return nil, err
	}
	answer.Notes = []string{"the next run is like the first one: it sends all contacts and asks the guard first-run",
		"contacts that leave the segments before it keep their markers at Omnisend: nothing remembers them any more",
		"an audience that carries the markers already is taken over without sending it: starter run " + e.Name + " --adopt"}
	return answer, a.DropLedger(ctx, e.Name)
}

// exportRemove removes an export and its ledger, at once or after a run that
// clears its markers.
func (a *Commands) exportRemove(ctx context.Context, c command.Caller, args protocol.ExportRemoveArgs) (any, error) {
	e, _, err := record.Find[catalogue.Export](ctx, a.Store, catalogue.KindExport, args.Name)
	if err != nil {
		return nil, err
	}
	if args.Markers == protocol.MarkersClear {
		started, err := a.Begin(ctx, c, e.Name, run.Request{Actor: c.Name, Remove: c.Request.ID}, false)
		if err != nil {
			return nil, err
		}
		first, _ := started.(protocol.RunStarted)
		return protocol.ExportRemoved{ExportAnswer: protocol.ExportAnswer{Export: e,
			Notes: []string{"the export is removed when the markers of all its contacts are cleared"}}, Run: &first}, nil
	}
	if args.Markers != "" && args.Markers != protocol.MarkersKeep {
		return nil, protocol.Refuse(protocol.ErrUsage, "--markers %q is neither %s nor %s", args.Markers, protocol.MarkersKeep, protocol.MarkersClear)
	}
	if err := a.idle(ctx, e.Name); err != nil {
		return nil, err
	}
	counts, err := a.Ledgers().Counts(ctx, e.Name)
	if err != nil {
		return nil, err
	}
	if counts.Marked > 0 && args.Markers == "" {
		return nil, protocol.Refuse(protocol.ErrMarkers, "%d contacts carry markers of the export %q at Omnisend; say what to do with them: --markers %s leaves them there, --markers %s takes about %d calls",
			counts.Marked, e.Name, protocol.MarkersKeep, protocol.MarkersClear, job.Calls(counts.Marked))
	}
	answer := protocol.ExportRemoved{ExportAnswer: protocol.ExportAnswer{Export: e}}
	if counts.Marked > 0 {
		answer.Notes = []string{fmt.Sprintf("the markers of %s stay at Omnisend", reason.Count(counts.Marked, "contact", "contacts"))}
	}
	if err := a.MayHave(ctx, c, &e); err != nil {
		return nil, err
	}
	return answer, a.RemoveExport(ctx, e, c.Request.ID)
}
