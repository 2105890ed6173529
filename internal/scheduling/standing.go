package scheduling

import (
	"context"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/segment-export/segment-export/internal/metrics"
	"github.com/segment-export/segment-export/internal/protocol"
)

// Schedules tells how our schedules stand.
func Schedules(ctx context.Context, c client.Client) ([]metrics.Schedule, error) {
	list, err := c.ScheduleClient().List(ctx, client.ScheduleListOptions{})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	var all []metrics.Schedule
	for list.HasNext() {
		e, err := list.Next()
		if err != nil {
			return all, err
		}
		if e.WorkflowType.Name == protocol.TickWorkflowType { // others may use the namespace
			all = append(all, standing(e, now))
		}
	}
	return all, nil
}

// Schedules tells how our schedules stand.
func (a *Scheduler) Schedules(ctx context.Context) ([]metrics.Schedule, error) {
	return Schedules(ctx, a.Temporal)
}

// standing says how late a schedule is: its last start, or its next one that is
// overdue. One that is paused is not late.
func standing(e *client.ScheduleListEntry, now time.Time) metrics.Schedule {
	s := metrics.Schedule{Name: e.ID}
	if n := len(e.RecentActions); n > 0 {
		s.Lag = max(0, e.RecentActions[n-1].ActualTime.Sub(e.RecentActions[n-1].ScheduleTime))
	}
	if len(e.NextActionTimes) > 0 && !e.Paused {
		s.Next = e.NextActionTimes[0]
		s.Lag = max(s.Lag, now.Sub(s.Next))
	}
	return s
}
