package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/store"
)

// PreflightInput takes a run up.
type PreflightInput struct {
	RunID  string `json:"run_id"`
	Ticket []byte `json:"ticket"`
}

// PreflightResult is the run's report as it begins.
type PreflightResult struct {
	Report     *run.Report `json:"report"`
	Connection string      `json:"connection"`
	Halt       *Halt       `json:"halt,omitempty"`
}

// Preflight checks everything that can be checked before a row is read: that a
// worker allowed this run, that the connection is usable and bound to the same
// brand, that every segment has the mapped fields. It may be repeated.
func (a *Activities) Preflight(ctx context.Context, in PreflightInput) (*PreflightResult, error) {
	r, err := a.takeUp(ctx, in)
	if err != nil {
		return nil, err
	}
	request, err := decode[run.Request](r.Request)
	if err != nil {
		return nil, err
	}
	result := &PreflightResult{Connection: r.Connection}
	j, err := a.job(ctx, r.ID)
	if err == nil { // done before: what the run works with stays as it is
		result.Report = startReport(r, j)
		return result, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	j = job{RunID: r.ID, Request: request, Began: r.StartedAt}
	if result.Halt, err = a.check(ctx, &j, r); err != nil {
		return nil, err
	}
	result.Report = startReport(r, j)
	if err := a.recordBegun(ctx, r, result.Report); err != nil {
		return nil, err
	}
	if result.Halt != nil {
		return result, nil
	}
	return result, a.Store.CommitStep(ctx, store.Step{Run: r.ID, Name: jobState, State: encode(j)})
}

// takeUp makes the workflow the run's own if it brings the run's ticket and is
// the one that the ticket names. The same workflow may take it up again, no
// other may.
func (a *Activities) takeUp(ctx context.Context, in PreflightInput) (store.Run, error) {
	r, err := a.Store.Run(ctx, in.RunID)
	if errors.Is(err, store.ErrNotFound) {
		return r, errNotKnown()
	}
	if err != nil {
		return r, err
	}
	if err := a.checkTicket(in.Ticket, runTicket(r.ID, r.Export, r.Plan)...); err != nil {
		return r, err
	}
	e := executionOf(ctx)
	if e.workflow != protocol.WorkflowID(r.Export, r.Plan) {
		return r, errNotBegun()
	}
	r, err = a.Store.StartRun(ctx, in.RunID, e.first)
	if errors.Is(err, store.ErrExists) {
		return r, errNotBegun()
	}
	if err == nil && !r.EndedAt.IsZero() {
		err = errEnded(r)
	}
	return r, err
}

// recordBegun shows a run that has just been taken up as running.
func (a *Activities) recordBegun(ctx context.Context, r store.Run, report *run.Report) error {
	if r.Status != string(run.Queued) {
		return nil
	}
	begun := *report
	begun.Status, begun.Phase = run.Running, run.PhasePreflight
	return a.saveReport(ctx, r.ID, &begun)
}

// check fills the job in and says what stands in its way.
func (a *Activities) check(ctx context.Context, j *job, r store.Run) (*Halt, error) {
	var err error
	if j.Export, _, err = object[catalogue.Export](ctx, a, catalogue.KindExport, r.Export); err != nil {
		return gone(err)
	}
	if j.Request.Remove == "" { // which reads nothing
		if j.Source, _, err = object[catalogue.Source](ctx, a, catalogue.KindSource, j.Export.Source); err != nil {
			return gone(err)
		}
	}
	if j.Export.Connection == "" {
		return &Halt{Kind: HaltSkip, Reason: fmt.Sprintf("the export %q has no connection and is inactive", r.Export),
			Action: fmt.Sprintf("give it one: starter export attach %q --connection NAME", r.Export)}, nil
	}
	api, c, halt, err := a.target(ctx, j.Export.Connection, r.ID)
	if halt != nil && halt.Kind == HaltStop {
		halt.Kind = HaltSkip // nothing was begun
	}
	if halt != nil || err != nil {
		return halt, err
	}
	uses := []access.Object{access.OfConnection(c)}
	if j.Request.Remove == "" {
		uses = append(uses, access.OfSource(j.Source))
	}
	if halt, err := a.mayActAs(ctx, j.Export.Owner(), uses...); halt != nil || err != nil {
		return halt, err
	}
	j.Brand = c.BrandID
	brand, err := a.checkBrand(ctx, api, c)
	if brand == nil && err != nil {
		brand, err = a.runHalt(ctx, r.ID, err, c.Name)
	}
	if brand != nil || err != nil {
		return brand, err
	}
	if j.Request.Remove == "" {
		if halt, err := a.checkFields(ctx, j); halt != nil || err != nil {
			return halt, err
		}
	}
	return a.bindLedger(ctx, j, c)
}

// gone fails a run whose export or source is not there any more.
func gone(err error) (*Halt, error) {
	if errors.Is(err, store.ErrNotFound) {
		return &Halt{Kind: HaltFail, Reason: err.Error()}, nil
	}
	return nil, err
}

// checkBrand makes sure that the key still works and belongs to the brand that
// the connection is bound to. An error of Omnisend comes back as it is.
func (a *Activities) checkBrand(ctx context.Context, api omnisend.API, c catalogue.Connection) (*Halt, error) {
	brand, err := api.CurrentBrand(ctx)
	if e, ok := errors.AsType[*omnisend.Error](err); ok && e.Status == 403 && c.BrandStated {
		// A key limited to contacts may not read its brand; that it may list
		// batches shows that it is valid.
		_, err = api.ListBatches(ctx, omnisend.ListQuery{Limit: 1})
		brand.ID = c.BrandID
	}
	if err != nil {
		return nil, err
	}
	if brand.ID != c.BrandID {
		return &Halt{Kind: HaltPark, Reason: fmt.Sprintf("the API key of the connection %q belongs to brand %s now, the connection is bound to brand %s", c.Name, brand.ID, c.BrandID),
			Action: fmt.Sprintf("put a key of brand %s back (starter connection rotate-key %q), then resume; for another brand make a connection of its own", c.BrandID, c.Name)}, nil
	}
	return nil, nil
}

// checkFields makes sure that each segment has what the mapping wants. An
// empty segment has no fields to check; the guard "empty" asks about it.
func (a *Activities) checkFields(ctx context.Context, j *job) (*Halt, error) {
	mapper, err := j.mapper()
	if err != nil {
		return &Halt{Kind: HaltFail, Reason: "the mapping cannot work: " + err.Error()}, nil
	}
	err = a.tryFields(ctx, j, fieldsOf(j.Export, mapper))
	if err == nil {
		return nil, nil
	}
	state, read := a.Store.StepState(ctx, j.RunID, preflightTrouble)
	if read != nil {
		return nil, read
	}
	t, read := decode[trouble](state)
	if read != nil {
		return nil, read
	}
	halt, err := a.sourceHalt(ctx, j.Source.Name, &t, err)
	if err != nil {
		return nil, err
	}
	return halt, a.Store.CommitStep(ctx, store.Step{Run: j.RunID, Name: preflightTrouble, State: encode(t)})
}

// preflightTrouble is the step that remembers how long a source has given errors.
const preflightTrouble = "preflight/source"

// tryFields begins to read each segment. A source that does not answer must not
// use up the step's time, or nobody would hear of it.
func (a *Activities) tryFields(ctx context.Context, j *job, fields []string) error {
	ctx, cancel := context.WithTimeout(ctx, a.Tuning.SourceAnswer)
	defer cancel()
	err := a.openEach(ctx, j, fields)
	if errors.Is(err, context.DeadlineExceeded) {
		err = sourceFault(fmt.Errorf("it did not answer within %s", a.Tuning.SourceAnswer))
	}
	return err
}

func (a *Activities) openEach(ctx context.Context, j *job, fields []string) error {
	src, _, err := a.sourceOf(ctx, j.Source.Name)
	if err != nil {
		return err
	}
	defer func() { _ = closeSource(src) }()
	for _, s := range j.Export.Segments {
		r, err := src.Open(ctx, s.Segment, fields, nil)
		if errors.Is(err, segment.ErrEmpty) {
			continue
		}
		if err != nil {
			return sourceFault(err)
		}
		if err := r.Close(); err != nil {
			return sourceFault(err)
		}
	}
	return nil
}

// fieldsOf lists the fields that are read: the mapper's, then the customer id.
func fieldsOf(e catalogue.Export, m *contact.Mapper) []string {
	fields := m.Fields()
	if e.ID != "" {
		fields = append(slices.Clip(fields), e.ID)
	}
	return fields
}
