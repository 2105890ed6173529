package service

import (
	"context"
	"errors"
	"time"

	"github.com/segment-export/segment-export/internal/store/sqlstore"
)

// schemaEvery is how often a worker checks whether the store was migrated to a
// schema that it cannot use. Its probes check on their own.
const schemaEvery = 5 * time.Second

// Outgrown tells, once, that a newer program has made the store one that this
// program must not use any more: it has to stop.
func (s *Service) Outgrown() <-chan error { return s.outgrown }

// watchSchema looks at the store's schema until it has outgrown this program.
// A store that is out of reach, or was put back to an older one, may come back.
func (s *Service) watchSchema(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ping, cancel := context.WithTimeout(ctx, every)
		err := s.Store.Ping(ping)
		cancel()
		if e, ok := errors.AsType[*sqlstore.SchemaError](err); ok && e.Have > e.Want {
			s.outgrown <- err
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
