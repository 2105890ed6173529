package workflows

import (
	"errors"
	"time"

	"github.com/segment-export/segment-export/internal/reason"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/run"
)

// fault makes the halt of an activity's error that is a fault of this program:
// the run parks, since another build can continue from there. Other errors
// come back as they are.
func fault(err error) (*activities.Halt, error) {
	app, ok := errors.AsType[*temporal.ApplicationError](err)
	if !ok || app.Type() != activities.ErrorFault {
		return nil, err
	}
	action := activities.FaultAction
	if app.HasDetails() {
		if err := app.Details(&action); err != nil {
			return nil, err
		}
	}
	return &activities.Halt{Kind: activities.HaltPark, Reason: reason.Text(app.Message()), Action: reason.Text(action)}, nil
}

// finishAgain is the time after which finishing is retried when it met a fault of
// this program: the program may be another one by then.
const finishAgain = time.Hour

// finalReport finishes the run. Where finishing meets a fault of this program, a
// run whose calls all have their verdict is parked until it succeeds, and lets
// others have the connection meanwhile. One that was cut short, or is canceled
// or expires then, ends without: the next run books its verdicts.
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
		if r.Status != "" {
			return e.endUnbooked(ctx, halt)
		}
		if err := e.setStatus(ctx, run.Parked, halt); err != nil {
			return nil, err
		}
		if e.state.HasTurn {
			if err := e.yieldTurn(ctx); err != nil {
				return nil, err
			}
		}
		e.unread = false
		if _, err := workflow.AwaitWithTimeout(ctx, finishAgain, func() bool { return e.unread || e.canceled || e.expired }); err != nil {
			return nil, err
		}
		r.Status, r.Reason, r.Action = "", "", ""
		if e.canceled || e.expired {
			r.Status = e.ended(nil).status
			return e.endUnbooked(ctx, halt)
		}
	}
}

// endUnbooked ends the run without booking its verdicts.
func (e *exporter) endUnbooked(ctx workflow.Context, halt *activities.Halt) (*run.Report, error) {
	r, now := e.state.Report, workflow.Now(ctx)
	r.Phase, r.EndedAt = run.PhaseEnded, &now
	r.Notes = append(r.Notes, delivery.Unbooked(string(halt.Reason)))
	if r.Reason == "" {
		r.Reason, r.Action = halt.Reason, halt.Action
	}
	r.DropUndecided()
	return r, workflow.ExecuteActivity(short(ctx, "record: "+string(r.Status)), acts.Record,
		activities.RecordInput{RunID: e.in.RunID, Report: r}).Get(ctx, nil)
}
