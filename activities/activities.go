// Package activities holds the side effects of each step of a run and of each
// command, as methods of one struct with its dependencies. Whatever an operator
// or a clock can mend comes back as a Halt; an error is retried.
package activities

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/alerting"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/metrics"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/seal"
	"github.com/segment-export/segment-export/internal/secretref"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/store"
)

// HeartbeatTimeout is after how long without a heartbeat an activity goes on
// elsewhere. Together with the wait for its lease this bounds how long the
// work of a killed worker stands still.
const HeartbeatTimeout = 10 * time.Second

// ErrorFail is the type of application errors that no retry can mend.
const ErrorFail = "Fail"

// Tuning is what tests make small. The zero value of a field is its default.
type Tuning struct {
	BatchSize int           // contacts of one upload activity; 1,000
	PartRows  int           // rows of one part of the spool; 50,000
	PartBytes int           // of the contacts of one part, and of one batch; 8 MiB
	Slice     time.Duration // how long reading and deciding go on before they report; 5 s
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

// Dependencies are what activities need of the world. All are required, unless
// they say otherwise.
type Dependencies struct {
	Store    store.Store
	Keyring  *seal.Keyring
	Temporal client.Client
	Identity access.Identifier // finds out who gives a command
	Log      *slog.Logger
	Worker   string        // what this worker is called in Temporal
	Work     *metrics.Work // nil: counted nowhere
	Secrets  secretref.Resolver
	// OpenSource opens a source of the catalogue with its credential; nil where
	// it has none. It makes no connection. Whatever implements io.Closer is closed
	// after its last use.
	OpenSource func(s catalogue.Source, credential []byte) (segment.Source, error)
	// OpenAPI makes a client of the endpoint for the key.
	OpenAPI func(endpoint, key string) (omnisend.API, error)
	// Endpoint is the base URL that new connections are bound to.
	Endpoint string
	Tuning   Tuning
	// Stopping is closed when this worker is to begin nothing more: what is in
	// flight ends, the rest is handed over. Temporal's own sign of that comes only
	// after its pollers for workflows have ended. Nil: never.
	Stopping <-chan struct{}
	// Changed is called after a run's status is stored; may be nil.
	Changed func()
	// AlertRoots are the authorities that mail servers and webhooks are checked
	// against; nil is the system's.
	AlertRoots alerting.Roots
}

// Activities are the activities of all workflows.
type Activities struct{ Dependencies }

// New returns the activities, with defaults filled in.
func New(d Dependencies) *Activities {
	if d.Tuning.BatchSize == 0 {
		d.Tuning.BatchSize = 1000
	}
	if d.Tuning.PartBytes == 0 {
		d.Tuning.PartBytes = 8 << 20
	}
	if d.Tuning.PartRows == 0 {
		d.Tuning.PartRows = 50_000
	}
	if d.Tuning.Slice == 0 {
		d.Tuning.Slice = 5 * time.Second
	}
	if d.Tuning.LeaseTTL == 0 {
		d.Tuning.LeaseTTL = 10 * time.Second
	}
	if d.Tuning.Patience == 0 {
		d.Tuning.Patience = 5 * time.Second
	}
	if d.Tuning.SourcePatience == 0 {
		d.Tuning.SourcePatience = 10 * time.Minute
	}
	if d.Tuning.SourceAnswer == 0 {
		d.Tuning.SourceAnswer = 40 * time.Second
	}
	if d.Tuning.SourceShows == 0 {
		d.Tuning.SourceShows = 25 * time.Second
	}
	if d.Tuning.SourceReady == 0 {
		d.Tuning.SourceReady = 12 * time.Hour
	}
	if d.Tuning.ForbiddenPatience == 0 {
		d.Tuning.ForbiddenPatience = 3 * time.Minute
	}
	if d.Work == nil {
		d.Work = metrics.NewWork(nil)
	}
	if d.Changed == nil {
		d.Changed = func() {}
	}
	return &Activities{d}
}

// HaltKind says what must happen before an activity is worth trying again.
type HaltKind string

// The kinds of halts.
const (
	HaltWait HaltKind = "wait" // time must pass: the budget is used up, or a 429
	HaltPark HaltKind = "park" // an operator must mend something
	HaltSkip HaltKind = "skip" // this run is not to be
	HaltFail HaltKind = "fail" // nobody can mend it for this run
	HaltStop HaltKind = "stop" // somebody wants nothing sent any more
)

// Halt is why an activity stopped short of its end. It is no error: nothing
// went wrong that a retry would mend.
type Halt struct {
	Kind   HaltKind      `json:"kind"`
	Reason string        `json:"reason,omitempty"` // a sentence, nothing personal
	Action string        `json:"action,omitempty"` // what to do about it
	Wait   time.Duration `json:"wait,omitempty"`   // of HaltWait
}

// MarshalJSON bounds and cleans what a halt says: it goes into Temporal and from
// there into reports, logs and mails.
func (h Halt) MarshalJSON() ([]byte, error) {
	type plain Halt
	h.Reason, h.Action = string(reason.Clean(h.Reason)), string(reason.Clean(h.Action))
	return json.Marshal(plain(h))
}

// RunInput selects a run.
type RunInput struct {
	RunID string `json:"run_id"`
}

// Control returns what operators have decided about the run, without who did.
func (a *Activities) Control(ctx context.Context, in RunInput) (run.Control, error) {
	r, err := a.Store.Run(ctx, in.RunID)
	if err != nil {
		return run.Control{}, err
	}
	c, err := decode[run.Control](r.Control)
	for guard := range c.Approved {
		c.Approved[guard] = ""
	}
	return c, err
}

// controlRun puts a decision about a run on record.
func (a *Activities) controlRun(ctx context.Context, runID string, change func(*run.Control) error) error {
	return a.Store.ControlRun(ctx, runID, func(stored json.RawMessage) (json.RawMessage, error) {
		control, err := decode[run.Control](stored)
		if err != nil {
			return nil, err
		}
		if err := change(&control); err != nil {
			return nil, err
		}
		return encode(control), nil
	})
}

// amendReport changes a run's stored report on the way, so that it is right when
// the workflow is terminated. The status is the workflow's to record.
func (a *Activities) amendReport(ctx context.Context, runID string, change func(*run.Report)) error {
	return a.Store.AmendReport(ctx, runID, func(stored json.RawMessage) (json.RawMessage, error) {
		r, err := decode[run.Report](stored)
		if err != nil {
			return nil, err
		}
		change(&r)
		return encode(r), nil
	})
}

// verdictsOf puts the verdicts of a run's calls so far into a report, if it adds
// up then: one from before the run was decided does not.
func verdictsOf(t store.CallTotals) func(*run.Report) {
	return func(r *run.Report) {
		with := *r
		with.Apply(t.New, t.Changed, t.Refused, t.Pending)
		with.Leavers, with.Calls = t.Leavers, t.Calls
		if with.Check() == nil {
			*r = with
		}
	}
}
