package job

import (
	"context"
	"encoding/json"

	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
)

// RunInput selects a run.
type RunInput struct {
	RunID string `json:"run_id"`
}

// OfRun returns the id of the run.
func (in RunInput) OfRun() string { return in.RunID }

// Control returns what operators have decided about the run, without who did.
func (a *Runs) Control(ctx context.Context, in RunInput) (run.Control, error) {
	r, err := a.Store.Run(ctx, in.RunID)
	if err != nil {
		return run.Control{}, err
	}
	c, err := record.Decode[run.Control](r.Control)
	for guard := range c.Approved {
		c.Approved[guard] = ""
	}
	return c, err
}

// ControlRun puts a decision about a run on record.
func (a *Runs) ControlRun(ctx context.Context, runID string, change func(*run.Control) error) error {
	return a.Store.ControlRun(ctx, runID, func(stored json.RawMessage) (json.RawMessage, error) {
		control, err := record.Decode[run.Control](stored)
		if err != nil {
			return nil, err
		}
		if err := change(&control); err != nil {
			return nil, err
		}
		return record.Encode(control), nil
	})
}
