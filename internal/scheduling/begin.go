package scheduling

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/segment-export/segment-export/internal/reason"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// The search attributes that every namespace needs.
var (
	ExportNameAttribute = temporal.NewSearchAttributeKeyKeyword(protocol.ExportNameAttribute)
	ConnectionAttribute = temporal.NewSearchAttributeKeyKeyword(protocol.ConnectionAttribute)
	StatusAttribute     = temporal.NewSearchAttributeKeyKeyword(protocol.StatusAttribute)
)

// exportInput starts a run's workflow: workflows.ExportInput has more
// fields, which the workflow itself fills in.
type exportInput struct {
	RunID     string `json:"run_id"`
	Ticket    []byte `json:"ticket"`
	MaxEvents int    `json:"max_events,omitempty"`
}

// BeginRun starts a run at a user's command, or automatically.
// Done twice with one id it is done once.
func (a *Scheduler) BeginRun(ctx context.Context, id, export string, request run.Request, plan bool) (any, error) {
	e, _, err := record.Find[catalogue.Export](ctx, a.Store, catalogue.KindExport, export)
	if err != nil {
		return nil, err
	}
	if e.Connection == "" {
		return nil, protocol.Refuse(protocol.ErrConflict, "the export %q has no connection and is inactive; give it one: starter export attach %q --connection NAME", e.Name, e.Name)
	}
	conn, _, err := record.Find[catalogue.Connection](ctx, a.Store, catalogue.KindConnection, e.Connection)
	if err != nil {
		return nil, err
	}
	open, err := a.OpenRun(ctx, e.Name, plan)
	if err != nil {
		return nil, err
	}
	if open != nil && open.ID != id {
		return nil, refuseSecond(e.Name, *open)
	}
	now, err := a.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	report := run.Report{Export: e.Name, RunID: id, Source: e.Source, Plan: plan, Status: run.Queued, Phase: run.PhasePreflight,
		Trigger: request.Trigger, Segments: []run.SegmentCount{}, Reasons: map[string]int{}, StartedAt: now}
	err = a.Store.CreateRun(ctx, store.Run{ID: id, Export: e.Name, Connection: conn.Name, Brand: conn.BrandID, Plan: plan,
		Status: string(run.Queued), Report: record.Encode(report), Request: record.Encode(request)})
	if err != nil && !errors.Is(err, store.ErrExists) {
		return nil, err
	}
	return a.startWorkflow(ctx, e, id, plan)
}

// refuseSecond refuses to run an export that has an open run, and says what that
// run waits for.
func refuseSecond(export string, open store.Run) error {
	answer, err := job.Answer(open)
	switch {
	case err != nil:
		return err
	case answer.Status == run.Parked:
		return protocol.Refuse(protocol.ErrConflict, "run %s of the export %q is parked: %s\nTo do: %s", open.ID, export, answer.Reason,
			cmp.Or(answer.Action, reason.Text("starter runs show "+open.ID)))
	case answer.Status == run.Paused:
		return protocol.Refuse(protocol.ErrConflict, "run %s of the export %q is paused; resume it: starter runs resume %s", open.ID, export, open.ID)
	}
	return protocol.Refuse(protocol.ErrConflict, "the export %q is already running (run %s, %s); watch it: starter runs watch %s", export, open.ID, answer.Status, open.ID)
}

func (a *Scheduler) startWorkflow(ctx context.Context, e catalogue.Export, id string, plan bool) (any, error) {
	what, workflow := "Export", protocol.WorkflowID(e.Name, plan)
	if plan {
		what = "Plan of"
	}
	ticket, err := a.Ticket(job.RunTicket(id, e.Name, plan)...)
	if err != nil {
		return nil, err
	}
	options := client.StartWorkflowOptions{
		ID:                                       workflow,
		TaskQueue:                                protocol.TaskQueue,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		Memo:                                     map[string]any{runIDMemo: id},
		StaticSummary:                            fmt.Sprintf("%s %s over %s", what, e.Name, e.Connection),
		TypedSearchAttributes: temporal.NewSearchAttributes(ExportNameAttribute.ValueSet(e.Name),
			ConnectionAttribute.ValueSet(e.Connection), StatusAttribute.ValueSet(string(run.Running))),
	}
	err = a.startExport(ctx, options, exportInput{RunID: id, Ticket: ticket, MaxEvents: a.Tuning.MaxEvents})
	if alreadyStarted(err) {
		r, err := a.Store.Run(ctx, id)
		if err != nil {
			return nil, err
		}
		if !r.Started {
			// Another run was started at the same moment, or by hand in Temporal.
			report := run.Report{Export: e.Name, RunID: id, Source: e.Source, Plan: plan, Status: run.Skipped, Phase: run.PhaseEnded, Reason: "another run was started at the same moment"}
			if err := a.Store.SaveRun(ctx, id, string(run.Skipped), record.Encode(report), true); err != nil {
				return nil, err
			}
			return nil, protocol.Refuse(protocol.ErrConflict, "the export %q is already running; watch it: starter runs watch %q", e.Name, e.Name)
		}
	} else if err != nil {
		return nil, err
	}
	return protocol.RunStarted{RunID: id, WorkflowID: workflow}, nil
}
