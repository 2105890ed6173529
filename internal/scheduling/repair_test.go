package scheduling

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/schedule"
)

// Temporal's schedules become what the store says. One that is right is left
// alone, and one that is not ours too.
func TestRepairMakesSchedulesWhatTheStoreSays(t *testing.T) {
	s, fake := scheduledSteps(t)
	s.Put(catalogue.KindRefresh, catalogue.RefreshName, catalogue.Refresh{Meta: catalogue.Meta{Name: catalogue.RefreshName, Version: 1},
		Calendar: &schedule.Calendar{Every: "day", At: []string{"05:00"}, Zone: "UTC"}}, nil)
	fake.schedules["theirs"] = &client.Schedule{Spec: &client.ScheduleSpec{}, State: &client.ScheduleState{}, Action: &client.ScheduleWorkflowAction{Workflow: "Other"}}
	repaired := func() []string {
		t.Helper()
		fake.changes = nil
		require.NoError(t, s.RepairSchedules(t.Context()))
		return fake.changes
	}
	require.Equal(t, []string{"made export/spring", "made refresh"}, repaired())
	require.True(t, fake.schedules["refresh"].State.Paused, "it is off")
	require.False(t, fake.schedules[daily].State.Paused)
	require.Equal(t, catchUp, fake.schedules[daily].Policy.CatchupWindow)
	require.Empty(t, repaired())

	fake.schedules[daily].State.Paused = true
	fake.schedules["refresh"].Spec.TimeZoneName = "Europe/Warsaw"
	require.Equal(t, []string{"changed export/spring", "changed refresh"}, repaired())
	require.Empty(t, repaired())

	delete(fake.schedules, "refresh")
	require.NoError(t, s.Store.DeleteObject(t.Context(), string(catalogue.KindSchedule), "spring", ""))
	require.Equal(t, []string{"made refresh", "removed export/spring"}, repaired())
	require.Contains(t, fake.schedules, "theirs")
}

// A schedule is removed with what is remembered of it, from Temporal too; twice
// is once.
func TestRemoveSchedule(t *testing.T) {
	s, fake := scheduledSteps(t)
	require.NoError(t, s.RepairSchedules(t.Context()))
	s.tick(daily)
	for range 2 {
		require.NoError(t, s.RemoveSchedule(t.Context(), "spring", ""))
		require.Empty(t, fake.schedules)
	}
	there, _, err := s.ExportSchedule(t.Context(), "spring")
	require.NoError(t, err)
	require.Nil(t, there)
}
