package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// runHandlers are the commands about plans and runs.
var runHandlers = map[string]handler{
	protocol.Plan:        with((*Activities).plan),
	protocol.Samples:     with((*Activities).planSamples),
	protocol.Run:         with((*Activities).run),
	protocol.RunsList:    with((*Activities).runsList),
	protocol.RunsShow:    with((*Activities).runsShow),
	protocol.RunsPause:   with((*Activities).runsPause),
	protocol.RunsResume:  with((*Activities).runsResume),
	protocol.RunsApprove: with((*Activities).runsApprove),
	protocol.RunsCancel:  with((*Activities).runsCancel),
	protocol.RunsAbandon: with((*Activities).runsAbandon),
	protocol.RunsRejects: with((*Activities).runsRejects),
	protocol.RunsRetry:   with((*Activities).runsRetry),
}

// The search attributes that every namespace needs.
var (
	ExportNameAttribute = temporal.NewSearchAttributeKeyKeyword(protocol.ExportNameAttribute)
	ConnectionAttribute = temporal.NewSearchAttributeKeyKeyword(protocol.ConnectionAttribute)
	StatusAttribute     = temporal.NewSearchAttributeKeyKeyword(protocol.StatusAttribute)
)

// exportInput is how a run's workflow is begun: workflows.ExportInput has more
// fields, which the workflow itself fills in.
type exportInput struct {
	RunID     string `json:"run_id"`
	Ticket    []byte `json:"ticket"`
	MaxEvents int    `json:"max_events,omitempty"`
}

func (a *Activities) run(ctx context.Context, c caller, args protocol.RunArgs) (any, error) {
	request := run.Request{Actor: c.Name, Yes: args.Yes, Full: args.Full, Adopt: args.Adopt, Limit: args.Limit}
	switch {
	case args.Limit < 0:
		return nil, refuse(protocol.ErrUsage, "--limit %d is not at least 1", args.Limit)
	case args.Adopt && (args.Full || args.Only || args.Limit > 0):
		return nil, refuse(protocol.ErrUsage, "--adopt sends nothing, and cannot be had together with --full, --limit or --only-email")
	}
	if args.Only {
		email, err := a.sealedAddress(c)
		if err != nil {
			return nil, err
		}
		if request.Only, err = a.Keyring.Seal([]byte(email), onlyContext(runID(c))); err != nil {
			return nil, err
		}
	}
	if args.Adopt {
		if err := a.checkAdopt(ctx, args.Export); err != nil {
			return nil, err
		}
	}
	return a.begin(ctx, c, args.Export, request, false)
}

// checkAdopt refuses to take an audience over into a ledger that knows contacts.
func (a *Activities) checkAdopt(ctx context.Context, export string) error {
	counts, err := a.ledgerCounts(ctx, export)
	if err == nil && counts.Contacts > 0 {
		err = refuse(protocol.ErrConflict, "the ledger of %q holds %d contacts already; an audience is taken over by an export that has not run, or after: starter export edit %q --reset-ledger",
			export, counts.Contacts, export)
	}
	return err
}

func (a *Activities) plan(ctx context.Context, c caller, args protocol.RunArgs) (any, error) {
	return a.begin(ctx, c, args.Export, run.Request{Actor: c.Name, Full: args.Full}, true)
}

// runsRetry runs an export again and sends those contacts too that were turned
// down with the data that they still have.
func (a *Activities) runsRetry(ctx context.Context, c caller, args protocol.RunRef) (any, error) {
	r, err := a.findRun(ctx, args.Run)
	if err != nil {
		return nil, err
	}
	// As the export is now, which is not asked about with the run.
	e, _, err := get[catalogue.Export](ctx, a, catalogue.KindExport, r.Export)
	if err != nil {
		return nil, err
	}
	if err := a.mayHave(ctx, c, &e); err != nil {
		return nil, err
	}
	return a.begin(ctx, c, r.Export, run.Request{Actor: c.Name, Retry: true}, false)
}

// runID is the id of the run that a command begins: a repeated attempt begins
// no second one.
func runID(c caller) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("run/"+c.request.ID)).String()
}

// begin allows a run, puts it on record, and starts its workflow.
func (a *Activities) begin(ctx context.Context, c caller, export string, request run.Request, plan bool) (any, error) {
	if err := a.ReapTerminated(ctx); err != nil {
		return nil, err
	}
	return a.beginRun(ctx, runID(c), export, request, plan)
}

// beginRun is what a run needs that begins at somebody's command or by itself.
// Done twice with one id it is done once.
func (a *Activities) beginRun(ctx context.Context, id, export string, request run.Request, plan bool) (any, error) {
	e, _, err := get[catalogue.Export](ctx, a, catalogue.KindExport, export)
	if err != nil {
		return nil, err
	}
	if e.Connection == "" {
		return nil, refuse(protocol.ErrConflict, "the export %q has no connection and is inactive; give it one: starter export attach %q --connection NAME", e.Name, e.Name)
	}
	conn, _, err := get[catalogue.Connection](ctx, a, catalogue.KindConnection, e.Connection)
	if err != nil {
		return nil, err
	}
	open, err := a.openRun(ctx, e.Name, plan)
	if err != nil {
		return nil, err
	}
	if open != nil && open.ID != id {
		return nil, refuseSecond(e.Name, *open)
	}
	now, err := a.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	report := run.Report{Export: e.Name, RunID: id, Source: e.Source, Plan: plan, Status: run.Queued, Phase: run.PhasePreflight,
		Trigger: request.Trigger, Segments: []run.SegmentCount{}, Reasons: map[string]int{}, StartedAt: now}
	err = a.Store.CreateRun(ctx, store.Run{ID: id, Export: e.Name, Connection: conn.Name, Brand: conn.BrandID, Plan: plan,
		Status: string(run.Queued), Report: encode(report), Request: encode(request)})
	if err != nil && !errors.Is(err, store.ErrExists) {
		return nil, err
	}
	return a.startWorkflow(ctx, e, id, plan)
}

// refuseSecond refuses to run an export that has an open run, and says what that
// run waits for.
func refuseSecond(export string, open store.Run) error {
	answer, err := runAnswer(open)
	switch {
	case err != nil:
		return err
	case answer.Status == run.Parked:
		return refuse(protocol.ErrConflict, "run %s of the export %q is parked: %s\nTo do: %s", open.ID, export, answer.Reason,
			cmp.Or(answer.Action, "starter runs show "+open.ID))
	case answer.Status == run.Paused:
		return refuse(protocol.ErrConflict, "run %s of the export %q is paused; resume it: starter runs resume %s", open.ID, export, open.ID)
	}
	return refuse(protocol.ErrConflict, "the export %q is already running (run %s, %s); watch it: starter runs watch %s", export, open.ID, answer.Status, open.ID)
}

func (a *Activities) startWorkflow(ctx context.Context, e catalogue.Export, id string, plan bool) (any, error) {
	what, workflow := "Export", protocol.WorkflowID(e.Name, plan)
	if plan {
		what = "Plan of"
	}
	ticket, err := a.ticket(runTicket(id, e.Name, plan)...)
	if err != nil {
		return nil, err
	}
	options := client.StartWorkflowOptions{
		ID:                                       workflow,
		TaskQueue:                                protocol.TaskQueue,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		Memo:                                     map[string]any{runIDMemo: id},
		StaticSummary:                            fmt.Sprintf("%s %s over %s", what, e.Name, e.Connection),
		TypedSearchAttributes: temporal.NewSearchAttributes(ExportNameAttribute.ValueSet(e.Name),
			ConnectionAttribute.ValueSet(e.Connection), StatusAttribute.ValueSet(string(run.Running))),
	}
	err = a.startExport(ctx, options, exportInput{RunID: id, Ticket: ticket, MaxEvents: a.Tuning.MaxEvents})
	if alreadyStarted(err) {
		r, err := a.Store.Run(ctx, id)
		if err != nil {
			return nil, err
		}
		if !r.Started {
			// Another run was begun at the same moment, or by hand in Temporal.
			report := run.Report{Export: e.Name, RunID: id, Source: e.Source, Plan: plan, Status: run.Skipped, Phase: run.PhaseEnded, Reason: "another run was begun at the same moment"}
			if err := a.Store.SaveRun(ctx, id, string(run.Skipped), encode(report), true); err != nil {
				return nil, err
			}
			return nil, refuse(protocol.ErrConflict, "the export %q is already running; watch it: starter runs watch %q", e.Name, e.Name)
		}
	} else if err != nil {
		return nil, err
	}
	return protocol.RunStarted{RunID: id, WorkflowID: workflow}, nil
}

// openRun returns the export's run (or plan) that has not ended; nil when none.
func (a *Activities) openRun(ctx context.Context, export string, plan bool) (*store.Run, error) {
	// By status: many starts may have been skipped while one run went on.
	for _, status := range []run.Status{run.Running, run.Queued, run.Parked, run.Paused} {
		runs, err := a.Store.ListRuns(ctx, store.RunFilter{Export: export, Status: string(status), Plans: plan})
		if err != nil {
			return nil, err
		}
		for i := range runs {
			if runs[i].Plan == plan && runs[i].EndedAt.IsZero() {
				return &runs[i], nil
			}
		}
	}
	return nil, nil
}

func runAnswer(r store.Run) (*protocol.RunAnswer, error) {
	report, err := decode[run.Report](r.Report)
	if err != nil {
		return nil, err
	}
	request, err := decode[run.Request](r.Request)
	if err != nil {
		return nil, err
	}
	control, err := decode[run.Control](r.Control)
	if err != nil {
		return nil, err
	}
	report.Trigger = cmp.Or(request.Trigger, run.OnDemand)
	report.Actor = request.Actor // which the report has not on its way through Temporal
	report.Export, report.RunID, report.Plan, report.Status = r.Export, r.ID, r.Plan, run.Status(r.Status)
	if r.EndedAt.IsZero() && control.Canceled {
		report.Status = run.Canceling
	}
	if !r.EndedAt.IsZero() {
		report.EndedAt = &r.EndedAt
	}
	return &protocol.RunAnswer{Report: report, WorkflowID: protocol.WorkflowID(r.Export, r.Plan), CreatedAt: r.CreatedAt}, nil
}

// findRun finds the run that a command means: by id, by the beginning of one,
// or the newest of an export; with nothing said, the newest of all.
func (a *Activities) findRun(ctx context.Context, ref string) (store.Run, error) {
	if r, err := a.Store.Run(ctx, ref); err == nil || !errors.Is(err, store.ErrNotFound) {
		return r, err
	}
	if ref != "" {
		// Before newer ones that were skipped because of it.
		if open, err := a.openRun(ctx, ref, false); open != nil || err != nil {
			return deref(open), err
		}
	}
	runs, err := a.Store.ListRuns(ctx, store.RunFilter{Export: ref, Limit: 1})
	if err != nil {
		return store.Run{}, err
	}
	if len(runs) > 0 {
		return runs[0], nil
	}
	if ref == "" {
		return store.Run{}, refuse(protocol.ErrNotFound, "there is no run yet; start one with: starter run EXPORT")
	}
	if _, err := a.Store.Object(ctx, string(catalogue.KindExport), ref); err == nil {
		return store.Run{}, refuse(protocol.ErrNotFound, "the export %q has not run yet; start it: starter run %q", ref, ref)
	}
	const recent, shortest = 1000, 4
	if runs, err = a.Store.ListRuns(ctx, store.RunFilter{Plans: true, Limit: recent}); err != nil {
		return store.Run{}, err
	}
	var found []store.Run
	for _, r := range runs {
		if len(ref) >= shortest && strings.HasPrefix(r.ID, ref) {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		return store.Run{}, refuse(protocol.ErrNotFound, "no export is called %q, and %s; see: starter runs list", ref, matching(len(found)))
	}
	return found[0], nil
}

// matching says how many runs have an id that begins as was asked for.
func matching(n int) string {
	if n == 0 {
		return "no run has an id that begins with it"
	}
	return fmt.Sprintf("%d runs have an id that begins with it", n)
}

// deref is a run that may not be there; the zero Run then.
func deref(r *store.Run) store.Run {
	if r == nil {
		return store.Run{}
	}
	return *r
}

func (a *Activities) runsPause(ctx context.Context, _ caller, args protocol.RunRef) (any, error) {
	return a.steer(ctx, args.Run, func(r store.Run, c *run.Control) error {
		if run.Status(r.Status) == run.Parked {
			return refuse(protocol.ErrConflict, "run %s is parked and does nothing already", r.ID)
		}
		c.Paused = true
		return nil
	})
}

func (a *Activities) runsResume(ctx context.Context, c caller, args protocol.RunRef) (any, error) {
	return a.steer(ctx, args.Run, func(r store.Run, control *run.Control) error {
		report, err := decode[run.Report](r.Report)
		if err != nil {
			return err
		}
		if s := run.Status(r.Status); s == run.Running && !control.Paused || s == run.Queued {
			return refuse(protocol.ErrConflict, "run %s is %s: there is nothing to resume", r.ID, r.Status)
		}
		if run.Status(r.Status) == run.Parked && len(report.Guards) > 0 && report.Phase == run.PhaseDecide {
			return refuse(protocol.ErrConflict, "run %s waits for an answer, not for resume: %s", r.ID, report.Action)
		}
		control.Paused = false
		control.Resumes++
		return nil
	})
}

func (a *Activities) runsApprove(ctx context.Context, c caller, args protocol.RunsApproveArgs) (any, error) {
	var asked *run.GuardResult
	answer, err := a.steer(ctx, args.Run, func(r store.Run, control *run.Control) error {
		report, err := decode[run.Report](r.Report)
		if err != nil {
			return err
		}
		var names []string
		for i, g := range report.Guards {
			names = append(names, string(g.Guard))
			if g.Guard == args.Guard {
				asked = &report.Guards[i]
			}
		}
		if asked == nil || run.Status(r.Status) != run.Parked {
			return refuse(protocol.ErrConflict, "run %s is %s and no guard %q asks%s", r.ID, r.Status, args.Guard, asking(names))
		}
		if control.Approved == nil {
			control.Approved = map[catalogue.Guard]string{}
		}
		control.Approved[args.Guard] = c.Name
		return nil
	})
	if err != nil || !args.Remember {
		return answer, err
	}
	return answer, a.rememberGuard(ctx, c, answer.Export, *asked)
}

func asking(guards []string) string {
	if len(guards) == 0 {
		return ""
	}
	return "; it asks: " + strings.Join(guards, ", ")
}

// rememberGuard raises an export's threshold to what was approved.
func (a *Activities) rememberGuard(ctx context.Context, c caller, export string, g run.GuardResult) error {
	e, o, err := get[catalogue.Export](ctx, a, catalogue.KindExport, export)
	if err != nil {
		return err
	}
	if e.Guards == nil {
		e.Guards = map[catalogue.Guard]catalogue.Threshold{}
	}
	e.Guards[g.Guard] = catalogue.Threshold(g.Value)
	return a.replace(ctx, c, o, &e, nil)
}

// steer puts an operator's decision on record and tells the run to look.
func (a *Activities) steer(ctx context.Context, ref string, change func(store.Run, *run.Control) error) (*protocol.RunAnswer, error) {
	r, err := a.findRun(ctx, ref)
	if err != nil {
		return nil, err
	}
	if !r.EndedAt.IsZero() {
		return nil, refuse(protocol.ErrConflict, "run %s of %q has ended (%s)", r.ID, r.Export, r.Status)
	}
	if err := a.controlRun(ctx, r.ID, func(control *run.Control) error { return change(r, control) }); err != nil {
		return nil, err
	}
	answer, err := runAnswer(r)
	if err != nil {
		return nil, err
	}
	return answer, a.Temporal.SignalWorkflow(ctx, answer.WorkflowID, "", protocol.ControlSignal, nil)
}

func (a *Activities) runsCancel(ctx context.Context, _ caller, args protocol.RunRef) (any, error) {
	r, err := a.findRun(ctx, args.Run)
	if err != nil {
		return nil, err
	}
	answer, err := runAnswer(r)
	if err != nil {
		return nil, err
	}
	if !r.EndedAt.IsZero() {
		// Temporal may work on it all the same: its workflow can be reset there.
		open, err := a.isOpen(ctx, r)
		if err == nil && !open {
			err = refuse(protocol.ErrConflict, "run %s of %q has ended (%s)", r.ID, r.Export, r.Status)
		}
		if err != nil {
			return nil, err
		}
	}
	err = a.controlRun(ctx, r.ID, func(control *run.Control) error { control.Canceled = true; return nil })
	if err != nil {
		return nil, err
	}
	answer.Status = run.Canceling
	return answer, a.Temporal.CancelWorkflow(ctx, answer.WorkflowID, "")
}
