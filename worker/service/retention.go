package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/store"
)

// Retention is how long what is not needed any more is kept. The zero value of
// a field is its default.
type Retention struct {
	Rejects  time.Duration // rejected rows, samples of plans, differences that verify found: personal data
	Calls    time.Duration // the record of calls, from the end of their run
	Runs     time.Duration // reports, from the end of the run; an export's newest stays
	Commands time.Duration // which commands were carried out
	Audit    time.Duration // who did what
}

const day = 24 * time.Hour

// batchesKept is how long the contacts of calls without a verdict are kept:
// Omnisend keeps the results of batches for 7 days.
const batchesKept = 8 * day

// kept are the settings: the option, where it is, and its default.
func (r *Retention) kept() []setting {
	return []setting{
		{"keep-rejects", &r.Rejects, 30, "rejected rows, samples of plans and differences that verify found"},
		{"keep-calls", &r.Calls, 30, "the record of the calls of a run that has ended"},
		{"keep-runs", &r.Runs, 400, "reports of runs; the newest of each export stays"},
		{"keep-commands", &r.Commands, 30, "ids of commands that were carried out"},
		{"keep-audit", &r.Audit, 730, "the audit"},
	}
}

type setting struct {
	name string
	at   *time.Duration
	days int
	what string
}

// filled puts defaults in.
func (r Retention) filled() Retention {
	for _, s := range r.kept() {
		if *s.at == 0 {
			*s.at = time.Duration(s.days) * day
		}
	}
	return r
}

// RetentionFlags are the options that say how long things are kept.
func RetentionFlags() []cli.Flag {
	var flags []cli.Flag
	for _, s := range new(Retention).kept() {
		flags = append(flags, &cli.IntFlag{Name: s.name, Value: s.days, Usage: "`DAYS` to keep " + s.what})
	}
	return flags
}

// RetentionOf reads the options.
func RetentionOf(c *cli.Context) (Retention, error) {
	var r Retention
	for _, s := range r.kept() {
		n := c.Int(s.name)
		if n < 1 {
			return r, fmt.Errorf("--%s %d must be at least 1", s.name, n)
		}
		*s.at = time.Duration(n) * day
	}
	return r, nil
}

// cleanUp ends runs that were terminated in Temporal and deletes what has
// expired, now and every hour.
func (s *Service) cleanUp(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if err := s.cleanUpOnce(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "cleaning up failed; the worker will try again in an hour", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Service) cleanUpOnce(ctx context.Context) error {
	return errors.Join(s.guarded(ctx, s.activities.ReapTerminated), s.guarded(ctx, s.activities.RepairSchedules), s.guarded(ctx, s.expire))
}

// expire deletes what is older than it is kept.
func (s *Service) expire(ctx context.Context) error {
	now, err := s.Store.Now(ctx)
	if err != nil {
		return err
	}
	r := s.retention
	var errs []error
	for kind, kept := range map[store.BlobKind]time.Duration{
		store.BlobReject: r.Rejects, store.BlobSamples: r.Rejects, store.BlobVerify: r.Rejects, store.BlobBatch: batchesKept,
	} {
		_, err := s.Store.ExpireSpool(ctx, kind, now.Add(-kept))
		errs = append(errs, err)
	}
	for _, e := range []struct {
		kept   time.Duration
		expire func(context.Context, time.Time) (int, error)
	}{
		{r.Calls, s.Store.ExpireCalls}, {r.Runs, s.Store.ExpireRuns}, {r.Commands, s.Store.ExpireCommands}, {r.Audit, s.Store.ExpireAudit},
	} {
		_, err := e.expire(ctx, now.Add(-e.kept))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
