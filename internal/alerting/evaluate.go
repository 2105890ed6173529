package alerting

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// Kept is how long the delivery of a notice is tried: after that it is
// news no more.
const Kept = 3 * 24 * time.Hour

const (
	// KindAlertState is the kind of the objects that hold what was reported.
	KindAlertState = "alert-state"
	alertsLease    = "alerts"
	alertsLeaseTTL = time.Minute
)

// EvaluateAlerts finds out what has changed since the last report, and starts the
// delivery of what is new. One worker at a time does it; while another one does
// there is nothing to do.
func (a *Alerts) EvaluateAlerts(ctx context.Context) error {
	alerts, err := record.List[catalogue.Alert](ctx, a.Store, catalogue.KindAlert)
	if err != nil {
		return err
	}
	states, err := a.Store.Objects(ctx, KindAlertState)
	if err != nil || len(alerts)+len(states) == 0 {
		return err
	}
	lease, err := a.Store.AcquireLease(ctx, alertsLease, alertsLeaseTTL)
	if _, held := errors.AsType[*store.LeaseHeldError](err); held {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = a.Store.ReleaseLease(context.WithoutCancel(ctx), lease) }() // else it runs out
	return a.evaluate(ctx, alerts)
}

func (a *Alerts) evaluate(ctx context.Context, alerts []catalogue.Alert) error {
	exports, err := record.List[catalogue.Export](ctx, a.Store, catalogue.KindExport)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	var errs []error
	for _, e := range exports {
		f, err := a.alertFacts(ctx, e)
		if err != nil {
			return err
		}
		for i := range alerts {
			if alerts[i].Covers(e.Name) {
				wanted[stateName(&alerts[i], e)] = true
				errs = append(errs, a.stepAlert(ctx, &alerts[i], e, f))
			}
		}
	}
	// What was reported of exports and by alerts that are gone.
	states, err := a.Store.Objects(ctx, KindAlertState)
	if err != nil {
		return err
	}
	for _, o := range states {
		if !wanted[o.Name] {
			errs = append(errs, a.Store.DeleteObject(ctx, KindAlertState, o.Name, ""))
		}
	}
	return errors.Join(errs...)
}

// stateName names what an alert has reported of an export. Both were made at some
// time: another of the same name, made later, starts again.
func stateName(v *catalogue.Alert, e catalogue.Export) string {
	return fmt.Sprintf("%s/%s/%x-%x", v.Name, e.Name, v.CreatedAt.UnixMilli(), e.CreatedAt.UnixMilli())
}

// Told is what an alert has told of an export, and what is on its way.
type Told struct {
	State

	Pending []Notice `json:"pending,omitempty"`
}

// stepAlert notes what to report before its delivery starts. Should it be
// cut off in between, the next evaluation begins what is pending; Temporal
// refuses to begin the same delivery twice.
func (a *Alerts) stepAlert(ctx context.Context, v *catalogue.Alert, e catalogue.Export, f Facts) error {
	name := stateName(v, e)
	o, err := a.Store.Object(ctx, KindAlertState, name)
	fresh := errors.Is(err, store.ErrNotFound)
	if err != nil && !fresh {
		return err
	}
	state, err := record.Decode[Told](o.Body)
	if err != nil {
		return err
	}
	next, notice := state.Step(v, f)
	state.State = next
	if notice != nil {
		state.Pending = append(state.Pending, *notice)
	}
	kept := slices.DeleteFunc(slices.Clone(state.Pending), func(n Notice) bool { return f.Now.Sub(n.At) > Kept })
	if fresh || notice != nil || len(kept) != len(state.Pending) {
		state.Pending = kept
		o.Kind, o.Name, o.Body, o.Sealed = KindAlertState, name, record.Encode(state), nil
		if fresh {
			err = a.Store.CreateObject(ctx, o)
		} else {
			err = a.Store.UpdateObject(ctx, o)
		}
		if err != nil {
			return err
		}
	}
	for _, n := range kept {
		if err := a.Start(ctx, AlertInput{State: name, Seq: n.Seq}, n.Subject()); err != nil {
			return err
		}
	}
	return nil
}

// AlertInput selects a notice that is pending.
type AlertInput struct {
	State string `json:"state"`
	Seq   int64  `json:"seq"`
}

// alertFacts is how an export stands.
func (a *Alerts) alertFacts(ctx context.Context, e catalogue.Export) (Facts, error) {
	f := Facts{Export: e.Name, CreatedAt: e.CreatedAt}
	var err error
	if f.Now, err = a.Store.Now(ctx); err != nil {
		return f, err
	}
	runs, err := a.Store.ListRuns(ctx, store.RunFilter{Export: e.Name, Limit: job.LookBack})
	if err != nil {
		return f, err
	}
	for _, r := range runs {
		if r.CreatedAt.Before(e.CreatedAt) {
			break // of another export of that name
		}
		answer, err := job.Answer(r)
		if err != nil {
			return f, err
		}
		switch {
		case r.EndedAt.IsZero():
			f.Open = &answer.Report
		case f.Last == nil && answer.Status != run.Canceled:
			f.Last = &answer.Report // the person who canceled knows
		}
		if f.LastSuccess.IsZero() && answer.Status.Complete() {
			f.LastSuccess = r.EndedAt
		}
	}
	return f, nil
}

// DeliverAlert delivers a notice that is pending, and no other: its content comes
// from the store, whatever started the workflow. What fails is tried again
// by Temporal.
func (a *Alerts) DeliverAlert(ctx context.Context, in AlertInput) error {
	o, err := a.Store.Object(ctx, KindAlertState, in.State)
	if errors.Is(err, store.ErrNotFound) {
		return nil // the alert or the export is gone: nobody wants to know any more
	}
	if err != nil {
		return err
	}
	state, err := record.Decode[Told](o.Body)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(state.Pending, func(n Notice) bool { return n.Seq == in.Seq })
	if i < 0 {
		return nil // delivered
	}
	n := state.Pending[i]
	v, sealed, err := record.Object[catalogue.Alert](ctx, a.Store, catalogue.KindAlert, n.Alert)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	channel, err := a.Channel(v.Name, sealed.Sealed)
	if err != nil {
		return err
	}
	id := strings.Map(idRune, fmt.Sprintf("%s-%d", in.State, in.Seq))
	err = channel.Deliver(ctx, NoticeMessage(&n, id))
	a.Work.Alert(v.Name, err)
	if err != nil {
		return err
	}
	return a.delivered(ctx, in)
}

// delivered notes that a notice is not pending any more.
func (a *Alerts) delivered(ctx context.Context, in AlertInput) error {
	for {
		o, err := a.Store.Object(ctx, KindAlertState, in.State)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		state, err := record.Decode[Told](o.Body)
		if err != nil {
			return err
		}
		state.Pending = slices.DeleteFunc(state.Pending, func(n Notice) bool { return n.Seq == in.Seq })
		o.Body, o.Sealed = record.Encode(state), nil
		if err = a.Store.UpdateObject(ctx, o); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// idRune keeps what may stand in a mail's Message-ID and in a header.
func idRune(r rune) rune {
	if r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
		return r
	}
	return '_'
}

// fields are a notice for programs.
type fields struct {
	Notice

	ID    string `json:"id"`
	Event string `json:"event"` // began, over, changed, test
}

// NoticeMessage is a notice as a channel delivers it.
func NoticeMessage(n *Notice, id string) Message {
	event := "changed"
	switch {
	case n.Test:
		event = "test"
	case len(n.Over) == 0:
		event = "began"
	case len(n.Began) == 0:
		event = "over"
	}
	return Message{ID: id, At: n.At, Subject: n.Subject(), Text: n.Text(), Fields: fields{Notice: *n, ID: id, Event: event}}
}
