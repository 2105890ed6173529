package scheduling

import (
	"context"

	"github.com/segment-export/segment-export/internal/protocol"
)

// ScheduleAnswer shows when an export runs by itself.
func (a *Scheduler) ScheduleAnswer(ctx context.Context, export string) (*protocol.ScheduleAnswer, error) {
	answer := &protocol.ScheduleAnswer{Export: export, Mode: protocol.ModeRefresh}
	var err error
	if answer.Starts, err = a.Starts(ctx, export); err != nil {
		return nil, err
	}
	s, _, err := a.ExportSchedule(ctx, export)
	if err != nil {
		return nil, err
	}
	if s != nil {
		answer.Mode, answer.Calendar, answer.Zone = protocol.ModeSchedule, &s.Calendar, s.Calendar.Zone
		if s.Off {
			answer.Mode = protocol.ModeOff
			return answer, nil
		}
		answer.Next, err = a.NextStarts(ctx, OfExport+export, s.Calendar)
		return answer, err
	}
	r, _, err := a.Refresh(ctx)
	if err != nil || !r.On || r.Calendar == nil {
		return answer, err
	}
	answer.Zone = r.Calendar.Zone
	answer.Next, err = a.NextStarts(ctx, SystemRefresh, *r.Calendar)
	return answer, err
}

// Starts says when an export runs by itself, for people.
func (a *Scheduler) Starts(ctx context.Context, export string) (string, error) {
	s, _, err := a.ExportSchedule(ctx, export)
	if err != nil {
		return "", err
	}
	if s != nil && s.Off {
		return "Off (saved: " + s.Calendar.String() + ")", nil
	}
	if s != nil {
		return s.Calendar.String(), nil
	}
	r, _, err := a.Refresh(ctx)
	if err != nil {
		return "", err
	}
	if !r.On {
		return "On demand only: it has no schedule, and the system refresh is off", nil
	}
	return "with the system refresh, " + r.String(), nil
}

// ScheduleInShort names an export's schedule as Customer Insights does in its list.
func (a *Scheduler) ScheduleInShort(ctx context.Context, export string) (string, error) {
	s, _, err := a.ExportSchedule(ctx, export)
	if err != nil {
		return "", err
	}
	if s != nil {
		return onOrOff(s.Calendar.String(), !s.Off), nil
	}
	r, _, err := a.Refresh(ctx)
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
