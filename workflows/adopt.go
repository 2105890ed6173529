package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/run"
)

// adopt takes an audience over that the account has already: a sample of it is
// compared, and all of it booked as confirmed. Nothing is sent.
func (e *exporter) adopt(_, work workflow.Context) (ending, bool) {
	r := e.state.Report
	if !r.Adopt || r.Plan || r.Adopted > 0 || r.ToSend == 0 {
		return ending{}, true
	}
	e.enter(work, run.PhaseAdopt)
	for {
		var result activities.AdoptResult
		err := workflow.ExecuteActivity(long(work, "compare a sample with the account, take the audience over"), acts.Adopt,
			activities.RunInput{RunID: e.in.RunID}).Get(work, &result)
		halt, err := fault(err)
		if err != nil {
			return e.ended(err), false
		}
		if halt != nil {
			result.Halt = halt
		}
		if result.Done {
			r.TakeOver(r.ToSend)
			return ending{}, true
		}
		if result.Halt != nil {
			if end, ok := e.wait(work, result.Halt); !ok {
				return end, false
			}
			continue
		}
		if end, ok := e.pause(work); !ok {
			return end, false
		}
	}
}
