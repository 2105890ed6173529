package run

// Trigger is what began a run.
type Trigger string

// The triggers.
const (
	OnDemand   Trigger = "on-demand" // somebody, for this export
	BySchedule Trigger = "schedule"  // the export's own schedule
	ByRefresh  Trigger = "refresh"   // the system refresh
	ByFollow   Trigger = "follow"    // the system refresh, after a source's own
)

// Automatic says that nobody waits for the run: when its next start comes, a
// question that it asked and nobody answered is asked anew.
func (t Trigger) Automatic() bool { return t != "" && t != OnDemand }
