// Package job holds what all steps of a run share: what the run works with, what
// its steps have left behind in the store, its report, and the dependencies.
package job

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/connect"
	"github.com/segment-export/segment-export/internal/ledger"
	"github.com/segment-export/segment-export/internal/metrics"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/seal"
	"github.com/segment-export/segment-export/internal/secretref"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/store"
)

// Tuning is what tests make small. The zero value of a field is its default.
type Tuning struct {
	BatchSize int           // contacts of one upload activity; 1,000, more in a large run
	PartRows  int           // rows of one part of the spool; 50,000
	PartBytes int           // of the contacts of one part, and of one batch; 8 MiB
	Slice     time.Duration // how long reading and deciding take before they report; 5 s
	LeaseTTL  time.Duration // 10 s
	Patience  time.Duration // longest wait for budget inside an activity; 5 s
	MaxEvents int           // length of history after which a run continues as new; the workflow's own 8,000
	// SourcePatience is how long a source may give errors before the run parks;
	// 10 minutes.
	SourcePatience time.Duration
	// SourceAnswer is how long a source may take to show that it has what is
	// mapped, below the minute that the step has; 40 s.
	SourceAnswer time.Duration
	// SourceShows is how long a source may take to show what it has, or to be
	// tested, below the time that a command has; 25 s.
	SourceShows time.Duration
	// SourceReady is how long a source may be busy with itself before the run
	// parks; 12 hours. Refreshes take hours, and some hang.
	SourceReady time.Duration
	// ForbiddenPatience is how long Omnisend may answer 403 before the run parks,
	// since it may block a key for a while; 3 minutes.
	ForbiddenPatience time.Duration
}

// Dependencies are what steps need of the world. All are required, unless they
// say otherwise.
type Dependencies struct {
	Store     store.Store
	Keyring   *seal.Keyring
	Workflows Workflows
	Identity  access.Identifier // finds out who gives a command
	Log       *slog.Logger
	Work      *metrics.Work // nil: counted nowhere
	Secrets   secretref.Resolver
	// OpenSource opens a source of the catalogue with its credential; nil where
	// it has none. It makes no connection. Whatever implements io.Closer is closed
	// after its last use.
	OpenSource func(s catalogue.Source, credential []byte) (segment.Source, error)
	// OpenAPI makes a client of the endpoint for the key.
	OpenAPI func(endpoint, key string) (omnisend.API, error)
	Tuning  Tuning
	// Stopping is closed when this worker is to begin nothing more: what is in
	// flight ends, the rest is handed over. Temporal's own sign of that comes only
	// after its pollers for workflows have ended. Nil: never.
	Stopping <-chan struct{}
	// Heartbeat tells that a step is alive; may be nil.
	Heartbeat func(ctx context.Context)
	// Changed is called after a run's status is stored; may be nil.
	Changed func()
}

// Workflows are what steps need of Temporal.
type Workflows interface {
	// IsOpen says whether Temporal still runs the workflow of a run.
	IsOpen(ctx context.Context, r store.Run) (bool, error)
	// RemoveSchedule removes an export's schedule, if it has one, for a command.
	RemoveSchedule(ctx context.Context, export, forCommand string) error
}

// Runs gives access to all runs.
type Runs struct{ Dependencies }

// New returns the runs, with defaults filled in.
func New(d Dependencies) *Runs {
	t := &d.Tuning
	t.BatchSize = cmp.Or(t.BatchSize, 1000)
	t.PartBytes = cmp.Or(t.PartBytes, 8<<20)
	t.PartRows = cmp.Or(t.PartRows, 50_000)
	t.Slice = cmp.Or(t.Slice, 5*time.Second)
	t.LeaseTTL = cmp.Or(t.LeaseTTL, 10*time.Second)
	t.Patience = cmp.Or(t.Patience, 5*time.Second)
	t.SourcePatience = cmp.Or(t.SourcePatience, 10*time.Minute)
	t.SourceAnswer = cmp.Or(t.SourceAnswer, 40*time.Second)
	t.SourceShows = cmp.Or(t.SourceShows, 25*time.Second)
	t.SourceReady = cmp.Or(t.SourceReady, 12*time.Hour)
	t.ForbiddenPatience = cmp.Or(t.ForbiddenPatience, 3*time.Minute)
	if d.Work == nil {
		d.Work = metrics.NewWork(nil)
	}
	if d.Heartbeat == nil {
		d.Heartbeat = func(context.Context) {}
	}
	if d.Changed == nil {
		d.Changed = func() {}
	}
	return &Runs{d}
}

// Ledgers returns the exports' ledgers.
func (a *Runs) Ledgers() *ledger.Ledgers {
	return &ledger.Ledgers{Store: a.Store, Keyring: a.Keyring, Log: a.Log}
}

// Connect opens connections and sources.
func (a *Runs) Connect() *connect.Opener {
	return &connect.Opener{Store: a.Store, Keyring: a.Keyring, Log: a.Log, Work: a.Work, Secrets: a.Secrets, OpenSource: a.OpenSource,
		OpenAPI: a.OpenAPI, Patience: a.Tuning.Patience, SourcePatience: a.Tuning.SourcePatience, SourceReady: a.Tuning.SourceReady}
}
