package activities

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// scheduleHandlers are the commands about the schedules of exports.
var scheduleHandlers = map[string]handler{
	protocol.ScheduleSet:    with((*Activities).scheduleSet),
	protocol.ScheduleOn:     with((*Activities).scheduleOn),
	protocol.ScheduleOff:    with((*Activities).scheduleOff),
	protocol.ScheduleFollow: with((*Activities).scheduleFollow),
	protocol.ScheduleShow:   with((*Activities).scheduleShow),
	protocol.RunAll:         with((*Activities).runAll),
}

// scheduleSet gives an export a schedule of its own, which is on then.
func (a *Activities) scheduleSet(ctx context.Context, c caller, args protocol.ScheduleSetArgs) (any, error) {
	if args.Calendar.Interval != 0 {
		return nil, refuse(protocol.ErrUsage, "an interval is not for exports; give --every with --at, or --cron")
	}
	return a.changeSchedule(ctx, c, args.Export, func(s *catalogue.Schedule) error {
		s.Calendar, s.Off = args.Calendar, false
		return nil
	})
}

func (a *Activities) scheduleOn(ctx context.Context, c caller, args protocol.ScheduleRef) (any, error) {
	return a.switchSchedule(ctx, c, args.Export, false)
}

func (a *Activities) scheduleOff(ctx context.Context, c caller, args protocol.ScheduleRef) (any, error) {
	return a.switchSchedule(ctx, c, args.Export, true)
}

func (a *Activities) switchSchedule(ctx context.Context, c caller, export string, off bool) (any, error) {
	return a.changeSchedule(ctx, c, export, func(s *catalogue.Schedule) error {
		if s.Version == 0 {
			return refuse(protocol.ErrConflict, "the export %q has no schedule of its own; give it one: starter schedule set %q --every day --at 06:00 --tz Europe/Warsaw", export, export)
		}
		s.Off = off
		return nil
	})
}

// changeSchedule stores a changed schedule, or a first one, and makes Temporal's
// the same.
func (a *Activities) changeSchedule(ctx context.Context, c caller, export string, change func(*catalogue.Schedule) error) (any, error) {
	if _, _, err := get[catalogue.Export](ctx, a, catalogue.KindExport, export); err != nil {
		return nil, err
	}
	now, err := a.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	there, o, err := a.exportSchedule(ctx, export)
	if err != nil {
		return nil, err
	}
	s := catalogue.Schedule{}
	if there != nil {
		s = *there
	}
	if err := change(&s); err != nil {
		return nil, err
	}
	if err := s.Check(now); err != nil {
		return nil, err
	}
	if there != nil {
		err = a.replace(ctx, c, o, &s, nil)
	} else {
		// Not the command's own time: only what comes after is due.
		s.Meta = catalogue.Meta{Name: export, Version: 1, CreatedBy: c.Name, CreatedAt: now, UpdatedBy: c.Name, UpdatedAt: now}
		err = a.create(ctx, c, &s, nil)
	}
	if err != nil {
		return nil, err
	}
	w, err := wanted(ofExport+export, s.Calendar, s.Off, now)
	if err != nil {
		return nil, err
	}
	if err := a.applySchedule(ctx, w); err != nil {
		return nil, err
	}
	return a.scheduleAnswer(ctx, export)
}

// scheduleFollow lets an export run with the system refresh.
func (a *Activities) scheduleFollow(ctx context.Context, c caller, args protocol.ScheduleRef) (any, error) {
	if _, _, err := get[catalogue.Export](ctx, a, catalogue.KindExport, args.Export); err != nil {
		return nil, err
	}
	s, _, err := a.exportSchedule(ctx, args.Export)
	if err != nil {
		return nil, err
	}
	if s != nil {
		if err := a.mayHave(ctx, c, s); err != nil {
			return nil, err
		}
	}
	if err := a.removeSchedule(ctx, args.Export, c.request.ID); err != nil {
		return nil, err
	}
	return a.scheduleAnswer(ctx, args.Export)
}

// removeSchedule removes an export's schedule, if it has one of its own, for a
// command that was allowed to.
func (a *Activities) removeSchedule(ctx context.Context, export, forCommand string) error {
	for kind, name := range map[string]string{string(catalogue.KindSchedule): export, kindTick: ofExport + export} {
		err := a.Store.DeleteObject(ctx, kind, name, forCommand)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return a.dropSchedule(ctx, ofExport+export)
}

func (a *Activities) scheduleShow(ctx context.Context, _ caller, args protocol.ScheduleShowArgs) (any, error) {
	if args.Export != "" {
		if _, _, err := get[catalogue.Export](ctx, a, catalogue.KindExport, args.Export); err != nil {
			return nil, err
		}
		answer, err := a.scheduleAnswer(ctx, args.Export)
		return []*protocol.ScheduleAnswer{answer}, err
	}
	exports, err := list[catalogue.Export](ctx, a, catalogue.KindExport)
	if err != nil {
		return nil, err
	}
	answers := make([]*protocol.ScheduleAnswer, 0, len(exports))
	for _, e := range exports {
		answer, err := a.scheduleAnswer(ctx, e.Name)
		if err != nil {
			return nil, err
		}
		answers = append(answers, answer)
	}
	return answers, nil
}

// scheduleAnswer shows when an export runs by itself.
func (a *Activities) scheduleAnswer(ctx context.Context, export string) (*protocol.ScheduleAnswer, error) {
	answer := &protocol.ScheduleAnswer{Export: export, Mode: protocol.ModeRefresh}
	var err error
	if answer.Starts, err = a.starts(ctx, export); err != nil {
		return nil, err
	}
	s, _, err := a.exportSchedule(ctx, export)
	if err != nil {
		return nil, err
	}
	if s != nil {
		answer.Mode, answer.Calendar, answer.Zone = protocol.ModeSchedule, &s.Calendar, s.Calendar.Zone
		if s.Off {
			answer.Mode = protocol.ModeOff
			return answer, nil
		}
		answer.Next, err = a.nextStarts(ctx, ofExport+export, s.Calendar)
		return answer, err
	}
	r, _, err := a.refresh(ctx)
	if err != nil || !r.On || r.Calendar == nil {
		return answer, err
	}
	answer.Zone = r.Calendar.Zone
	answer.Next, err = a.nextStarts(ctx, systemRefresh, *r.Calendar)
	return answer, err
}

// starts says when an export runs by itself, for people.
func (a *Activities) starts(ctx context.Context, export string) (string, error) {
	s, _, err := a.exportSchedule(ctx, export)
	if err != nil {
		return "", err
	}
	if s != nil && s.Off {
		return "Off (saved: " + s.Calendar.String() + ")", nil
	}
	if s != nil {
		return s.Calendar.String(), nil
	}
	r, _, err := a.refresh(ctx)
	if err != nil {
		return "", err
	}
	if !r.On {
		return "On demand only: it has no schedule, and the system refresh is off", nil
	}
	return "with the system refresh, " + r.String(), nil
}

// scheduleInShort names an export's schedule as Customer Insights does in its list.
func (a *Activities) scheduleInShort(ctx context.Context, export string) (string, error) {
	s, _, err := a.exportSchedule(ctx, export)
	if err != nil {
		return "", err
	}
	if s != nil {
		return onOrOff(s.Calendar.String(), !s.Off), nil
	}
	r, _, err := a.refresh(ctx)
	if err != nil {
		return "", err
	}
	return onOrOff("System refresh", r.On), nil
}

func onOrOff(name string, on bool) string {
	if on {
		return name
	}
	return name + " (off)"
}

// runAll begins a run of every export that also runs by itself.
func (a *Activities) runAll(ctx context.Context, c caller, args protocol.RunAllArgs) (any, error) {
	exports, err := a.scheduledExports(ctx)
	if err != nil {
		return nil, err
	}
	r, _, err := a.refresh(ctx)
	if err != nil {
		return nil, err
	}
	names := exports.own
	if r.On {
		names = append(names, exports.refreshed...)
	}
	if len(names) == 0 {
		return nil, refuse(protocol.ErrConflict, "no export has an active schedule: the system refresh is off, and no export has a schedule of its own that is on; run one with: starter run EXPORT")
	}
	slices.Sort(names)
	if err := a.ReapTerminated(ctx); err != nil {
		return nil, err
	}
	answer := protocol.RunAllAnswer{Exports: []protocol.RunAllStart{}}
	for _, name := range names {
		start, err := a.runOneOfAll(ctx, c, name, args)
		if err != nil {
			return nil, err
		}
		answer.Exports = append(answer.Exports, start)
	}
	return answer, nil
}

// runOneOfAll begins one; what stands in its way does not stand in the others'.
func (a *Activities) runOneOfAll(ctx context.Context, c caller, name string, args protocol.RunAllArgs) (protocol.RunAllStart, error) {
	start := protocol.RunAllStart{Export: name}
	e, _, err := get[catalogue.Export](ctx, a, catalogue.KindExport, name)
	if err == nil {
		err = a.mayHave(ctx, c, &e)
	}
	if err == nil {
		id := uuid.NewSHA1(uuid.NameSpaceURL, []byte("run/"+c.request.ID+"/"+name)).String()
		var begun any
		begun, err = a.beginRun(ctx, id, name, run.Request{Actor: c.Name, Yes: args.Yes, Full: args.Full}, false)
		if started, ok := begun.(protocol.RunStarted); ok {
			start.Run = &started
		}
	}
	if r, refused := errors.AsType[*refusal](err); refused {
		start.Class, start.Reason = r.class, r.message
		return start, nil
	}
	return start, err
}
