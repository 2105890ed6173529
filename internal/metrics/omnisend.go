package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/segment-export/segment-export/internal/omnisend"
)

// Counted returns api with every request counted by outcome and timed.
func (w *Work) Counted(api omnisend.API) omnisend.API {
	return &counted{api: api, work: w, now: time.Now}
}

type counted struct {
	api  omnisend.API
	work *Work
	now  func() time.Time
}

// The outcomes beside those of omnisend.Class.
const (
	outcomeOK       = "ok"
	outcomeCanceled = "canceled" // the caller gave up, or the request broke one of our own limits
)

func request[T any](c *counted, operation string, do func() (T, error)) (T, error) {
	began := c.now()
	v, err := do()
	outcome := outcomeOK
	if err != nil {
		outcome = outcomeCanceled
		if e, ok := errors.AsType[*omnisend.Error](err); ok {
			outcome = string(e.Class)
		}
	}
	c.work.calls.WithLabelValues(operation, outcome).Inc()
	c.work.seconds.WithLabelValues(operation).Observe(c.now().Sub(began).Seconds())
	return v, err
}

func (c *counted) CurrentBrand(ctx context.Context) (omnisend.Brand, error) {
	return request(c, "brand", func() (omnisend.Brand, error) { return c.api.CurrentBrand(ctx) })
}

func (c *counted) CreateBatch(ctx context.Context, origin string, items [][]byte) (string, error) {
	return request(c, "create_batch", func() (string, error) { return c.api.CreateBatch(ctx, origin, items) })
}

func (c *counted) ListBatches(ctx context.Context, q omnisend.ListQuery) (omnisend.BatchPage, error) {
	return request(c, "list_batches", func() (omnisend.BatchPage, error) { return c.api.ListBatches(ctx, q) })
}

func (c *counted) Batch(ctx context.Context, id string) (omnisend.Batch, error) {
	return request(c, "batch", func() (omnisend.Batch, error) { return c.api.Batch(ctx, id) })
}

func (c *counted) BatchItems(ctx context.Context, id string) (omnisend.Batch, error) {
	return request(c, "batch_items", func() (omnisend.Batch, error) { return c.api.BatchItems(ctx, id) })
}

func (c *counted) ContactByEmail(ctx context.Context, email string) (json.RawMessage, bool, error) {
	type found struct {
		raw json.RawMessage
		ok  bool
	}
	f, err := request(c, "contact", func() (found, error) {
		raw, ok, err := c.api.ContactByEmail(ctx, email)
		return found{raw, ok}, err
	})
	return f.raw, f.ok, err
}

func (c *counted) CreateSegment(ctx context.Context, name, marker string) (omnisend.Segment, error) {
	return request(c, "create_segment", func() (omnisend.Segment, error) { return c.api.CreateSegment(ctx, name, marker) })
}

func (c *counted) ListSegments(ctx context.Context, after string) (omnisend.SegmentPage, error) {
	return request(c, "list_segments", func() (omnisend.SegmentPage, error) { return c.api.ListSegments(ctx, after) })
}
