package job

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/segment-export/segment-export/internal/connect"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// forbidden is how long Omnisend has answered 403 to a run.
type forbidden struct {
	Since time.Time `json:"since"`
	Last  time.Time `json:"last"`
}

const (
	forbiddenState = "target/forbidden"
	// forbiddenWait is the time between two tries after a 403.
	forbiddenWait = time.Minute
)

// RunHalt is haltOf for a run: it tries a 403 again, slowly, before the run
// parks for it.
func (a *Runs) RunHalt(ctx context.Context, runID string, err error, connection string) (*run.Halt, error) {
	h, rest := connect.HaltOf(err, connection)
	if e, ok := errors.AsType[*omnisend.Error](err); h == nil || !ok || e.Status != http.StatusForbidden {
		return h, rest
	}
	f, err := stepState[forbidden](ctx, a, runID, forbiddenState)
	if err != nil {
		return nil, err
	}
	now, err := a.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	if now.Sub(f.Last) > 2*forbiddenWait { // it was over in between
		f.Since = now
	}
	f.Last = now
	if left := a.Tuning.ForbiddenPatience - now.Sub(f.Since); left > 0 {
		h = &run.Halt{Kind: run.HaltWait, Reason: h.Reason + "; it is tried again", Wait: min(left, forbiddenWait)}
	}
	return h, a.Store.CommitStep(ctx, store.Step{Run: runID, Name: forbiddenState, State: record.Encode(f)})
}
