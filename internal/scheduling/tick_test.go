package scheduling

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/schedule"
	"github.com/segment-export/segment-export/internal/store"
)

// daily is a schedule of the export "spring" in the catalogue.
const daily = "export/spring"

// scheduledSteps has an export that runs each day at six, and the store's clock at
// noon of the day before.
func scheduledSteps(t *testing.T) (*steps, *fakeTemporal) {
	t.Helper()
	s := newSteps(t, sandbox.Options{})
	fake := newFake()
	s.Temporal = fake
	noon := s.StoreNow.Now().UTC().Truncate(24 * time.Hour).Add(36 * time.Hour)
	s.StoreNow.Advance(noon.Sub(s.StoreNow.Now()))
	s.Put(catalogue.KindSchedule, "spring", catalogue.Schedule{Meta: catalogue.Meta{Name: "spring", UpdatedAt: noon},
		Calendar: schedule.Calendar{Every: "day", At: []string{"06:00"}, Zone: "UTC"}}, nil)
	return s, fake
}

// tick asks until the tick is done, as its workflow does, and returns what began
// and what was skipped.
func (s *steps) tick(name string) (starts, skipped map[string]string) {
	s.T.Helper()
	starts, skipped = map[string]string{}, map[string]string{}
	for range 100 {
		result, err := s.Tick(s.T.Context(), TickInput{Schedule: name, At: s.StoreNow.Now()})
		require.NoError(s.T, err)
		for export, id := range result.Begun {
			starts[export] = id
		}
		for export, why := range result.Skipped {
			skipped[export] = why
		}
		if result.Done {
			return starts, skipped
		}
		s.StoreNow.Advance(result.Wait)
	}
	s.T.Fatal("the tick does not end")
	return nil, nil
}

// ended ends the export's run as its workflow does.
func (s *steps) ended(fake *fakeTemporal, id string, status run.Status) {
	s.T.Helper()
	report := run.Report{Export: "spring", RunID: id, Status: status}
	require.NoError(s.T, s.Store.SaveRun(s.T.Context(), id, string(status), record.Encode(report), status.Ended()))
	if status.Ended() {
		delete(fake.running, daily)
	}
}

func (s *steps) runs() []store.Run {
	s.T.Helper()
	runs, err := s.Store.ListRuns(s.T.Context(), store.RunFilter{Export: "spring"})
	require.NoError(s.T, err)
	return runs
}

// A tick begins what is due, once, whatever says that its time has come.
func TestATickBeginsWhatIsDue(t *testing.T) {
	s, fake := scheduledSteps(t)
	starts, _ := s.tick(daily)
	require.Empty(t, starts, "nothing is due at noon")

	s.StoreNow.Advance(18 * time.Hour)
	starts, _ = s.tick(daily)
	require.Len(t, starts, 1)
	require.Equal(t, []string{daily}, fake.started)
	r, err := s.Store.Run(t.Context(), starts["spring"])
	require.NoError(t, err)
	request, err := record.Decode[run.Request](r.Request)
	require.NoError(t, err)
	require.Equal(t, run.Request{Actor: scheduleActor, Trigger: run.BySchedule}, request)

	s.ended(fake, r.ID, run.Completed)
	starts, _ = s.tick(daily)
	require.Empty(t, starts, "it is due once a day")
	require.Len(t, s.runs(), 1)
}

func TestATickOfAScheduleThatIsOffOrGone(t *testing.T) {
	s, fake := scheduledSteps(t)
	o, err := s.Store.Object(t.Context(), string(catalogue.KindSchedule), "spring")
	require.NoError(t, err)
	off, err := record.Decode[catalogue.Schedule](o.Body)
	require.NoError(t, err)
	off.Off = true
	o.Body = record.Encode(off)
	require.NoError(t, s.Store.UpdateObject(t.Context(), o))
	s.StoreNow.Advance(48 * time.Hour)
	for _, name := range []string{daily, "export/summer", "refresh", "refresh/now", "odd"} {
		starts, skipped := s.tick(name)
		require.Empty(t, starts, name)
		require.Empty(t, skipped, name)
	}
	require.Empty(t, fake.started)
}

// Starts that were missed are made up for by one, which says so.
func TestATickMakesUpForMissedStarts(t *testing.T) {
	s, fake := scheduledSteps(t)
	s.StoreNow.Advance(3 * 24 * time.Hour)
	starts, _ := s.tick(daily)
	require.Len(t, starts, 1)
	require.Len(t, fake.started, 1)
	request, err := record.Decode[run.Request](s.runs()[0].Request)
	require.NoError(t, err)
	require.Contains(t, request.Note, "one run for 3 starts that were due")
}

// Where Temporal's clock is ahead, the tick waits for the store's.
func TestATickWaitsForTheStoresClock(t *testing.T) {
	s, _ := scheduledSteps(t)
	s.StoreNow.Advance(18*time.Hour - time.Second)
	result, err := s.Tick(t.Context(), TickInput{Schedule: daily, At: s.StoreNow.Now().Add(time.Second)})
	require.NoError(t, err)
	require.Equal(t, &TickResult{Wait: time.Second, Begun: map[string]string{}, Skipped: map[string]string{}}, result)
	result, err = s.Tick(t.Context(), TickInput{Schedule: daily, At: s.StoreNow.Now().Add(time.Hour)})
	require.NoError(t, err)
	require.Equal(t, mostSkew, result.Wait, "a clock that is far ahead is not waited for")
	s.StoreNow.Advance(time.Second)
	starts, _ := s.tick(daily)
	require.Len(t, starts, 1)
}

// A tick that is cut off starts the same run when it is repeated.
func TestATickThatIsCutOffStartsTheSameRun(t *testing.T) {
	s, fake := scheduledSteps(t)
	s.StoreNow.Advance(18 * time.Hour)
	fake.fails = errors.New("Temporal is away")
	_, err := s.Tick(t.Context(), TickInput{Schedule: daily, At: s.StoreNow.Now()})
	require.ErrorContains(t, err, "Temporal is away")
	first := s.runs()
	require.Len(t, first, 1, "it is on record")
	starts, _ := s.tick(daily)
	require.Equal(t, map[string]string{"spring": first[0].ID}, starts)
	require.Len(t, s.runs(), 1)
	require.Len(t, fake.started, 1)
}

// A start that finds a run at work is skipped, on record, with the reason.
func TestATickSkipsAnExportThatIsRunning(t *testing.T) {
	s, fake := scheduledSteps(t)
	s.StoreNow.Advance(18 * time.Hour)
	starts, _ := s.tick(daily)
	s.ended(fake, starts["spring"], run.Running)
	s.StoreNow.Advance(24 * time.Hour)
	begun2, skipped := s.tick(daily)
	require.Empty(t, begun2)
	require.Contains(t, skipped["spring"], "run "+starts["spring"]+" (schedule) was still open: running")
	require.Equal(t, string(run.Skipped), s.runs()[0].Status)
}

// A parked run of a schedule makes room for the next start: it ends, and then the
// start begins.
func TestATickSupersedesAParkedRun(t *testing.T) {
	s, fake := scheduledSteps(t)
	s.StoreNow.Advance(18 * time.Hour)
	starts, _ := s.tick(daily)
	parked := starts["spring"]
	s.ended(fake, parked, run.Parked)
	s.StoreNow.Advance(24 * time.Hour)
	result, err := s.Tick(t.Context(), TickInput{Schedule: daily, At: s.StoreNow.Now()})
	require.NoError(t, err)
	require.Equal(t, askAgain, result.Wait)
	require.Equal(t, []string{daily}, fake.signals)
	r, err := s.Store.Run(t.Context(), parked)
	require.NoError(t, err)
	control, err := record.Decode[run.Control](r.Control)
	require.NoError(t, err)
	require.True(t, control.Superseded)

	s.ended(fake, parked, run.Skipped)
	starts, skipped := s.tick(daily)
	require.Len(t, starts, 1)
	require.Empty(t, skipped)
	require.NotEqual(t, parked, starts["spring"])
}

// A parked run that does not end in time is not waited for.
func TestATickGivesUpOnAParkedRunThatDoesNotEnd(t *testing.T) {
	s, fake := scheduledSteps(t)
	s.StoreNow.Advance(18 * time.Hour)
	starts, _ := s.tick(daily)
	s.ended(fake, starts["spring"], run.Parked)
	s.StoreNow.Advance(24 * time.Hour)
	result, err := s.Tick(t.Context(), TickInput{Schedule: daily, At: s.StoreNow.Now()})
	require.NoError(t, err)
	require.False(t, result.Done)
	s.StoreNow.Advance(EndingTime + time.Second)
	_, skipped := s.tick(daily)
	require.Contains(t, skipped["spring"], "was still open: parked")
}

// The system refresh that follows a source begins when the source was refreshed,
// once for each refresh, and only the exports without a schedule of their own.
func TestATickFollowsASource(t *testing.T) {
	s, fake := scheduledSteps(t)
	s.Put(catalogue.KindRefresh, catalogue.RefreshName, catalogue.Refresh{Meta: catalogue.Meta{Name: catalogue.RefreshName, Version: 1}, On: true, Follow: "crm"}, nil)
	s.Put(catalogue.KindExport, "winter", catalogue.Export{Meta: catalogue.Meta{Name: "winter"}, Brand: omnisendtest.Brand, ExportSpec: s.Export.ExportSpec}, nil)
	s.Write("ann@example.com,Ann")
	s.StoreNow.Advance(time.Since(s.StoreNow.Now()).Truncate(time.Second) + time.Hour) // files have the machine's time
	starts, _ := s.tick(SystemRefresh)
	require.Len(t, starts, 1)
	require.Contains(t, starts, "winter")
	starts, _ = s.tick(SystemRefresh)
	require.Empty(t, starts, "the source was not refreshed since")
	require.Equal(t, []string{"export/winter"}, fake.started)
}

// What a tick remembers is read by later releases.
func TestWhatATickRemembers(t *testing.T) {
	at := time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)
	const stored = `{"last":"2026-11-24T06:00:00Z","refreshed":"2026-11-24T06:00:00Z","pending":{"id":"i","trigger":"schedule","actor":"schedule",` +
		`"at":"2026-11-24T06:00:00Z","note":"n","exports":["spring"],"until":"2026-11-24T06:00:00Z","after_source":"2026-11-24T06:00:00Z"}}`
	v := tick{Last: at, Refreshed: at, Pending: &Pending{ID: "i", Trigger: run.BySchedule, Actor: "schedule", At: at, Note: "n",
		Exports: []string{"spring"}, Until: at, AfterSource: at}}
	require.Equal(t, stored, string(record.Encode(v)))
	var got tick
	require.NoError(t, json.Unmarshal([]byte(stored), &got))
	require.Equal(t, v, got)
}
