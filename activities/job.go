package activities

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// job is what a run works with, frozen when it began: an export that is edited
// meanwhile changes the next run. Only the connection is read anew each time,
// so that a rotated key or another share count at once.
type job struct {
	RunID   string           `json:"run_id"`
	Export  catalogue.Export `json:"export"`
	Source  catalogue.Source `json:"source"`
	Brand   string           `json:"brand"`
	Ledger  string           `json:"ledger"` // its id
	Began   time.Time        `json:"began"`  // consent dated later is in the future
	Request run.Request      `json:"request"`
}

const jobState = "job"

// segments are those that the run reads.
func (j *job) segments() []catalogue.ExportedSegment {
	if j.Request.Remove != "" {
		return nil
	}
	return j.Export.Segments
}

// mapper returns a mapper of the run's rows.
func (j *job) mapper() (*contact.Mapper, error) {
	rules, err := j.Export.ContactRules(j.Source)
	if err != nil {
		return nil, err
	}
	return contact.NewMapper(j.Export.Mapping, rules, j.Began)
}

// onlyContext is the context that a canary's only address is sealed with.
func onlyContext(runID string) string { return "run/" + runID + "/only" }

// job returns what the run works with.
func (a *Activities) job(ctx context.Context, runID string) (job, error) {
	state, err := a.Store.StepState(ctx, runID, jobState)
	if err != nil {
		return job{}, err
	}
	if state == nil {
		return job{}, fmt.Errorf("run %s: its preflight left nothing behind: %w", runID, store.ErrNotFound)
	}
	return decode[job](state)
}

// object reads one object of the catalogue.
func object[T any](ctx context.Context, a *Activities, kind catalogue.Kind, name string) (T, store.Object, error) {
	o, err := a.Store.Object(ctx, string(kind), name)
	if err != nil {
		var zero T
		return zero, o, fmt.Errorf("%s %q: %w", kind, name, err)
	}
	v, err := decode[T](o.Body)
	return v, o, err
}

// keyContext is the context that a connection's API key is sealed with. The
// endpoint is in it: a key opens for no other address than it was given for.
func keyContext(c catalogue.Connection) string {
	return "connection/" + c.Name + "/" + c.Endpoint + "/key"
}

// target opens a connection for a run that is to send over it. It is asked
// anew for each batch, so that a stopped connection, or an agreement withdrawn,
// ends a run that is going on; verdicts go on being collected (see open).
func (a *Activities) target(ctx context.Context, name, runID string) (omnisend.API, catalogue.Connection, *Halt, error) {
	api, c, halt, err := a.open(ctx, name)
	if halt == nil && err == nil {
		if reason, action := c.Barred(runID); reason != "" {
			halt = &Halt{Kind: HaltStop, Reason: reason, Action: action}
		}
	}
	return api, c, halt, err
}

// open opens a connection: a client of its endpoint with its key, within the
// budget of its brand, that makes reads again when a passing fault breaks them.
func (a *Activities) open(ctx context.Context, name string) (omnisend.API, catalogue.Connection, *Halt, error) {
	c, o, err := object[catalogue.Connection](ctx, a, catalogue.KindConnection, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, c, &Halt{Kind: HaltFail, Reason: fmt.Sprintf("the connection %q does not exist any more", name),
			Action: "set another connection for the export"}, nil
	}
	if err != nil {
		return nil, c, nil, err
	}
	key, halt, err := a.keyOf(c, o.Sealed)
	if halt != nil || err != nil {
		return nil, c, halt, err
	}
	api, err := a.OpenAPI(c.Endpoint, key)
	if err != nil {
		return nil, c, &Halt{Kind: HaltFail, Reason: err.Error()}, nil
	}
	return omnisend.RetryReads(a.withinBudget(api, c)), c, nil, nil
}

// forbidden is how long Omnisend has answered 403 to a run.
type forbidden struct {
	Since time.Time `json:"since"`
	Last  time.Time `json:"last"`
}

const (
	forbiddenState = "target/forbidden"
	// forbiddenWait is the time between two tries after a 403.
	forbiddenWait = time.Minute
)

// runHalt is haltOf for a run: it tries a 403 again, slowly, before the run
// parks for it.
func (a *Activities) runHalt(ctx context.Context, runID string, err error, connection string) (*Halt, error) {
	h, rest := haltOf(err, connection)
	if e, ok := errors.AsType[*omnisend.Error](err); h == nil || !ok || e.Status != http.StatusForbidden {
		return h, rest
	}
	state, err := a.Store.StepState(ctx, runID, forbiddenState)
	if err != nil {
		return nil, err
	}
	f, err := decode[forbidden](state)
	if err != nil {
		return nil, err
	}
	now, err := a.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	if now.Sub(f.Last) > 2*forbiddenWait { // it was over in between
		f.Since = now
	}
	f.Last = now
	if left := a.Tuning.ForbiddenPatience - now.Sub(f.Since); left > 0 {
		h = &Halt{Kind: HaltWait, Reason: h.Reason + "; it is tried again", Wait: min(left, forbiddenWait)}
	}
	return h, a.Store.CommitStep(ctx, store.Step{Run: runID, Name: forbiddenState, State: encode(f)})
}

// mostWait is how long a run waits for the limit before it asks the budget
// again: an operator may have ended the pause.
const mostWait = 30 * time.Second

// haltOf turns an API error that time or an operator mends into a Halt; other
// errors come back as they are, to be retried.
func haltOf(err error, connection string) (*Halt, error) {
	e, ok := errors.AsType[*omnisend.Error](err)
	if !ok {
		return nil, err
	}
	switch e.Class {
	case omnisend.Wait:
		return &Halt{Kind: HaltWait, Reason: "Omnisend's limit is used up", Wait: min(e.RetryAfter, mostWait)}, nil
	case omnisend.Park:
		h := &Halt{Kind: HaltPark, Reason: "Omnisend refuses the calls of this export as a whole, whatever contacts are in them: " + e.Error(),
			Action: "upgrade this program, or report it with this message; then resume"}
		switch e.Status {
		case 401:
			h.Reason = "Omnisend refused the API key: " + e.Error()
			h.Action = fmt.Sprintf("put the key right (starter connection rotate-key %q), then resume", connection)
		case 402:
			h.Reason = "Omnisend asks for a payment: " + e.Error()
			h.Action = "look at the plan and the bills of the account in Omnisend, then resume"
		case 403:
			h.Reason = "the API key lacks a permission, or Omnisend has blocked it for a while after many errors: " + e.Error()
			h.Action = "give the key the Contacts permission in Omnisend (Store settings > API keys), or wait an hour; then resume"
		case 410:
			h.Reason = "Omnisend has retired the API version " + omnisend.Version + ": " + e.Error()
			h.Action = "upgrade this program, then resume"
		}
		return h, nil
	case omnisend.Fail:
		return &Halt{Kind: HaltFail, Reason: "Omnisend refused a request that cannot be mended: " + e.Error()}, nil
	}
	return nil, err
}
