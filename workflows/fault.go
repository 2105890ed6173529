package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/run"
)

// fault makes the halt of an activity's error that is a fault of this program:
// the run parks, since another build can go on from where it is. Other errors
// come back as they are.
func fault(err error) (*activities.Halt, error) {
	app, ok := errors.AsType[*temporal.ApplicationError](err)
	if !ok || app.Type() != activities.ErrorFault {
		return nil, err
	}
	return &activities.Halt{Kind: activities.HaltPark, Reason: app.Message(), Action: activities.FaultAction}, nil
}

// finishAgain is after how long finishing is tried again by itself when it met
// a fault of this program: the program may be another one by then.
const finishAgain = time.Hour

// finalReport finishes the run. Nothing is left that could end it in another
// way: where finishing meets a fault of this program the run is parked until
// it succeeds, so that no verdict is lost.
func (e *exporter) finalReport(ctx workflow.Context) (*run.Report, error) {
	for {
		var final run.Report
		r := e.state.Report
		err := workflow.ExecuteActivity(long(ctx, "book the verdicts, write the report"), acts.Finish,
			activities.FinishInput{RunID: e.in.RunID, Report: r}).Get(ctx, &final)
		halt, err := fault(err)
		if err != nil {
			return nil, err
		}
		if halt == nil {
			return &final, nil
		}
		status, reason, action := r.Status, r.Reason, r.Action
		if err := e.setStatus(ctx, run.Parked, halt); err != nil {
			return nil, err
		}
		e.unread = false
		if _, err := workflow.AwaitWithTimeout(ctx, finishAgain, func() bool { return e.unread }); err != nil {
			return nil, err
		}
		r.Status, r.Reason, r.Action = status, reason, action
	}
}
