package command

import (
	"context"

	"github.com/google/uuid"

	"github.com/segment-export/segment-export/internal/run"
)

// RunID is the id of the run that a command begins: a repeated attempt begins
// no second one.
func RunID(c Caller) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("run/"+c.Request.ID)).String()
}

// Begin allows a run, puts it on record, and starts its workflow.
func (a *Desk) Begin(ctx context.Context, c Caller, export string, request run.Request, plan bool) (any, error) {
	if err := a.ReapTerminated(ctx); err != nil {
		return nil, err
	}
	return a.BeginRun(ctx, RunID(c), export, request, plan)
}
