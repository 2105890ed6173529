package workflows

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/protocol"
)

// Register adds all workflows and activities to a worker, or to a test
// environment; there is no other list of them.
func Register(r worker.Registry, a *activities.Activities) {
	registerWorkflows(r)
	r.RegisterActivity(a)
}

func registerWorkflows(r worker.WorkflowRegistry) {
	for name, does := range registered {
		r.RegisterWorkflowWithOptions(does, workflow.RegisterOptions{Name: name})
	}
}

// registered are the workflows by the names of their types.
var registered = map[string]any{
	protocol.ExportWorkflowType:  SegmentExport,
	protocol.CommandWorkflowType: Command,
	protocol.ReadWorkflowType:    Command,
	protocol.AlertWorkflowType:   Alert,
	protocol.VerifyWorkflowType:  VerifyExport,
	protocol.TickWorkflowType:    Tick,
}
