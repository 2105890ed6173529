package delivery_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/intake"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

var errInterrupted = errors.New("interrupted")

// interruption is how a store fails.
type interruption struct {
	done bool // the call that fails takes effect, and its answer is lost
	dead bool // all calls after it fail too, until the step is repeated
}

// interrupted is a store of which one call fails. Leases are left out: one that
// is not given up runs out by the clock.
type interrupted struct {
	store.Store
	interruption
	mu   sync.Mutex // steps call the store from several goroutines
	left int        // calls until one fails
	down bool
}

// count takes a call into account and says whether the store is down, and
// whether this is the call that fails.
func (f *interrupted) count() (down, fails bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return true, false
	}
	f.left--
	fails = f.left == 0
	f.down = fails && f.dead
	return false, fails
}

func (f *interrupted) call(do func() error) error {
	down, fails := f.count()
	if down {
		return errInterrupted
	}
	if !fails {
		return do()
	}
	if f.done {
		if err := do(); err != nil {
			return err
		}
	}
	return errInterrupted
}

func got[T any](f *interrupted, do func() (T, error)) (v T, err error) {
	err = f.call(func() error {
		v, err = do()
		return err
	})
	return v, err
}

func (f *interrupted) CommitStep(ctx context.Context, s store.Step) error {
	return f.call(func() error { return f.Store.CommitStep(ctx, s) })
}

func (f *interrupted) StepState(ctx context.Context, run, name string) ([]byte, error) {
	return got(f, func() ([]byte, error) { return f.Store.StepState(ctx, run, name) })
}

func (f *interrupted) DropSpool(ctx context.Context, run string, keep ...store.BlobKind) error {
	return f.call(func() error { return f.Store.DropSpool(ctx, run, keep...) })
}

func (f *interrupted) IntendCalls(ctx context.Context, l store.Lease, answered *store.Call, next ...store.Call) error {
	return f.call(func() error { return f.Store.IntendCalls(ctx, l, answered, next...) })
}

func (f *interrupted) CallsOfBatch(ctx context.Context, run string, batch int) ([]store.Call, error) {
	return got(f, func() ([]store.Call, error) { return f.Store.CallsOfBatch(ctx, run, batch) })
}

func (f *interrupted) SettleCalls(ctx context.Context, run string, settled []store.Settlement, blobs ...store.Blob) error {
	return f.call(func() error { return f.Store.SettleCalls(ctx, run, settled, blobs...) })
}

func (f *interrupted) SettledCalls(ctx context.Context, run string) ([]store.Call, error) {
	return got(f, func() ([]store.Call, error) { return f.Store.SettledCalls(ctx, run) })
}

func (f *interrupted) MarkFolded(ctx context.Context, run string, origins []string) error {
	return f.call(func() error { return f.Store.MarkFolded(ctx, run, origins) })
}

func (f *interrupted) Totals(ctx context.Context, run string) (store.CallTotals, error) {
	return got(f, func() (store.CallTotals, error) { return f.Store.Totals(ctx, run) })
}

func (f *interrupted) SaveLedgerShard(ctx context.Context, export string, shard int, data []byte) error {
	return f.call(func() error { return f.Store.SaveLedgerShard(ctx, export, shard, data) })
}

func (f *interrupted) SaveLedgerMeta(ctx context.Context, export string, note []byte) error {
	return f.call(func() error { return f.Store.SaveLedgerMeta(ctx, export, note) })
}

func (f *interrupted) SaveRun(ctx context.Context, id, status string, report json.RawMessage, ended bool) error {
	return f.call(func() error { return f.Store.SaveRun(ctx, id, status, report, ended) })
}

func (f *interrupted) AmendReport(ctx context.Context, id string, change func(json.RawMessage) (json.RawMessage, error)) error {
	return f.call(func() error { return f.Store.AmendReport(ctx, id, change) })
}

func (f *interrupted) TakeTurn(ctx context.Context, brand, run string) (bool, error) {
	return got(f, func() (bool, error) { return f.Store.TakeTurn(ctx, brand, run) })
}

// repeated repeats a step, as Temporal does, that is interrupted at its first
// call, then at its second, until there is none left to interrupt.
func repeated[T any](t *testing.T, f *interrupted, step func() (T, error)) T {
	t.Helper()
	for nth := 1; ; nth++ {
		f.left, f.down = nth, false
		v, err := step()
		if err == nil {
			return v
		}
		require.ErrorIs(t, err, errInterrupted)
	}
}

// Whatever call of the store fails, and whether or not it takes effect, the
// steps of a run repeat: the report adds up, no contact is sent twice and no
// verdict is lost.
func TestARunThatIsInterruptedAtEveryCall(t *testing.T) {
	for _, how := range []interruption{{}, {done: true}, {dead: true}, {done: true, dead: true}} {
		t.Run(fmt.Sprintf("%+v", how), func(t *testing.T) { interruptedRun(t, how) })
	}
}

// interruptedRun is a run with a new, a changed, an unchanged and an invalid row
// and a leaver.
func interruptedRun(t *testing.T, how interruption) {
	t.Helper()
	s := newSteps(t, sandbox.Options{})
	s.Write("ann@example.com,Ann", "bob@example.com,Bob", "cid@example.com,Cid")
	s.Run()
	s.Write("ann@example.com,Ann", "bob@example.com,Rob", "nobody,Odd", "dan@example.com,Dan")
	r := s.Take(run.Request{Yes: true})
	s.Tuning.PartRows = 2
	before := s.Target.Sandbox.Stats(omnisendtest.Brand).Batches
	f := &interrupted{Store: s.Store, interruption: how}
	s.Store = f
	ctx, in := t.Context(), job.RunInput{RunID: r.RunID}

	for done := false; !done; {
		done = repeated(t, f, func() (*job.CollectResult, error) { return s.Intake.Collect(ctx, intake.CollectInput{RunID: r.RunID}) }).Done
	}
	decided := repeated(t, f, func() (*intake.DecideResult, error) { return s.Intake.Decide(ctx, in) })
	require.True(t, decided.Done)
	require.Equal(t, []int{4, 1, 3, 2, 1}, []int{decided.Report.Read, decided.Report.Invalid, decided.Report.Contacts, decided.Report.ToSend, decided.Report.LeaversDue})
	for _, batch := range []int{job.FirstUpload(0), job.FirstLeaver(0)} {
		sent := repeated(t, f, func() (*delivery.UploadResult, error) {
			return s.Delivery.UploadBatch(ctx, delivery.UploadInput{RunID: r.RunID, Batch: batch})
		})
		require.True(t, sent.Done)
		swept := repeated(t, f, func() (*delivery.SweepResult, error) {
			return s.Delivery.Sweep(ctx, delivery.SweepInput{RunID: r.RunID, Whole: true})
		})
		require.Zero(t, swept.Totals.Unsettled)
	}
	report := repeated(t, f, func() (*run.Report, error) {
		return s.Delivery.Finish(ctx, delivery.FinishInput{RunID: r.RunID, Report: &run.Report{}})
	})
	s.Store = f.Store

	require.NoError(t, report.Check())
	stored := s.Stored(r.RunID)
	require.NoError(t, stored.Check())
	for _, r := range []*run.Report{report, &stored} {
		require.Equal(t, run.CompletedWithRejects, r.Status, r.Reason)
		require.Equal(t, []int{1, 1, 1, 1, 1, 0}, []int{r.New, r.Changed, r.Unchanged, r.Leavers, r.Invalid, r.Unsent})
		require.Equal(t, map[string]int{"email_invalid": 1}, r.Reasons)
	}
	require.Equal(t, 2, s.Target.Sandbox.Stats(omnisendtest.Brand).Batches-before, "nothing is sent twice")
	require.NotContains(t, s.At("cid@example.com").Properties, "segment_buyers")
	require.Equal(t, "Rob", s.At("bob@example.com").Fields["firstName"])
	again := s.Begin(run.Request{})
	require.Equal(t, []int{0, 0, 3}, []int{again.ToSend, again.LeaversDue, again.Unchanged}, "no verdict was lost")
}
