package omnisend

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"
)

// readTries is how often a read is made that meets a passing fault before the
// caller hears of it.
const readTries = 4

// Backoff is how long to wait after the nth try, counted from 1, that met a
// passing fault: half a second on average, doubling, never the same for two.
func Backoff(try int) time.Duration {
	return time.Duration(float64(250*time.Millisecond) * float64(int(1)<<try) * (0.5 + rand.Float64()))
}

// RetryReads returns api that repeats each read after a passing fault. CreateBatch
// is not repeated: only its caller knows what to find out first.
func RetryReads(api API) API {
	return &retrying{API: api, pause: func(ctx context.Context, try int) {
		t := time.NewTimer(Backoff(try))
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}}
}

type retrying struct {
	API
	pause func(ctx context.Context, try int)
}

func again[T any](ctx context.Context, r *retrying, read func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		result, err := read()
		if err == nil || ClassOf(err) != Retry || try == readTries || ctx.Err() != nil {
			return result, err
		}
		r.pause(ctx, try)
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
