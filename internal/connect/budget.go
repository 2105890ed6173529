package connect

import (
	"context"
	"log/slog"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/metrics"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/store"
)

// WithinBudget lets every request of api draw on the budget of the
// connection's brand. A connection without a limit (only against loopback) has
// no budget.
func (a *Opener) WithinBudget(api omnisend.API, c catalogue.Connection) omnisend.API {
	if c.CallsPerMinute == 0 {
		return api
	}
	return omnisend.Limit(api, a.Gate(c))
}

// Gate returns the budget of the connection's brand.
func (a *Opener) Gate(c catalogue.Connection) *gate {
	return &gate{
		budget:   a.Store,
		brand:    c.Budget(),
		limit:    store.Limit{Calls: c.Limit()},
		work:     a.Work,
		name:     c.Name,
		patience: a.Patience,
		log:      a.Log,
	}
}

// gate is the budget of one brand in the store.
type gate struct {
	budget   store.Budget
	brand    string
	limit    store.Limit
	patience time.Duration
	work     *metrics.Work
	name     string // the connection's
	log      *slog.Logger
}

// Take blocks until there is a slot, but never so long that waits would fill the worker's
// activity slots: then the workflow waits instead.
func (g *gate) Take(ctx context.Context) (func(), error) {
	var waited time.Duration
	for {
		grant, err := g.budget.TakeSlot(ctx, g.brand, g.limit)
		if err != nil {
			return nil, err
		}
		if grant.Slot != 0 {
			g.work.Slot(g.name, waited)
			return func() { g.free(ctx, grant.Slot) }, nil
		}
		if grant.Wait > g.patience {
			g.work.Waited(g.name, waited+grant.Wait)
			return nil, &omnisend.Error{Op: "budget", Class: omnisend.Wait, RetryAfter: grant.Wait}
		}
		t := time.NewTimer(grant.Wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, context.Cause(ctx)
		case <-t.C:
		}
		waited += grant.Wait
	}
}

// free notes the answer. When the store is out of reach the slot expires later.
func (g *gate) free(ctx context.Context, slot int64) {
	if err := g.budget.FreeSlot(context.WithoutCancel(ctx), g.brand, slot); err != nil {
		g.log.WarnContext(ctx, "a budget slot could not be freed; it expires later", "error", err)
	}
}

// Pause holds the brand's calls back after a 429.
func (g *gate) Pause(ctx context.Context, wait time.Duration) (time.Duration, error) {
	g.work.Paused(g.name)
	if err := g.budget.PauseBrand(ctx, g.brand, wait, g.limit); err != nil {
		return 0, err
	}
	s, err := g.budget.BudgetState(ctx, g.brand, g.limit)
	return s.Paused, err
}

// BookCall counts a call that was made before it was known whose budget it
// belongs to.
func (a *Opener) BookCall(ctx context.Context, conn catalogue.Connection) error {
	if conn.CallsPerMinute == 0 {
		return nil
	}
	g := a.Gate(conn)
	grant, err := a.Store.TakeSlot(ctx, g.brand, g.limit)
	if err != nil || grant.Slot == 0 {
		return err // full without it
	}
	return a.Store.FreeSlot(ctx, g.brand, grant.Slot)
}
