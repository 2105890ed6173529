package activities

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/store"
)

// errStopping is the cause of a context that ends because this worker stops in
// order: what was begun is finished, the rest is handed over.
var errStopping = errors.New("this worker is stopping")

// hold is what work under a lease is given beside its context.
type hold struct {
	lease store.Lease
	// soft ends when the work should stop after the unit in hand: the activity
	// was canceled, the worker stops, or the lease is gone. Waiting uses it.
	soft context.Context
	// workerStops is closed when this worker is told to stop. The soft context
	// ends then too, but a moment later.
	workerStops <-chan struct{}
}

// stopping tells whether to begin no further unit.
func (h hold) stopping() bool {
	select {
	case <-h.workerStops:
		return true
	default:
		return h.soft.Err() != nil
	}
}

// stopped is why no further unit is begun; nil while the work goes on. A step
// that is complete only when all of its units are done returns it: it is then
// attempted again, by another worker if this one stops.
func (h hold) stopped() error {
	if !h.stopping() {
		return nil
	}
	if cause := context.Cause(h.soft); cause != nil {
		return cause
	}
	return errStopping
}

// underLease runs work while this attempt holds the named lease and tells
// Temporal that it is alive. An earlier attempt that was cut off keeps its
// lease until it runs out; only then does this one begin, so that the two are
// never at work at once. The context given to work ends only when the lease is
// lost, so that a request in flight is not broken off by a cancel.
func (a *Activities) underLease(ctx context.Context, name string, work func(ctx context.Context, h hold) error) error {
	soft, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	hard, lost := context.WithCancelCause(context.WithoutCancel(ctx))
	defer lost(nil)
	beat := time.NewTicker(a.Tuning.LeaseTTL / 4)
	defer beat.Stop()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-a.Stopping:
			stop(errStopping)
		case <-over:
		}
	}()

	lease, err := a.acquire(soft, name, beat)
	if err != nil {
		if errors.Is(context.Cause(soft), errStopping) {
			return errStopping // the step is tried again by another worker
		}
		return err
	}
	defer func() {
		// Given up even when the context has ended: the next attempt need not wait.
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.Tuning.LeaseTTL)
		defer cancel()
		if err := a.Store.ReleaseLease(release, lease); err != nil {
			a.Log.WarnContext(ctx, "a lease could not be released and runs out by itself", "lease", name, "error", err)
		}
	}()

	done := make(chan error, 1)
	go func() {
		// A panic here would end the whole process: nothing else reaches this goroutine.
		done <- fault.Guard(func() error { return work(hard, hold{lease: lease, soft: soft, workerStops: a.Stopping}) })
	}()
	end := func(cause error) error {
		stop(cause)
		lost(cause)
		return errors.Join(cause, <-done)
	}
	renewed := time.Now()
	for {
		select {
		case err := <-done:
			return err
		case <-beat.C:
			heartbeat(ctx)
			err := a.Store.RenewLease(hard, lease, a.Tuning.LeaseTTL)
			switch {
			case err == nil:
				renewed = time.Now()
			case errors.Is(err, store.ErrFenced):
				return end(err)
			case time.Since(renewed) > a.Tuning.LeaseTTL*3/4:
				return end(err) // the store is out of reach and the lease about to run out
			}
		}
	}
}

// heartbeat tells Temporal that an activity is alive; work outside of one has
// nobody to tell.
func heartbeat(ctx context.Context) {
	if activity.IsActivity(ctx) {
		activity.RecordHeartbeat(ctx)
	}
}

// acquire waits for the lease as long as it takes, heartbeating.
func (a *Activities) acquire(ctx context.Context, name string, beat *time.Ticker) (store.Lease, error) {
	for {
		lease, err := a.Store.AcquireLease(ctx, name, a.Tuning.LeaseTTL)
		held, isHeld := errors.AsType[*store.LeaseHeldError](err)
		if !isHeld {
			return lease, err
		}
		wait := time.NewTimer(max(held.In, 10*time.Millisecond))
		select {
		case <-ctx.Done():
			wait.Stop()
			return store.Lease{}, context.Cause(ctx)
		case <-beat.C:
			heartbeat(ctx)
		case <-wait.C:
		}
		wait.Stop()
	}
}
