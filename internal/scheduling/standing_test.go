package scheduling

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
)

func TestLagOfSchedules(t *testing.T) {
	at := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	e := &client.ScheduleListEntry{ID: "s", RecentActions: []client.ScheduleActionResult{
		{ScheduleTime: at.Add(-time.Hour), ActualTime: at}, {ScheduleTime: at, ActualTime: at.Add(time.Second)}},
		NextActionTimes: []time.Time{at.Add(time.Minute)}}
	require.Equal(t, time.Second, standing(e, at).Lag)
	require.Equal(t, at.Add(time.Minute), standing(e, at).Next)
	require.Equal(t, 9*time.Minute, standing(e, at.Add(10*time.Minute)).Lag, "overdue")
	e.Paused = true
	require.Equal(t, time.Second, standing(e, at.Add(10*time.Minute)).Lag, "a paused schedule is not late")
	require.Zero(t, standing(e, at).Next)
}
