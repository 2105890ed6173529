package lease_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/store"
	"github.com/segment-export/segment-export/internal/store/sqlstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keeper has a store of its own.
func keeper(t *testing.T) *lease.Keeper {
	t.Helper()
	st, err := sqlstore.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlstore.Options{RequestTimeout: 30 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	return &lease.Keeper{Store: st, TTL: time.Minute, Log: slog.New(slog.DiscardHandler), Heartbeat: func(context.Context) {}}
}

func acquire(t *testing.T, k *lease.Keeper, name string) store.Lease {
	t.Helper()
	l, err := k.Store.AcquireLease(t.Context(), name, k.TTL)
	require.NoError(t, err)
	return l
}

// The work has the lease, and gives it back whatever it came to.
func TestALeaseIsHeldDuringTheWork(t *testing.T) {
	k := keeper(t)
	odd := errors.New("odd")
	err := k.Hold(t.Context(), "name", func(ctx context.Context, h lease.Hold) error {
		_, err := k.Store.AcquireLease(ctx, "name", k.TTL)
		var held *store.LeaseHeldError
		require.ErrorAs(t, err, &held)
		require.False(t, h.Stopping())
		require.NoError(t, h.Stopped())
		return odd
	})
	require.ErrorIs(t, err, odd)
	require.NoError(t, k.Store.ReleaseLease(t.Context(), acquire(t, k, "name")))
}

// A panic of the work is an error, and the lease is free again.
func TestAPanicUnderALease(t *testing.T) {
	k := keeper(t)
	err := k.Hold(t.Context(), "name", func(context.Context, lease.Hold) error { panic("odd") })
	var f *fault.Error
	require.ErrorAs(t, err, &f)
	acquire(t, k, "name")
}

// A cancel, or a worker that stops, lets the unit in hand end.
func TestACancelLetsTheUnitInHandEnd(t *testing.T) {
	for name, stop := range map[string]func(cancel, stopping func()){
		"cancel": func(cancel, _ func()) { cancel() },
		"stop":   func(_, stopping func()) { stopping() },
	} {
		t.Run(name, func(t *testing.T) {
			k := keeper(t)
			stopping := make(chan struct{})
			k.Stopping = stopping
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := k.Hold(ctx, "name", func(ctx context.Context, h lease.Hold) error {
				stop(cancel, func() { close(stopping) })
				<-h.Soft.Done()
				require.NoError(t, ctx.Err(), "a request in flight is not interrupted")
				require.True(t, h.Stopping())
				return h.Stopped()
			})
			require.Error(t, err)
		})
	}
}

// A lease that was lost ends the work: another attempt is at work by then.
func TestALostLeaseEndsTheWork(t *testing.T) {
	k := keeper(t)
	k.TTL = 20 * time.Millisecond
	var beats atomic.Int32
	k.Heartbeat = func(context.Context) { beats.Add(1) }
	err := k.Hold(t.Context(), "name", func(ctx context.Context, h lease.Hold) error {
		if err := k.Store.ReleaseLease(ctx, h.Lease); err != nil {
			return err
		}
		<-ctx.Done()
		return context.Cause(ctx)
	})
	require.ErrorIs(t, err, store.ErrFenced)
	require.Positive(t, beats.Load())
}

// Work waits for the lease of an attempt that was cut off, with heartbeats, and
// gives up when its worker stops.
func TestWaitingForALease(t *testing.T) {
	k := keeper(t)
	before := acquire(t, k, "name")
	k.TTL = 20 * time.Millisecond
	beats := make(chan struct{}, 1)
	k.Heartbeat = func(context.Context) {
		select {
		case beats <- struct{}{}:
		default:
		}
	}
	done := make(chan error, 1)
	go func() { done <- k.Hold(t.Context(), "name", func(context.Context, lease.Hold) error { return nil }) }()
	<-beats
	stopping := make(chan struct{})
	close(stopping)
	other := *k
	other.Stopping = stopping
	require.ErrorIs(t, other.Hold(t.Context(), "name", func(context.Context, lease.Hold) error { return nil }), lease.ErrStopping)
	require.NoError(t, k.Store.ReleaseLease(t.Context(), before))
	require.NoError(t, <-done)
}
