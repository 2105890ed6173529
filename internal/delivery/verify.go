package delivery

import (
	"context"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/connect"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/ledger"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// A comparison of an export's ledger with the account is a workflow of its own:
// a command has 30 seconds, and a sample takes as long as the brand's budget
// lets it.

// VerifyInput is one comparison, allowed by a worker's ticket.
type VerifyInput struct {
	ID     string `json:"id"`
	Export string `json:"export"`
	Sample int    `json:"sample"`
	Ticket []byte `json:"ticket"`
}

// TicketFor are the parts of its ticket.
func (in VerifyInput) TicketFor() []string {
	return []string{"verify", in.ID, in.Export, strconv.Itoa(in.Sample), in.WorkflowID()}
}

// WorkflowID is the id of the workflow: one comparison of an export at a time.
func (in VerifyInput) WorkflowID() string { return "verify/" + in.Export }

// VerifyResult is how far a comparison is; whom it found is not told here.
type VerifyResult struct {
	Done        bool      `json:"done"`
	Checked     int       `json:"checked"`
	Differences int       `json:"differences"`
	Halt        *run.Halt `json:"halt,omitempty"`
}

// verifyState is the progress of a comparison.
type verifyState struct {
	Counts [contact.Shards]int `json:"counts"` // of entries that carry a marker, when it began
	Total  int                 `json:"total"`
	Sample int                 `json:"sample"`
	Next   int                 `json:"next"`
}

const verifyStep = "verify"

// Verify looks some of the ledger's contacts up in the account, within the
// brand's budget, and keeps what differs. It may be repeated.
func (a *Steps) Verify(ctx context.Context, in VerifyInput, by job.Execution) (*VerifyResult, error) {
	if by.Workflow != in.WorkflowID() {
		return nil, job.ErrNotBegun()
	}
	if err := a.CheckTicket(in.Ticket, in.TicketFor()...); err != nil {
		return nil, err
	}
	result := &VerifyResult{}
	err := a.UnderLease(ctx, "verify/"+in.ID, func(ctx context.Context, h lease.Hold) error {
		v := &verifier{Steps: a, in: in, hold: h, shard: -1, until: time.Now().Add(a.Tuning.Slice)}
		var err error
		result.Halt, err = v.verify(ctx)
		result.Checked, result.Differences = v.found.Checked, len(v.found.Differences)
		result.Done = err == nil && result.Halt == nil && v.state.Next == v.state.Sample
		return err
	})
	return result, err
}

// verifier makes one comparison.
type verifier struct {
	*Steps
	in    VerifyInput
	hold  lease.Hold
	until time.Time
	note  *ledger.Note
	state verifyState
	found protocol.VerifyAnswer

	shard   int // whose entries are at hand
	entries []spool.Entry
}

func (v *verifier) verify(ctx context.Context) (*run.Halt, error) {
	var err error
	if v.note, _, err = v.Steps.Ledgers().Note(ctx, v.in.Export); err != nil {
		return nil, err
	}
	e, _, err := record.Object[catalogue.Export](ctx, v.Store, catalogue.KindExport, v.in.Export)
	if err != nil || v.note == nil {
		halt, err := job.Gone(err)
		if halt == nil && err == nil {
			halt = &run.Halt{Kind: run.HaltFail, Reason: reason.Format("the ledger of %q is gone", v.in.Export)}
		}
		return halt, err
	}
	if err := v.load(ctx); err != nil {
		return nil, err
	}
	api, _, halt, err := v.Connect().Target(ctx, e.Connection, v.in.ID)
	if halt == nil && err == nil {
		halt, err = v.compare(ctx, api, e)
	}
	if halt != nil && halt.Kind != run.HaltWait {
		v.found.Problem = string(halt.Reason)
	}
	if err == nil {
		err = v.save(ctx)
	}
	return halt, err
}

// load reads the progress, or counts the ledger where there is none.
func (v *verifier) load(ctx context.Context) error {
	state, err := v.Store.StepState(ctx, v.in.ID, verifyStep)
	if err != nil {
		return err
	}
	if state == nil {
		err := v.Ledgers().EachEntry(ctx, v.in.Export, func(e spool.Entry) {
			if e.Segments != 0 {
				v.state.Counts[contact.Shard(e.Address)]++
				v.state.Total++
			}
		})
		v.state.Sample = min(v.in.Sample, v.state.Total)
		v.found = protocol.VerifyAnswer{Export: v.in.Export, Ledger: v.state.Total, Sample: v.state.Sample, Differences: []protocol.VerifyDifference{}}
		return err
	}
	if v.state, err = record.Decode[verifyState](state); err != nil {
		return err
	}
	v.found, err = v.Verified(ctx, v.in.ID)
	return err
}

// Verified returns what a comparison has found.
func (a *Steps) Verified(ctx context.Context, id string) (protocol.VerifyAnswer, error) {
	blob, err := a.Store.Blob(ctx, id, store.BlobVerify, 0, 0)
	if err != nil {
		return protocol.VerifyAnswer{}, err
	}
	data, err := a.OpenBlob(id, blob)
	if err != nil {
		return protocol.VerifyAnswer{}, err
	}
	return record.Decode[protocol.VerifyAnswer](data)
}

func (v *verifier) save(ctx context.Context) error {
	sealed, err := v.Keyring.SealBlob(record.Encode(v.found), job.BlobContext(v.in.ID, store.BlobVerify))
	if err != nil {
		return err
	}
	return v.Store.CommitStep(ctx, store.Step{Run: v.in.ID, Name: verifyStep, Lease: v.hold.Lease, State: record.Encode(v.state),
		Blobs: []store.Blob{{Kind: store.BlobVerify, Data: sealed}}})
}

func (v *verifier) compare(ctx context.Context, api omnisend.API, e catalogue.Export) (*run.Halt, error) {
	foreign, err := v.Ledgers().Foreign(ctx, v.note, e.Name)
	if err != nil {
		return nil, err
	}
	for v.state.Next < v.state.Sample && !v.hold.Stopping() && time.Now().Before(v.until) {
		entry, err := v.entry(ctx, v.place())
		if err != nil {
			return nil, err
		}
		if entry != nil {
			f, err := lookUp(ctx, api, entry.Email, v.note.Names(entry.Segments&^foreign))
			if err != nil {
				return connect.HaltOf(err, e.Connection)
			}
			v.found.Checked++
			statuses := f.statuses(entry.Memory)
			if !f.There || len(f.Missing)+len(statuses) > 0 {
				v.found.Differences = append(v.found.Differences, protocol.VerifyDifference{Email: entry.Email, Gone: !f.There,
					Missing: f.Missing, Statuses: statuses, ConfirmedAt: time.Unix(entry.SentAt, 0).UTC()})
			}
		}
		v.state.Next++
		if v.state.Next%adoptSaved == 0 {
			if err := v.save(ctx); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

// place is where the next contact to compare stands: evenly spaced, and
// shifted by the comparison's id, so that another one looks at others.
func (v *verifier) place() int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(v.in.ID))
	return (v.state.Next*v.state.Total + int(h.Sum32())%v.state.Total) / v.state.Sample
}

// entry returns the contact at a place; nil when it has gone since.
func (v *verifier) entry(ctx context.Context, place int) (*spool.Entry, error) {
	shard := 0
	for shard < contact.Shards-1 && place >= v.state.Counts[shard] {
		place -= v.state.Counts[shard]
		shard++
	}
	if shard != v.shard {
		all, err := v.Ledgers().Shard(ctx, v.in.Export, shard)
		if err != nil {
			return nil, err
		}
		v.shard, v.entries = shard, v.entries[:0]
		for _, e := range all {
			if e.Segments != 0 {
				v.entries = append(v.entries, e)
			}
		}
	}
	if place >= len(v.entries) {
		return nil, nil
	}
	return &v.entries[place], nil
}
