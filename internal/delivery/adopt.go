package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/ledger"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// AdoptResult is how far taking over is.
type AdoptResult struct {
	Done    bool      `json:"done"`    // all contacts are booked as confirmed
	Checked int       `json:"checked"` // of the sample
	Carry   int       `json:"carry"`   // of those, that carry their markers
	Halt    *run.Halt `json:"halt,omitempty"`
}

const (
	// adoptSample is how many contacts are compared with the account, and
	// adoptPercent how many in a hundred must carry their markers.
	adoptSample  = 200
	adoptPercent = 95
	// adoptSaved is after how many comparisons their count is stored.
	adoptSaved = 10
)

// Adopt compares a sample of the contacts with the account and, when nearly all
// of them carry their markers, books all contacts as confirmed without sending
// any. It may be repeated.
func (a *Steps) Adopt(ctx context.Context, in job.RunInput) (*AdoptResult, error) {
	result := &AdoptResult{}
	err := a.UnderLease(ctx, "run/"+in.RunID+"/adopt", func(ctx context.Context, h lease.Hold) error {
		t := &taker{Steps: a, hold: h, until: time.Now().Add(a.Tuning.Slice)}
		var err error
		if t.job, err = a.Job(ctx, in.RunID); err != nil {
			return err
		}
		d, why, err := a.permitted(ctx, in.RunID)
		if err != nil {
			return err
		}
		if why == "" && !t.job.Request.Adopt {
			why = "it takes no audience over"
		}
		if why != "" {
			return job.ErrNotPermitted(why)
		}
		t.contacts, t.batches = d.Report.ToSend, d.Uploads
		if t.state, err = a.Adoption(ctx, in.RunID); err != nil {
			return err
		}
		result.Halt, err = t.take(ctx)
		result.Checked, result.Carry = t.state.Checked, t.state.Carry
		result.Done = err == nil && result.Halt == nil && t.checked() && t.state.Booked == t.batches
		return err
	})
	return result, err
}

// taker takes over one run's audience.
type taker struct {
	*Steps
	hold     lease.Hold
	until    time.Time
	job      job.Job
	contacts int // that Decide found
	batches  int // that hold them
	state    job.AdoptState
}

func (t *taker) sample() int { return min(adoptSample, t.contacts) }

func (t *taker) checked() bool { return t.state.Checked == t.sample() }

func (t *taker) over() bool { return t.hold.Stopping() || time.Now().After(t.until) }

func (t *taker) take(ctx context.Context) (*run.Halt, error) {
	if !t.checked() {
		api, _, halt, err := t.Connect().Target(ctx, t.job.Export.Connection, t.job.RunID)
		if halt != nil || err != nil {
			return halt, err
		}
		halt, err = t.compare(ctx, api)
		if err == nil {
			err = t.save(ctx)
		}
		if halt != nil || err != nil || !t.checked() {
			return halt, err
		}
	}
	if 100*t.state.Carry < adoptPercent*t.sample() {
		return &run.Halt{Kind: run.HaltFail, Reason: reason.Format("only %d of %d sampled contacts carry the markers at Omnisend; an audience is taken over from %d %% on, and nothing was booked",
			t.state.Carry, t.sample(), adoptPercent), Action: "run without --adopt: that sends all contacts"}, nil
	}
	return nil, t.book(ctx)
}

// compare looks the sample up, evenly spaced: contacts stand in the order of
// keyed digests, which is as good as by lot.
func (t *taker) compare(ctx context.Context, api omnisend.API) (*run.Halt, error) {
	note, _, err := t.Ledgers().Note(ctx, t.job.Export.Name)
	if err != nil {
		return nil, err
	}
	for !t.checked() && !t.over() {
		item, err := t.item(ctx, t.state.Checked*t.contacts/t.sample())
		if err != nil {
			return nil, err
		}
		f, err := lookUp(ctx, api, item.Email, note.Names(item.Segments))
		if err != nil {
			return t.RunHalt(ctx, t.job.RunID, err, t.job.Export.Connection)
		}
		t.state.Checked++
		if f.There && len(f.Missing) == 0 {
			t.state.Carry++
		}
		if t.state.Checked%adoptSaved == 0 {
			if err := t.save(ctx); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

// item returns one of the contacts by its place.
func (t *taker) item(ctx context.Context, place int) (spool.BatchItem, error) {
	n := min(place*t.batches/max(t.contacts, 1), t.batches-1)
	items, err := t.Batch(ctx, t.job.RunID, job.FirstBatch(job.PhaseUploads, 0)+n)
	if err != nil {
		return spool.BatchItem{}, err
	}
	if len(items) == 0 {
		return spool.BatchItem{}, fmt.Errorf("run %s: batch %d of the audience is missing", t.job.RunID, n)
	}
	return items[place%len(items)], nil
}

// book writes all contacts into the ledger.
func (t *taker) book(ctx context.Context) error {
	return t.UnderLease(ctx, ledger.LeaseName(t.job.Export.Name), func(ctx context.Context, _ lease.Hold) error {
		n, _, err := t.Ledgers().Note(ctx, t.job.Export.Name)
		if err != nil {
			return err
		}
		if n == nil || n.ID != t.job.Ledger {
			return fmt.Errorf("the ledger of %q was reset while an audience was being taken over", t.job.Export.Name)
		}
		now, err := t.Store.Now(ctx)
		if err != nil {
			return err
		}
		f := &ledger.Folding{Ledgers: t.Ledgers(), Export: t.job.Export.Name, Note: ledger.Adopted}
		if f.Without, err = t.Ledgers().Forgotten(ctx); err != nil {
			return err
		}
		for next := t.state.Booked; next < t.batches; {
			items, err := t.Batch(ctx, t.job.RunID, job.FirstBatch(job.PhaseUploads, 0)+next)
			if err != nil {
				return err
			}
			f.Add(store.Call{Count: len(items), AnsweredAt: now}, items)
			next++
			if f.Count < ledger.FoldAtOnce && next < t.batches {
				continue
			}
			if err := f.Flush(ctx, t.job.RunID); err != nil {
				return err
			}
			t.state.Booked = next
			if err := t.save(ctx); err != nil || t.over() {
				return err
			}
		}
		return nil
	})
}

func (t *taker) save(ctx context.Context) error {
	return t.Store.CommitStep(ctx, store.Step{Run: t.job.RunID, Name: job.AdoptStep, Lease: t.hold.Lease, State: record.Encode(t.state)})
}
