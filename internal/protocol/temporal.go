package protocol

import (
	"time"

	"github.com/segment-export/segment-export/internal/run"
)

// The names that starters, workers and recorded histories share: changing one
// breaks every workflow that is open.
const (
	TaskQueue = "segment-export"

	CommandWorkflowType = "Command"
	// ReadWorkflowType is a command that changes nothing: a type of its own, so that
	// lists of workflows can leave these out.
	ReadWorkflowType   = "Read"
	ExportWorkflowType = "SegmentExport"
	TickWorkflowType   = "Tick"
	VerifyWorkflowType = "VerifyExport"
	AlertWorkflowType  = "Alert"

	// CommandWorkflowIDPrefix begins a command's workflow id; the command's id
	// ends it.
	CommandWorkflowIDPrefix = "command/"

	// ProgressQuery asks a run's workflow for its Progress.
	ProgressQuery = "progress"
	// ControlSignal carries nothing: it says that an operator's decision is in
	// the store, where a worker put it after checking who asked. A signal sent
	// by hand makes the run look, and find nothing new.
	ControlSignal = "control"

	// ExportNameAttribute and the two after it are the search attributes that every
	// namespace needs.
	ExportNameAttribute = "ExportName"
	ConnectionAttribute = "ExportConnection"
	StatusAttribute     = "ExportStatus"
)

// Timeout is how long a command may take: nothing is carried out later.
const Timeout = 30 * time.Second

// WorkflowID is the workflow id of an export's runs, or of its plans: one at a
// time of each.
func WorkflowID(export string, plan bool) string {
	if plan {
		return "plan/" + export
	}
	return "export/" + export
}

// Progress is the answer to ProgressQuery.
type Progress struct {
	run.Report
	Sent  int       `json:"sent"`  // contacts in calls that Omnisend has answered
	Since time.Time `json:"since"` // when the phase began
}
