// Package lease lets one attempt at a time work under a name of the store.
package lease

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/store"
)

// ErrStopping is the cause of a context that ends because this worker shuts down:
// what was started is finished, the rest is handed over.
var ErrStopping = errors.New("this worker is stopping")

// Hold is what work under a lease is given beside its context.
type Hold struct {
	Lease store.Lease
	// Soft ends when the work should stop after the unit in hand: the activity
	// was canceled, the worker stops, or the lease is gone. Waiting uses it.
	Soft context.Context
	// workerStops is closed when this worker must stop. The soft context
	// ends then too, but a moment later.
	workerStops <-chan struct{}
}

// Stopping tells whether to begin no further unit.
func (h Hold) Stopping() bool {
	select {
	case <-h.workerStops:
		return true
	default:
		return h.Soft.Err() != nil
	}
}

// Stopped is why no further unit is started; nil while the work continues. A step
// that is complete only when all of its units are done returns it: it is then
// attempted again, by another worker if this one stops.
func (h Hold) Stopped() error {
	if !h.Stopping() {
		return nil
	}
	if cause := context.Cause(h.Soft); cause != nil {
		return cause
	}
	return ErrStopping
}

// leases are the leases of the store.
type leases interface {
	AcquireLease(ctx context.Context, name string, ttl time.Duration) (store.Lease, error)
	RenewLease(ctx context.Context, l store.Lease, ttl time.Duration) error
	ReleaseLease(ctx context.Context, l store.Lease) error
}

// Keeper lets one attempt at a time work under a name.
type Keeper struct {
	Store     leases
	TTL       time.Duration
	Log       *slog.Logger
	Heartbeat func(ctx context.Context) // says that the work is alive
	Stopping  <-chan struct{}           // closed when this worker stops; nil: never
}

// Hold runs work while this attempt holds the named lease, with heartbeats. An earlier attempt that was cut off keeps its
// lease until it runs out; only then does this one begin, so that the two are
// never at work at once. The context given to work ends only when the lease is
// lost, so that a request in flight is not interrupted by a cancel.
func (k *Keeper) Hold(ctx context.Context, name string, work func(ctx context.Context, h Hold) error) error {
	soft, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	hard, lost := context.WithCancelCause(context.WithoutCancel(ctx))
	defer lost(nil)
	beat := time.NewTicker(k.TTL / 4)
	defer beat.Stop()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-k.Stopping:
			stop(ErrStopping)
		case <-over:
		}
	}()

	lease, err := k.acquire(soft, name, beat)
	if err != nil {
		if errors.Is(context.Cause(soft), ErrStopping) {
			return ErrStopping // the step is tried again by another worker
		}
		return err
	}
	defer func() {
		// Given up even when the context has ended: the next attempt need not wait.
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.TTL)
		defer cancel()
		if err := k.Store.ReleaseLease(release, lease); err != nil {
			k.Log.WarnContext(ctx, "a lease could not be released; it expires later", "lease", name, "error", err)
		}
	}()

	done := make(chan error, 1)
	go func() {
		// A panic here would end the whole process: nothing else reaches this goroutine.
		done <- fault.Guard(func() error { return work(hard, Hold{Lease: lease, Soft: soft, workerStops: k.Stopping}) })
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
			k.Heartbeat(ctx)
			err := k.Store.RenewLease(hard, lease, k.TTL)
			switch {
			case err == nil:
				renewed = time.Now()
			case errors.Is(err, store.ErrFenced):
				return end(err)
			case time.Since(renewed) > k.TTL*3/4:
				return end(err) // the store is out of reach and the lease about to run out
			}
		}
	}
}

// acquire waits for the lease as long as it takes, heartbeating.
func (k *Keeper) acquire(ctx context.Context, name string, beat *time.Ticker) (store.Lease, error) {
	for {
		lease, err := k.Store.AcquireLease(ctx, name, k.TTL)
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
			k.Heartbeat(ctx)
		case <-wait.C:
		}
		wait.Stop()
	}
}
