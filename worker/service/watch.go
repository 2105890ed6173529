package service

import (
	"context"
	"time"
)

// watchEvery is how often alerts are evaluated when no run changes: something
// may be late.
const watchEvery = 30 * time.Second

// nudge makes watch look at once.
func (s *Service) nudge() {
	select {
	case s.changed <- struct{}{}:
	default: // it is about to look anyway
	}
}

// watch evaluates alerts when a run has changed, and now and then.
func (s *Service) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if err := s.guarded(ctx, s.activities.EvaluateAlerts); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "alerts could not be evaluated; the worker will try again soon", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.changed:
		}
	}
}
