package catalogue

import (
	"time"

	"github.com/segment-export/segment-export/internal/schedule"
)

// Schedule is when an export runs automatically. An export without one runs with
// the system refresh.
type Schedule struct {
	Meta // Name is the export's

	Calendar schedule.Calendar `json:"calendar"`
	Off      bool              `json:"off,omitempty"` // the calendar is kept
}

// Kind returns KindSchedule.
func (*Schedule) Kind() Kind { return KindSchedule }

// Check says whether the schedule can be.
func (s *Schedule) Check(now time.Time) error {
	if err := s.Calendar.Check(now); err != nil {
		return invalid("%v", err)
	}
	return nil
}

// RefreshName is the name of the one Refresh that there is.
const RefreshName = "system"

// Refresh is when all exports run that have no schedule of their own: at times,
// or whenever a source was refreshed.
type Refresh struct {
	Meta

	On       bool               `json:"on"`
	Calendar *schedule.Calendar `json:"calendar,omitempty"`
	Follow   string             `json:"follow,omitempty"` // the source; there is no calendar then
}

// Kind returns KindRefresh.
func (*Refresh) Kind() Kind { return KindRefresh }

// mostRefreshes is how often a day the system refresh may be.
const mostRefreshes = 4

// Check says whether the refresh can be.
func (r *Refresh) Check(now time.Time) error {
	switch {
	case r.Follow != "" && r.Calendar != nil:
		return invalid("--follow takes the times from the source: leave --every, --at and --tz out")
	case r.Follow != "":
		return nil
	case r.Calendar == nil:
		return invalid("when is missing: give --every with --at and --tz, or --follow SOURCE")
	case r.Calendar.Cron != "" || len(r.Calendar.At) > mostRefreshes:
		return invalid("the system refresh runs at most %d times a day, at times given with --at", mostRefreshes)
	}
	if err := r.Calendar.Check(now); err != nil {
		return invalid("%v", err)
	}
	return nil
}

// String says when, for people.
func (r *Refresh) String() string {
	if r.Follow != "" {
		return "after each refresh of the source " + r.Follow
	}
	return r.Calendar.String()
}
