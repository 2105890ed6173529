package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/store"
)

// verifyHandlers are the commands that compare a ledger with the account.
var verifyHandlers = map[string]handler{
	protocol.Verify:       with((*Activities).beginVerify),
	protocol.VerifyResult: with((*Activities).verifyResult),
}

// verifyTime is the longest time that a comparison may take.
const verifyTime = time.Hour

func (a *Activities) beginVerify(ctx context.Context, c caller, args protocol.VerifyArgs) (any, error) {
	e, _, err := get[catalogue.Export](ctx, a, catalogue.KindExport, args.Export)
	if err != nil {
		return nil, err
	}
	in := VerifyInput{ID: uuid.NewSHA1(uuid.NameSpaceURL, []byte("verify/"+c.request.ID)).String(), Export: e.Name, Sample: args.Sample}
	if in.Sample == 0 {
		in.Sample = protocol.VerifySample
	}
	if in.Sample < 1 || in.Sample > protocol.VerifyMost {
		return nil, refuse(protocol.ErrUsage, "--sample %d is not between 1 and %d", in.Sample, protocol.VerifyMost)
	}
	counts, err := a.ledgerCounts(ctx, e.Name)
	if err != nil {
		return nil, err
	}
	if counts.Marked == 0 {
		return nil, refuse(protocol.ErrConflict, "nothing was confirmed for the export %q yet: there is nothing to compare", e.Name)
	}
	if in.Ticket, err = a.ticket(in.ticketFor()...); err != nil {
		return nil, err
	}
	_, err = a.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: in.WorkflowID(), TaskQueue: protocol.TaskQueue, WorkflowExecutionTimeout: verifyTime,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		Memo:                                     map[string]any{runIDMemo: in.ID},
		StaticSummary:                            fmt.Sprintf("Compare %s with %s", e.Name, e.Connection),
	}, protocol.VerifyWorkflowType, in)
	if _, running := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); running {
		d, err := a.Temporal.DescribeWorkflowExecution(ctx, in.WorkflowID(), "")
		if err != nil {
			return nil, err
		}
		if string(d.GetWorkflowExecutionInfo().GetMemo().GetFields()[runIDMemo].GetData()) != `"`+in.ID+`"` {
			return nil, refuse(protocol.ErrConflict, "the export %q is being compared already", e.Name)
		}
	} else if err != nil {
		return nil, err
	}
	return protocol.VerifyStarted{ID: in.ID, WorkflowID: in.WorkflowID(), Sample: min(in.Sample, counts.Marked)}, nil
}

func (a *Activities) verifyResult(ctx context.Context, _ caller, args protocol.VerifyRef) (any, error) {
	found, err := a.verified(ctx, args.ID)
	if errors.Is(err, store.ErrNotFound) || err == nil && found.Export != args.Export {
		return nil, refuse(protocol.ErrNotFound, "there is no such comparison of %q, or it has found nothing yet", args.Export)
	}
	return sealedAnswer{found}, err
}
