package omnisend

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Gate is the budget of one brand, shared by everybody who calls it.
type Gate interface {
	// Take waits its turn and returns what must be called when the request's
	// answer came. When the wait would be long it returns at once an *Error of
	// class Wait whose RetryAfter says how long.
	Take(ctx context.Context) (answered func(), err error)
	// Pause holds everybody back after a 429; wait is 0 when the answer did not
	// say how long. It returns how long the pause is.
	Pause(ctx context.Context, wait time.Duration) (time.Duration, error)
}

// Limit returns api with every request drawing on gate. A 429 pauses the gate.
func Limit(api API, gate Gate) API { return &limited{api: api, gate: gate} }

type limited struct {
	api  API
	gate Gate
}

// through makes one request within the budget.
func through[T any](ctx context.Context, l *limited, request func() (T, error)) (T, error) {
	var zero T
	answered, err := l.gate.Take(ctx)
	if err != nil {
		return zero, err
	}
	result, err := request()
	answered()
	if e, ok := errors.AsType[*Error](err); ok && e.Class == Wait {
		wait, pauseErr := l.gate.Pause(ctx, e.RetryAfter)
		if pauseErr != nil {
			return zero, errors.Join(err, pauseErr)
		}
		e.RetryAfter = wait
	}
	return result, err
}

func (l *limited) CurrentBrand(ctx context.Context) (Brand, error) {
	return through(ctx, l, func() (Brand, error) { return l.api.CurrentBrand(ctx) })
}

func (l *limited) CreateBatch(ctx context.Context, origin string, items [][]byte) (string, error) {
	return through(ctx, l, func() (string, error) { return l.api.CreateBatch(ctx, origin, items) })
}

func (l *limited) ListBatches(ctx context.Context, q ListQuery) (BatchPage, error) {
	return through(ctx, l, func() (BatchPage, error) { return l.api.ListBatches(ctx, q) })
}

func (l *limited) Batch(ctx context.Context, id string) (Batch, error) {
	return through(ctx, l, func() (Batch, error) { return l.api.Batch(ctx, id) })
}

func (l *limited) BatchItems(ctx context.Context, id string) (Batch, error) {
	return through(ctx, l, func() (Batch, error) { return l.api.BatchItems(ctx, id) })
}

func (l *limited) ContactByEmail(ctx context.Context, email string) (json.RawMessage, bool, error) {
	type found struct {
		raw json.RawMessage
		ok  bool
	}
	f, err := through(ctx, l, func() (found, error) {
		raw, ok, err := l.api.ContactByEmail(ctx, email)
		return found{raw, ok}, err
	})
	return f.raw, f.ok, err
}
