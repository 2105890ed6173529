package scheduling

import (
	"context"

	"github.com/segment-export/segment-export/internal/protocol"
)

// ScheduleAnswer shows when an export runs automatically, with its next starts.
func (a *Scheduler) ScheduleAnswer(ctx context.Context, export string) (*protocol.ScheduleAnswer, error) {
	answer, err := a.StoredSchedule(ctx, export)
	switch {
	case err != nil || answer.Calendar == nil:
		return answer, err
	case answer.Mode == protocol.ModeSchedule:
		answer.Next, err = a.NextStarts(ctx, OfExport+export, *answer.Calendar)
	case answer.Mode == protocol.ModeRefresh:
		answer.Next, err = a.NextStarts(ctx, SystemRefresh, *answer.Calendar)
		answer.Calendar = nil // not its own
	}
	return answer, err
}

// StoredSchedule shows when an export runs automatically as far as the store
// knows. With the system refresh the calendar is that of the refresh, if it is on.
func (a *Scheduler) StoredSchedule(ctx context.Context, export string) (*protocol.ScheduleAnswer, error) {
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
		}
		return answer, nil
	}
	r, _, err := a.Refresh(ctx)
	if err != nil || !r.On || r.Calendar == nil {
		return answer, err
	}
	answer.Zone, answer.Calendar = r.Calendar.Zone, r.Calendar
	return answer, nil
}

// Starts says when an export runs automatically, for people.
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
