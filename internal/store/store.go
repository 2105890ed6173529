// Package store is what the system remembers outside Temporal: the catalogue,
// runs and their spool, calls and their verdicts, the ledger, the budget of
// each brand, leases and the audit. It keeps blobs as they are given;
// the caller has encrypted them.
//
// There is one interface and one conformance suite (package storetest); the
// implementation in sqlstore serves SQLite for one machine and PostgreSQL for
// several.
package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// The errors that callers tell apart.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	ErrConflict = errors.New("was changed by another user meanwhile")
	// ErrFenced says that another holder has the caller's lease: it must
	// stop at once, and nothing of what it asked for was stored.
	ErrFenced = errors.New("the lease was taken over")
)

// Store is everything together. All methods may be called by many goroutines
// and processes at once; each one is a single transaction, so that it has
// happened wholly or not at all. A method that failed may be called again
// unless it says otherwise. Times are UTC; "now" is the store's clock.
type Store interface {
	Catalogue
	Runs
	Spool
	Calls
	Ledger
	Budget
	Leases
	Audit
	Renaming
	Forgotten
	Retention
	Principals
	Resealing
	// Now returns the store's clock.
	Now(ctx context.Context) (time.Time, error)
	// Ping tells whether the store can be reached and has this program's schema.
	Ping(ctx context.Context) error
	Close() error
}

// Object is a source, connection or export as the store keeps it.
type Object struct {
	Kind    string // catalogue.Kind
	Name    string
	Version int64
	Body    json.RawMessage // the catalogue's type as JSON, without secrets
	Sealed  []byte          // its secret, sealed; nil when it has none
	// Command is the id of the command that changes the object: its values
	// before and after are kept for the audit, in the same transaction. Without
	// it they are not. It is not read back.
	Command string
}

// Catalogue keeps objects by kind and name. Names are compared exactly.
type Catalogue interface {
	// CreateObject stores a new object with version 1; ErrExists.
	CreateObject(ctx context.Context, o Object) error
	// UpdateObject replaces the object whose version is o.Version and counts it
	// up; ErrNotFound, ErrConflict. A nil Sealed leaves the stored one.
	UpdateObject(ctx context.Context, o Object) error
	// Object returns one; ErrNotFound.
	Object(ctx context.Context, kind, name string) (Object, error)
	// Objects returns all of a kind, sorted by name, without Sealed.
	Objects(ctx context.Context, kind string) ([]Object, error)
	// DeleteObject removes one for a command, as with Object.Command; ErrNotFound.
	DeleteObject(ctx context.Context, kind, name, command string) error

	// ClaimMarkers makes the export the owner of these custom properties at the
	// brand and of no others; ErrExists with the owner in a *MarkerTakenError
	// when one belongs to another export.
	ClaimMarkers(ctx context.Context, brand, export string, properties []string) error
	// MarkerOwners returns the export that owns each custom property at the
	// brand.
	MarkerOwners(ctx context.Context, brand string) (map[string]string, error)
}

// MarkerTakenError says that a custom property has an owner already.
type MarkerTakenError struct{ Property, Export string }

func (e *MarkerTakenError) Error() string {
	return "the marker " + e.Property + " belongs to the export " + e.Export
}

// Is makes it an ErrExists.
func (e *MarkerTakenError) Is(target error) bool { return target == ErrExists }

// Run is one execution of an export, or a plan.
type Run struct {
	ID         string // our own UUID
	Export     string
	Connection string
	Brand      string
	Plan       bool            // a plan never sends
	Status     string          // run.Status
	Started    bool            // a workflow has taken it up: no second one may
	StartedBy  string          // that workflow's execution; set by StartRun
	CreatedAt  time.Time       // set by CreateRun
	StartedAt  time.Time       // zero until taken up
	EndedAt    time.Time       // zero until ended
	Report     json.RawMessage // run.Report: its numbers so far or in the end
	Request    json.RawMessage // run.Request: what was asked for and by whom
	Control    json.RawMessage // run.Control: what operators have decided since
}

// RunFilter selects runs; zero values select all.
type RunFilter struct {
	Export string
	Status string
	Plans  bool // plans too
	Since  time.Time
	Before time.Time
	After  RunPlace // only what follows it in the list
	Limit  int      // 0: 50
}

// RunPlace is a run's place in the list, which stays when the run is gone.
type RunPlace struct {
	CreatedAt time.Time
	ID        string
}

// Runs keeps the record of every run.
type Runs interface {
	// CreateRun stores a run that has been allowed; a workflow for a run that
	// is not stored is refused. ErrExists.
	CreateRun(ctx context.Context, r Run) error
	// StartRun marks the run as taken up by a workflow and returns it; an error
	// wrapping ErrExists when another workflow execution took it up. The same
	// execution may call it again.
	StartRun(ctx context.Context, id, workflowRun string) (Run, error)
	// Run returns one; ErrNotFound.
	Run(ctx context.Context, id string) (Run, error)
	// SaveRun replaces status and report of a run that has not ended, and sets EndedAt to now the first
	// time that ended is true. ErrNotFound.
	SaveRun(ctx context.Context, id, status string, report json.RawMessage, ended bool) error
	// AmendReport applies change to the run's report, whether it has ended or
	// not, and stores what it returns; change may be called several times.
	// ErrNotFound, or change's own error.
	AmendReport(ctx context.Context, id string, change func(json.RawMessage) (json.RawMessage, error)) error
	// ControlRun applies change to the run's Control and stores what it returns;
	// change may be called several times. ErrNotFound, or change's own error.
	ControlRun(ctx context.Context, id string, change func(json.RawMessage) (json.RawMessage, error)) error
	// ListRuns returns runs, newest first.
	ListRuns(ctx context.Context, f RunFilter) ([]Run, error)
}

// Blob is one encrypted piece of a run's spool. Group and Seq order blobs
// within their kind.
type Blob struct {
	Kind  BlobKind
	Group int
	Seq   int
	Data  []byte
}

// BlobKind is what a blob of the spool holds.
type BlobKind string

// The kinds of blobs.
const (
	BlobPart    BlobKind = "part"    // profiles as read; Group is the shard, Seq the part
	BlobReject  BlobKind = "reject"  // rows and contacts not sent, with reasons; Group is the segment or source of the reject
	BlobBatch   BlobKind = "batch"   // contacts of one batch; Seq is the batch
	BlobTail    BlobKind = "tail"    // contacts of a batch that is not full yet
	BlobSamples BlobKind = "samples" // what a plan shows
	BlobVerify  BlobKind = "verify"  // what a comparison with the account found
	BlobStale   BlobKind = "stale"   // entries of the ledger to be removed at the end; Group is the shard
)

// Step is one step of progress in a run, stored whole or not at all.
type Step struct {
	Run   string
	Name  string     // of the state: "collect/0", "decide"; empty: no state is stored
	Lease Lease      // must still be held, else ErrFenced; the zero Lease is not checked
	State []byte     // replaces the state of that name
	Blobs []Blob     // added; one with the same kind, group and seq is replaced
	Drop  []BlobKind // all blobs of these kinds are removed first
}

// Spool keeps what a run has read and decided until it ends.
type Spool interface {
	// CommitStep stores one step. Doing it twice is the same as once.
	CommitStep(ctx context.Context, s Step) error
	// StepState returns the state stored last under that name; nil when none.
	StepState(ctx context.Context, run, name string) ([]byte, error)
	// Blobs returns the blobs of a kind and group, ordered by Seq.
	Blobs(ctx context.Context, run string, kind BlobKind, group int) ([]Blob, error)
	// Blob returns one; ErrNotFound.
	Blob(ctx context.Context, run string, kind BlobKind, group, seq int) (Blob, error)
	// DropSpool removes the run's states, and its blobs of all kinds but those
	// to keep.
	DropSpool(ctx context.Context, run string, keep ...BlobKind) error
	// RunsWith returns the ids of the runs that have blobs of a kind, in no order.
	RunsWith(ctx context.Context, kind BlobKind) ([]string, error)
	// ExpireSpool removes blobs of one kind first stored before the given time, of all
	// runs, and says how many.
	ExpireSpool(ctx context.Context, kind BlobKind, before time.Time) (int, error)
}

// CallState is how far a call is.
type CallState string

// The states. A call is unsettled while it is intended or answered.
const (
	CallIntended CallState = "intended" // about to be made; whether Omnisend has it is unknown until answered
	CallAnswered CallState = "answered" // Omnisend gave a batch id; no verdict yet
	CallSettled  CallState = "settled"  // every contact has a verdict or was moved to a later batch
	CallVoid     CallState = "void"     // never took effect; its contacts are in another call
)

// Call is one POST /batches. Its contacts are Count items of its batch's blob
// from First on.
type Call struct {
	Origin     string // unique; travels with the call, so that it can be found again
	Run        string
	Export     string
	Brand      string
	Batch      int
	First      int
	Count      int
	New        int // of Count, contacts that are new, changed, leavers
	Changed    int
	Leavers    int
	State      CallState
	BatchID    string    // Omnisend's, from answered on
	IntendedAt time.Time // set by the store
	AnsweredAt time.Time // set by the store
	Verdict    Verdict   // from settled on
	Folded     bool      // the verdict is in the ledger
}

// Verdict is the outcome of a call's contacts. The counts are of contacts
// confirmed; Count - all of them - len(Refused) were moved to a later batch.
type Verdict struct {
	New     int       `json:"new,omitempty"`
	Changed int       `json:"changed,omitempty"`
	Leavers int       `json:"leavers,omitempty"`
	Refused []Refusal `json:"refused,omitempty"`
	Moved   []int     `json:"moved,omitempty"` // items sent again in a later batch
	Split   bool      `json:"split,omitempty"` // of a void call: refused as a whole, its halves go alone
}

// Refusal is one contact that Omnisend turned down.
type Refusal struct {
	Item   int    `json:"item"`   // in the batch's blob
	Reason string `json:"reason"` // a code, nothing personal
}

// Settlement is a call's verdict on its way into the store.
type Settlement struct {
	Origin  string
	State   CallState // CallSettled or CallVoid
	Verdict Verdict
}

// CallTotals sums up a run's calls.
type CallTotals struct {
	Calls     int `json:"calls"`     // made or being made, void ones included
	Unsettled int `json:"unsettled"` // intended or answered
	Pending   int `json:"pending"`   // contacts in unsettled calls, leavers apart
	New       int `json:"new"`       // contacts confirmed
	Changed   int `json:"changed"`
	Leavers   int `json:"leavers"` // confirmed
	Refused   int `json:"refused"` // contacts turned down, leavers apart
	// LeaversRefused are leavers turned down: they keep their markers.
	LeaversRefused int `json:"leavers_refused"`
}

// Calls keeps the intent of each call before it is made, its answer, its
// verdict.
type Calls interface {
	// IntendCalls records calls that are about to be made, and in the same
	// transaction the answer of the one before, if answered is not nil (its
	// Origin and BatchID count; ErrNotFound when it was never intended, and no
	// change when it has an answer or a verdict already). The lease must be held,
	// and the run of a next call has, or takes, its brand's turn, else ErrFenced. A
	// call whose Origin exists is left as it is.
	IntendCalls(ctx context.Context, lease Lease, answered *Call, next ...Call) error
	// CallsOfBatch returns the calls of one batch, ordered by First and then by
	// time, void ones included.
	CallsOfBatch(ctx context.Context, run string, batch int) ([]Call, error)
	// Unsettled returns the calls of a brand that are intended or answered,
	// oldest first, at most limit (0: all); run narrows it to one run when not
	// empty.
	Unsettled(ctx context.Context, brand, run string, limit int) ([]Call, error)
	// SettleCalls records verdicts; blobs are added to the run's spool in the
	// same transaction (contacts that go again in a later batch). A call that is
	// settled or void already is left as it is, and one that is not known left out.
	SettleCalls(ctx context.Context, run string, settled []Settlement, blobs ...Blob) error
	// SettledCalls returns a run's settled calls that are not in the ledger
	// yet, ordered by batch and First.
	SettledCalls(ctx context.Context, run string) ([]Call, error)
	// MarkFolded notes that the verdicts of these calls are in the ledger.
	MarkFolded(ctx context.Context, run string, origins []string) error
	// Totals sums up a run's calls.
	Totals(ctx context.Context, run string) (CallTotals, error)
	// UnfoldedRuns returns the ids of runs of the brand that have ended and
	// still have calls that are unsettled or not in the ledger.
	UnfoldedRuns(ctx context.Context, brand string) ([]string, error)
}

// Ledger keeps, for each export, sorted shards of what Omnisend has confirmed.
type Ledger interface {
	// LedgerShard returns one shard; nil when it was never written.
	LedgerShard(ctx context.Context, export string, shard int) ([]byte, error)
	// SaveLedgerShard replaces one.
	SaveLedgerShard(ctx context.Context, export string, shard int, data []byte) error
	// LedgerMeta returns the note kept with an export's ledger (what it is bound
	// to, its digest key, the last complete read); nil when there is none.
	LedgerMeta(ctx context.Context, export string) ([]byte, error)
	// SaveLedgerMeta replaces the note.
	SaveLedgerMeta(ctx context.Context, export string, note []byte) error
	// DropLedger removes an export's shards and note.
	DropLedger(ctx context.Context, export string) error
}

// Lease is the right to do a piece of work, held by one process at a time.
type Lease struct {
	Name  string
	Token int64 // grows each time the lease changes hands
}

// LeaseHeldError says that another holder has the lease.
type LeaseHeldError struct {
	Name  string
	Until time.Time     // by the store's clock
	In    time.Duration // the same, from now
}

func (e *LeaseHeldError) Error() string { return "the lease " + e.Name + " is held by another worker" }

// MaxLease is the longest time of a lease.
const MaxLease = time.Minute

// Leases fence work that may be done twice: an activity that timed out and
// still runs beside its next attempt.
type Leases interface {
	// AcquireLease takes the lease for ttl, MaxLease at most; *LeaseHeldError while
	// another holds it. A clock that is put back makes no lease last longer than
	// MaxLease from then on.
	AcquireLease(ctx context.Context, name string, ttl time.Duration) (Lease, error)
	// RenewLease extends it by ttl from now; ErrFenced when it was lost. One that
	// ran out and that nobody took since is not lost: it is still held wherever a
	// lease must be.
	RenewLease(ctx context.Context, l Lease, ttl time.Duration) error
	// ReleaseLease gives it up at once: any further use of it is fenced. A lease that
	// is lost already is not an error.
	ReleaseLease(ctx context.Context, l Lease) error
	// TakeTurn gives the brand's turn to the run, so that no two runs have calls
	// on the way to one brand: true when it has it. A turn whose run has ended
	// is free, and a run that has ended gets none. ErrNotFound for a run that is
	// not stored.
	TakeTurn(ctx context.Context, brand, run string) (bool, error)
	// YieldTurn gives the turn back, unless the run has unsettled calls; no error
	// when it does not have it.
	YieldTurn(ctx context.Context, brand, run string) error
}
