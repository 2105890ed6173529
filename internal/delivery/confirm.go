package delivery

import (
	"context"
	"strconv"
	"time"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// SweepInput asks for the verdicts of a run's calls.
type SweepInput struct {
	RunID string `json:"run_id"`
	// Whole reads the list of batches to its end; else only the first pages,
	// which is enough when Omnisend lists the newest first.
	Whole bool `json:"whole"`
}

// OfRun returns the id of the run.
func (in SweepInput) OfRun() string { return in.RunID }

// SweepResult is what is known after a sweep.
type SweepResult struct {
	Totals store.CallTotals `json:"totals"`
	Found  int              `json:"found"` // calls settled by this sweep
	// Uploads and Leavers are how many batches each generation has of contacts
	// that go again; the first is generation 1.
	Uploads []int `json:"uploads,omitempty"`
	Leavers []int `json:"leavers,omitempty"`
	// Missing is how many calls have a batch that Omnisend answers 404 for, though
	// it is young; at MissingUntil they are given up and their contacts sent again.
	Missing      int       `json:"missing,omitempty"`
	MissingUntil time.Time `json:"missing_until,omitzero"`
	Halt         *run.Halt `json:"halt,omitempty"`
}

const (
	// maxSweep is how many calls one sweep looks at.
	maxSweep = 2500
	// maxListPages is how many pages of batches one sweep reads: those of a
	// million contacts a day for a week, and more. Batches beyond them are asked
	// for one by one.
	maxListPages = 500
)

// Sweep collects verdicts by reading the list of batches and, where a batch has
// errors or was stopped, its items. It may be repeated; what it settled stays.
func (a *Steps) Sweep(ctx context.Context, in SweepInput) (*SweepResult, error) {
	result := &SweepResult{}
	err := a.UnderLease(ctx, "run/"+in.RunID+"/sweep", func(ctx context.Context, h lease.Hold) error {
		s, halt, err := a.sweeper(ctx, in.RunID, h)
		if err != nil {
			return err
		}
		if halt == nil {
			halt, err = s.sweep(ctx, in.Whole)
		}
		if s.found > 0 && err != nil && omnisend.ClassOf(err) == omnisend.Retry {
			// Reported as the progress that it is: the next sweep follows at once,
			// where retries of this one would wait longer and longer.
			a.Log.WarnContext(ctx, "a sweep was cut short; the next one continues it", "error", err)
			err = nil
		}
		result.Halt, result.Found = halt, s.found
		result.Missing, result.MissingUntil = s.missing, s.missingUntil
		result.Uploads, result.Leavers = s.again.Made[job.PhaseUploads], s.again.Made[job.PhaseLeavers]
		return err
	})
	if err != nil {
		return nil, err
	}
	if result.Totals, err = a.Store.Totals(ctx, in.RunID); err != nil {
		return nil, err
	}
	return result, a.AmendReport(ctx, in.RunID, job.VerdictsOf(result.Totals))
}

// sweeper collects the verdicts of one run's calls.
type sweeper struct {
	*Steps
	job   job.Job
	hold  lease.Hold
	api   omnisend.API
	again job.AgainState
	found int

	missing      int       // calls whose batch is not there, or not yet
	missingUntil time.Time // until then they are asked for
}

func (a *Steps) sweeper(ctx context.Context, runID string, h lease.Hold) (*sweeper, *run.Halt, error) {
	return a.sweeperOver(ctx, runID, h, "")
}

// sweeperOver sweeps a run over another connection than its own, of the same
// brand: its own may be gone by now.
func (a *Steps) sweeperOver(ctx context.Context, runID string, h lease.Hold, connection string) (*sweeper, *run.Halt, error) {
	s := &sweeper{Steps: a, hold: h}
	var err error
	if s.job, err = a.Job(ctx, runID); err != nil {
		return nil, nil, err
	}
	if connection != "" {
		s.job.Export.Connection = connection
	}
	if s.again, err = a.Again(ctx, runID); err != nil {
		return nil, nil, err
	}
	var halt *run.Halt
	s.api, _, halt, err = a.Connect().Connection(ctx, s.job.Export.Connection)
	return s, halt, err
}

func (s *sweeper) sweep(ctx context.Context, whole bool) (*run.Halt, error) {
	calls, err := s.Store.Unsettled(ctx, s.job.Brand, s.job.RunID, maxSweep)
	if err != nil {
		return nil, err
	}
	wanted := map[string]store.Call{}
	oldest := time.Now()
	for _, c := range calls {
		if c.State == store.CallAnswered {
			wanted[c.BatchID] = c
			if c.IntendedAt.Before(oldest) {
				oldest = c.IntendedAt
			}
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	pages := (len(wanted)+omnisend.MaxListed-1)/omnisend.MaxListed + 1
	switch {
	case len(wanted) <= pages:
		// As cheap as the list, and sure.
		return s.ask(ctx, wanted)
	case whole:
		pages = maxListPages
	}
	unlisted, halt, err := s.list(ctx, wanted, oldest, pages)
	if halt != nil || err != nil || !whole || s.hold.Stopping() {
		return halt, err
	}
	// The list moves while it is read and may miss some: those are asked for.
	return s.ask(ctx, unlisted)
}

// list reads pages of the list of batches until all wanted ones were seen, and
// returns those that were not.
func (s *sweeper) list(ctx context.Context, wanted map[string]store.Call, oldest time.Time, pages int) (map[string]store.Call, *run.Halt, error) {
	q := omnisend.ListQuery{DateFrom: oldest.Add(-24 * time.Hour), Limit: omnisend.MaxListed}
	for range pages {
		if len(wanted) == 0 || s.hold.Stopping() {
			break
		}
		page, err := s.api.ListBatches(ctx, q)
		if err != nil {
			halt, err := s.RunHalt(ctx, s.job.RunID, err, s.job.Export.Connection)
			return nil, halt, err
		}
		var clean []store.Settlement
		for _, b := range page.Batches {
			c, ok := wanted[b.ID]
			if !ok {
				continue
			}
			delete(wanted, b.ID)
			if v, ok := cleanVerdict(c, b); ok {
				clean = append(clean, store.Settlement{Origin: c.Origin, State: store.CallSettled, Verdict: v})
				continue
			}
			if halt, err := s.settle(ctx, c, b); halt != nil || err != nil {
				return nil, halt, err
			}
		}
		if len(clean) > 0 {
			if err := s.Store.SettleCalls(ctx, s.job.RunID, clean); err != nil {
				return nil, nil, err
			}
			s.found += len(clean)
		}
		if !page.More {
			break
		}
		q.Offset += len(page.Batches)
	}
	return wanted, nil, nil
}

// ask reads batches one by one.
func (s *sweeper) ask(ctx context.Context, wanted map[string]store.Call) (*run.Halt, error) {
	for id, c := range wanted {
		if s.hold.Stopping() {
			return nil, nil
		}
		b, err := s.api.Batch(ctx, id)
		if err != nil && omnisend.ClassOf(err) == omnisend.Gone {
			if err := s.lost(ctx, c); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return s.RunHalt(ctx, s.job.RunID, err, s.job.Export.Connection)
		}
		if v, ok := cleanVerdict(c, b); ok {
			if err := s.store(ctx, c, v, nil, nil); err != nil {
				return nil, err
			}
			continue
		}
		if halt, err := s.settle(ctx, c, b); halt != nil || err != nil {
			return halt, err
		}
	}
	return nil, nil
}

// young is how old a batch must be before a 404 means that Omnisend has
// forgotten it: one that was just made may not be readable everywhere yet. That
// takes seconds; to send its contacts once more does no harm.
const young = 10 * time.Minute

// lost deals with a batch that Omnisend does not know (any more): an old one
// has lost its verdict, so its contacts are sent again.
func (s *sweeper) lost(ctx context.Context, c store.Call) error {
	now, err := s.Store.Now(ctx)
	if err != nil {
		return err
	}
	// A batch made in the future was made before the clock was put back.
	if age := now.Sub(c.AnsweredAt); age > -young && age < young {
		s.missing++
		if until := c.AnsweredAt.Add(young); until.After(s.missingUntil) {
			s.missingUntil = until
		}
		return nil // the next sweep asks again
	}
	items, err := s.Batch(ctx, c.Run, c.Batch)
	if err != nil {
		return err
	}
	c.Count = min(c.Count, max(0, len(items)-c.First))
	return s.store(ctx, c, NoVerdict(c), items, nil)
}

// NoVerdict is the verdict of a call of which nothing can be learned any more.
func NoVerdict(c store.Call) store.Verdict {
	var v store.Verdict
	for i := range c.Count {
		v.Moved = append(v.Moved, c.First+i)
	}
	return v
}

// cleanVerdict is the verdict of a batch that ended without any error.
func cleanVerdict(c store.Call, b omnisend.Batch) (store.Verdict, bool) {
	if b.Status != omnisend.BatchFinished || b.ErrorsCount > 0 || b.FinishedCount < c.Count {
		return store.Verdict{}, false
	}
	return store.Verdict{New: c.New, Changed: c.Changed, Leavers: c.Leavers}, true
}

// settle reads the items of a batch that ended with errors or was stopped, and
// gives each contact its verdict. One that has none goes again.
func (s *sweeper) settle(ctx context.Context, c store.Call, b omnisend.Batch) (*run.Halt, error) {
	if !b.Status.Ended() {
		return nil, nil
	}
	full, err := s.api.BatchItems(ctx, b.ID)
	if err != nil && omnisend.ClassOf(err) == omnisend.Gone {
		return nil, s.lost(ctx, c)
	}
	if err != nil {
		return s.RunHalt(ctx, s.job.RunID, err, s.job.Export.Connection)
	}
	items, err := s.Batch(ctx, c.Run, c.Batch)
	if err != nil {
		return nil, err
	}
	verdicts := omnisend.Judge(full)
	if halt := notUnderstood(c, b.ID, verdicts, items); halt != nil {
		return halt, nil
	}
	said := map[int]string{}
	var v store.Verdict
	for i := c.First; i < min(c.First+c.Count, len(items)); i++ {
		item := items[i]
		found, ok := verdicts.ByEmail[item.Email]
		switch {
		case ok && found.OK:
			switch item.Kind {
			case spool.New:
				v.New++
			case spool.Changed:
				v.Changed++
			case spool.Leaver:
				v.Leavers++
			}
		case ok && !found.Retry:
			v.Refused = append(v.Refused, store.Refusal{Item: i, Reason: found.Reason})
			said[i] = found.Sentence
		case job.GenerationOf(c.Batch) >= job.MaxGeneration:
			v.Refused = append(v.Refused, store.Refusal{Item: i, Reason: "no_verdict_after_" + strconv.Itoa(job.MaxGeneration) + "_tries"})
		default:
			v.Moved = append(v.Moved, i)
		}
	}
	return nil, s.store(ctx, c, v, items, said)
}

// notUnderstood parks a run when a batch has outcomes and none is about a
// contact of its call: then Omnisend's answer has another shape than this
// program reads, and sending the contacts again would not change that.
func notUnderstood(c store.Call, batch string, v omnisend.Verdicts, items []spool.BatchItem) *run.Halt {
	outcomes := v.Unmatched + len(v.ByEmail)
	for i := c.First; i < min(c.First+c.Count, len(items)); i++ {
		if _, ok := v.ByEmail[items[i].Email]; ok {
			return nil
		}
	}
	if outcomes == 0 {
		return nil
	}
	return &run.Halt{Kind: run.HaltPark,
		Reason: reason.Format("Omnisend's answer about batch %s cannot be read: none of its %d outcomes names a contact of the call", batch, outcomes),
		Action: "upgrade this program, or report it with this message; then resume. Omnisend keeps results for 7 days; contacts whose results are gone are sent again"}
}

// store settles a call; contacts that go again are stored with it as a batch
// of the next generation, those that were refused with what was said of them.
func (s *sweeper) store(ctx context.Context, c store.Call, v store.Verdict, items []spool.BatchItem, said map[int]string) error {
	var blobs []store.Blob
	if len(v.Moved) > 0 {
		var data []byte
		for _, i := range v.Moved {
			data = spool.AppendBatchItem(data, items[i])
		}
		n, err := s.nextBatch(ctx, job.PhaseOf(c.Batch), job.GenerationOf(c.Batch)+1)
		if err != nil {
			return err
		}
		sealed, err := s.Keyring.SealBlob(data, job.BlobContext(c.Run, store.BlobBatch))
		if err != nil {
			return err
		}
		blobs = append(blobs, store.Blob{Kind: store.BlobBatch, Seq: n, Data: sealed})
	}
	if len(v.Refused) > 0 {
		blob, err := s.refusedBlob(c, v, items, said)
		if err != nil {
			return err
		}
		blobs = append(blobs, blob)
	}
	err := s.Store.SettleCalls(ctx, c.Run, []store.Settlement{{Origin: c.Origin, State: store.CallSettled, Verdict: v}}, blobs...)
	if err == nil {
		s.found++
	}
	return err
}

// refusedBlob holds the contacts of a call that Omnisend turned down, with its
// words about each.
func (a *Steps) refusedBlob(c store.Call, v store.Verdict, items []spool.BatchItem, said map[int]string) (store.Blob, error) {
	rejects := make([]protocol.Reject, 0, len(v.Refused))
	for _, r := range v.Refused {
		rejects = append(rejects, protocol.Reject{Email: items[r.Item].Email, Reason: r.Reason, Refused: true, Said: said[r.Item],
			OptOut: contact.Carries(items[r.Item].Item, contact.Unsubscribed)})
	}
	sealed, err := a.Keyring.SealBlob(record.Encode(rejects), job.BlobContext(c.Run, store.BlobReject))
	return store.Blob{Kind: store.BlobReject, Group: job.RejectsRefused, Seq: c.Batch*refusedPerBatch + c.First, Data: sealed}, err
}

// refusedPerBatch keeps the reject blobs of a run's batches apart.
const refusedPerBatch = 10_000

// nextBatch takes the next number of a generation.
func (s *sweeper) nextBatch(ctx context.Context, phase, generation int) (int, error) {
	made := &s.again.Made[phase]
	for len(*made) < generation {
		*made = append(*made, 0)
	}
	n := job.FirstBatch(phase, generation) + (*made)[generation-1]
	(*made)[generation-1]++
	return n, s.Store.CommitStep(ctx, store.Step{Run: s.job.RunID, Name: job.AgainStep, Lease: s.hold.Lease, State: record.Encode(s.again)})
}
