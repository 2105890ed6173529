package activities

import (
	"context"
	"fmt"
	"time"

	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// AdoptResult is how far taking over is.
type AdoptResult struct {
	Done    bool  `json:"done"`    // all contacts are booked as confirmed
	Checked int   `json:"checked"` // of the sample
	Carry   int   `json:"carry"`   // of those, that carry their markers
	Halt    *Halt `json:"halt,omitempty"`
}

// adoptState is the progress of taking over.
type adoptState struct {
	Checked int `json:"checked"`
	Carry   int `json:"carry"`
	Booked  int `json:"booked"` // batches
}

const (
	adoptStep = "adopt"
	// adoptSample is how many contacts are compared with the account, and
	// adoptPercent how many in a hundred must carry their markers.
	adoptSample  = 200
	adoptPercent = 95
	// adoptSaved is after how many comparisons their count is stored.
	adoptSaved = 10
)

// adopted is the reason of an entry of the ledger that was never sent.
const adopted = "adopted"

// Adopt compares a sample of the contacts with the account and, when nearly all
// of them carry their markers, books all contacts as confirmed without sending
// any. It may be repeated.
func (a *Activities) Adopt(ctx context.Context, in RunInput) (*AdoptResult, error) {
	result := &AdoptResult{}
	err := a.underLease(ctx, "run/"+in.RunID+"/adopt", func(ctx context.Context, h hold) error {
		t := &taker{Activities: a, hold: h, until: time.Now().Add(a.Tuning.Slice)}
		var err error
		if t.job, err = a.job(ctx, in.RunID); err != nil {
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
			return errNotPermitted(why)
		}
		t.contacts, t.batches = d.Report.ToSend, d.Uploads
		if t.state, err = a.adoption(ctx, in.RunID); err != nil {
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
	*Activities
	hold     hold
	until    time.Time
	job      job
	contacts int // that Decide found
	batches  int // that hold them
	state    adoptState
}

// adoption returns how far taking over an audience is.
func (a *Activities) adoption(ctx context.Context, runID string) (adoptState, error) {
	state, err := a.Store.StepState(ctx, runID, adoptStep)
	if err != nil {
		return adoptState{}, err
	}
	return decode[adoptState](state)
}

func (t *taker) sample() int { return min(adoptSample, t.contacts) }

func (t *taker) checked() bool { return t.state.Checked == t.sample() }

func (t *taker) over() bool { return t.hold.stopping() || time.Now().After(t.until) }

func (t *taker) take(ctx context.Context) (*Halt, error) {
	if !t.checked() {
		api, _, halt, err := t.target(ctx, t.job.Export.Connection, t.job.RunID)
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
		return &Halt{Kind: HaltFail, Reason: fmt.Sprintf("only %d of %d sampled contacts carry the markers at Omnisend; an audience is taken over from %d %% on, and nothing was booked",
			t.state.Carry, t.sample(), adoptPercent), Action: "run without --adopt: that sends all contacts"}, nil
	}
	return nil, t.book(ctx)
}

// compare looks the sample up, evenly spaced: contacts stand in the order of
// keyed digests, which is as good as by lot.
func (t *taker) compare(ctx context.Context, api omnisend.API) (*Halt, error) {
	note, _, err := t.note(ctx, t.job.Export.Name)
	if err != nil {
		return nil, err
	}
	for !t.checked() && !t.over() {
		item, err := t.item(ctx, t.state.Checked*t.contacts/t.sample())
		if err != nil {
			return nil, err
		}
		f, err := lookUp(ctx, api, item.Email, note.names(item.Segments))
		if err != nil {
			return t.runHalt(ctx, t.job.RunID, err, t.job.Export.Connection)
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
	n := place / t.Tuning.BatchSize
	items, err := t.batch(ctx, t.job.RunID, firstBatch(phaseUploads, 0)+min(n, t.batches-1))
	if err != nil {
		return spool.BatchItem{}, err
	}
	if len(items) == 0 {
		return spool.BatchItem{}, fmt.Errorf("run %s: batch %d of the audience is missing", t.job.RunID, n)
	}
	return items[place%t.Tuning.BatchSize%len(items)], nil
}

// book writes all contacts into the ledger.
func (t *taker) book(ctx context.Context) error {
	return t.underLease(ctx, ledgerLease(t.job.Export.Name), func(ctx context.Context, _ hold) error {
		n, _, err := t.note(ctx, t.job.Export.Name)
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
		f := &folding{Activities: t.Activities, export: t.job.Export.Name, note: adopted}
		if f.without, err = t.forgottenNow(ctx); err != nil {
			return err
		}
		for next := t.state.Booked; next < t.batches; {
			items, err := t.batch(ctx, t.job.RunID, firstBatch(phaseUploads, 0)+next)
			if err != nil {
				return err
			}
			f.add(store.Call{Count: len(items), AnsweredAt: now}, items)
			next++
			if f.count < foldAtOnce && next < t.batches {
				continue
			}
			if err := f.flush(ctx, t.job.RunID); err != nil {
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
	return t.Store.CommitStep(ctx, store.Step{Run: t.job.RunID, Name: adoptStep, Lease: t.hold.lease, State: encode(t.state)})
}
