package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/schedule"
)

// refreshHandlers are the commands about the system refresh.
var refreshHandlers = map[string]handler{
	protocol.RefreshSet:  with((*Activities).refreshSet),
	protocol.RefreshOn:   without((*Activities).refreshOn),
	protocol.RefreshOff:  without((*Activities).refreshOff),
	protocol.RefreshShow: without((*Activities).refreshShow),
	protocol.RefreshNow:  with((*Activities).refreshNow),
}

// refreshSet says when the system refresh is, and turns it on.
func (a *Activities) refreshSet(ctx context.Context, c caller, args protocol.RefreshSetArgs) (any, error) {
	if args.Follow != "" {
		if _, _, err := get[catalogue.Source](ctx, a, catalogue.KindSource, args.Follow); err != nil {
			return nil, err
		}
		s, err := a.sourceStanding(ctx, args.Follow)
		if err != nil {
			return nil, refuse(protocol.ErrFailed, "%v", err)
		}
		if s.refreshed.IsZero() && s.busy == "" {
			return nil, refuse(protocol.ErrConflict, "the source %q does not say when it was refreshed; give times instead: --every, --at, --tz, or call starter refresh now when its refresh has ended", args.Follow)
		}
	}
	return a.changeRefresh(ctx, c, func(r *catalogue.Refresh) error {
		r.On, r.Calendar, r.Follow = true, args.Calendar, args.Follow
		return nil
	})
}

func (a *Activities) refreshOn(ctx context.Context, c caller) (any, error) {
	return a.switchRefresh(ctx, c, true)
}

func (a *Activities) refreshOff(ctx context.Context, c caller) (any, error) {
	return a.switchRefresh(ctx, c, false)
}

func (a *Activities) switchRefresh(ctx context.Context, c caller, on bool) (any, error) {
	return a.changeRefresh(ctx, c, func(r *catalogue.Refresh) error {
		if r.Version == 0 {
			return refuse(protocol.ErrConflict, "the system refresh is off and has no times yet; set them: starter refresh set --every day --at 06:00 --tz Europe/Warsaw")
		}
		r.On = on
		return nil
	})
}

func (a *Activities) changeRefresh(ctx context.Context, c caller, change func(*catalogue.Refresh) error) (any, error) {
	now, err := a.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	r, o, err := a.refresh(ctx)
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
		err = a.create(ctx, c, &r, nil)
	} else {
		err = a.replace(ctx, c, o, &r, nil)
	}
	if err != nil {
		return nil, err
	}
	calendar := r.Calendar
	if r.Follow != "" {
		calendar = &schedule.Calendar{Interval: lookEvery}
	}
	w, err := wanted(systemRefresh, *calendar, !r.On, now)
	if err != nil {
		return nil, err
	}
	if err := a.applySchedule(ctx, w); err != nil {
		return nil, err
	}
	return a.refreshShow(ctx, c)
}

func (a *Activities) refreshShow(ctx context.Context, _ caller) (any, error) {
	r, _, err := a.refresh(ctx)
	if err != nil {
		return nil, err
	}
	exports, err := a.scheduledExports(ctx)
	if err != nil {
		return nil, err
	}
	answer := protocol.RefreshAnswer{On: r.On, Calendar: r.Calendar, Follow: r.Follow, Starts: "no times are set",
		Next: []time.Time{}, Exports: exports.refreshed}
	if r.Version > 0 {
		answer.Starts = r.String()
	}
	if r.Calendar == nil {
		return answer, nil
	}
	answer.Zone = r.Calendar.Zone
	if r.On {
		answer.Next, err = a.nextStarts(ctx, systemRefresh, *r.Calendar)
	}
	return answer, err
}

const (
	// sourceLimit is how long refresh now waits for sources unless it is told.
	sourceLimit = 2 * time.Hour
	// longestLimit is the longest that it can be told.
	longestLimit = 24 * time.Hour
)

// refreshNow lets all exports run that run with the system refresh, be it on or
// off, at once or when their sources are ready.
func (a *Activities) refreshNow(ctx context.Context, c caller, args protocol.RefreshNowArgs) (any, error) {
	limit := args.Limit
	if limit == 0 {
		limit = sourceLimit
	}
	if limit < 0 || limit > longestLimit {
		return nil, refuse(protocol.ErrUsage, "--limit %s is not above 0 and at most %s", args.Limit, longestLimit)
	}
	exports, err := a.scheduledExports(ctx)
	if err != nil {
		return nil, err
	}
	if len(exports.refreshed) == 0 {
		return nil, refuse(protocol.ErrConflict, "no export runs with the system refresh; see: starter schedule show")
	}
	answer := protocol.RefreshNowAnswer{WorkflowID: "tick/" + refreshNow + "/" + c.request.ID, Exports: exports.refreshed}
	err = a.underLease(ctx, "tick/"+refreshNow, func(ctx context.Context, _ hold) error {
		t, err := a.tickState(ctx, refreshNow)
		if err != nil {
			return err
		}
		now, err := a.Store.Now(ctx)
		if err != nil {
			return err
		}
		p := pending{ID: "command " + c.request.ID, Trigger: run.ByRefresh, Actor: c.Name, At: now, Exports: exports.refreshed, Until: now.Add(endingTime)}
		if args.AfterSource {
			p.AfterSource = now.Add(limit)
			p.Until = p.AfterSource.Add(endingTime)
			answer.Until = p.AfterSource
		}
		if t.Pending != nil && t.Pending.ID != p.ID && now.Before(t.Pending.Until) {
			return refuse(protocol.ErrConflict, "a refresh that was asked for at %s has not begun all its runs yet; see: starter runs list", t.Pending.At.UTC().Format(time.RFC3339))
		}
		t.Pending = &p
		return a.saveTick(ctx, t)
	})
	if err != nil {
		return nil, err
	}
	_, err = a.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: answer.WorkflowID, TaskQueue: protocol.TaskQueue,
		WorkflowExecutionErrorWhenAlreadyStarted: true, StaticSummary: "The system refresh, asked for by a command"},
		protocol.TickWorkflowType, TickInput{Schedule: refreshNow})
	if _, again := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); again {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("begin the refresh: %w", err)
	}
	return answer, nil
}
