package run

// Trigger is what began a run.
type Trigger string

// The triggers.
const (
	OnDemand   Trigger = "on-demand" // a person, for this export
	BySchedule Trigger = "schedule"  // the export's own schedule
	ByRefresh  Trigger = "refresh"   // the system refresh
	ByFollow   Trigger = "follow"    // the system refresh, after a source's own
)

// Automatic says that nobody waits for the run: a question that is not answered
// when the next start comes is asked again.
func (t Trigger) Automatic() bool { return t != "" && t != OnDemand }
