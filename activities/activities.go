// Package activities registers the activities with Temporal. Each is a method
// that hands over to the package that does the work; admission, heartbeats and
// what an error means to Temporal stand here, and nothing else. What an
// operator can fix, or time, comes back as a Halt; an error is retried.
package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"

	"github.com/segment-export/segment-export/internal/admin"
	"github.com/segment-export/segment-export/internal/alerting"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/intake"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/operate"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/scheduling"
)

// HeartbeatTimeout is the time without a heartbeat after which an activity is
// retried elsewhere. Together with the wait for its lease this bounds how long the
// work of a killed worker stands still.
const HeartbeatTimeout = 10 * time.Second

// Dependencies are what activities need of the world. Workflows and Heartbeat
// are filled in.
type Dependencies struct {
	job.Dependencies

	Temporal client.Client
	Worker   string // what this worker is called in Temporal
	Endpoint string // base URL that new connections are bound to
	// AlertRoots are the authorities that mail servers and webhooks are checked
	// against; nil is the system's.
	AlertRoots alerting.Roots
	// Disk measures the file system of the data directory; nil: it is not measured.
	Disk func() (*protocol.DiskStatus, error)
}

// Activities are the activities of all workflows. Their names are those of the
// exported methods.
type Activities struct {
	runs      *job.Runs
	intake    *intake.Steps
	delivery  *delivery.Steps
	scheduler *scheduling.Scheduler
	alerts    *alerting.Alerts
	desk      *command.Desk
}

// New returns the activities.
func New(d Dependencies) *Activities {
	d.Heartbeat = heartbeat
	a := &Activities{runs: job.New(d.Dependencies)}
	a.intake, a.delivery = &intake.Steps{Runs: a.runs}, &delivery.Steps{Runs: a.runs}
	a.scheduler = &scheduling.Scheduler{Steps: a.delivery, Temporal: d.Temporal}
	a.runs.Workflows = a.scheduler
	a.alerts = &alerting.Alerts{Store: a.runs.Store, Keyring: a.runs.Keyring, Work: a.runs.Work, Roots: d.AlertRoots, Start: a.scheduler.StartAlert}
	a.desk = command.New(a.scheduler, d.Worker)
	a.desk.Add((&admin.Commands{Desk: a.desk, Alerts: a.alerts, Endpoint: d.Endpoint}).Handlers())
	a.desk.Add((&operate.Commands{Desk: a.desk, Disk: d.Disk}).Handlers())
	return a
}

// heartbeat tells Temporal that an activity is alive; work outside of one has
// nobody to tell.
func heartbeat(ctx context.Context) {
	if activity.IsActivity(ctx) {
		activity.RecordHeartbeat(ctx)
	}
}

// NoteFault logs and counts a fault of this program. It is no method, which
// Temporal would take for an activity.
func NoteFault(ctx context.Context, a *Activities, f *fault.Error) { a.runs.NoteFault(ctx, f) }

// Control returns what operators have decided about the run.
func (a *Activities) Control(ctx context.Context, in RunInput) (run.Control, error) {
	return a.runs.Control(ctx, in)
}

// Preflight takes a run up and checks what can be checked before a row is read.
func (a *Activities) Preflight(ctx context.Context, in PreflightInput) (*PreflightResult, error) {
	return a.intake.Preflight(ctx, in, executionOf(ctx))
}

// Collect reads a segment for a while.
func (a *Activities) Collect(ctx context.Context, in CollectInput) (*CollectResult, error) {
	return a.intake.Collect(ctx, in)
}

// Decide compares what was read with the ledger for a while.
func (a *Activities) Decide(ctx context.Context, in RunInput) (*DecideResult, error) {
	return a.intake.Decide(ctx, in)
}

// Reconcile collects and books the verdicts of calls that outlived their run.
func (a *Activities) Reconcile(ctx context.Context, in RunInput) (*SweepResult, error) {
	return a.delivery.Reconcile(ctx, in)
}

// TakeTurn asks for the run's turn on its brand.
func (a *Activities) TakeTurn(ctx context.Context, in RunInput) (bool, error) {
	return a.delivery.TakeTurn(ctx, in)
}

// YieldTurn lets others have the brand.
func (a *Activities) YieldTurn(ctx context.Context, in RunInput) error {
	return a.delivery.YieldTurn(ctx, in)
}

// Adopt takes over an audience that the account has already.
func (a *Activities) Adopt(ctx context.Context, in RunInput) (*AdoptResult, error) {
	return a.delivery.Adopt(ctx, in)
}

// UploadBatch delivers a batch.
func (a *Activities) UploadBatch(ctx context.Context, in UploadInput) (*UploadResult, error) {
	return a.delivery.UploadBatch(ctx, in)
}

// Sweep collects verdicts.
func (a *Activities) Sweep(ctx context.Context, in SweepInput) (*SweepResult, error) {
	return a.delivery.Sweep(ctx, in)
}

// Record stores the run's report with a new status.
func (a *Activities) Record(ctx context.Context, in RecordInput) error {
	return a.delivery.Record(ctx, in)
}

// Finish ends a run.
func (a *Activities) Finish(ctx context.Context, in FinishInput) (*run.Report, error) {
	return a.delivery.Finish(ctx, in)
}

// ReapTerminated ends the runs whose workflow could not do it.
func (a *Activities) ReapTerminated(ctx context.Context) error {
	return a.delivery.ReapTerminated(ctx)
}

// Verify compares some of a ledger's contacts with the account for a while.
func (a *Activities) Verify(ctx context.Context, in VerifyInput) (*VerifyResult, error) {
	return a.delivery.Verify(ctx, in, executionOf(ctx))
}

// Tick starts the runs that are due by a schedule.
func (a *Activities) Tick(ctx context.Context, in TickInput) (*TickResult, error) {
	return a.scheduler.Tick(ctx, in)
}

// RepairSchedules makes Temporal's schedules what the store says.
func (a *Activities) RepairSchedules(ctx context.Context) error {
	return a.scheduler.RepairSchedules(ctx)
}

// EvaluateAlerts finds out what to report, and starts its delivery.
func (a *Activities) EvaluateAlerts(ctx context.Context) error {
	return a.alerts.EvaluateAlerts(ctx)
}

// DeliverAlert delivers a notice.
func (a *Activities) DeliverAlert(ctx context.Context, in AlertInput) error {
	return a.alerts.DeliverAlert(ctx, in)
}

// Command carries out a command of the command line.
func (a *Activities) Command(ctx context.Context, request protocol.Request) (*protocol.Response, error) {
	info := activity.GetInfo(ctx)
	return a.desk.Command(ctx, request, command.Attempt{Number: info.Attempt, Execution: info.WorkflowExecution.RunID})
}
