package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// Schedule is how a schedule stands.
type Schedule struct {
	Name string
	Next time.Time     // zero: none
	Lag  time.Duration // how late the last start was, or how long the next one is overdue
}

// State is read from the store when Prometheus asks, at most once in Fresh: any
// number of scrapers cost the store as much as one. Every worker of a store
// tells the same; take the max over them.
type State struct {
	Store     store.Store
	Schedules func(context.Context) ([]Schedule, error) // nil: none are shown
	Log       *slog.Logger
	Fresh     time.Duration // 0: 15 s
	Now       func() time.Time

	mu   sync.Mutex
	at   time.Time
	last []prometheus.Metric
}

// scrapeTimeout bounds one reading of the store.
const scrapeTimeout = 5 * time.Second

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
}

var (
	stateUp         = desc("state_up", "1 when store and schedules could be read for this scrape; else gauges from them are missing.")
	exportInfo      = desc("export_created_timestamp_seconds", "When the export was made.", "export")
	lastSuccess     = desc("last_success_timestamp_seconds", "When the export's last complete run ended; missing until there is one.", "export")
	lastSuccessAge  = desc("last_success_age_seconds", "How long ago that was.", "export")
	lastEnded       = desc("last_run_ended_timestamp_seconds", "When the export's last run ended, however it did.", "export")
	lastStatus      = desc("last_run_status", "1 for the status that the export's last run ended with.", "export", "status")
	lastProfiles    = desc("last_run_profiles", "Rows and contacts of the export's last run that ended, by bucket.", "export", "bucket")
	openRuns        = desc("open_runs", "Runs that have not ended, by status: queued, running, paused, parked.", "export", "status")
	openSince       = desc("open_run_started_timestamp_seconds", "When the open run was started.", "export")
	budgetUsed      = desc("budget_used", "Requests of all workers in the last 60 s.", "connection")
	budgetLimit     = desc("budget_limit", "Requests that may be made in 60 s, after adaptation.", "connection")
	budgetPaused    = desc("budget_paused_seconds", "How long the connection is still paused after a 429.", "connection")
	withoutVerdict  = desc("calls_without_verdict", "Calls that Omnisend has not given its verdict on.", "connection")
	verdictAge      = desc("oldest_call_without_verdict_seconds", "Age of the oldest of them.", "connection")
	scheduleLag     = desc("schedule_lag_seconds", "How late the schedule's last start was, or how long its next one is overdue.", "schedule")
	scheduleNext    = desc("schedule_next_timestamp_seconds", "When the schedule starts next.", "schedule")
	openRunStatuses = []run.Status{run.Queued, run.Running, run.Paused, run.Parked}
)

// Describe says nothing: which gauges there are depends on the store.
func (s *State) Describe(chan<- *prometheus.Desc) {}

// Collect tells how things stand.
func (s *State) Collect(out chan<- prometheus.Metric) {
	for _, m := range s.current() {
		out <- m
	}
}

// current returns the gauges, and reads them again when they are old.
func (s *State) current() []prometheus.Metric {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := s.Fresh
	if fresh == 0 {
		fresh = 15 * time.Second
	}
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	if !s.at.IsZero() && now().Sub(s.at) < fresh {
		return s.last
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	r := &reading{store: s.Store}
	// A panic here would end the whole process: gauges are read on a goroutine of
	// the registry's own.
	err := fault.Guard(func() error {
		if err := r.read(ctx); err != nil || s.Schedules == nil {
			return err
		}
		return r.schedules(ctx, s.Schedules)
	})
	up := 1.0
	if err != nil {
		up = 0
		stack := ""
		if f, ok := errors.AsType[*fault.Error](err); ok {
			stack = f.Stack
		}
		s.Log.WarnContext(ctx, "the metrics' gauges could not be read", "error", err, "stack", stack)
	}
	r.gauge(stateUp, up)
	s.at, s.last = now(), r.all
	return s.last
}

// reading is one look at the store.
type reading struct {
	store store.Store
	now   time.Time
	all   []prometheus.Metric
}

func (r *reading) gauge(d *prometheus.Desc, v float64, labels ...string) {
	r.all = append(r.all, prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...))
}

func (r *reading) read(ctx context.Context) error {
	var err error
	if r.now, err = r.store.Now(ctx); err != nil {
		return err
	}
	exports, err := objects[catalogue.Export](ctx, r.store, catalogue.KindExport)
	if err != nil {
		return err
	}
	for _, e := range exports {
		r.gauge(exportInfo, seconds(e.CreatedAt), e.Name)
		if err := r.export(ctx, e); err != nil {
			return err
		}
	}
	connections, err := objects[catalogue.Connection](ctx, r.store, catalogue.KindConnection)
	if err != nil {
		return err
	}
	for _, c := range connections {
		if err := r.connection(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// lookBack is how many of an export's newest runs are looked at for the last
// complete one.
const lookBack = 50

func (r *reading) export(ctx context.Context, e catalogue.Export) error {
	runs, err := r.store.ListRuns(ctx, store.RunFilter{Export: e.Name, Limit: lookBack})
	if err != nil {
		return err
	}
	open := map[run.Status]int{}
	var ended, complete bool
	for _, x := range runs {
		status := run.Status(x.Status)
		switch {
		case x.EndedAt.IsZero():
			open[status]++
			r.gauge(openSince, seconds(x.CreatedAt), e.Name)
			continue
		case !ended:
			ended = true
			r.gauge(lastEnded, seconds(x.EndedAt), e.Name)
			r.gauge(lastStatus, 1, e.Name, x.Status)
			var report run.Report
			if err := json.Unmarshal(x.Report, &report); err != nil {
				return err
			}
			for bucket, n := range report.Buckets() {
				r.gauge(lastProfiles, float64(n), e.Name, bucket)
			}
		}
		if !complete && status.Complete() {
			complete = true
			r.gauge(lastSuccess, seconds(x.EndedAt), e.Name)
			r.gauge(lastSuccessAge, r.now.Sub(x.EndedAt).Seconds(), e.Name)
		}
	}
	for _, status := range openRunStatuses {
		r.gauge(openRuns, float64(open[status]), e.Name, string(status))
	}
	return nil
}

func (r *reading) connection(ctx context.Context, c catalogue.Connection) error {
	if c.CallsPerMinute > 0 {
		state, err := r.store.BudgetState(ctx, c.Budget(), store.Limit{Calls: c.Limit()})
		if err != nil {
			return err
		}
		r.gauge(budgetUsed, float64(state.InWindow), c.Name)
		r.gauge(budgetLimit, float64(state.Effective), c.Name)
		r.gauge(budgetPaused, state.Paused.Seconds(), c.Name)
	}
	calls, err := r.store.Unsettled(ctx, c.BrandID, "", 0)
	if err != nil {
		return err
	}
	r.gauge(withoutVerdict, float64(len(calls)), c.Name)
	oldest := 0.0
	if len(calls) > 0 {
		oldest = r.now.Sub(calls[0].IntendedAt).Seconds()
	}
	r.gauge(verdictAge, oldest, c.Name)
	return nil
}

func (r *reading) schedules(ctx context.Context, list func(context.Context) ([]Schedule, error)) error {
	all, err := list(ctx)
	for _, s := range all {
		r.gauge(scheduleLag, s.Lag.Seconds(), s.Name)
		if !s.Next.IsZero() {
			r.gauge(scheduleNext, seconds(s.Next), s.Name)
		}
	}
	return err
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func objects[T any](ctx context.Context, s store.Store, kind catalogue.Kind) ([]T, error) {
	stored, err := s.Objects(ctx, string(kind))
	if err != nil {
		return nil, err
	}
	all := make([]T, len(stored))
	for i, o := range stored {
		if err := json.Unmarshal(o.Body, &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}
