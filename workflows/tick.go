package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/activities"
)

// scheduledStart is when Temporal's schedule meant a workflow to start, which
// may be long ago: the server or all workers may have been away.
var scheduledStart = temporal.NewSearchAttributeKeyTime("TemporalScheduledStartTime")

// TickInput is what a schedule starts a tick with. So far is what came of it
// before it continued as new.
type TickInput struct {
	activities.TickInput

	SoFar *TickResult `json:"so_far,omitempty"`
}

// TickResult says which runs a tick began, and of which it is on record why
// they did not begin, by export.
type TickResult struct {
	Begun   map[string]string `json:"begun"`
	Skipped map[string]string `json:"skipped"`
}

// Tick is what a schedule of Temporal starts: a worker looks what is due, and
// begins it or puts on record why not. It ends when nothing is due any more;
// while it waits for a parked run to end, further ticks are merged into it.
func Tick(ctx workflow.Context, in TickInput) (*TickResult, error) {
	all := in.SoFar
	if all == nil {
		all = &TickResult{Begun: map[string]string{}, Skipped: map[string]string{}}
	}
	if at, ok := workflow.GetTypedSearchAttributes(ctx).GetTime(scheduledStart); ok {
		in.At = at
	}
	for {
		var result activities.TickResult
		if err := workflow.ExecuteActivity(long(ctx, "begin what is due"), acts.Tick, in.TickInput).Get(ctx, &result); err != nil {
			return nil, err
		}
		for _, export := range workflow.DeterministicKeys(result.Begun) {
			all.Begun[export] = result.Begun[export]
		}
		for _, export := range workflow.DeterministicKeys(result.Skipped) {
			all.Skipped[export] = result.Skipped[export]
		}
		if result.Done {
			return all, nil
		}
		if result.Wait > 0 {
			if err := workflow.Sleep(ctx, max(result.Wait, 100*time.Millisecond)); err != nil {
				return nil, err
			}
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			in.SoFar = all
			return nil, workflow.NewContinueAsNewError(ctx, Tick, in)
		}
	}
}
