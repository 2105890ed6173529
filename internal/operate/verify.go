package operate

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/store"
)

// verifyHandlers are the commands that compare a ledger with the account.
func (a *Commands) verifyHandlers() map[string]command.Handler {
	return map[string]command.Handler{
		protocol.Verify:       command.With(a.beginVerify),
		protocol.VerifyResult: command.With(a.verifyResult),
	}
}

func (a *Commands) beginVerify(ctx context.Context, c command.Caller, args protocol.VerifyArgs) (any, error) {
	e, _, err := record.Find[catalogue.Export](ctx, a.Store, catalogue.KindExport, args.Export)
	if err != nil {
		return nil, err
	}
	in := delivery.VerifyInput{ID: uuid.NewSHA1(uuid.NameSpaceURL, []byte("verify/"+c.Request.ID)).String(), Export: e.Name, Sample: args.Sample}
	if in.Sample == 0 {
		in.Sample = protocol.VerifySample
	}
	if in.Sample < 1 || in.Sample > protocol.VerifyMost {
		return nil, protocol.Refuse(protocol.ErrUsage, "--sample %d is not between 1 and %d", in.Sample, protocol.VerifyMost)
	}
	counts, err := a.Ledgers().Counts(ctx, e.Name)
	if err != nil {
		return nil, err
	}
	if counts.Marked == 0 {
		return nil, protocol.Refuse(protocol.ErrConflict, "nothing was confirmed for the export %q yet: there is nothing to compare", e.Name)
	}
	if in.Ticket, err = a.Ticket(in.TicketFor()...); err != nil {
		return nil, err
	}
	other, err := a.StartVerify(ctx, in, e)
	if err != nil {
		return nil, err
	}
	if other {
		return nil, protocol.Refuse(protocol.ErrConflict, "the export %q is being compared already", e.Name)
	}
	return protocol.VerifyStarted{ID: in.ID, WorkflowID: in.WorkflowID(), Sample: min(in.Sample, counts.Marked)}, nil
}

func (a *Commands) verifyResult(ctx context.Context, _ command.Caller, args protocol.VerifyRef) (any, error) {
	found, err := a.Verified(ctx, args.ID)
	if errors.Is(err, store.ErrNotFound) || err == nil && found.Export != args.Export {
		return nil, protocol.Refuse(protocol.ErrNotFound, "there is no such comparison of %q, or it has found nothing yet", args.Export)
	}
	return found, err
}
