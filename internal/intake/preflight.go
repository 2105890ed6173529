package intake

import (
	"context"
	"errors"
	"fmt"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/connect"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
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
	Halt       *run.Halt   `json:"halt,omitempty"`
}

// Preflight checks everything that can be checked before a row is read: that a
// worker allowed this run, that the connection is usable and bound to the same
// brand, that every segment has the mapped fields. It may be repeated.
func (a *Steps) Preflight(ctx context.Context, in PreflightInput, by job.Execution) (*PreflightResult, error) {
	r, err := a.takeUp(ctx, in, by)
	if err != nil {
		return nil, err
	}
	request, err := record.Decode[run.Request](r.Request)
	if err != nil {
		return nil, err
	}
	result := &PreflightResult{Connection: r.Connection}
	j, err := a.Job(ctx, r.ID)
	if err == nil { // done before: what the run works with stays as it is
		result.Report = job.StartReport(r, j)
		return result, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	j = job.Job{RunID: r.ID, Request: request, Began: r.StartedAt}
	if result.Halt, err = a.check(ctx, &j, r); err != nil {
		return nil, err
	}
	result.Report = job.StartReport(r, j)
	if err := a.recordBegun(ctx, r, result.Report); err != nil {
		return nil, err
	}
	if result.Halt != nil {
		return result, nil
	}
	return result, a.Store.CommitStep(ctx, store.Step{Run: r.ID, Name: job.JobState, State: record.Encode(j)})
}

// takeUp makes the workflow the run's own if it brings the run's ticket and is
// the one that the ticket names. The same workflow may take it up again, no
// other may.
func (a *Steps) takeUp(ctx context.Context, in PreflightInput, by job.Execution) (store.Run, error) {
	r, err := a.Store.Run(ctx, in.RunID)
	if errors.Is(err, store.ErrNotFound) {
		return r, job.ErrNotKnown()
	}
	if err != nil {
		return r, err
	}
	if err := a.CheckTicket(in.Ticket, job.RunTicket(r.ID, r.Export, r.Plan)...); err != nil {
		return r, err
	}
	if by.Workflow != protocol.WorkflowID(r.Export, r.Plan) {
		return r, job.ErrNotBegun()
	}
	r, err = a.Store.StartRun(ctx, in.RunID, by.First)
	if errors.Is(err, store.ErrExists) {
		return r, job.ErrNotBegun()
	}
	if err == nil && !r.EndedAt.IsZero() {
		err = job.ErrEnded(r)
	}
	return r, err
}

// recordBegun shows a run that has just been taken up as running.
func (a *Steps) recordBegun(ctx context.Context, r store.Run, report *run.Report) error {
	if r.Status != string(run.Queued) {
		return nil
	}
	running := *report
	running.Status, running.Phase = run.Running, run.PhasePreflight
	return a.SaveReport(ctx, r.ID, &running)
}

// check fills the job in and says what stands in its way.
func (a *Steps) check(ctx context.Context, j *job.Job, r store.Run) (*run.Halt, error) {
	var err error
	if j.Export, _, err = record.Object[catalogue.Export](ctx, a.Store, catalogue.KindExport, r.Export); err != nil {
		return job.Gone(err)
	}
	if j.Request.Remove == "" { // which reads nothing
		if j.Source, _, err = record.Object[catalogue.Source](ctx, a.Store, catalogue.KindSource, j.Export.Source); err != nil {
			return job.Gone(err)
		}
	}
	if j.Export.Connection == "" {
		return &run.Halt{Kind: run.HaltSkip, Reason: reason.Format("the export %q has no connection and is inactive", r.Export),
			Action: reason.Format("give it one: starter export attach %q --connection NAME", r.Export)}, nil
	}
	api, c, halt, err := a.Connect().Target(ctx, j.Export.Connection, r.ID)
	if halt != nil && halt.Kind == run.HaltStop {
		halt.Kind = run.HaltSkip // nothing was started
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
	brand, err := a.Connect().CheckBrand(ctx, api, c)
	if brand == nil && err != nil {
		brand, err = a.RunHalt(ctx, r.ID, err, c.Name)
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

// checkFields makes sure that each segment has what the mapping wants. An
// empty segment has no fields to check; the guard "empty" asks about it.
func (a *Steps) checkFields(ctx context.Context, j *job.Job) (*run.Halt, error) {
	mapper, err := j.Mapper()
	if err != nil {
		return &run.Halt{Kind: run.HaltFail, Reason: reason.Text("the mapping cannot work: " + err.Error())}, nil
	}
	err = a.tryFields(ctx, j, job.FieldsOf(j.Export, mapper))
	if err == nil {
		return nil, nil
	}
	state, read := a.Store.StepState(ctx, j.RunID, preflightTrouble)
	if read != nil {
		return nil, read
	}
	t, read := record.Decode[connect.Trouble](state)
	if read != nil {
		return nil, read
	}
	halt, err := a.Connect().SourceHalt(ctx, j.Source.Name, &t, err)
	if err != nil {
		return nil, err
	}
	return halt, a.Store.CommitStep(ctx, store.Step{Run: j.RunID, Name: preflightTrouble, State: record.Encode(t)})
}

// preflightTrouble is the step that remembers how long a source has given errors.
const preflightTrouble = "preflight/source"

// tryFields begins to read each segment. A source that does not answer must not
// use up the step's time, or nobody would hear of it.
func (a *Steps) tryFields(ctx context.Context, j *job.Job, fields []string) error {
	ctx, cancel := context.WithTimeout(ctx, a.Tuning.SourceAnswer)
	defer cancel()
	err := a.openEach(ctx, j, fields)
	if errors.Is(err, context.DeadlineExceeded) {
		err = connect.SourceFault(fmt.Errorf("it did not answer within %s", a.Tuning.SourceAnswer))
	}
	return err
}

func (a *Steps) openEach(ctx context.Context, j *job.Job, fields []string) error {
	src, _, err := a.Connect().Source(ctx, j.Source.Name)
	if err != nil {
		return err
	}
	defer func() { _ = connect.Close(src) }()
	for _, s := range j.Export.Segments {
		r, err := src.Open(ctx, s.Segment, fields, nil)
		if errors.Is(err, segment.ErrEmpty) {
			continue
		}
		if err != nil {
			return connect.SourceFault(err)
		}
		if err := r.Close(); err != nil {
			return connect.SourceFault(err)
		}
	}
	return nil
}
