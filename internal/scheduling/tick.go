package scheduling

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/google/uuid"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// TickInput names a schedule whose time may have come. Nobody is believed that
// it has: what is due is said by the schedule in the store and by the store's
// clock.
type TickInput struct {
	Schedule string `json:"schedule"`
	// At is Temporal's time of the tick. Where it is ahead of the store's clock
	// the tick waits for that.
	At time.Time `json:"at"`
}

// TickResult says what a tick came to.
type TickResult struct {
	// Wait is after what time to ask again; 0: at once, if Done is not set.
	Wait time.Duration `json:"wait,omitempty"`
	Done bool          `json:"done"`
	// The runs that this attempt started or skipped, by export.
	Begun   map[string]string `json:"begun,omitempty"`
	Skipped map[string]string `json:"skipped,omitempty"`
}

const (
	// mostSkew is how far Temporal's clock may be ahead of the store's.
	mostSkew = time.Minute
	// mostMissed is how many missed starts are counted.
	mostMissed = 100_000
	// EndingTime is how long a tick waits for a parked run to end: it collects
	// its last verdicts for two minutes.
	EndingTime = 10 * time.Minute
	// askAgain is when a tick looks again whether a run has ended, and
	// askSource whether a source is ready.
	askAgain  = time.Second
	askSource = 15 * time.Second
)

// scheduleActor is in the record of runs that start automatically.
const scheduleActor = "schedule"

// Tick begins the runs that are due by a schedule, or puts on record why one
// does not begin. Starts that were missed are made up for by one. It may be
// repeated, and is asked again until it is done.
func (a *Scheduler) Tick(ctx context.Context, in TickInput) (*TickResult, error) {
	result := &TickResult{Begun: map[string]string{}, Skipped: map[string]string{}}
	err := a.UnderLease(ctx, "tick/"+in.Schedule, func(ctx context.Context, _ lease.Hold) error {
		t, err := a.TickState(ctx, in.Schedule)
		if err != nil {
			return err
		}
		if t.Pending == nil {
			now, err := a.Store.Now(ctx)
			if err != nil {
				return err
			}
			if err := a.due(ctx, t, now); err != nil {
				return err
			}
			if t.Pending == nil {
				result.Wait = min(max(0, in.At.Sub(now)), mostSkew)
				result.Done = result.Wait == 0
				return nil
			}
			// Before any run begins: what is due once has one id.
			if err := a.SaveTick(ctx, t); err != nil {
				return err
			}
		}
		return a.startDue(ctx, t, result)
	})
	return result, err
}

// due finds out what a schedule has to start now.
func (a *Scheduler) due(ctx context.Context, t *tick, now time.Time) error {
	switch t.name {
	case RefreshNow: // only a command makes it due
		return nil
	case SystemRefresh:
		return a.dueRefresh(ctx, t, now)
	}
	export, ok := strings.CutPrefix(t.name, OfExport)
	if !ok {
		return nil
	}
	s, _, err := a.ExportSchedule(ctx, export)
	if err != nil || s == nil || s.Off {
		return err
	}
	first, last, n := s.Calendar.Due(slices.MaxFunc([]time.Time{t.Last, s.UpdatedAt}, time.Time.Compare), now, mostMissed)
	if n > 0 {
		t.start(Pending{Trigger: run.BySchedule, At: first, Exports: []string{export}}, last, n, now)
	}
	return nil
}

func (a *Scheduler) dueRefresh(ctx context.Context, t *tick, now time.Time) error {
	r, _, err := a.Refresh(ctx)
	if err != nil || !r.On {
		return err
	}
	exports, err := a.ScheduledExports(ctx)
	if err != nil {
		return err
	}
	if r.Follow != "" {
		s, err := a.Connect().Standing(ctx, r.Follow)
		if err != nil {
			return err
		}
		if s.Busy != "" || !s.Refreshed.After(slices.MaxFunc([]time.Time{t.Refreshed, r.UpdatedAt}, time.Time.Compare)) {
			return nil
		}
		t.Refreshed = s.Refreshed
		t.start(Pending{Trigger: run.ByFollow, At: s.Refreshed, Exports: exports.Refreshed}, t.Last, 1, now)
		return nil
	}
	if r.Calendar == nil {
		return nil
	}
	first, last, n := r.Calendar.Due(slices.MaxFunc([]time.Time{t.Last, r.UpdatedAt}, time.Time.Compare), now, mostMissed)
	if n > 0 {
		t.start(Pending{Trigger: run.ByRefresh, At: first, Exports: exports.Refreshed}, last, n, now)
	}
	return nil
}

// start makes a start due; it stands for n of them, the last at last.
func (t *tick) start(p Pending, last time.Time, n int, now time.Time) {
	p.ID = t.name + " " + p.At.UTC().Format(time.RFC3339Nano)
	p.Actor, p.Until = scheduleActor, now.Add(EndingTime)
	if n > 1 {
		p.Note = fmt.Sprintf("one run for %d starts that were due: the first at %s, the last at %s", n,
			p.At.UTC().Format(time.RFC3339), last.UTC().Format(time.RFC3339))
	}
	t.Last, t.Pending = last, &p
}

// startDue starts what is due, and remembers what is left to do.
func (a *Scheduler) startDue(ctx context.Context, t *tick, result *TickResult) error {
	if err := a.ReapTerminated(ctx); err != nil {
		return err
	}
	s := &starting{Scheduler: a, pending: t.Pending, result: result, busy: map[string]string{}}
	var left []string
	for i, export := range t.Pending.Exports {
		again, err := s.export(ctx, export)
		if err != nil {
			t.Pending.Exports = append(left, t.Pending.Exports[i:]...)
			return errors.Join(err, a.SaveTick(ctx, t))
		}
		if again > 0 {
			left = append(left, export)
			if result.Wait == 0 || again < result.Wait {
				result.Wait = again
			}
		}
	}
	t.Pending.Exports = left
	if len(left) == 0 {
		t.Pending = nil // and what became due meanwhile is looked for at once
	}
	return a.SaveTick(ctx, t)
}

// starting starts the runs of one start.
type starting struct {
	*Scheduler
	pending *Pending
	result  *TickResult
	busy    map[string]string // why a source cannot be read, as it was found out in this attempt
}

// export begins the run of one export, or says in which time to try again. Once
// it is on record that it runs, or why not, it is done.
func (s *starting) export(ctx context.Context, name string) (again time.Duration, err error) {
	id := uuid.NewSHA1(uuid.NameSpaceURL, []byte("tick/"+s.pending.ID+"/"+name)).String()
	r, err := s.Store.Run(ctx, id)
	if err == nil && (r.Started || !r.EndedAt.IsZero()) {
		return 0, nil // by an earlier attempt
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	e, _, err := record.Object[catalogue.Export](ctx, s.Store, catalogue.KindExport, name)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil // removed meanwhile
	}
	if err != nil {
		return 0, err
	}
	now, err := s.Store.Now(ctx)
	if err != nil {
		return 0, err
	}
	if !s.pending.AfterSource.IsZero() {
		busy := s.sourceBusy(ctx, e.Source)
		if busy != "" && now.Before(s.pending.AfterSource) {
			return askSource, nil
		}
		if busy != "" {
			return 0, s.skip(ctx, id, e, fmt.Sprintf("the source %q was not ready in time: %s", e.Source, busy))
		}
	}
	open, err := s.OpenRun(ctx, name, false)
	if err != nil {
		return 0, err
	}
	if open != nil && open.ID != id {
		return s.overlap(ctx, id, e, *open, now)
	}
	_, err = s.BeginRun(ctx, id, name, s.request(), false)
	if why, refused := errors.AsType[*protocol.RefusalError](err); refused {
		return 0, s.skip(ctx, id, e, why.Message)
	}
	if err == nil {
		s.result.Begun[name] = id
	}
	return 0, err
}

// request is what the run is asked for. It acts as the schedule.
func (s *starting) request() run.Request {
	return run.Request{Actor: s.pending.Actor, Trigger: s.pending.Trigger, Note: s.pending.Note}
}

// overlap is for an export that has an open run. If that one started automatically
// and waits for an answer, it ends, and this start reads everything again; else this
// start is skipped.
func (s *starting) overlap(ctx context.Context, id string, e catalogue.Export, open store.Run, now time.Time) (again time.Duration, err error) {
	request, err := record.Decode[run.Request](open.Request)
	if err != nil {
		return 0, err
	}
	trigger := request.Trigger
	if trigger == "" {
		trigger = run.OnDemand
	}
	control, err := record.Decode[run.Control](open.Control)
	if err != nil {
		return 0, err
	}
	ends := control.Superseded || trigger.Automatic() && run.Status(open.Status) == run.Parked
	if !ends || now.After(s.pending.Until) {
		return 0, s.skip(ctx, id, e, fmt.Sprintf("run %s (%s) was still open: %s", open.ID, trigger, open.Status))
	}
	err = s.ControlRun(ctx, open.ID, func(c *run.Control) error { c.Superseded = true; return nil })
	if err == nil {
		err = s.Signal(ctx, open)
	}
	if err != nil {
		// Its workflow may have ended at this moment.
		s.Log.WarnContext(ctx, "a parked run could not be notified that the next start has come", "run", open.ID, "error", err)
	}
	return askAgain, nil
}

// skip puts a run on record that did not begin, with the reason.
func (s *starting) skip(ctx context.Context, id string, e catalogue.Export, why string) error {
	request := s.request()
	report := run.Report{Export: e.Name, RunID: id, Source: e.Source, Status: run.Skipped, Phase: run.PhaseEnded, Reason: reason.Text(why), Trigger: request.Trigger,
		Segments: []run.SegmentCount{}, Reasons: map[string]int{}}
	if request.Note != "" {
		report.Notes = []string{request.Note}
	}
	err := s.Store.CreateRun(ctx, store.Run{ID: id, Export: e.Name, Connection: e.Connection, Brand: e.Brand,
		Status: string(run.Skipped), Report: record.Encode(report), Request: record.Encode(request)})
	if err != nil && !errors.Is(err, store.ErrExists) {
		return err
	}
	s.result.Skipped[e.Name] = why
	return s.Store.SaveRun(ctx, id, string(run.Skipped), record.Encode(report), true)
}

// sourceBusy says why a source is not ready yet, asking it once. Of one that
// cannot be asked the run says what is wrong with it.
func (s *starting) sourceBusy(ctx context.Context, source string) string {
	why, known := s.busy[source]
	if known {
		return why
	}
	standing, err := s.Connect().Standing(ctx, source)
	if err != nil {
		s.Log.WarnContext(ctx, "a source cannot be asked whether it is being refreshed", "source", source, "error", err)
	}
	s.busy[source] = standing.Busy
	return standing.Busy
}
