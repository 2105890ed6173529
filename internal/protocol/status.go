package protocol

import (
	"time"

	"github.com/segment-export/segment-export/internal/run"
)

// The names of the commands about the whole.
const (
	Status = "status"
)

// StatusArgs are the arguments of status.
type StatusArgs struct {
	// Brief leaves out what grows with the number of exports: their runs and next
	// starts. What needs attention is there.
	Brief bool `json:"brief,omitempty"`
}

// About names nothing.
func (StatusArgs) About(string) []Subject { return nil }

// StatusAnswer shows the state of the whole system.
type StatusAnswer struct {
	At       time.Time        `json:"at"`
	Version  string           `json:"version"` // of the worker that answered
	Workers  []WorkerStatus   `json:"workers"`
	Backlog  BacklogStatus    `json:"backlog"`
	Budgets  []BudgetStatus   `json:"budgets"`
	Exports  []ExportStatus   `json:"exports"`
	Next     []ScheduleStatus `json:"next_starts"`
	Attend   []AttendStatus   `json:"attend"`
	Disk     *DiskStatus      `json:"disk,omitempty"`     // of the worker that answered; nil: not known
	Problems []string         `json:"problems,omitempty"` // what could not be found out
}

// DiskStatus is the space of the file system with a worker's data directory.
type DiskStatus struct {
	Free int64 `json:"free"` // bytes
	Size int64 `json:"size"` // bytes
}

// WorkerStatus is a worker that Temporal has seen polling in the last minutes.
type WorkerStatus struct {
	Identity string    `json:"identity"`
	LastSeen time.Time `json:"last_seen"`
	Build    string    `json:"build,omitempty"`
}

// BacklogStatus is work that waits for a worker.
type BacklogStatus struct {
	Tasks int           `json:"tasks"`
	Age   time.Duration `json:"age"`
}

// BudgetStatus is how a connection's budget stands.
type BudgetStatus struct {
	Connection string        `json:"connection"`
	Used       int           `json:"used"`  // in the last 60 s
	Limit      int           `json:"limit"` // 0: none
	Paused     time.Duration `json:"paused,omitempty"`
}

// ExportStatus is an export with its last runs.
type ExportStatus struct {
	Export      string     `json:"export"`
	Open        *RunAnswer `json:"open,omitempty"`
	Last        *RunAnswer `json:"last,omitempty"` // that ended
	LastSuccess time.Time  `json:"last_success,omitzero"`
}

// ScheduleStatus is a schedule's next start.
type ScheduleStatus struct {
	Schedule string        `json:"schedule"`
	Next     time.Time     `json:"next"`
	Lag      time.Duration `json:"lag,omitempty"`
}

// AttendStatus is something that needs an operator's attention: a run of an
// export, a connection or an alert.
type AttendStatus struct {
	Export     string     `json:"export,omitempty"`
	RunID      string     `json:"run_id,omitempty"`
	Status     run.Status `json:"status,omitempty"`
	Connection string     `json:"connection,omitempty"` // in place of a run
	Alert      string     `json:"alert,omitempty"`      // in place of a run
	Reason     string     `json:"reason"`
	Action     string     `json:"action"`
}
