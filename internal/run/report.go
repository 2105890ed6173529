// Package run holds what a run is and what it reports: statuses, the buckets
// that must add up, and the guards that park a run before its first call. It
// does no I/O.
package run

import (
	"fmt"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/spelling"
)

// Status is the state of a run in the words that people see.
type Status string

// The statuses.
const (
	Queued  Status = "queued"  // waits for its turn on the connection
	Running Status = "running" //
	Paused  Status = "paused"  // by an operator
	Parked  Status = "parked"  // waits for an operator
	// Canceling is a run that was canceled and still collects the verdicts of
	// its calls. It is shown, never stored: the run is stored as it was.
	Canceling            Status = "canceling"
	Completed            Status = "completed"
	CompletedWithRejects Status = "completed with rejects"
	Skipped              Status = "skipped"
	Canceled             Status = "canceled"
	Failed               Status = "failed"
	Expired              Status = "expired"
)

// Statuses are the statuses that a run is stored with.
var Statuses = []Status{Queued, Running, Paused, Parked, Completed, CompletedWithRejects, Skipped, Canceled, Failed, Expired}

// ParseStatus reads a stored status as a user types it, in any case. Its error
// names the statuses.
func ParseStatus(text string) (Status, error) {
	names := make([]string, len(Statuses))
	for i, s := range Statuses {
		names[i] = string(s)
		if strings.EqualFold(text, names[i]) {
			return s, nil
		}
	}
	hint := ""
	if near := spelling.Nearest(text, names); near != "" {
		hint = fmt.Sprintf(" (did you mean %q?)", near)
	}
	return "", fmt.Errorf("unknown status %q%s; valid: %s", text, hint, strings.Join(names, ", "))
}

// Ended says that the run is over.
func (s Status) Ended() bool {
	switch s {
	case Queued, Running, Paused, Parked, Canceling, "":
		return false
	}
	return true
}

// Complete says that every contact has its verdict.
func (s Status) Complete() bool { return s == Completed || s == CompletedWithRejects }

// Phase is the step of a run.
type Phase string

// The phases, in their order.
const (
	PhasePreflight Phase = "preflight"
	PhaseCollect   Phase = "collect"
	PhaseDecide    Phase = "decide"
	PhaseAdopt     Phase = "adopt" // of a run that takes over an audience
	PhaseDeliver   Phase = "deliver"
	PhaseLeavers   Phase = "leavers"
	PhaseFinish    Phase = "finish"
	PhaseEnded     Phase = "ended"
)

// SegmentCount is what one segment's rows became: Read = Members + Duplicate + Invalid.
type SegmentCount struct {
	Segment   string `json:"segment"`
	Read      int    `json:"read"`
	Members   int    `json:"members"`
	Duplicate int    `json:"duplicate"` // the address stands in an earlier row of this segment
	Invalid   int    `json:"invalid"`   // never sent
	// Unreadable are the invalid rows that could not be read as rows. While there
	// are any, nobody loses the segment's marker.
	Unreadable int    `json:"unreadable,omitempty"`
	Left       int    `json:"left"` // contacts that lose the segment's marker
	Marker     string `json:"marker"`
}

// ConsentCount says how the contacts of a run stand, and how many were held
// back from being subscribed, by the note that says why.
type ConsentCount struct {
	Subscribed    int `json:"subscribed"`
	Unsubscribed  int `json:"unsubscribed"`
	Undated       int `json:"undated"`   // of Unsubscribed: without a date that could be read
	Withdrawn     int `json:"withdrawn"` // of Unsubscribed: sent as subscribed before, and not consenting any more
	Refusals      int `json:"refusals"`  // of Unsubscribed: refusals with a date
	NonSubscribed int `json:"non_subscribed"`
	// WithoutEffect counts opt-outs that change nothing at Omnisend: of rows that
	// are invalid, of contacts that were turned down, without a date where the
	// export ignores those.
	WithoutEffect int `json:"opt_outs_without_effect"`
	// UndatedOptOuts and DatedRefusals are the contacts that the export's options
	// of these names decide about, whatever they are set to.
	UndatedOptOuts int            `json:"undated_opt_outs"`
	DatedRefusals  int            `json:"dated_refusals"`
	Undeclared     Part           `json:"undeclared,omitzero"` // contacts with a value that is not declared
	Unreadable     Part           `json:"unreadable,omitzero"` // contacts with a date that cannot be read, of those with a date
	Notes          map[string]int `json:"notes,omitempty"`
}

// Report is everything that is shown of a run, while it is open and after.
// Contacts = Delivered + Unchanged + Refused + Pending + Unsent, and
// Delivered = New + Changed.
type Report struct {
	Export      string         `json:"export"`
	RunID       string         `json:"run_id"`
	Source      string         `json:"source,omitempty"` // what it reads
	Plan        bool           `json:"plan,omitempty"`
	AnsweredYes bool           `json:"answered_yes,omitempty"` // to the guard first-run, when the run was started
	Status      Status         `json:"status"`
	Phase       Phase          `json:"phase"`
	Reason      reason.Text    `json:"reason,omitempty"` // why it is parked, skipped, failed
	Action      reason.Text    `json:"action,omitempty"` // what to do about it
	Segments    []SegmentCount `json:"segments"`
	Read        int            `json:"read"`
	Duplicate   int            `json:"duplicate"`
	Invalid     int            `json:"invalid"`
	Contacts    int            `json:"contacts"` // distinct addresses over all segments
	Delivered   int            `json:"delivered"`
	New         int            `json:"new"`
	Changed     int            `json:"changed"`
	Unchanged   int            `json:"unchanged"`
	Refused     int            `json:"refused"`             // sent and turned down, or turned down before with the same data
	Pending     int            `json:"pending"`             // sent, no verdict yet
	Unsent      int            `json:"unsent"`              // decided to be sent, not sent
	Leavers     int            `json:"leavers"`             // of a run: markers cleared; of a plan: to be cleared
	Calls       int            `json:"calls"`               // POST /batches of at most 100 contacts
	Reasons     map[string]int `json:"reasons"`             // of Invalid and Refused together
	LeftOut     map[string]int `json:"left_out,omitempty"`  // values left out of contacts, by why: rows counted
	Corrected   map[string]int `json:"corrected,omitempty"` // corrections of addresses, by what: rows counted
	Cleared     map[string]int `json:"cleared,omitempty"`   // values emptied at the source and cleared, by field: contacts counted
	// InvalidOptOuts are rows of Invalid that say an opt-out.
	InvalidOptOuts int           `json:"invalid_opt_outs,omitempty"`
	Consent        ConsentCount  `json:"consent"`
	Guards         []GuardResult `json:"guards,omitempty"` // those that ask
	Notes          []string      `json:"notes,omitempty"`  // what happened on the way, in sentences
	ToSend         int           `json:"to_send"`          // contacts decided to be sent, leavers apart
	LeaversDue     int           `json:"leavers_due"`      // leavers decided
	// Differences counts what changed contacts differ in from what was
	// confirmed; a contact may differ in several.
	Differences    map[string]int `json:"differences,omitempty"`
	PlannedCalls   int            `json:"planned_calls"`
	PlannedMinutes float64        `json:"planned_minutes"`      // at the connection's share; 0 without a limit
	OverLimit      int            `json:"over_limit,omitempty"` // the limit, when there are more contacts than it
	Full           bool           `json:"full,omitempty"`       // unchanged contacts are sent too
	Retry          bool           `json:"retry,omitempty"`      // contacts turned down before are sent again
	Adopt          bool           `json:"adopt,omitempty"`      // nothing is sent: the account has these contacts already
	Adopted        int            `json:"adopted,omitempty"`    // of Unchanged: taken over as confirmed by this run
	Canary         *Canary        `json:"canary,omitempty"`     // a first real test: the rest is unsent on purpose
	NewRules       []string       `json:"new_rules,omitempty"`  // what of the export's rules changed since the last complete run
	Removes        bool           `json:"removes,omitempty"`    // clears all markers, then removes the export
	Phases         []PhaseTime    `json:"phases,omitempty"`     // that are over
	Trigger        Trigger        `json:"trigger,omitempty"`    // what started it
	Actor          string         `json:"actor,omitempty"`      // filled in for the person who asks a worker; empty in Temporal
	StartedAt      time.Time      `json:"started_at"`
	EndedAt        *time.Time     `json:"ended_at,omitempty"`
}

// Canary is a run that sends only a few contacts on purpose. Leavers keep their
// markers, and what is not sent counts as unsent.
type Canary struct {
	Limit   int  `json:"limit,omitempty"`   // at most so many
	Address bool `json:"address,omitempty"` // only one address, which is not told here
	Sends   int  `json:"sends"`             // contacts that were chosen
}

// PhaseTime is how long a phase took, waiting included.
type PhaseTime struct {
	Phase   Phase   `json:"phase"`
	Seconds float64 `json:"seconds"`
}

// Check tells which of the equations does not hold, if one does not.
func (r *Report) Check() error {
	var read, duplicate, invalid int
	for _, s := range r.Segments {
		if s.Read != s.Members+s.Duplicate+s.Invalid {
			return fmt.Errorf("segment %s: read %d is not members %d + duplicate %d + invalid %d",
				s.Segment, s.Read, s.Members, s.Duplicate, s.Invalid)
		}
		read, duplicate, invalid = read+s.Read, duplicate+s.Duplicate, invalid+s.Invalid
	}
	if read != r.Read || duplicate != r.Duplicate || invalid != r.Invalid {
		return fmt.Errorf("the segments' rows %d, %d, %d are not the run's %d, %d, %d",
			read, duplicate, invalid, r.Read, r.Duplicate, r.Invalid)
	}
	if !r.Plan && r.Delivered != r.New+r.Changed { // a plan delivers nothing
		return fmt.Errorf("delivered %d is not new %d + changed %d", r.Delivered, r.New, r.Changed)
	}
	if sum := r.Delivered + r.Unchanged + r.Refused + r.Pending + r.Unsent; sum != r.Contacts {
		return fmt.Errorf("contacts %d are not delivered %d + unchanged %d + refused %d + pending %d + unsent %d",
			r.Contacts, r.Delivered, r.Unchanged, r.Refused, r.Pending, r.Unsent)
	}
	if min(r.Delivered, r.Unchanged, r.Refused, r.Pending, r.Unsent) < 0 {
		return fmt.Errorf("a bucket is negative: delivered %d, unchanged %d, refused %d, pending %d, unsent %d",
			r.Delivered, r.Unchanged, r.Refused, r.Pending, r.Unsent)
	}
	if r.Status.Complete() && !r.Plan && (r.Pending > 0 || r.Unsent > 0 && r.Canary == nil) {
		return fmt.Errorf("completed with %d pending and %d unsent", r.Pending, r.Unsent)
	}
	return nil
}

// Unreadable is how many rows of all segments could not be read as rows.
func (r *Report) Unreadable() int {
	n := 0
	for _, s := range r.Segments {
		n += s.Unreadable
	}
	return n
}

// Buckets returns where the rows and contacts are, by name.
func (r *Report) Buckets() map[string]int {
	return map[string]int{"read": r.Read, "duplicate": r.Duplicate, "invalid": r.Invalid, "contacts": r.Contacts,
		"new": r.New, "changed": r.Changed, "unchanged": r.Unchanged, "refused": r.Refused,
		"pending": r.Pending, "unsent": r.Unsent, "leavers": r.Leavers}
}

// Apply puts the verdicts so far into the report: contacts confirmed as new and
// as changed, turned down, and sent without a verdict. What was decided to be
// sent and is none of these is unsent.
func (r *Report) Apply(added, changed, refused, pending int) {
	before := r.Contacts - r.ToSend - r.Unchanged // turned down in an earlier run, with the same data
	r.Refused = before + refused
	r.New, r.Changed = added, changed
	r.Delivered = added + changed
	r.Pending = pending
	r.Unsent = r.ToSend - r.Delivered - refused - r.Pending
}

// Sends is how many contacts the run is to send, leavers apart.
func (r *Report) Sends() int {
	if r.Canary != nil {
		return r.Canary.Sends
	}
	return r.ToSend
}

// TakeOver books contacts that were decided to be sent as unchanged: the account
// has them already.
func (r *Report) TakeOver(n int) {
	r.Adopted = n
	r.Unchanged += n
	r.ToSend -= n
	r.Unsent -= n
}

// EndPhases adds the last phase, which took what the others leave.
func (r *Report) EndPhases(ended time.Time) {
	rest := ended.Sub(r.StartedAt).Seconds()
	for _, p := range r.Phases {
		rest -= p.Seconds
	}
	r.Phases = append(r.Phases, PhaseTime{Phase: PhaseFinish, Seconds: max(0, rest)})
}

// DropUndecided takes the rows out of the report of a run that ended before
// they were decided about: they have no bucket, and nothing was sent. A note
// says how many there were.
func (r *Report) DropUndecided() {
	undecided := r.Read - r.Invalid
	if r.Contacts > 0 || undecided <= 0 {
		return // where any valid row was decided about there is a contact
	}
	for i := range r.Segments {
		r.Segments[i].Read = r.Segments[i].Invalid
	}
	r.Read = r.Invalid
	r.Notes = append(r.Notes, fmt.Sprintf("it ended while it was reading: %d valid rows had been read, and were not decided about", undecided))
}

// Request is what was asked for when the run was started. It is stored with the
// run, never in Temporal.
type Request struct {
	Actor   string  `json:"actor"`
	Trigger Trigger `json:"trigger,omitempty"` // empty: OnDemand
	// Note is for the report: why it started automatically.
	Note  string `json:"note,omitempty"`
	Yes   bool   `json:"yes"`             // answers the guard first-run, no other
	Full  bool   `json:"full"`            // sends unchanged contacts too
	Retry bool   `json:"retry,omitempty"` // sends contacts again that were turned down with the same data
	// Adopt takes over an audience that carries the markers already: a sample is
	// compared with the account, and all contacts are booked without being sent.
	Adopt bool `json:"adopt,omitempty"`
	// Limit and Only make the run a canary; Only is an address, sealed.
	Limit int    `json:"limit,omitempty"`
	Only  []byte `json:"only,omitempty"`
	// Remove clears the markers of all contacts of the ledger and then removes
	// the export; it is the id of the command that asked for it.
	Remove string `json:"remove,omitempty"`
}

// IsCanary says that only a few contacts are sent.
func (r *Request) IsCanary() bool { return r.Limit > 0 || len(r.Only) > 0 }

// Control is what operators have decided about a run since it began.
type Control struct {
	Paused   bool                       `json:"paused"`
	Resumes  int                        `json:"resumes"`  // how often it was resumed
	Approved map[catalogue.Guard]string `json:"approved"` // who approved
	// Superseded says that the next automatic start has come: if the run waits for
	// an answer, none came in time.
	Superseded bool `json:"superseded,omitempty"`
	// Canceled says that nothing more is sent; the workflow is canceled too.
	Canceled bool `json:"canceled,omitempty"`
	// Stopped is why the run was canceled, where that was not by a command about
	// the run itself.
	Stopped string `json:"stopped,omitempty"`
}
