package protocol

import (
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/schedule"
)

// The names of the commands about when exports run automatically.
const (
	ScheduleSet    = "schedule set"
	ScheduleOn     = "schedule on"
	ScheduleOff    = "schedule off"
	ScheduleFollow = "schedule follow-refresh"
	ScheduleShow   = "schedule show"
	RefreshSet     = "refresh set"
	RefreshOn      = "refresh on"
	RefreshOff     = "refresh off"
	RefreshShow    = "refresh show"
	RefreshNow     = "refresh now"
	RunAll         = "run all"
)

// ScheduleRef names the export whose schedule a command is about.
type ScheduleRef struct {
	Export string `json:"export"`
}

// About names the export.
func (a ScheduleRef) About(string) []Subject {
	return []Subject{{catalogue.KindExport, a.Export}}
}

// ScheduleSetArgs are the arguments of schedule set.
type ScheduleSetArgs struct {
	ScheduleRef

	Calendar schedule.Calendar `json:"calendar"`
}

// ScheduleShowArgs are the arguments of schedule show.
type ScheduleShowArgs struct {
	Export string `json:"export,omitempty"` // empty: all
	// Stored leaves Temporal unasked, which takes a call for each export: the next
	// starts are left out.
	Stored bool `json:"stored,omitempty"`
}

// About names the export, if one is named.
func (a ScheduleShowArgs) About(string) []Subject {
	if a.Export == "" {
		return nil
	}
	return ScheduleRef{a.Export}.About("")
}

// ScheduleAnswer shows when an export runs automatically.
type ScheduleAnswer struct {
	Export string `json:"export"`
	// Mode is schedule, refresh (with the system refresh) or off (a schedule of
	// its own that is turned off).
	Mode     string             `json:"mode"`
	Calendar *schedule.Calendar `json:"calendar,omitempty"` // of its own
	Starts   string             `json:"starts"`             // for people
	Next     []time.Time        `json:"next"`               // the starts to come, as Temporal has them
	Zone     string             `json:"zone,omitempty"`     // in which they are shown
}

// The modes of a ScheduleAnswer.
const (
	ModeSchedule = "schedule"
	ModeRefresh  = "refresh"
	ModeOff      = "off"
)

// RefreshSetArgs are the arguments of refresh set: one of the two.
type RefreshSetArgs struct {
	Calendar *schedule.Calendar `json:"calendar,omitempty"`
	Follow   string             `json:"follow,omitempty"` // a source
}

// About names the source.
func (a RefreshSetArgs) About(string) []Subject {
	if a.Follow == "" {
		return nil
	}
	return []Subject{{catalogue.KindSource, a.Follow}}
}

// RefreshAnswer shows the system refresh.
type RefreshAnswer struct {
	On       bool               `json:"on"`
	Calendar *schedule.Calendar `json:"calendar,omitempty"`
	Follow   string             `json:"follow,omitempty"`
	Starts   string             `json:"starts"` // for people
	Next     []time.Time        `json:"next"`
	Zone     string             `json:"zone,omitempty"`
	Exports  []string           `json:"exports"` // that run with it
}

// RefreshNowArgs are the arguments of refresh now.
type RefreshNowArgs struct {
	AfterSource bool          `json:"after_source,omitempty"` // wait until no source is being refreshed
	Limit       time.Duration `json:"limit,omitempty"`        // how long; 0: two hours
}

// About names nothing: it is for administrators.
func (RefreshNowArgs) About(string) []Subject { return nil }

// RefreshNowAnswer says what was set going.
type RefreshNowAnswer struct {
	WorkflowID string    `json:"workflow_id"`
	Exports    []string  `json:"exports"`
	Until      time.Time `json:"until,omitzero"` // how long sources are waited for
}

// RunAllArgs are the arguments of run all.
type RunAllArgs struct {
	Yes  bool `json:"yes,omitempty"`
	Full bool `json:"full,omitempty"`
}

// About names nothing: what the caller may not run is left out and said.
func (RunAllArgs) About(string) []Subject { return nil }

// RunAllAnswer is the outcome for each export, by name.
type RunAllAnswer struct {
	Exports []RunAllStart `json:"exports"`
}

// RunAllStart is one export's run, or why it has none.
type RunAllStart struct {
	Export string      `json:"export"`
	Run    *RunStarted `json:"run,omitempty"`
	Class  string      `json:"class,omitempty"` // of the failure
	Reason string      `json:"reason,omitempty"`
}
