package omnisend

import (
	"context"
	"encoding/json"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// readTries is how often a read is made that meets a passing fault before the
// caller hears of it.
const readTries = 4

// NewBackoff returns the waits between tries that meet a passing fault: half a
// second on average, doubling, never the same for two. Each request has its own.
func NewBackoff() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{InitialInterval: 500 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: time.Minute}
}

// RetryReads returns api that repeats each read after a passing fault. CreateBatch
// is not repeated: only its caller knows what to find out first.
func RetryReads(api API) API {
	return &retrying{API: api, pause: func(ctx context.Context, wait time.Duration) {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}}
}

type retrying struct {
	API
	pause func(ctx context.Context, wait time.Duration)
}

func again[T any](ctx context.Context, r *retrying, read func() (T, error)) (T, error) {
	waits := NewBackoff()
	for try := 1; ; try++ {
		result, err := read()
		if err == nil || ClassOf(err) != Retry || try == readTries || ctx.Err() != nil {
			return result, err
		}
		r.pause(ctx, waits.NextBackOff())
	}
}

func (r *retrying) CurrentBrand(ctx context.Context) (Brand, error) {
	return again(ctx, r, func() (Brand, error) { return r.API.CurrentBrand(ctx) })
}

func (r *retrying) ListBatches(ctx context.Context, q ListQuery) (BatchPage, error) {
	return again(ctx, r, func() (BatchPage, error) { return r.API.ListBatches(ctx, q) })
}

func (r *retrying) Batch(ctx context.Context, id string) (Batch, error) {
	return again(ctx, r, func() (Batch, error) { return r.API.Batch(ctx, id) })
}

func (r *retrying) BatchItems(ctx context.Context, id string) (Batch, error) {
	return again(ctx, r, func() (Batch, error) { return r.API.BatchItems(ctx, id) })
}

func (r *retrying) ContactByEmail(ctx context.Context, email string) (json.RawMessage, bool, error) {
	type found struct {
		raw json.RawMessage
		ok  bool
	}
	f, err := again(ctx, r, func() (found, error) {
		raw, ok, err := r.API.ContactByEmail(ctx, email)
		return found{raw, ok}, err
	})
	return f.raw, f.ok, err
}
