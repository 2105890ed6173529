package activities

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// A program that polls the task queue decides, in a worker's place, which
// activities an admitted run asks for and with which inputs. These tests are
// that program: they call activities of a run that a worker took up, out of
// order and with forged inputs. None of it may reach the account.

// refusedByStore says that an activity ended for good because of what the store
// holds.
func refusedByStore(t *testing.T, err error) {
	t.Helper()
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	require.True(t, app.NonRetryable(), "%v", err)
	require.Equal(t, ErrorFail, app.Type(), "%v", err)
}

// untouched says that the account got nothing.
func (s *steps) untouched() {
	s.t.Helper()
	require.Empty(s.t, s.target.Sandbox.Contacts(omnisendtest.Brand))
}

// approve is an operator's answer to a guard.
func (s *steps) approve(id string, guards ...catalogue.Guard) {
	s.t.Helper()
	require.NoError(s.t, s.controlRun(s.t.Context(), id, func(c *run.Control) error {
		c.Approved = map[catalogue.Guard]string{}
		for _, g := range guards {
			c.Approved[g] = "anna"
		}
		return nil
	}))
}

func (s *steps) tryUpload(id string, batch int) error {
	s.t.Helper()
	sent, err := s.UploadBatch(s.t.Context(), UploadInput{RunID: id, Batch: batch})
	if err == nil {
		require.NotNil(s.t, sent.Halt, "batch %d was delivered", batch)
	}
	return err
}

func TestAPollerDoesNotDeliverPastAGuard(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("a@example.com,Ann", "b@example.com,Bob")
	r := s.begin(run.Request{}) // without --yes
	require.Len(t, r.Guards, 1)
	refusedByStore(t, s.tryUpload(r.RunID, FirstUpload(0)))
	s.approve(r.RunID, catalogue.GuardShrunk) // another question
	refusedByStore(t, s.tryUpload(r.RunID, FirstUpload(0)))
	s.untouched()

	s.approve(r.RunID, catalogue.GuardFirstRun)
	s.upload(r)
	s.sweep(r)
	require.Equal(t, run.Completed, s.finish(r, "").Status)
}

func TestAPollerDoesNotDeliverBeforeTheDecision(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("a@example.com,Ann")
	r := s.take(run.Request{Yes: true})
	refusedByStore(t, s.tryUpload(r.RunID, FirstUpload(0)))
	_, err := s.Decide(t.Context(), RunInput{RunID: r.RunID})
	refusedByStore(t, err) // nothing was read: all of the ledger would be leavers
	for _, segment := range []int{-1, 1, 1 << 40} {
		_, err := s.Collect(t.Context(), CollectInput{RunID: r.RunID, Segment: segment})
		refusedByStore(t, err)
	}
	s.untouched()
}

func TestAPollerDoesNotInventBatches(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("a@example.com,Ann")
	r := s.begin(run.Request{Yes: true})
	for _, batch := range []int{1, FirstUpload(1), FirstUpload(MaxGeneration), FirstLeaver(0), FirstLeaver(1), firstBatch(2, 0), -1, 1 << 62} {
		refusedByStore(t, s.tryUpload(r.RunID, batch))
	}
	s.untouched()
}

func TestAPollerDoesNotDeliverAPlan(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("a@example.com,Ann")
	r := s.decide(s.read(s.takePlan()))
	refusedByStore(t, s.tryUpload(r.RunID, FirstUpload(0)))
	s.untouched()
}

func TestAPollerDoesNotEmptyASegment(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("a@example.com,Ann", "b@example.com,Bob")
	s.run()
	s.write()
	r := s.begin(run.Request{})
	require.Equal(t, catalogue.GuardEmpty, r.Guards[0].Guard)
	require.Equal(t, 2, r.LeaversDue)
	refusedByStore(t, s.tryUpload(r.RunID, FirstLeaver(0)))
	require.Contains(t, s.at("a@example.com").Properties, "segment_buyers")

	// Nor does it book that all went well, or that a question was another one.
	r.Guards, r.LeaversDue = nil, 0
	refusedByStore(t, s.Record(t.Context(), RecordInput{RunID: r.RunID, Report: &run.Report{RunID: r.RunID, Status: run.Completed}}))
	require.NoError(t, s.Record(t.Context(), RecordInput{RunID: r.RunID, Report: &run.Report{Status: run.Parked, Reason: "resume it"}}))
	stored := s.stored(r.RunID)
	require.Equal(t, catalogue.GuardEmpty, stored.Guards[0].Guard)
	require.Equal(t, 2, stored.LeaversDue)
	require.Equal(t, run.Failed, s.finish(r, run.Completed).Status)
	note, _, err := s.note(t.Context(), "spring")
	require.NoError(t, err)
	require.Equal(t, 2, note.LastRead, "the next run asks the same again")
}

func TestAPollerDoesNotClearMarkersBeforeTheUploadsAreConfirmed(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("a@example.com,Ann", "b@example.com,Bob")
	s.run()
	s.write("c@example.com,Cid")
	r := s.begin(run.Request{})
	require.Empty(t, r.Guards)
	refusedByStore(t, s.tryUpload(r.RunID, FirstLeaver(0)))
	sent, err := s.UploadBatch(t.Context(), UploadInput{RunID: r.RunID, Batch: FirstUpload(0)})
	require.NoError(t, err)
	require.True(t, sent.Done)
	refusedByStore(t, s.tryUpload(r.RunID, FirstLeaver(0))) // no verdict yet
	s.sweep(r)
	s.upload(r)
	s.sweep(r)
	require.Equal(t, run.Completed, s.finish(r, "").Status)
}

func TestAPollerDoesNotDeliverOutOfTurn(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("a@example.com,Ann", "b@example.com,Bob")
	r := s.begin(run.Request{Yes: true})
	other := store.Run{ID: "other", Export: "autumn", Connection: "shop", Brand: omnisendtest.Brand, Status: string(run.Running)}
	require.NoError(t, s.Store.CreateRun(t.Context(), other))
	got, err := s.Store.TakeTurn(t.Context(), omnisendtest.Brand, other.ID)
	require.NoError(t, err)
	require.True(t, got)
	refusedByStore(t, s.tryUpload(r.RunID, FirstUpload(0)))

	// That one ends with a call of which nothing is known.
	lease, err := s.Store.AcquireLease(t.Context(), "other", s.Tuning.LeaseTTL)
	require.NoError(t, err)
	call := store.Call{Origin: "o", Run: other.ID, Export: "autumn", Brand: omnisendtest.Brand, Count: 1, New: 1, State: store.CallIntended}
	require.NoError(t, s.Store.IntendCalls(t.Context(), lease, nil, call))
	require.NoError(t, s.Store.SaveRun(t.Context(), other.ID, string(run.Failed), encode(run.Report{}), true))
	refusedByStore(t, s.tryUpload(r.RunID, FirstUpload(0)))
	s.untouched()

	require.NoError(t, s.Store.SettleCalls(t.Context(), other.ID, []store.Settlement{{Origin: "o", State: store.CallVoid}}))
	s.upload(r)
	// With a call on its way it keeps the turn.
	require.NoError(t, s.YieldTurn(t.Context(), RunInput{RunID: r.RunID}))
	third := store.Run{ID: "third", Export: "autumn", Connection: "shop", Brand: omnisendtest.Brand, Status: string(run.Running)}
	require.NoError(t, s.Store.CreateRun(t.Context(), third))
	got, err = s.Store.TakeTurn(t.Context(), omnisendtest.Brand, third.ID)
	require.NoError(t, err)
	require.False(t, got)
}

func TestAPollerDoesNotRemoveAnExport(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("a@example.com,Ann")
	s.run()
	r := s.begin(run.Request{})
	r.Removes, r.LeaversDue = true, 0
	done := s.finish(r, "")
	require.False(t, done.Removes)
	_, err := s.Store.Object(t.Context(), string(catalogue.KindExport), "spring")
	require.NoError(t, err)

	// Nor before the markers are cleared, where that was commanded.
	r = s.begin(run.Request{Remove: "command"})
	require.True(t, r.Removes)
	require.Equal(t, run.Failed, s.finish(&run.Report{RunID: r.RunID, Removes: true}, "").Status)
	_, err = s.Store.Object(t.Context(), string(catalogue.KindExport), "spring")
	require.NoError(t, err)
	require.Contains(t, s.at("a@example.com").Properties, "segment_buyers")
}

func TestAPollerDoesNotTakeAnAudienceOver(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	var rows []string
	for i := range 20 {
		rows = append(rows, fmt.Sprintf("p%d@example.com,P", i))
	}
	s.write(rows...)
	r := s.begin(run.Request{Yes: true}) // not --adopt
	_, err := s.Adopt(t.Context(), RunInput{RunID: r.RunID})
	refusedByStore(t, err)
	counts, err := s.ledgerCounts(t.Context(), "spring")
	require.NoError(t, err)
	require.Zero(t, counts.Contacts)
	require.Equal(t, run.Failed, s.finish(&run.Report{RunID: r.RunID, Adopt: true, Adopted: 20, Unchanged: 20, Contacts: 20}, "").Status)

	// Where it is one, the sample is what Decide stored, and nothing is sent.
	r = s.begin(run.Request{Adopt: true})
	refusedByStore(t, s.tryUpload(r.RunID, FirstUpload(0)))
	adopted, err := s.Adopt(t.Context(), RunInput{RunID: r.RunID})
	require.NoError(t, err)
	require.Equal(t, HaltFail, adopted.Halt.Kind)
	require.Equal(t, 20, adopted.Checked)
	require.Equal(t, run.Failed, s.finish(r, "").Status, "nothing was booked")
	s.untouched()
}

// What a run works with stays as it was when it began.
func TestAPollerDoesNotChangeARunByTakingItUpAgain(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("a@example.com,Ann")
	r := s.begin(run.Request{Yes: true})
	before, err := s.job(t.Context(), r.RunID)
	require.NoError(t, err)
	spec := s.export.ExportSpec
	spec.Connection = "other"
	s.remap(spec)
	again := s.preflight(r.RunID)
	require.Nil(t, again.Halt)
	require.Equal(t, r.Segments[0].Segment, again.Report.Segments[0].Segment)
	after, err := s.job(t.Context(), r.RunID)
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
		s.write("a@example.com,Ann", "b@example.com,Bob")
		r := s.begin(run.Request{Yes: true})
		s.Store = &hooked{Store: s.Store, before: func() { s.finish(&run.Report{RunID: r.RunID}, status) }}
		_, err := s.UploadBatch(t.Context(), UploadInput{RunID: r.RunID, Batch: FirstUpload(0)})
		require.ErrorIs(t, err, store.ErrFenced)
		s.untouched()
		require.NoError(t, s.Record(t.Context(), RecordInput{RunID: r.RunID, Report: &run.Report{Status: run.Running}}))
		require.True(t, s.stored(r.RunID).Status.Ended())
		require.Equal(t, run.Completed, s.run().Status)
	}
}

// A run that is made to give its turn back, while a batch of it is being
// delivered, sends nothing beside the next.
func TestAPollerDoesNotDeliverTwoRunsAtOnce(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("a@example.com,Ann", "b@example.com,Bob")
	r := s.begin(run.Request{Yes: true})
	next := store.Run{ID: "next", Export: "autumn", Connection: "shop", Brand: omnisendtest.Brand, Status: string(run.Running)}
	require.NoError(t, s.Store.CreateRun(t.Context(), next))
	s.Store = &hooked{Store: s.Store, before: func() {
		require.NoError(t, s.YieldTurn(t.Context(), RunInput{RunID: r.RunID}))
		got, err := s.Store.TakeTurn(t.Context(), omnisendtest.Brand, next.ID)
		require.NoError(t, err)
		require.True(t, got)
	}}
	_, err := s.UploadBatch(t.Context(), UploadInput{RunID: r.RunID, Batch: FirstUpload(0)})
	require.ErrorIs(t, err, store.ErrFenced)
	s.untouched()
}

// Neither a plan beside a run nor steps of the run that come again change what
// it delivers.
func TestAPollerDoesNotRepeatWhatARunDelivers(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("a@example.com,Ann", "b@example.com,Bob")
	r := s.begin(run.Request{Yes: true})
	sent, err := s.UploadBatch(t.Context(), UploadInput{RunID: r.RunID, Batch: FirstUpload(0)})
	require.NoError(t, err)
	require.True(t, sent.Done)
	plan := s.takePlan()
	s.reconcile(plan.RunID)
	require.NoError(t, s.YieldTurn(t.Context(), RunInput{RunID: plan.RunID}))
	s.sweep(plan)
	_, err = s.Adopt(t.Context(), RunInput{RunID: plan.RunID})
	refusedByStore(t, err)
	require.Equal(t, run.Completed, s.finish(s.decide(s.read(plan)), "").Status)

	for range 2 {
		s.read(r)
		require.Equal(t, 2, s.decide(r).ToSend)
		s.upload(r)
		s.sweep(r)
	}
	require.Equal(t, 1, s.target.Sandbox.Stats(omnisendtest.Brand).Batches)
	require.Equal(t, run.Completed, s.finish(r, "").Status)
	require.Zero(t, s.begin(run.Request{}).ToSend)
}
