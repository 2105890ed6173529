package operate

import (
	"context"
	"strings"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// runHandlers are the commands about plans and runs.
func (a *Commands) runHandlers() map[string]command.Handler {
	return map[string]command.Handler{
		protocol.Plan:        command.With(a.plan),
		protocol.Samples:     command.With(a.planSamples),
		protocol.Run:         command.With(a.run),
		protocol.RunsList:    command.With(a.runsList),
		protocol.RunsShow:    command.With(a.runsShow),
		protocol.RunsPause:   command.With(a.runsPause),
		protocol.RunsResume:  command.With(a.runsResume),
		protocol.RunsApprove: command.With(a.runsApprove),
		protocol.RunsCancel:  command.With(a.runsCancel),
		protocol.RunsAbandon: command.With(a.runsAbandon),
		protocol.RunsRejects: command.With(a.runsRejects),
		protocol.RunsRetry:   command.With(a.runsRetry),
		protocol.RunAll:      command.With(a.runAll),
	}
}

func (a *Commands) run(ctx context.Context, c command.Caller, args protocol.RunArgs) (any, error) {
	request := run.Request{Actor: c.Name, Yes: args.Yes, Full: args.Full, Adopt: args.Adopt, Limit: args.Limit}
	switch {
	case args.Limit < 0:
		return nil, protocol.Refuse(protocol.ErrUsage, "--limit %d must be at least 1", args.Limit)
	case args.Adopt && (args.Full || args.Only || args.Limit > 0):
		return nil, protocol.Refuse(protocol.ErrUsage, "--adopt sends nothing, and cannot be had together with --full, --limit or --only-email")
	}
	if args.Only {
		email, err := a.sealedAddress(c)
		if err != nil {
			return nil, err
		}
		if request.Only, err = a.Keyring.Seal([]byte(email), job.OnlyContext(command.RunID(c))); err != nil {
			return nil, err
		}
	}
	if args.Adopt {
		if err := a.checkAdopt(ctx, args.Export); err != nil {
			return nil, err
		}
	}
	return a.Begin(ctx, c, args.Export, request, false)
}

// checkAdopt refuses to take an audience over into a ledger that knows contacts.
func (a *Commands) checkAdopt(ctx context.Context, export string) error {
	counts, err := a.Ledgers().Counts(ctx, export)
	if err == nil && counts.Contacts > 0 {
		err = protocol.Refuse(protocol.ErrConflict, "the ledger of %q holds %d contacts already; an audience is taken over by an export that has not run, or after: starter export edit %q --reset-ledger",
			export, counts.Contacts, export)
	}
	return err
}

func (a *Commands) plan(ctx context.Context, c command.Caller, args protocol.RunArgs) (any, error) {
	return a.Begin(ctx, c, args.Export, run.Request{Actor: c.Name, Full: args.Full}, true)
}

// runsRetry runs an export again and sends those contacts too that were turned
// down with the data that they still have.
func (a *Commands) runsRetry(ctx context.Context, c command.Caller, args protocol.RunRef) (any, error) {
	r, err := a.RunOf(ctx, c, args.Run)
	if err != nil {
		return nil, err
	}
	// As the export is now, which is not asked about with the run.
	e, _, err := record.Find[catalogue.Export](ctx, a.Store, catalogue.KindExport, r.Export)
	if err != nil {
		return nil, err
	}
	if err := a.MayHave(ctx, c, &e); err != nil {
		return nil, err
	}
	return a.Begin(ctx, c, r.Export, run.Request{Actor: c.Name, Retry: true}, false)
}

func (a *Commands) runsPause(ctx context.Context, c command.Caller, args protocol.RunRef) (any, error) {
	return a.steer(ctx, c, args.Run, func(r store.Run, control *run.Control) error {
		if run.Status(r.Status) == run.Parked {
			return protocol.Refuse(protocol.ErrConflict, "run %s is parked and does nothing already", r.ID)
		}
		control.Paused = true
		return nil
	})
}

func (a *Commands) runsResume(ctx context.Context, c command.Caller, args protocol.RunRef) (any, error) {
	return a.steer(ctx, c, args.Run, func(r store.Run, control *run.Control) error {
		report, err := record.Decode[run.Report](r.Report)
		if err != nil {
			return err
		}
		if s := run.Status(r.Status); s == run.Running && !control.Paused || s == run.Queued {
			return protocol.Refuse(protocol.ErrConflict, "run %s is %s: there is nothing to resume", r.ID, r.Status)
		}
		if run.Status(r.Status) == run.Parked && len(report.Guards) > 0 && report.Phase == run.PhaseDecide {
			return protocol.Refuse(protocol.ErrConflict, "run %s waits for an answer, not for resume: %s", r.ID, report.Action)
		}
		control.Paused = false
		control.Resumes++
		return nil
	})
}

func (a *Commands) runsApprove(ctx context.Context, c command.Caller, args protocol.RunsApproveArgs) (any, error) {
	var asked *run.GuardResult
	answer, err := a.steer(ctx, c, args.Run, func(r store.Run, control *run.Control) error {
		report, err := record.Decode[run.Report](r.Report)
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
			return protocol.Refuse(protocol.ErrConflict, "run %s is %s and no guard %q asks%s", r.ID, r.Status, args.Guard, asking(names))
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
func (a *Commands) rememberGuard(ctx context.Context, c command.Caller, export string, g run.GuardResult) error {
	e, o, err := record.Find[catalogue.Export](ctx, a.Store, catalogue.KindExport, export)
	if err != nil {
		return err
	}
	if e.Guards == nil {
		e.Guards = map[catalogue.Guard]catalogue.Threshold{}
	}
	e.Guards[g.Guard] = catalogue.Threshold(g.Value)
	return a.Replace(ctx, c, o, &e, nil)
}

// steer puts an operator's decision on record and tells the run to look.
func (a *Commands) steer(ctx context.Context, c command.Caller, ref string, change func(store.Run, *run.Control) error) (*protocol.RunAnswer, error) {
	r, err := a.RunOf(ctx, c, ref)
	if err != nil {
		return nil, err
	}
	if !r.EndedAt.IsZero() {
		return nil, protocol.Refuse(protocol.ErrConflict, "run %s of %q has ended (%s)", r.ID, r.Export, r.Status)
	}
	if err := a.ControlRun(ctx, r.ID, func(control *run.Control) error { return change(r, control) }); err != nil {
		return nil, err
	}
	answer, err := job.Answer(r)
	if err != nil {
		return nil, err
	}
	return answer, a.Signal(ctx, r)
}

func (a *Commands) runsCancel(ctx context.Context, c command.Caller, args protocol.RunRef) (any, error) {
	r, err := a.RunOf(ctx, c, args.Run)
	if err != nil {
		return nil, err
	}
	answer, err := job.Answer(r)
	if err != nil {
		return nil, err
	}
	if !r.EndedAt.IsZero() {
		// Temporal may work on it all the same: its workflow can be reset there.
		open, err := a.IsOpen(ctx, r)
		if err == nil && !open {
			err = protocol.Refuse(protocol.ErrConflict, "run %s of %q has ended (%s)", r.ID, r.Export, r.Status)
		}
		if err != nil {
			return nil, err
		}
	}
	err = a.ControlRun(ctx, r.ID, func(control *run.Control) error { control.Canceled = true; return nil })
	if err != nil {
		return nil, err
	}
	answer.Status = run.Canceling
	return answer, a.Cancel(ctx, r)
}
