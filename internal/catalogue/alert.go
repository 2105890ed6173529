package catalogue

import (
	"slices"
	"strings"
	"time"
)

// KindAlert is the kind of alerts.
const KindAlert Kind = "alert"

// Condition is something that an alert tells of when it begins and when it ends.
type Condition string

// The conditions.
const (
	ConditionFailed  Condition = "failed"  // the last run failed or expired
	ConditionParked  Condition = "parked"  // a run waits for an operator
	ConditionSkipped Condition = "skipped" // the last run was skipped
	ConditionRejects Condition = "rejects" // the last run finished with more rejects than the threshold
	ConditionZero    Condition = "zero"    // the last run finished without a single row
	ConditionLate    Condition = "late"    // no run has completed for longer than the limit
)

// Conditions are all of them, the most urgent first.
var Conditions = []Condition{ConditionFailed, ConditionParked, ConditionLate, ConditionZero, ConditionSkipped, ConditionRejects}

// ChannelType is how an alert reaches people.
type ChannelType string

// The types.
const (
	ChannelMail    ChannelType = "mail"
	ChannelWebhook ChannelType = "webhook"
)

// Alert tells people when the state of an export changes. Where it goes is
// sealed and stored apart: addresses, URL, password, signing key.
type Alert struct {
	Meta
	Channel ChannelType `json:"channel"`
	Target  string      `json:"target"`            // for people: a server or host, no address and no secret
	Exports []string    `json:"exports,omitempty"` // none: all
	On      []Condition `json:"on"`
	// Rejects is the part of the rows, from 0 to 1, above which a run has too
	// many rejects.
	Rejects float64 `json:"rejects"`
	// Late is how long after an export's last success it is late; 0: never.
	Late time.Duration `json:"late,omitempty"`
}

// Kind returns KindAlert.
func (*Alert) Kind() Kind { return KindAlert }

// Check says whether the alert's settings can be.
func (a *Alert) Check() error {
	if len(a.On) == 0 {
		return invalid("an alert needs something to tell of: --on")
	}
	for _, c := range a.On {
		if !slices.Contains(Conditions, c) {
			var names []string
			for _, valid := range Conditions {
				names = append(names, string(valid))
			}
			return invalid("--on %q is not a condition; valid: %s", c, strings.Join(names, ", "))
		}
	}
	switch {
	case a.Rejects < 0 || a.Rejects >= 1:
		return invalid("--rejects %v is not from 0 to below 1", a.Rejects)
	case a.Late < 0:
		return invalid("--late %s is negative", a.Late)
	case slices.Contains(a.On, ConditionLate) && a.Late == 0:
		return invalid("--on late needs a limit, such as --late 26h")
	}
	return nil
}

// Covers tells whether the alert is about an export.
func (a *Alert) Covers(export string) bool {
	return len(a.Exports) == 0 || slices.Contains(a.Exports, export)
}
