package scheduling

import (
	"context"
	"errors"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// The names of what ticks: each is the id of its schedule in Temporal.
const (
	SystemRefresh = "refresh"
	RefreshNow    = "refresh/now" // at a command, without a schedule
	OfExport      = "export/"     // and the export's name
)

// kindTick is the kind of what is remembered of each schedule.
const kindTick = "tick"

// tick is what is remembered of one schedule.
type tick struct {
	name   string
	object store.Object // as it was read; Version 0: there was none

	// Last is the newest start that was dealt with.
	Last time.Time `json:"last,omitzero"`
	// Refreshed is the newest refresh of the source that was dealt with.
	Refreshed time.Time `json:"refreshed,omitzero"`
	// Pending is what a start still has to do.
	Pending *Pending `json:"pending,omitempty"`
}

// Pending is one start: the exports that are to run and of which it is not on
// record yet that they do, or why they do not.
type Pending struct {
	ID      string      `json:"id"` // the runs' ids are made of it
	Trigger run.Trigger `json:"trigger"`
	Actor   string      `json:"actor"`
	At      time.Time   `json:"at"` // when it was due
	Note    string      `json:"note,omitempty"`
	Exports []string    `json:"exports"`
	Until   time.Time   `json:"until"` // how long to wait for runs that are being ended
	// AfterSource waits, as long as it says, until the exports' sources are not
	// being refreshed.
	AfterSource time.Time `json:"after_source,omitzero"`
}

// TickState reads what is remembered of a schedule.
func (a *Scheduler) TickState(ctx context.Context, name string) (*tick, error) {
	o, err := a.Store.Object(ctx, kindTick, name)
	if errors.Is(err, store.ErrNotFound) {
		return &tick{name: name}, nil
	}
	if err != nil {
		return nil, err
	}
	t, err := record.Decode[tick](o.Body)
	t.name, t.object = name, o
	return &t, err
}

// SaveTick remembers it. It is called under the schedule's lease, so nobody
// else has changed it meanwhile.
func (a *Scheduler) SaveTick(ctx context.Context, t *tick) error {
	if t.object.Version == 0 {
		t.object = store.Object{Kind: kindTick, Name: t.name, Body: record.Encode(t), Version: 1}
		return a.Store.CreateObject(ctx, t.object)
	}
	t.object.Body = record.Encode(t)
	if err := a.Store.UpdateObject(ctx, t.object); err != nil {
		return err
	}
	t.object.Version++
	return nil
}

// Refresh returns the system refresh; one that is off where nobody set any.
func (a *Scheduler) Refresh(ctx context.Context) (catalogue.Refresh, store.Object, error) {
	r, o, err := record.Object[catalogue.Refresh](ctx, a.Store, catalogue.KindRefresh, catalogue.RefreshName)
	if errors.Is(err, store.ErrNotFound) {
		return catalogue.Refresh{}, store.Object{}, nil
	}
	return r, o, err
}

// ExportSchedule returns an export's own schedule; nil where it has none and
// runs with the system refresh.
func (a *Scheduler) ExportSchedule(ctx context.Context, export string) (*catalogue.Schedule, store.Object, error) {
	s, o, err := record.Object[catalogue.Schedule](ctx, a.Store, catalogue.KindSchedule, export)
	if errors.Is(err, store.ErrNotFound) {
		return nil, o, nil
	}
	return &s, o, err
}

// scheduled are the exports that can run, by how they start automatically.
type scheduled struct {
	Refreshed []string // with the system refresh
	Own       []string // with a schedule of their own that is on
}

// ScheduledExports sorts the exports. One without a connection is inactive and
// in neither list.
func (a *Scheduler) ScheduledExports(ctx context.Context) (scheduled, error) {
	var all scheduled
	exports, err := record.List[catalogue.Export](ctx, a.Store, catalogue.KindExport)
	if err != nil {
		return all, err
	}
	schedules, err := record.List[catalogue.Schedule](ctx, a.Store, catalogue.KindSchedule)
	if err != nil {
		return all, err
	}
	off := map[string]bool{} // by export, where it has one of its own
	for _, s := range schedules {
		off[s.Name] = s.Off
	}
	for _, e := range exports {
		isOff, own := off[e.Name]
		switch {
		case e.Connection == "":
		case !own:
			all.Refreshed = append(all.Refreshed, e.Name)
		case !isOff:
			all.Own = append(all.Own, e.Name)
		}
	}
	return all, nil
}
