package protocol

import (
	"encoding/json"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/run"
)

// The names of the commands about plans and runs.
const (
	Plan        = "plan"
	Samples     = "samples" // of a plan that has ended; sealed
	Run         = "run"
	RunsList    = "runs list"
	RunsShow    = "runs show"
	RunsPause   = "runs pause"
	RunsResume  = "runs resume"
	RunsApprove = "runs approve"
	RunsCancel  = "runs cancel"
	RunsAbandon = "runs abandon"
	RunsRejects = "runs rejects" // sealed, paged
	RunsRetry   = "runs retry-rejects"
)

// RunArgs are the arguments of run and plan.
type RunArgs struct {
	Export string `json:"export"`
	Yes    bool   `json:"yes,omitempty"`
	Full   bool   `json:"full,omitempty"`
	Adopt  bool   `json:"adopt,omitempty"`
	Limit  int    `json:"limit,omitempty"`
	// Only says that an Address travels sealed, and that nobody else is sent.
	Only bool `json:"only,omitempty"`
}

// Address is the sealed part of commands about one person.
type Address struct {
	Email string `json:"email"`
}

// About names the export.
func (a RunArgs) About(string) []Subject {
	return []Subject{{catalogue.KindExport, a.Export}}
}

// RunStarted names the workflow that a run became.
type RunStarted struct {
	RunID      string `json:"run_id"`
	WorkflowID string `json:"workflow_id"`
}

// RunsListArgs selects a page of runs.
type RunsListArgs struct {
	Export string    `json:"export,omitempty"`
	Status string    `json:"status,omitempty"`
	Plans  bool      `json:"plans,omitempty"` // plans too
	Since  time.Time `json:"since,omitzero"`
	Before time.Time `json:"before,omitzero"`
	Limit  int       `json:"limit,omitempty"` // at most RunsPerPage
	Page   string    `json:"page,omitempty"`  // RunsPage.Next of the page before
}

// RunsPerPage is the most runs of one page: an answer must pass through Temporal.
const RunsPerPage = 100

// RunsPage is a page of runs, the newest first.
type RunsPage struct {
	Runs []*RunAnswer `json:"runs"`
	Next string       `json:"next,omitempty"` // of the page that follows; empty after the last
}

// About names nothing: anyone who may list runs may list all.
func (RunsListArgs) About(string) []Subject { return nil }

// RunRef selects a run by its id, or the newest one of an export.
type RunRef struct {
	Run string `json:"run"` // id, the beginning of one, or an export's name
}

// About names the run.
func (r RunRef) About(string) []Subject { return []Subject{{KindRun, r.Run}} }

// RunsApproveArgs are the arguments of runs approve.
type RunsApproveArgs struct {
	RunRef
	Guard    catalogue.Guard `json:"guard"`
	Remember bool            `json:"remember,omitempty"`
}

// RunAnswer shows a run.
type RunAnswer struct {
	run.Report
	WorkflowID string         `json:"workflow_id"`
	CreatedAt  time.Time      `json:"created_at"`
	Difference *RunDifference `json:"difference,omitempty"` // of runs show
}

// RunDifference says in what a run differs from the complete one of its export
// before it.
type RunDifference struct {
	Run       string         `json:"run"` // the one before
	StartedAt time.Time      `json:"started_at"`
	Seconds   float64        `json:"seconds"` // by which this one took longer
	Numbers   map[string]int `json:"numbers"` // of this run less those of that one, by the report's names
	Members   map[string]int `json:"members"` // the same, by segment
}

// RejectsArgs selects a page of a run's rejects.
type RejectsArgs struct {
	RunRef
	Page int `json:"page"` // from 0
}

// RejectsPage is one page of rejects; it is sent sealed.
type RejectsPage struct {
	Rejects []Reject `json:"rejects"`
	More    bool     `json:"more"`
	Kept    int      `json:"kept"`  // how many are kept in all
	Total   int      `json:"total"` // how many there were; above Kept when only the first were kept
}

// Reject is one row or contact that was not carried over.
type Reject struct {
	Segment string `json:"segment,omitempty"`
	Row     int64  `json:"row,omitempty"` // line of the file
	ID      string `json:"id,omitempty"`
	Email   string `json:"email,omitempty"` // as the source has it
	Reason  string `json:"reason"`
	Refused bool   `json:"refused,omitempty"` // sent and turned down
	Said    string `json:"said,omitempty"`    // about it, by Omnisend, in its own words
	OptOut  bool   `json:"opt_out,omitempty"` // it would have been unsubscribed
}

// SamplesAnswer is what a plan would send; it travels sealed.
type SamplesAnswer struct {
	New     []json.RawMessage `json:"new,omitempty"`
	Changed []ChangedSample   `json:"changed,omitempty"`
	Leavers []json.RawMessage `json:"leavers,omitempty"`
	Invalid []Reject          `json:"invalid,omitempty"` // a few of each reason
	// Dates are a few dates of consent, and how they were read in the source's zone.
	Dates []contact.DateSample `json:"dates,omitempty"`
}

// ChangedSample is a contact that differs from what Omnisend has confirmed.
type ChangedSample struct {
	Differs []string        `json:"differs"` // profile, consent, marker; none when all contacts are sent
	Contact json.RawMessage `json:"contact"`
}
