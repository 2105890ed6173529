package admin

import (
	"context"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/scheduling"
)

// scheduleHandlers are the commands about the schedules of exports.
func (a *Commands) scheduleHandlers() map[string]command.Handler {
	return map[string]command.Handler{
		protocol.ScheduleSet:    command.With(a.scheduleSet),
		protocol.ScheduleOn:     command.With(a.scheduleOn),
		protocol.ScheduleOff:    command.With(a.scheduleOff),
		protocol.ScheduleFollow: command.With(a.scheduleFollow),
		protocol.ScheduleShow:   command.With(a.scheduleShow),
	}
}

// scheduleSet gives an export a schedule of its own, which is on then.
func (a *Commands) scheduleSet(ctx context.Context, c command.Caller, args protocol.ScheduleSetArgs) (any, error) {
	if args.Calendar.Interval != 0 {
		return nil, protocol.Refuse(protocol.ErrUsage, "an interval is not for exports; give --every with --at, or --cron")
	}
	return a.changeSchedule(ctx, c, args.Export, func(s *catalogue.Schedule) error {
		s.Calendar, s.Off = args.Calendar, false
		return nil
	})
}

func (a *Commands) scheduleOn(ctx context.Context, c command.Caller, args protocol.ScheduleRef) (any, error) {
	return a.switchSchedule(ctx, c, args.Export, false)
}

func (a *Commands) scheduleOff(ctx context.Context, c command.Caller, args protocol.ScheduleRef) (any, error) {
	return a.switchSchedule(ctx, c, args.Export, true)
}

func (a *Commands) switchSchedule(ctx context.Context, c command.Caller, export string, off bool) (any, error) {
	return a.changeSchedule(ctx, c, export, func(s *catalogue.Schedule) error {
		if s.Version == 0 {
			return protocol.Refuse(protocol.ErrConflict, "the export %q has no schedule of its own; give it one: starter schedule set %q --every day --at 06:00 --tz Europe/Warsaw", export, export)
		}
		s.Off = off
		return nil
	})
}

// changeSchedule stores a changed schedule, or a first one, and makes Temporal's
// the same.
func (a *Commands) changeSchedule(ctx context.Context, c command.Caller, export string, change func(*catalogue.Schedule) error) (any, error) {
	if _, _, err := record.Find[catalogue.Export](ctx, a.Store, catalogue.KindExport, export); err != nil {
		return nil, err
	}
	now, err := a.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	there, o, err := a.ExportSchedule(ctx, export)
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
		err = a.Replace(ctx, c, o, &s, nil)
	} else {
		// Not the command's own time: only what comes after is due.
		s.Meta = catalogue.Meta{Name: export, Version: 1, CreatedBy: c.Name, CreatedAt: now, UpdatedBy: c.Name, UpdatedAt: now}
		err = a.Create(ctx, c, &s, nil)
	}
	if err != nil {
		return nil, err
	}
	w, err := scheduling.Wanted(scheduling.OfExport+export, s.Calendar, s.Off, now)
	if err != nil {
		return nil, err
	}
	if err := a.ApplySchedule(ctx, w); err != nil {
		return nil, err
	}
	return a.ScheduleAnswer(ctx, export)
}

// scheduleFollow lets an export run with the system refresh.
func (a *Commands) scheduleFollow(ctx context.Context, c command.Caller, args protocol.ScheduleRef) (any, error) {
	if _, _, err := record.Find[catalogue.Export](ctx, a.Store, catalogue.KindExport, args.Export); err != nil {
		return nil, err
	}
	s, _, err := a.ExportSchedule(ctx, args.Export)
	if err != nil {
		return nil, err
	}
	if s != nil {
		if err := a.MayHave(ctx, c, s); err != nil {
			return nil, err
		}
	}
	if err := a.RemoveSchedule(ctx, args.Export, c.Request.ID); err != nil {
		return nil, err
	}
	return a.ScheduleAnswer(ctx, args.Export)
}

func (a *Commands) scheduleShow(ctx context.Context, _ command.Caller, args protocol.ScheduleShowArgs) (any, error) {
	if args.Export != "" {
		if _, _, err := record.Find[catalogue.Export](ctx, a.Store, catalogue.KindExport, args.Export); err != nil {
			return nil, err
		}
		answer, err := a.ScheduleAnswer(ctx, args.Export)
		return []*protocol.ScheduleAnswer{answer}, err
	}
	exports, err := record.List[catalogue.Export](ctx, a.Store, catalogue.KindExport)
	if err != nil {
		return nil, err
	}
	answers := make([]*protocol.ScheduleAnswer, 0, len(exports))
	for _, e := range exports {
		show := a.ScheduleAnswer
		if args.Stored {
			show = a.StoredSchedule
		}
		answer, err := show(ctx, e.Name)
		if err != nil {
			return nil, err
		}
		answers = append(answers, answer)
	}
	return answers, nil
}
