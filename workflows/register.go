package workflows

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/command"
)

// Register adds all workflows and activities to a worker, or to a test
// environment; there is no other list of them.
func Register(r worker.Registry, a *activities.Activities) {
	r.RegisterWorkflowWithOptions(SegmentExport, workflow.RegisterOptions{Name: ExportWorkflowType})
	r.RegisterWorkflowWithOptions(Command, workflow.RegisterOptions{Name: command.WorkflowType})
	r.RegisterWorkflowWithOptions(Alert, workflow.RegisterOptions{Name: activities.AlertWorkflowType})
	r.RegisterWorkflowWithOptions(VerifyExport, workflow.RegisterOptions{Name: activities.VerifyWorkflowType})
	r.RegisterWorkflowWithOptions(Tick, workflow.RegisterOptions{Name: activities.TickWorkflowType})
	r.RegisterActivity(a)
}
