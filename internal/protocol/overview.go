package protocol

import (
	"time"

	"github.com/segment-export/segment-export/internal/run"
)

// Overview shows a page of exports with their last runs and next starts, in one
// answer.
const Overview = "overview"

const (
	// CardsPerPage is the most exports of one page of an overview, and RunsPerCard
	// the most runs of each: the answer must pass through Temporal.
	CardsPerPage = 50
	RunsPerCard  = 30
)

// OverviewArgs selects a page.
type OverviewArgs struct {
	Find  string `json:"find,omitempty"`  // part of the export's name, in any case
	Page  int    `json:"page,omitempty"`  // from 1; 0: the first
	Limit int    `json:"limit,omitempty"` // exports on a page; 0: CardsPerPage
	Runs  int    `json:"runs,omitempty"`  // of each; 0: only the newest
}

// About names nothing: anyone who sees exports sees all.
func (OverviewArgs) About(string) []Subject { return nil }

// OverviewAnswer is a page of exports by name.
type OverviewAnswer struct {
	All   int          `json:"all"`   // exports
	Found int          `json:"found"` // that match
	Page  int          `json:"page"`  // from 1
	Pages int          `json:"pages"`
	Cards []ExportCard `json:"cards"`
}

// ExportCard is what is shown of an export among others.
type ExportCard struct {
	Name        string     `json:"name"`
	Segments    []string   `json:"segments"`
	Connection  string     `json:"connection,omitempty"` // empty: the export is inactive
	Source      string     `json:"source"`
	Permissions string     `json:"permissions"`   // of who asks
	Runs        []RunBrief `json:"runs"`          // the newest first, an open one too
	Next        time.Time  `json:"next,omitzero"` // start, by its calendar
}

// RunBrief is a run in a few numbers.
type RunBrief struct {
	RunID     string     `json:"run_id"`
	Status    run.Status `json:"status"`
	At        time.Time  `json:"at"` // of its start, else of its request
	Delivered int        `json:"delivered"`
	Unchanged int        `json:"unchanged"`
	Rejected  int        `json:"rejected"` // refused contacts and invalid rows
}
