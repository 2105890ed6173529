package admin

import (
	"context"
	"fmt"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/schedule"
	"github.com/segment-export/segment-export/internal/scheduling"
)

// refreshHandlers are the commands about the system refresh.
func (a *Commands) refreshHandlers() map[string]command.Handler {
	return map[string]command.Handler{
		protocol.RefreshSet:  command.With(a.refreshSet),
		protocol.RefreshOn:   command.Without(a.refreshOn),
		protocol.RefreshOff:  command.Without(a.refreshOff),
		protocol.RefreshShow: command.Without(a.refreshShow),
		protocol.RefreshNow:  command.With(a.refreshNow),
	}
}

// refreshSet says when the system refresh is, and turns it on.
func (a *Commands) refreshSet(ctx context.Context, c command.Caller, args protocol.RefreshSetArgs) (any, error) {
	if args.Follow != "" {
		if _, _, err := record.Find[catalogue.Source](ctx, a.Store, catalogue.KindSource, args.Follow); err != nil {
			return nil, err
		}
		s, err := a.Connect().Standing(ctx, args.Follow)
		if err != nil {
			return nil, protocol.Refuse(protocol.ErrFailed, "%v", err)
		}
		if s.Refreshed.IsZero() && s.Busy == "" {
			return nil, protocol.Refuse(protocol.ErrConflict, "the source %q does not say when it was refreshed; give times instead: --every, --at, --tz, or call starter refresh now when its refresh has ended", args.Follow)
		}
	}
	return a.changeRefresh(ctx, c, func(r *catalogue.Refresh) error {
		r.On, r.Calendar, r.Follow = true, args.Calendar, args.Follow
		return nil
	})
}

func (a *Commands) refreshOn(ctx context.Context, c command.Caller) (any, error) {
	return a.switchRefresh(ctx, c, true)
}

func (a *Commands) refreshOff(ctx context.Context, c command.Caller) (any, error) {
	return a.switchRefresh(ctx, c, false)
}

func (a *Commands) switchRefresh(ctx context.Context, c command.Caller, on bool) (any, error) {
	return a.changeRefresh(ctx, c, func(r *catalogue.Refresh) error {
		if r.Version == 0 {
			return protocol.Refuse(protocol.ErrConflict, "the system refresh is off and has no times yet; set them: starter refresh set --every day --at 06:00 --tz Europe/Warsaw")
		}
		r.On = on
		return nil
	})
}

func (a *Commands) changeRefresh(ctx context.Context, c command.Caller, change func(*catalogue.Refresh) error) (any, error) {
	now, err := a.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	r, o, err := a.Refresh(ctx)
	if err != nil {
		return nil, err
	}
	isNew := r.Version == 0
	if err := change(&r); err != nil {
		return nil, err
	}
	if err := r.Check(now); err != nil {
		return nil, err
	}
	if isNew {
		r.Meta = catalogue.Meta{Name: catalogue.RefreshName, Version: 1, CreatedBy: c.Name, CreatedAt: now, UpdatedBy: c.Name, UpdatedAt: now}
		err = a.Create(ctx, c, &r, nil)
	} else {
		err = a.Replace(ctx, c, o, &r, nil)
	}
	if err != nil {
		return nil, err
	}
	calendar := r.Calendar
	if r.Follow != "" {
		calendar = &schedule.Calendar{Interval: scheduling.LookEvery}
	}
	w, err := scheduling.Wanted(scheduling.SystemRefresh, *calendar, !r.On, now)
	if err != nil {
		return nil, err
	}
	if err := a.ApplySchedule(ctx, w); err != nil {
		return nil, err
	}
	return a.refreshShow(ctx, c)
}

func (a *Commands) refreshShow(ctx context.Context, _ command.Caller) (any, error) {
	r, _, err := a.Refresh(ctx)
	if err != nil {
		return nil, err
	}
	exports, err := a.ScheduledExports(ctx)
	if err != nil {
		return nil, err
	}
	answer := protocol.RefreshAnswer{On: r.On, Calendar: r.Calendar, Follow: r.Follow, Starts: "no times are set",
		Next: []time.Time{}, Exports: exports.Refreshed}
	if r.Version > 0 {
		answer.Starts = r.String()
	}
	if r.Calendar == nil {
		return answer, nil
	}
	answer.Zone = r.Calendar.Zone
	if r.On {
		answer.Next, err = a.NextStarts(ctx, scheduling.SystemRefresh, *r.Calendar)
	}
	return answer, err
}

const (
	// sourceLimit is how long refresh now waits for sources without a limit.
	sourceLimit = 2 * time.Hour
	// longestLimit is the longest limit.
	longestLimit = 24 * time.Hour
)

// refreshNow lets all exports run that run with the system refresh, be it on or
// off, at once or when their sources are ready.
func (a *Commands) refreshNow(ctx context.Context, c command.Caller, args protocol.RefreshNowArgs) (any, error) {
	limit := args.Limit
	if limit == 0 {
		limit = sourceLimit
	}
	if limit < 0 || limit > longestLimit {
		return nil, protocol.Refuse(protocol.ErrUsage, "--limit %s is not above 0 and at most %s", args.Limit, longestLimit)
	}
	exports, err := a.ScheduledExports(ctx)
	if err != nil {
		return nil, err
	}
	if len(exports.Refreshed) == 0 {
		return nil, protocol.Refuse(protocol.ErrConflict, "no export runs with the system refresh; see: starter schedule show")
	}
	answer := protocol.RefreshNowAnswer{WorkflowID: "tick/" + scheduling.RefreshNow + "/" + c.Request.ID, Exports: exports.Refreshed}
	err = a.UnderLease(ctx, "tick/"+scheduling.RefreshNow, func(ctx context.Context, _ lease.Hold) error {
		t, err := a.TickState(ctx, scheduling.RefreshNow)
		if err != nil {
			return err
		}
		now, err := a.Store.Now(ctx)
		if err != nil {
			return err
		}
		p := scheduling.Pending{ID: "command " + c.Request.ID, Trigger: run.ByRefresh, Actor: c.Name, At: now, Exports: exports.Refreshed, Until: now.Add(scheduling.EndingTime)}
		if args.AfterSource {
			p.AfterSource = now.Add(limit)
			p.Until = p.AfterSource.Add(scheduling.EndingTime)
			answer.Until = p.AfterSource
		}
		if t.Pending != nil && t.Pending.ID != p.ID && now.Before(t.Pending.Until) {
			return protocol.Refuse(protocol.ErrConflict, "a refresh that was requested at %s has not started all its runs yet; see: starter runs list", t.Pending.At.UTC().Format(time.RFC3339))
		}
		t.Pending = &p
		return a.SaveTick(ctx, t)
	})
	if err != nil {
		return nil, err
	}
	if err := a.StartTick(ctx, answer.WorkflowID, scheduling.RefreshNow); err != nil {
		return nil, fmt.Errorf("begin the refresh: %w", err)
	}
	return answer, nil
}
