package job

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// Job is what a run works with, frozen at its start: an edit of the export changes
// the next run. Only the connection is read each time, so that a rotated key or
// another share counts at once.
type Job struct {
	RunID   string           `json:"run_id"`
	Export  catalogue.Export `json:"export"`
	Source  catalogue.Source `json:"source"`
	Brand   string           `json:"brand"`
	Ledger  string           `json:"ledger"` // its id
	Began   time.Time        `json:"began"`  // consent dated later is in the future
	Request run.Request      `json:"request"`
}

// JobState is the step whose state is the Job.
const JobState = "job"

// Segments are those that the run reads.
func (j *Job) Segments() []catalogue.ExportedSegment {
	if j.Request.Remove != "" {
		return nil
	}
	return j.Export.Segments
}

// Mapper returns a mapper of the run's rows.
func (j *Job) Mapper() (*contact.Mapper, error) {
	rules, err := j.Export.ContactRules(j.Source)
	if err != nil {
		return nil, err
	}
	return contact.NewMapper(j.Export.Mapping, rules, j.Began)
}

// OnlyContext is the context that a canary's only address is sealed with.
func OnlyContext(runID string) string { return "run/" + runID + "/only" }

// Job returns what the run works with.
func (a *Runs) Job(ctx context.Context, runID string) (Job, error) {
	state, err := a.Store.StepState(ctx, runID, JobState)
	if err != nil {
		return Job{}, err
	}
	if state == nil {
		return Job{}, fmt.Errorf("run %s: its preflight left nothing behind: %w", runID, store.ErrNotFound)
	}
	return record.Decode[Job](state)
}

// UnderLease runs work while this attempt, and no other, works under the name.
func (a *Runs) UnderLease(ctx context.Context, name string, work func(ctx context.Context, h lease.Hold) error) error {
	k := &lease.Keeper{Store: a.Store, TTL: a.Tuning.LeaseTTL, Log: a.Log, Heartbeat: a.Heartbeat, Stopping: a.Stopping}
	return k.Hold(ctx, name, work)
}

// Execution is the workflow that an activity is carried out for, as Temporal
// has it.
type Execution struct{ Workflow, First string }

// NoteFault logs and counts a fault of this program.
func (a *Runs) NoteFault(ctx context.Context, f *fault.Error) {
	a.Work.Fault()
	a.Log.ErrorContext(ctx, f.Error(), "stack", f.Stack)
}

// FieldsOf lists the fields that are read: the mapper's, then the customer id.
func FieldsOf(e catalogue.Export, m *contact.Mapper) []string {
	fields := m.Fields()
	if e.ID != "" {
		fields = append(slices.Clip(fields), e.ID)
	}
	return fields
}
