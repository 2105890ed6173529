// Package alerting decides when an alert is due, in which words, and delivers
// it: as mail through an SMTP server, or as a signed request to a webhook.
//
// Deciding does no I/O. Errors of delivery name servers and codes, never an
// address, a URL or what a server said of them.
package alerting

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/run"
)

// Facts are how an export stands.
type Facts struct {
	Export      string
	Now         time.Time
	CreatedAt   time.Time   // of the export
	Open        *run.Report // the open run; nil: none
	Last        *run.Report // the last run that ended
	LastSuccess time.Time   // when the last complete run ended; zero: never
}

// Finding is a condition that an export is in.
type Finding struct {
	Condition catalogue.Condition `json:"condition"`
	Since     time.Time           `json:"since"` // when it was found first
	RunID     string              `json:"run_id,omitempty"`
	Reason    string              `json:"reason"`
	Action    string              `json:"action,omitempty"`
}

// Find returns the conditions of the alert that the export is in, the most urgent
// first.
func Find(a *catalogue.Alert, f Facts) []Finding {
	var found []Finding
	for _, c := range catalogue.Conditions {
		if !slices.Contains(a.On, c) {
			continue
		}
		if x, ok := find(a, f, c); ok {
			x.Condition, x.Since = c, f.Now
			found = append(found, x)
		}
	}
	return found
}

func find(a *catalogue.Alert, f Facts, c catalogue.Condition) (Finding, bool) {
	switch c {
	case catalogue.ConditionParked:
		if f.Open != nil && f.Open.Status == run.Parked {
			return of(f.Open, ""), true
		}
		return Finding{}, false
	case catalogue.ConditionLate:
		return late(a, f)
	}
	r := f.Last
	if r == nil {
		return Finding{}, false
	}
	switch c {
	case catalogue.ConditionFailed:
		return of(r, ""), r.Status == run.Failed || r.Status == run.Expired
	case catalogue.ConditionSkipped:
		return of(r, ""), r.Status == run.Skipped
	case catalogue.ConditionZero:
		return of(r, "it read no rows at all"), r.Status.Complete() && r.Read == 0
	case catalogue.ConditionRejects:
		rejects := r.Invalid + r.Refused
		return of(r, fmt.Sprintf("%d of %d rows and contacts did not arrive, more than %.3g %%", rejects, r.Read, 100*a.Rejects)),
			r.Status.Complete() && float64(rejects) > a.Rejects*float64(r.Read)
	}
	return Finding{}, false
}

// of is a finding about a run, with the run's own reason unless there is
// another.
func of(r *run.Report, reason string) Finding {
	x := Finding{RunID: r.RunID, Reason: reason, Action: string(r.Action)}
	if reason == "" {
		x.Reason = string(r.Reason)
	}
	if x.Action == "" {
		x.Action = "see: starter runs show " + r.RunID
	}
	return x
}

func late(a *catalogue.Alert, f Facts) (Finding, bool) {
	since, what := f.LastSuccess, "the last complete run ended at "+f.LastSuccess.UTC().Format(time.DateTime)+" UTC"
	if since.IsZero() {
		since, what = f.CreatedAt, "it was made at "+f.CreatedAt.UTC().Format(time.DateTime)+" UTC and has never completed"
	}
	return Finding{Reason: fmt.Sprintf("%s, more than %s ago", what, a.Late), Action: "see: starter status"},
		a.Late > 0 && f.Now.Sub(since) > a.Late
}

// State is what an alert has reported of an export.
type State struct {
	Seq    int64     `json:"seq"` // of the last notice
	Active []Finding `json:"active"`
}

// Notice is one message: what began and what is over.
type Notice struct {
	Alert  string    `json:"alert"`
	Export string    `json:"export"`
	Seq    int64     `json:"seq"`
	At     time.Time `json:"at"`
	Test   bool      `json:"test,omitempty"`
	Began  []Finding `json:"began,omitempty"`
	Over   []Finding `json:"over,omitempty"`
	Still  []Finding `json:"still,omitempty"`
	Last   *Numbers  `json:"last_run,omitempty"`
}

// Numbers are those of the last run that ended.
type Numbers struct {
	RunID   string         `json:"run_id"`
	Status  run.Status     `json:"status"`
	EndedAt *time.Time     `json:"ended_at,omitempty"`
	Buckets map[string]int `json:"buckets"`
}

// Step compares what was reported with what is found. When no condition starts or
// ends there is no notice, however many runs there were.
func (s State) Step(a *catalogue.Alert, f Facts) (State, *Notice) {
	next := State{Seq: s.Seq}
	n := &Notice{Alert: a.Name, Export: f.Export, At: f.Now}
	found := Find(a, f)
	for _, x := range found {
		i := slices.IndexFunc(s.Active, func(old Finding) bool { return old.Condition == x.Condition })
		if i < 0 {
			n.Began = append(n.Began, x)
		} else {
			x.Since = s.Active[i].Since
			n.Still = append(n.Still, x)
		}
		next.Active = append(next.Active, x)
	}
	for _, old := range s.Active {
		if !slices.ContainsFunc(found, func(x Finding) bool { return x.Condition == old.Condition }) {
			n.Over = append(n.Over, old)
		}
	}
	if len(n.Began)+len(n.Over) == 0 {
		return next, nil
	}
	if f.Last != nil {
		n.Last = &Numbers{RunID: f.Last.RunID, Status: f.Last.Status, EndedAt: f.Last.EndedAt, Buckets: f.Last.Buckets()}
	}
	next.Seq++
	n.Seq = next.Seq
	return next, n
}

// words are how conditions are reported: when they start, and when they end.
var words = map[catalogue.Condition][2]string{
	catalogue.ConditionFailed:  {"failed", "runs end well again"},
	catalogue.ConditionParked:  {"waits for an operator", "no longer waits for an operator"},
	catalogue.ConditionSkipped: {"was skipped", "is no longer skipped"},
	catalogue.ConditionRejects: {"had too many rejects", "no longer has too many rejects"},
	catalogue.ConditionZero:    {"read no rows", "reads rows again"},
	catalogue.ConditionLate:    {"is late", "is no longer late"},
}

// Subject is the notice in a line.
func (n *Notice) Subject() string {
	if n.Test {
		return "Segment export: a test of the alert " + n.Alert
	}
	var parts []string
	for _, x := range n.Began {
		parts = append(parts, words[x.Condition][0])
	}
	for _, x := range n.Over {
		parts = append(parts, words[x.Condition][1])
	}
	return "Segment export: " + n.Export + " " + strings.Join(parts, ", ")
}

// Text is the notice in lines.
func (n *Notice) Text() string {
	if n.Test {
		return "Nothing has happened. Messages of this alert arrive here."
	}
	var b strings.Builder
	for _, x := range n.Began {
		fmt.Fprintf(&b, "%s %s: %s\n  %s\n", n.Export, words[x.Condition][0], x.Reason, x.Action)
	}
	for _, x := range n.Over {
		fmt.Fprintf(&b, "%s %s (told at %s UTC).\n", n.Export, words[x.Condition][1], x.Since.UTC().Format(time.DateTime))
	}
	for _, x := range n.Still {
		fmt.Fprintf(&b, "Still: %s %s, since %s UTC.\n", n.Export, words[x.Condition][0], x.Since.UTC().Format(time.DateTime))
	}
	if n.Last != nil {
		k := n.Last.Buckets
		fmt.Fprintf(&b, "Last run %s: %s; read %d, contacts %d, new %d, changed %d, unchanged %d, invalid %d, refused %d, unsent %d\n", n.Last.RunID, n.Last.Status,
			k["read"], k["contacts"], k["new"], k["changed"], k["unchanged"], k["invalid"], k["refused"], k["unsent"])
	}
	return b.String()
}
