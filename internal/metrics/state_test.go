package metrics_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/metrics"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
	"github.com/segment-export/segment-export/internal/store/sqlstore"
)

// world is a store with a clock that the test moves.
type world struct {
	t     *testing.T
	now   time.Time
	store *sqlstore.Store
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}
	var err error
	w.store, err = sqlstore.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlstore.Options{Now: func() time.Time { return w.now }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.store.Close()) })
	return w
}

func (w *world) object(kind catalogue.Kind, name string, body any) {
	w.t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(w.t, err)
	require.NoError(w.t, w.store.CreateObject(w.t.Context(), store.Object{Kind: string(kind), Name: name, Body: raw}))
}

// run makes a run that stands at a status.
func (w *world) run(id string, r run.Report) {
	w.t.Helper()
	raw, err := json.Marshal(r)
	require.NoError(w.t, err)
	require.NoError(w.t, w.store.CreateRun(w.t.Context(), store.Run{ID: id, Export: "spring", Connection: "shop", Brand: "b1", Status: "queued", Report: raw}))
	require.NoError(w.t, w.store.SaveRun(w.t.Context(), id, string(r.Status), raw, r.Status.Ended()))
}

func TestStateTellsHowExportsAndBudgetsStand(t *testing.T) {
	w := newWorld(t)
	w.object(catalogue.KindExport, "spring", catalogue.Export{Meta: catalogue.Meta{Name: "spring", CreatedAt: w.now}})
	connection := catalogue.Connection{Meta: catalogue.Meta{Name: "shop"}, Endpoint: "http://there", BrandID: "b1", Share: 0.5, CallsPerMinute: 400}
	w.object(catalogue.KindConnection, "shop", connection)
	w.run("r1", run.Report{Status: run.CompletedWithRejects, Read: 10, Invalid: 2, Contacts: 8, New: 8})
	w.now = w.now.Add(time.Hour)
	w.run("r2", run.Report{Status: run.Failed, Read: 3})
	w.now = w.now.Add(time.Minute)
	w.run("r3", run.Report{Status: run.Parked})
	_, err := w.store.TakeSlot(t.Context(), connection.Budget(), store.Limit{Calls: 200})
	require.NoError(t, err)
	lease, err := w.store.AcquireLease(t.Context(), "batch", time.Minute)
	require.NoError(t, err)
	require.NoError(t, w.store.IntendCalls(t.Context(), lease, nil, store.Call{Origin: "o", Run: "r3", Export: "spring", Brand: "b1", Count: 1, State: store.CallIntended}))
	w.now = w.now.Add(30 * time.Second)

	clock := time.Unix(0, 0)
	lag := []metrics.Schedule{{Name: "schedule/spring", Next: time.Unix(1_800_000_000, 0), Lag: 90 * time.Second}}
	var listed error
	state := &metrics.State{Store: w.store, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return clock },
		Schedules: func(context.Context) ([]metrics.Schedule, error) { return lag, listed }}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(state)
	expect := func(want string, names ...string) {
		t.Helper()
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(want), names...))
	}
	expect(`
# HELP segment_export_last_success_age_seconds How long ago that was.
# TYPE segment_export_last_success_age_seconds gauge
segment_export_last_success_age_seconds{export="spring"} 3690
# HELP segment_export_last_run_status 1 for the status that the export's last run ended with.
# TYPE segment_export_last_run_status gauge
segment_export_last_run_status{export="spring",status="failed"} 1
# HELP segment_export_open_runs Runs that have not ended, by status: queued, running, paused, parked.
# TYPE segment_export_open_runs gauge
segment_export_open_runs{export="spring",status="parked"} 1
segment_export_open_runs{export="spring",status="paused"} 0
segment_export_open_runs{export="spring",status="queued"} 0
segment_export_open_runs{export="spring",status="running"} 0
# HELP segment_export_budget_used Requests of all workers in the last 60 s.
# TYPE segment_export_budget_used gauge
segment_export_budget_used{connection="shop"} 1
# HELP segment_export_budget_limit Requests that may be made in 60 s, after adaptation.
# TYPE segment_export_budget_limit gauge
segment_export_budget_limit{connection="shop"} 200
# HELP segment_export_calls_without_verdict Calls that Omnisend has not given its verdict on.
# TYPE segment_export_calls_without_verdict gauge
segment_export_calls_without_verdict{connection="shop"} 1
# HELP segment_export_oldest_call_without_verdict_seconds Age of the oldest of them.
# TYPE segment_export_oldest_call_without_verdict_seconds gauge
segment_export_oldest_call_without_verdict_seconds{connection="shop"} 30
# HELP segment_export_schedule_lag_seconds How late the schedule's last start was, or how long its next one is overdue.
# TYPE segment_export_schedule_lag_seconds gauge
segment_export_schedule_lag_seconds{schedule="schedule/spring"} 90
# HELP segment_export_state_up 1 when store and schedules could be read for this scrape; else gauges from them are missing.
# TYPE segment_export_state_up gauge
segment_export_state_up 1
`, "segment_export_last_success_age_seconds", "segment_export_last_run_status", "segment_export_open_runs", "segment_export_budget_used",
		"segment_export_budget_limit", "segment_export_calls_without_verdict", "segment_export_oldest_call_without_verdict_seconds",
		"segment_export_schedule_lag_seconds", "segment_export_state_up")

	// Within Fresh the store is left alone; after it, a failure is reported.
	listed = errors.New("Temporal is away")
	expect("# HELP segment_export_state_up 1 when store and schedules could be read for this scrape; else gauges from them are missing.\n"+
		"# TYPE segment_export_state_up gauge\nsegment_export_state_up 1\n", "segment_export_state_up")
	clock = clock.Add(time.Minute)
	expect("# HELP segment_export_state_up 1 when store and schedules could be read for this scrape; else gauges from them are missing.\n"+
		"# TYPE segment_export_state_up gauge\nsegment_export_state_up 0\n", "segment_export_state_up")
}

func TestScrapesAreCheckedForGoodNames(t *testing.T) {
	w := newWorld(t)
	registry := prometheus.NewPedanticRegistry()
	work := metrics.NewWork(registry)
	registry.MustRegister(&metrics.State{Store: w.store, Log: slog.New(slog.DiscardHandler)})
	work.Ended("spring", "completed", map[string]int{"read": 3, "unsent": -1})
	work.Slot("shop", time.Second)
	work.Waited("shop", -time.Second)
	work.Alert("ops", errors.New("down"))
	defer work.Uploading()()
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems)
}
