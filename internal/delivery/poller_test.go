package delivery_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/delivery/deliverytest"
	"github.com/segment-export/segment-export/internal/intake"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// A program that polls the task queue decides, in a worker's place, which
// activities an admitted run asks for and with which inputs. These tests are
// that program: they call activities of a run that a worker took up, out of
// order and with forged inputs. None of it may reach the account.

func TestAPollerDoesNotDeliverPastAGuard(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("a@example.com,Ann", "b@example.com,Bob")
	r := s.Begin(run.Request{}) // without --yes
	require.Len(t, r.Guards, 1)
	deliverytest.RefusedByStore(t, s.TryUpload(r.RunID, job.FirstUpload(0)))
	s.Approve(r.RunID, catalogue.GuardShrunk) // another question
	deliverytest.RefusedByStore(t, s.TryUpload(r.RunID, job.FirstUpload(0)))
	s.Untouched()

	s.Approve(r.RunID, catalogue.GuardFirstRun)
	s.Upload(r)
	s.Sweep(r)
	require.Equal(t, run.Completed, s.Finish(r, "").Status)
}

func TestAPollerDoesNotDeliverBeforeTheDecision(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("a@example.com,Ann")
	r := s.Take(run.Request{Yes: true})
	deliverytest.RefusedByStore(t, s.TryUpload(r.RunID, job.FirstUpload(0)))
	_, err := s.Intake.Decide(t.Context(), job.RunInput{RunID: r.RunID})
	deliverytest.RefusedByStore(t, err) // nothing was read: all of the ledger would be leavers
	for _, segment := range []int{-1, 1, 1 << 40} {
		_, err := s.Intake.Collect(t.Context(), intake.CollectInput{RunID: r.RunID, Segment: segment})
		deliverytest.RefusedByStore(t, err)
	}
	s.Untouched()
}

func TestAPollerDoesNotInventBatches(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("a@example.com,Ann")
	r := s.Begin(run.Request{Yes: true})
	for _, batch := range []int{1, job.FirstUpload(1), job.FirstUpload(job.MaxGeneration), job.FirstLeaver(0), job.FirstLeaver(1), job.FirstBatch(2, 0), -1, 1 << 62} {
		deliverytest.RefusedByStore(t, s.TryUpload(r.RunID, batch))
	}
	s.Untouched()
}

func TestAPollerDoesNotDeliverAPlan(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("a@example.com,Ann")
	r := s.Decide(s.Read(s.TakePlan()))
	deliverytest.RefusedByStore(t, s.TryUpload(r.RunID, job.FirstUpload(0)))
	s.Untouched()
}

func TestAPollerDoesNotEmptyASegment(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("a@example.com,Ann", "b@example.com,Bob")
	s.Run()
	s.Write()
	r := s.Begin(run.Request{})
	require.Equal(t, catalogue.GuardEmpty, r.Guards[0].Guard)
	require.Equal(t, 2, r.LeaversDue)
	deliverytest.RefusedByStore(t, s.TryUpload(r.RunID, job.FirstLeaver(0)))
	require.Contains(t, s.At("a@example.com").Properties, "segment_buyers")

	// Nor does it book that all went well, or that a question was another one.
	r.Guards, r.LeaversDue = nil, 0
	deliverytest.RefusedByStore(t, s.Delivery.Record(t.Context(), delivery.RecordInput{RunID: r.RunID, Report: &run.Report{RunID: r.RunID, Status: run.Completed}}))
	require.NoError(t, s.Delivery.Record(t.Context(), delivery.RecordInput{RunID: r.RunID, Report: &run.Report{Status: run.Parked, Reason: "resume it"}}))
	stored := s.Stored(r.RunID)
	require.Equal(t, catalogue.GuardEmpty, stored.Guards[0].Guard)
	require.Equal(t, 2, stored.LeaversDue)
	require.Equal(t, run.Failed, s.Finish(r, run.Completed).Status)
	note, _, err := s.Ledgers().Note(t.Context(), "spring")
	require.NoError(t, err)
	require.Equal(t, 2, note.LastRead, "the next run asks the same again")
}

func TestAPollerDoesNotClearMarkersBeforeTheUploadsAreConfirmed(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("a@example.com,Ann", "b@example.com,Bob")
	s.Run()
	s.Write("c@example.com,Cid")
	r := s.Begin(run.Request{})
	require.Empty(t, r.Guards)
	deliverytest.RefusedByStore(t, s.TryUpload(r.RunID, job.FirstLeaver(0)))
	sent, err := s.Delivery.UploadBatch(t.Context(), delivery.UploadInput{RunID: r.RunID, Batch: job.FirstUpload(0)})
	require.NoError(t, err)
	require.True(t, sent.Done)
	deliverytest.RefusedByStore(t, s.TryUpload(r.RunID, job.FirstLeaver(0))) // no verdict yet
	s.Sweep(r)
	s.Upload(r)
	s.Sweep(r)
	require.Equal(t, run.Completed, s.Finish(r, "").Status)
}

func TestAPollerDoesNotDeliverOutOfTurn(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("a@example.com,Ann", "b@example.com,Bob")
	r := s.Begin(run.Request{Yes: true})
	other := store.Run{ID: "other", Export: "autumn", Connection: "shop", Brand: omnisendtest.Brand, Status: string(run.Running)}
	require.NoError(t, s.Store.CreateRun(t.Context(), other))
	got, err := s.Store.TakeTurn(t.Context(), omnisendtest.Brand, other.ID)
	require.NoError(t, err)
	require.True(t, got)
	deliverytest.RefusedByStore(t, s.TryUpload(r.RunID, job.FirstUpload(0)))

	// That one ends with a call of which nothing is known.
	lease, err := s.Store.AcquireLease(t.Context(), "other", s.Tuning.LeaseTTL)
	require.NoError(t, err)
	call := store.Call{Origin: "o", Run: other.ID, Export: "autumn", Brand: omnisendtest.Brand, Count: 1, New: 1, State: store.CallIntended}
	require.NoError(t, s.Store.IntendCalls(t.Context(), lease, nil, call))
	require.NoError(t, s.Store.SaveRun(t.Context(), other.ID, string(run.Failed), record.Encode(run.Report{}), true))
	deliverytest.RefusedByStore(t, s.TryUpload(r.RunID, job.FirstUpload(0)))
	s.Untouched()

	require.NoError(t, s.Store.SettleCalls(t.Context(), other.ID, []store.Settlement{{Origin: "o", State: store.CallVoid}}))
	s.Upload(r)
	// With a call on its way it keeps the turn.
	require.NoError(t, s.Delivery.YieldTurn(t.Context(), job.RunInput{RunID: r.RunID}))
	third := store.Run{ID: "third", Export: "autumn", Connection: "shop", Brand: omnisendtest.Brand, Status: string(run.Running)}
	require.NoError(t, s.Store.CreateRun(t.Context(), third))
	got, err = s.Store.TakeTurn(t.Context(), omnisendtest.Brand, third.ID)
	require.NoError(t, err)
	require.False(t, got)
}

func TestAPollerDoesNotRemoveAnExport(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("a@example.com,Ann")
	s.Run()
	r := s.Begin(run.Request{})
	r.Removes, r.LeaversDue = true, 0
	done := s.Finish(r, "")
	require.False(t, done.Removes)
	_, err := s.Store.Object(t.Context(), string(catalogue.KindExport), "spring")
	require.NoError(t, err)

	// Nor before the markers are cleared, where that was commanded.
	r = s.Begin(run.Request{Remove: "command"})
	require.True(t, r.Removes)
	require.Equal(t, run.Failed, s.Finish(&run.Report{RunID: r.RunID, Removes: true}, "").Status)
	_, err = s.Store.Object(t.Context(), string(catalogue.KindExport), "spring")
	require.NoError(t, err)
	require.Contains(t, s.At("a@example.com").Properties, "segment_buyers")
}

func TestAPollerDoesNotTakeAnAudienceOver(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	var rows []string
	for i := range 20 {
		rows = append(rows, fmt.Sprintf("p%d@example.com,P", i))
	}
	s.Write(rows...)
	r := s.Begin(run.Request{Yes: true}) // not --adopt
	_, err := s.Delivery.Adopt(t.Context(), job.RunInput{RunID: r.RunID})
	deliverytest.RefusedByStore(t, err)
	counts, err := s.Ledgers().Counts(t.Context(), "spring")
	require.NoError(t, err)
	require.Zero(t, counts.Contacts)
	require.Equal(t, run.Failed, s.Finish(&run.Report{RunID: r.RunID, Adopt: true, Adopted: 20, Unchanged: 20, Contacts: 20}, "").Status)

	// Where it is one, the sample is what Decide stored, and nothing is sent.
	r = s.Begin(run.Request{Adopt: true})
	deliverytest.RefusedByStore(t, s.TryUpload(r.RunID, job.FirstUpload(0)))
	adopted, err := s.Delivery.Adopt(t.Context(), job.RunInput{RunID: r.RunID})
	require.NoError(t, err)
	require.Equal(t, run.HaltFail, adopted.Halt.Kind)
	require.Equal(t, 20, adopted.Checked)
	require.Equal(t, run.Failed, s.Finish(r, "").Status, "nothing was booked")
	s.Untouched()
}

// What a run works with stays as it was when it began.
func TestAPollerDoesNotChangeARunByTakingItUpAgain(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("a@example.com,Ann")
	r := s.Begin(run.Request{Yes: true})
	before, err := s.Job(t.Context(), r.RunID)
	require.NoError(t, err)
	spec := s.Export.ExportSpec
	spec.Connection = "other"
	s.Remap(spec)
	again := s.Preflight(r.RunID)
	require.Nil(t, again.Halt)
	require.Equal(t, r.Segments[0].Segment, again.Report.Segments[0].Segment)
	after, err := s.Job(t.Context(), r.RunID)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

// hooked calls before before calls are recorded.
type hooked struct {
	store.Store
	before func()
}

func (h *hooked) IntendCalls(ctx context.Context, l store.Lease, answered *store.Call, next ...store.Call) error {
	if f := h.before; f != nil && len(next) > 0 {
		h.before = nil
		f()
	}
	return h.Store.IntendCalls(ctx, l, answered, next...)
}

// A run that is ended while a batch of it is being delivered sends nothing more.
func TestAPollerDoesNotDeliverForARunThatItEnds(t *testing.T) {
	for _, status := range []run.Status{run.Failed, run.Completed, run.Skipped} {
		s := newSteps(t, sandbox.Options{})
		s.Write("a@example.com,Ann", "b@example.com,Bob")
		r := s.Begin(run.Request{Yes: true})
		s.Store = &hooked{Store: s.Store, before: func() { s.Finish(&run.Report{RunID: r.RunID}, status) }}
		_, err := s.Delivery.UploadBatch(t.Context(), delivery.UploadInput{RunID: r.RunID, Batch: job.FirstUpload(0)})
		require.ErrorIs(t, err, store.ErrFenced)
		s.Untouched()
		require.NoError(t, s.Delivery.Record(t.Context(), delivery.RecordInput{RunID: r.RunID, Report: &run.Report{Status: run.Running}}))
		require.True(t, s.Stored(r.RunID).Status.Ended())
		require.Equal(t, run.Completed, s.Run().Status)
	}
}

// A run that is made to give its turn back, while a batch of it is being
// delivered, sends nothing beside the next.
func TestAPollerDoesNotDeliverTwoRunsAtOnce(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("a@example.com,Ann", "b@example.com,Bob")
	r := s.Begin(run.Request{Yes: true})
	next := store.Run{ID: "next", Export: "autumn", Connection: "shop", Brand: omnisendtest.Brand, Status: string(run.Running)}
	require.NoError(t, s.Store.CreateRun(t.Context(), next))
	s.Store = &hooked{Store: s.Store, before: func() {
		require.NoError(t, s.Delivery.YieldTurn(t.Context(), job.RunInput{RunID: r.RunID}))
		got, err := s.Store.TakeTurn(t.Context(), omnisendtest.Brand, next.ID)
		require.NoError(t, err)
		require.True(t, got)
	}}
	_, err := s.Delivery.UploadBatch(t.Context(), delivery.UploadInput{RunID: r.RunID, Batch: job.FirstUpload(0)})
	require.ErrorIs(t, err, store.ErrFenced)
	s.Untouched()
}

// Neither a plan beside a run nor steps of the run that come again change what
// it delivers.
func TestAPollerDoesNotRepeatWhatARunDelivers(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("a@example.com,Ann", "b@example.com,Bob")
	r := s.Begin(run.Request{Yes: true})
	sent, err := s.Delivery.UploadBatch(t.Context(), delivery.UploadInput{RunID: r.RunID, Batch: job.FirstUpload(0)})
	require.NoError(t, err)
	require.True(t, sent.Done)
	plan := s.TakePlan()
	s.Reconcile(plan.RunID)
	require.NoError(t, s.Delivery.YieldTurn(t.Context(), job.RunInput{RunID: plan.RunID}))
	s.Sweep(plan)
	_, err = s.Delivery.Adopt(t.Context(), job.RunInput{RunID: plan.RunID})
	deliverytest.RefusedByStore(t, err)
	require.Equal(t, run.Completed, s.Finish(s.Decide(s.Read(plan)), "").Status)

	for range 2 {
		s.Read(r)
		require.Equal(t, 2, s.Decide(r).ToSend)
		s.Upload(r)
		s.Sweep(r)
	}
	require.Equal(t, 1, s.Target.Sandbox.Stats(omnisendtest.Brand).Batches)
	require.Equal(t, run.Completed, s.Finish(r, "").Status)
	require.Zero(t, s.Begin(run.Request{}).ToSend)
}
