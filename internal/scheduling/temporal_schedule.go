package scheduling

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/schedule"
	"github.com/segment-export/segment-export/internal/store"
)

const (
	// LookEvery is how often a followed source is asked.
	LookEvery = 5 * time.Minute
	// catchUp is how long after its time Temporal still starts a tick that it
	// missed: longer than a month, the longest time between two.
	catchUp = 32 * 24 * time.Hour
)

// wantedSchedule is what a schedule of Temporal should be. The store has the
// truth; Temporal's schedules are made from it.
type wantedSchedule struct {
	id     string
	spec   client.ScheduleSpec
	paused bool
	note   string
}

// wantedSchedules makes them from all definitions.
func (a *Scheduler) wantedSchedules(ctx context.Context) ([]wantedSchedule, error) {
	now, err := a.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	var all []wantedSchedule
	schedules, err := record.List[catalogue.Schedule](ctx, a.Store, catalogue.KindSchedule)
	if err != nil {
		return nil, err
	}
	for _, s := range schedules {
		w, err := Wanted(OfExport+s.Name, s.Calendar, s.Off, now)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	r, _, err := a.Refresh(ctx)
	if err != nil {
		return nil, err
	}
	calendar := r.Calendar
	if r.Follow != "" {
		calendar = &schedule.Calendar{Interval: LookEvery}
	}
	if calendar == nil {
		return all, nil
	}
	w, err := Wanted(SystemRefresh, *calendar, !r.On, now)
	return append(all, w), err
}

// Wanted makes a schedule of Temporal from a calendar.
func Wanted(id string, c schedule.Calendar, off bool, now time.Time) (wantedSchedule, error) {
	w := wantedSchedule{id: id, paused: off, note: c.String(), spec: client.ScheduleSpec{TimeZoneName: c.Zone}}
	if c.Interval > 0 {
		w.spec.Intervals = []client.ScheduleIntervalSpec{{Every: c.Interval}}
		return w, nil
	}
	fields, err := c.Fields(now)
	if err != nil {
		return w, fmt.Errorf("schedule %s: %w", id, err)
	}
	for _, f := range fields {
		w.spec.Calendars = append(w.spec.Calendars, client.ScheduleCalendarSpec{
			Second: ranges([]int{0}, 0, 0), Minute: ranges(f.Minute, 0, 59), Hour: ranges(f.Hour, 0, 23), DayOfMonth: ranges(f.Day, 1, 31),
			Month: ranges(f.Month, 1, 12), DayOfWeek: ranges(f.Weekday, 0, 6), Year: ranges(f.Year, 0, 0)})
	}
	return w, nil
}

// ranges writes values as Temporal does, runs of them together; none are all
// from first to last.
func ranges(values []int, first, last int) []client.ScheduleRange {
	if len(values) == 0 && last > 0 {
		return []client.ScheduleRange{{Start: first, End: last, Step: 1}}
	}
	var all []client.ScheduleRange
	for _, v := range values {
		if n := len(all); n > 0 && all[n-1].End == v-1 {
			all[n-1].End = v
			continue
		}
		all = append(all, client.ScheduleRange{Start: v, End: v, Step: 1})
	}
	return all
}

// RepairSchedules makes Temporal's schedules what the store says, where they
// differ, and removes those of ours that the store does not know. One that is
// as it should be is not touched: a change would make Temporal forget what it
// has missed.
func (a *Scheduler) RepairSchedules(ctx context.Context) error {
	all, err := a.wantedSchedules(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, w := range all {
		errs = append(errs, a.ApplySchedule(ctx, w))
	}
	known, err := a.Temporal.ScheduleClient().List(ctx, client.ScheduleListOptions{})
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for known.HasNext() {
		e, err := known.Next()
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		unknown := !slices.ContainsFunc(all, func(w wantedSchedule) bool { return w.id == e.ID })
		if unknown && e.WorkflowType.Name == protocol.TickWorkflowType {
			errs = append(errs, a.dropSchedule(ctx, e.ID))
		}
	}
	return errors.Join(errs...)
}

// ApplySchedule makes one schedule of Temporal, or changes it where it differs.
func (a *Scheduler) ApplySchedule(ctx context.Context, w wantedSchedule) error {
	action := &client.ScheduleWorkflowAction{ID: "tick/" + w.id, Workflow: protocol.TickWorkflowType, TaskQueue: protocol.TaskQueue,
		Args: []any{TickInput{Schedule: w.id}}, StaticSummary: "What is due by the schedule " + w.id}
	_, err := a.Temporal.ScheduleClient().Create(ctx, client.ScheduleOptions{ID: w.id, Spec: w.spec, Action: action, Paused: w.paused,
		Note: w.note, CatchupWindow: catchUp, Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP})
	if err == nil {
		return nil
	}
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return fmt.Errorf("make the schedule %s in Temporal: %w", w.id, err)
	}
	err = a.Temporal.ScheduleClient().GetHandle(ctx, w.id).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			s := in.Description.Schedule
			if sameSpec(*s.Spec, w.spec) && s.State.Paused == w.paused {
				return nil, temporal.ErrSkipScheduleUpdate
			}
			s.Spec, s.Action, s.State.Paused, s.State.Note = &w.spec, action, w.paused, w.note
			s.Policy = &client.SchedulePolicies{CatchupWindow: catchUp, Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP}
			return &client.ScheduleUpdate{Schedule: &s}, nil
		}})
	if err != nil && !errors.Is(err, temporal.ErrSkipScheduleUpdate) {
		return fmt.Errorf("change the schedule %s in Temporal: %w", w.id, err)
	}
	return nil
}

// sameSpec compares what people can change of a schedule's times.
func sameSpec(a, b client.ScheduleSpec) bool {
	return a.TimeZoneName == b.TimeZoneName && len(a.Skip) == 0 && a.Jitter == b.Jitter && a.StartAt.IsZero() && a.EndAt.IsZero() &&
		slices.EqualFunc(a.Intervals, b.Intervals, func(a, b client.ScheduleIntervalSpec) bool { return a == b }) &&
		slices.EqualFunc(a.Calendars, b.Calendars, sameCalendar)
}

func sameCalendar(a, b client.ScheduleCalendarSpec) bool {
	for _, pair := range [][2][]client.ScheduleRange{{a.Second, b.Second}, {a.Minute, b.Minute}, {a.Hour, b.Hour},
		{a.DayOfMonth, b.DayOfMonth}, {a.Month, b.Month}, {a.DayOfWeek, b.DayOfWeek}, {a.Year, b.Year}} {
		if !reflect.DeepEqual(plain(pair[0]), plain(pair[1])) {
			return false
		}
	}
	return true
}

// plain writes out what the ends of a range may leave out.
func plain(ranges []client.ScheduleRange) []client.ScheduleRange {
	var all []client.ScheduleRange
	for _, r := range ranges {
		all = append(all, client.ScheduleRange{Start: r.Start, End: max(r.Start, r.End), Step: max(1, r.Step)})
	}
	return all
}

// dropSchedule removes a schedule from Temporal; no error when there is none.
func (a *Scheduler) dropSchedule(ctx context.Context, id string) error {
	err := a.Temporal.ScheduleClient().GetHandle(ctx, id).Delete(ctx)
	if _, gone := errors.AsType[*serviceerror.NotFound](err); gone {
		return nil
	}
	return err
}

// nextShown is how many starts to come are shown.
const nextShown = 5

// NextStarts are the starts to come of a schedule as Temporal has it, without
// the times that the clock shows a second time. Nil when Temporal does not
// have it.
func (a *Scheduler) NextStarts(ctx context.Context, id string, c schedule.Calendar) ([]time.Time, error) {
	d, err := a.Temporal.ScheduleClient().GetHandle(ctx, id).Describe(ctx)
	if _, gone := errors.AsType[*serviceerror.NotFound](err); gone {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var next []time.Time
	for _, at := range d.Info.NextActionTimes {
		if len(next) < nextShown && c.Next(at.Add(-time.Second)).Equal(at) {
			next = append(next, at)
		}
	}
	return next, nil
}

// RemoveSchedule removes an export's schedule, if it has one of its own, for a
// command that was allowed to.
func (a *Scheduler) RemoveSchedule(ctx context.Context, export, forCommand string) error {
	for kind, name := range map[string]string{string(catalogue.KindSchedule): export, kindTick: OfExport + export} {
		err := a.Store.DeleteObject(ctx, kind, name, forCommand)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return a.dropSchedule(ctx, OfExport+export)
}
