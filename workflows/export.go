package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/scheduling"
)

// Expiry is how long a run may take, parked time included: Omnisend keeps the
// results of batches for 7 days (said of an older version of its API).
const Expiry = 6 * 24 * time.Hour

// ExportInput is the input of SegmentExport. RunID is of a run that a worker
// has allowed and stored. The other fields are set when the workflow continues
// as new.
type ExportInput struct {
	RunID string `json:"run_id"`
	// Ticket is the worker's permission for this workflow to take the run up.
	Ticket []byte `json:"ticket,omitempty"`
	// Window is how many batches are on their way at once; 0 is 4.
	Window int `json:"window,omitempty"`
	// MaxEvents is the length of history after which the run continues as new;
	// 0 is 8,000.
	MaxEvents int    `json:"max_events,omitempty"`
	State     *State `json:"state,omitempty"`
}

// State is what a run hands on when it continues as new.
type State struct {
	Report     *run.Report `json:"report"`
	Connection string      `json:"connection"`
	Since      time.Time   `json:"since"` // when the phase began
	ExpiresAt  time.Time   `json:"expires_at"`
	Segment    int         `json:"segment"` // being read
	Resumes    int         `json:"resumes"` // of the operator's control that were acted on
	Delivery   Delivery    `json:"delivery"`
	Passed     bool        `json:"passed"` // the guards
	HasTurn    bool        `json:"has_turn"`
	// Reconciling: verdicts of earlier runs are still being waited for.
	Reconciling bool `json:"reconciling,omitempty"`
}

// exporter is one execution of SegmentExport.
type exporter struct {
	in    ExportInput
	state *State
	log   log.Logger

	control  run.Control
	unread   bool // an operator has decided something that was not read yet
	canceled bool
	expired  bool
}

// SegmentExport is one run of an export: preflight, collect, decide, deliver
// with confirm beside it, finish. A plan ends after decide. It returns the
// run's report; one that failed, expired or was canceled ends as such in
// Temporal, with the report in the details of its error.
func SegmentExport(ctx workflow.Context, in ExportInput) (*run.Report, error) {
	if in.Window == 0 {
		in.Window = 4
	}
	if in.MaxEvents == 0 {
		in.MaxEvents = 8000
	}
	e := &exporter{in: in, state: in.State, log: workflow.GetLogger(ctx)}
	if e.state == nil {
		e.state = &State{Report: &run.Report{RunID: in.RunID, Status: run.Running, Phase: run.PhasePreflight,
			StartedAt: workflow.Now(ctx)}, Since: workflow.Now(ctx), ExpiresAt: workflow.Now(ctx).Add(Expiry)}
	}
	if err := workflow.SetQueryHandler(ctx, protocol.ProgressQuery, func() (*protocol.Progress, error) { return e.progress(), nil }); err != nil {
		return nil, err
	}
	e.listen(ctx)
	// What must happen even after a cancel uses outer, the rest work.
	outer, _ := workflow.NewDisconnectedContext(ctx)
	work, stop := workflow.WithCancel(ctx)
	e.expireLater(work, stop)

	end := e.steps(ctx, work)
	if end.again {
		return nil, e.continueAsNew(ctx)
	}
	return e.finish(outer, end)
}

// ending is how the steps of a run ended: with nothing when all went well.
type ending struct {
	status run.Status
	halt   *activities.Halt
	again  bool // history is long: continue as new
	err    error
}

func halted(h *activities.Halt) ending {
	status := run.Failed
	switch h.Kind {
	case activities.HaltSkip:
		status = run.Skipped
	case activities.HaltStop:
		status = run.Canceled
	}
	return ending{status: status, halt: h}
}

// steps runs what is left to do.
func (e *exporter) steps(ctx, work workflow.Context) ending {
	for _, step := range []func(ctx, work workflow.Context) (ending, bool){
		e.preflight, e.reconcileOn, e.collect, e.decide, e.guards, e.adopt, e.takeTurn, e.deliver,
	} {
		end, ok := step(ctx, work)
		if !ok {
			return end
		}
	}
	return ending{}
}

// ended turns an activity's error into an ending; canceled or expired runs end
// as such, whatever the error.
func (e *exporter) ended(err error) ending {
	switch {
	case e.expired:
		return ending{status: run.Expired}
	case temporal.IsCanceledError(err) || e.canceled:
		return ending{status: run.Canceled}
	}
	why := "an internal error; the worker's log says more"
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		why = app.Message()
	}
	return ending{status: run.Failed, halt: &activities.Halt{Kind: activities.HaltFail, Reason: reason.Text(why)}, err: err}
}

func (e *exporter) preflight(_, work workflow.Context) (ending, bool) {
	if e.state.Connection != "" {
		return ending{}, true // done before it continued as new
	}
	for {
		var result activities.PreflightResult
		err := workflow.ExecuteActivity(short(work, "check the key, the brand, the fields"), acts.Preflight,
			activities.PreflightInput{RunID: e.in.RunID, Ticket: e.in.Ticket}).Get(work, &result)
		halt, err := fault(err)
		if err != nil {
			return e.ended(err), false
		}
		if halt == nil {
			halt = result.Halt
			e.state.Report = result.Report
			e.state.Report.Status, e.state.Report.Phase = run.Running, run.PhasePreflight
		}
		if halt == nil {
			e.state.Connection = result.Connection
			break
		}
		if end, ok := e.wait(work, halt); !ok {
			return end, false
		}
	}
	e.enter(work, run.PhaseCollect)
	return e.reconcile(work)
}

// reconcileOn continues what an earlier execution was waiting for.
func (e *exporter) reconcileOn(_, work workflow.Context) (ending, bool) {
	if !e.state.Reconciling {
		return ending{}, true
	}
	return e.reconcile(work)
}

// reconcile waits until no call of an earlier run on this brand is without a
// verdict.
func (e *exporter) reconcile(work workflow.Context) (ending, bool) {
	if e.state.Report.Plan {
		return ending{}, true
	}
	e.state.Reconciling = true
	for try := 0; ; try++ {
		var result activities.SweepResult
		err := workflow.ExecuteActivity(long(work, "verdicts of earlier runs"), acts.Reconcile,
			activities.RunInput{RunID: e.in.RunID}).Get(work, &result)
		halt, err := fault(err)
		if err != nil {
			return e.ended(err), false
		}
		if halt == nil && result.Halt == nil && result.Totals.Unsettled == 0 {
			e.state.Reconciling = false
			return ending{}, true
		}
		if e.longHistory(work) {
			return ending{again: true}, false
		}
		if halt == nil {
			halt = result.Halt
		}
		if halt == nil {
			halt = &activities.Halt{Kind: activities.HaltWait, Wait: backoff(try),
				Reason: reason.Text("verdicts of earlier runs on the same brand are still to come: " + reason.Count(result.Totals.Unsettled, "call", "calls"))}
		}
		if end, ok := e.wait(work, halt); !ok {
			return end, false
		}
	}
}

func (e *exporter) collect(_, work workflow.Context) (ending, bool) {
	if e.state.Report.Phase != run.PhaseCollect {
		return ending{}, true
	}
	r := e.state.Report
	for e.state.Segment < len(r.Segments) {
		s := &r.Segments[e.state.Segment]
		var result activities.CollectResult
		err := workflow.ExecuteActivity(long(work, "read "+s.Segment), acts.Collect,
			activities.CollectInput{RunID: e.in.RunID, Segment: e.state.Segment}).Get(work, &result)
		halt, err := fault(err)
		if err != nil {
			return e.ended(err), false
		}
		if halt != nil { // it says nothing of how far it came
			result = activities.CollectResult{Read: s.Read, Invalid: s.Invalid, Halt: halt}
		}
		r.Read += result.Read - s.Read
		r.Invalid += result.Invalid - s.Invalid
		s.Read, s.Invalid = result.Read, result.Invalid
		e.show(work)
		if result.Halt != nil {
			if end, ok := e.wait(work, result.Halt); !ok {
				return end, false
			}
			if e.longHistory(work) { // it may wait for days
				return ending{again: true}, false
			}
			continue
		}
		if result.Done {
			for _, reason := range workflow.DeterministicKeys(result.Reasons) {
				r.Reasons[reason] += result.Reasons[reason]
			}
			merge(&r.LeftOut, result.LeftOut)
			merge(&r.Corrected, result.Corrected)
			r.InvalidOptOuts += result.OptOuts
			r.Notes = append(r.Notes, result.Notes...)
			e.state.Segment++
		}
		if end, ok := e.pause(work); !ok {
			return end, false
		}
	}
	e.enter(work, run.PhaseDecide)
	return ending{}, true
}

// merge adds counts to those of a report.
func merge(counts *map[string]int, more map[string]int) {
	for _, name := range workflow.DeterministicKeys(more) {
		if *counts == nil {
			*counts = map[string]int{}
		}
		(*counts)[name] += more[name]
	}
}

func (e *exporter) decide(_, work workflow.Context) (ending, bool) {
	if e.state.Report.Phase != run.PhaseDecide || e.state.Report.Contacts > 0 || e.state.Delivery.Batches != nil {
		return ending{}, true
	}
	for {
		var result activities.DecideResult
		err := workflow.ExecuteActivity(long(work, "compare with the ledger"), acts.Decide,
			activities.RunInput{RunID: e.in.RunID}).Get(work, &result)
		halt, err := fault(err)
		if err != nil {
			return e.ended(err), false
		}
		if halt != nil {
			if end, ok := e.wait(work, halt); !ok {
				return end, false
			}
			continue
		}
		if result.Done {
			result.Report.Status, result.Report.Phase, result.Report.Phases = e.state.Report.Status, run.PhaseDecide, e.state.Report.Phases
			e.state.Report = result.Report
			e.state.Delivery.Batches, e.state.Delivery.Begun = []int{result.Uploads}, []int{0}
			e.state.Delivery.LeaverBatches = result.Leavers
			e.show(work)
			return ending{}, true
		}
		if end, ok := e.pause(work); !ok {
			return end, false
		}
	}
}

// finish books verdicts, counts, stores the report and cleans up. It runs also
// for a run that was canceled.
func (e *exporter) finish(ctx workflow.Context, end ending) (*run.Report, error) {
	r := e.state.Report
	if e.state.Delivery.mayBeOpen() {
		e.collectVerdicts(ctx)
	}
	e.leave(ctx)
	r.Phase, r.Status, r.Reason, r.Action = run.PhaseFinish, end.status, "", ""
	if end.halt != nil {
		r.Reason, r.Action = end.halt.Reason, end.halt.Action
	}
	if end.status == run.Expired {
		r.Reason = "it was not finished within 6 days"
	}
	e.show(ctx)
	final, err := e.finalReport(ctx)
	if err != nil {
		return nil, err
	}
	e.state.Report = final
	e.show(ctx)
	if err := workflow.UpsertTypedSearchAttributes(ctx, scheduling.StatusAttribute.ValueSet(string(final.Status))); err != nil {
		return nil, err
	}
	switch final.Status {
	case run.Failed, run.Expired:
		return nil, temporal.NewNonRetryableApplicationError(string(final.Status)+": "+string(final.Reason), "RunFailed", nil, *final)
	case run.Canceled:
		return nil, temporal.NewCanceledError(*final)
	}
	return final, nil
}

// continueAsNew hands the state on. Nothing is in flight by then.
func (e *exporter) continueAsNew(ctx workflow.Context) error {
	next := e.in
	next.State = e.state
	return workflow.NewContinueAsNewError(ctx, SegmentExport, next)
}

// long history makes the run continue as new.
func (e *exporter) longHistory(ctx workflow.Context) bool {
	info := workflow.GetInfo(ctx)
	return info.GetCurrentHistoryLength() >= e.in.MaxEvents || info.GetContinueAsNewSuggested()
}

// backoff is the wait before the nth repetition: 2 s doubling to a minute.
func backoff(n int) time.Duration {
	return min(time.Minute, 2*time.Second<<min(n, 5))
}
