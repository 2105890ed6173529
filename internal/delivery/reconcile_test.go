package delivery_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// listed calls a function whenever the runs to reconcile have been listed.
type listed struct {
	store.Store
	then func()
}

func (l listed) UnfoldedRuns(ctx context.Context, brand string) ([]string, error) {
	runs, err := l.Store.UnfoldedRuns(ctx, brand)
	l.then()
	return runs, err
}

// A worker that stops in the middle of reconciling does not answer that all is
// reconciled: another one does the rest.
func TestReconcilingIsNotCompleteWhenTheWorkerStops(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("ann@example.com,Ann")
	r := s.Begin(run.Request{Yes: true})
	s.Upload(r)
	require.Equal(t, 1, s.Finish(r, run.Canceled).Pending)
	next := s.Started(run.Request{Yes: true}).RunID

	stopping, ends := make(chan struct{}), s.Dependencies
	ends.Stopping, ends.Store = stopping, listed{s.Store, func() { close(stopping) }}
	result, err := (&delivery.Steps{Runs: job.New(ends)}).Reconcile(t.Context(), job.RunInput{RunID: next})
	require.Error(t, err, "%+v", result)

	s.Reconcile(next)
	totals, err := s.Store.Totals(t.Context(), r.RunID)
	require.NoError(t, err)
	require.Equal(t, 1, totals.New)
}

// What was decided stays known while calls of the run have no verdict.
func TestARunThatEndsWithOpenCallsKeepsItsDecisions(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("ann@example.com,Ann")
	r := s.Begin(run.Request{Yes: true})
	s.Upload(r)
	require.Equal(t, 1, s.Finish(r, run.Canceled).Pending)
	state, err := s.Store.StepState(t.Context(), r.RunID, job.DecideStep)
	require.NoError(t, err)
	decided, err := record.Decode[job.DecideState](state)
	require.NoError(t, err)
	require.Equal(t, 1, decided.Uploads)
}

// The report of a run that was terminated in the middle adds up, and has the
// verdicts that came later when the next run has reconciled it.
func TestTheReportOfATerminatedRunIsSetRight(t *testing.T) {
	s := newSteps(t, sandbox.Options{Faults: sandbox.Faults{PoisonItems: []string{"bob@example.com"}}})
	s.Write("ann@example.com,Ann", "bob@example.com,Bob")
	r := s.Read(s.Take(run.Request{Yes: true}))
	require.Equal(t, 2, s.Stored(r.RunID).Read)
	r = s.Decide(r)
	decided := s.Stored(r.RunID)
	require.NoError(t, decided.Check())
	require.Equal(t, []int{2, 2}, []int{decided.Read, decided.Unsent})
	s.Upload(r)
	s.Lost()
	require.NoError(t, s.Delivery.ReapTerminated(t.Context()))
	ended := s.Stored(r.RunID)
	require.NoError(t, ended.Check())
	require.Equal(t, []int{2, 2, 0}, []int{ended.Read, ended.Pending, ended.Unsent})

	s.Take(run.Request{Yes: true})
	ended = s.Stored(r.RunID)
	require.NoError(t, ended.Check())
	require.Equal(t, run.Failed, ended.Status)
	require.Equal(t, []int{0, 1, 1, 1}, []int{ended.Pending, ended.New, ended.Refused, len(ended.Reasons)})
}

// The stored report has the verdicts of each sweep, and keeps its status.
func TestTheReportIsStoredWhileARunDelivers(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("ann@example.com,Ann", "bob@example.com,Bob")
	r := s.Begin(run.Request{Yes: true})
	s.Upload(r)
	s.Sweep(r)
	stored := s.Stored(r.RunID)
	require.NoError(t, stored.Check())
	require.Equal(t, []int{2, 0, 0}, []int{stored.New, stored.Pending, stored.Unsent})
	require.Equal(t, run.Running, stored.Status)
}

// silent takes calls and loses the answers.
type silent struct{ omnisend.API }

func (s silent) CreateBatch(ctx context.Context, origin string, items [][]byte) (string, error) {
	if _, err := s.API.CreateBatch(ctx, origin, items); err != nil {
		return "", err
	}
	return "", &omnisend.Error{Class: omnisend.Wait, Unanswered: true}
}

// Where Omnisend does not say where a batch comes from, the next run waits for a
// call whose answer was lost, and sends nothing beside it.
func TestACallWithoutAnAnswerIsWaitedFor(t *testing.T) {
	for name, c := range map[string]struct {
		hide  bool
		waits []time.Duration // after which the next run still waits
		until time.Duration
	}{
		"origins are shown": {},
		"it is processed":   {hide: true, waits: []time.Duration{0, delivery.ArrivalTime}, until: 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSteps(t, sandbox.Options{HideOrigin: c.hide, TrackReceived: true, BatchDelay: 10 * time.Minute})
			s.Write("ann@example.com,Ann")
			r := s.Begin(run.Request{Yes: true})
			open := s.OpenAPI
			s.OpenAPI = func(endpoint, key string) (omnisend.API, error) {
				api, err := open(endpoint, key)
				return silent{api}, err
			}
			sent, err := s.Delivery.UploadBatch(t.Context(), delivery.UploadInput{RunID: r.RunID, Batch: job.FirstUpload(0)})
			require.NoError(t, err)
			require.NotNil(t, sent.Halt)
			require.Equal(t, 1, s.Finish(r, run.Canceled).Pending)
			s.OpenAPI = open

			s.Write("ann@example.com,Anna")
			next := s.Started(run.Request{Yes: true})
			now := time.Duration(0)
			for _, at := range c.waits {
				s.Later(at - now)
				now = at
				result, err := s.Delivery.Reconcile(t.Context(), job.RunInput{RunID: next.RunID})
				require.NoError(t, err)
				require.NotNil(t, result.Halt)
				require.Equal(t, run.HaltWait, result.Halt.Kind)
				require.Contains(t, result.Halt.Reason, "got no answer")
			}
			s.Later(max(c.until, 10*time.Minute) - now)
			s.Reconcile(next.RunID)
			s.Upload(s.Decide(s.Read(next)))
			require.Zero(t, s.Target.Sandbox.Stats(omnisendtest.Brand).Overlaps)
		})
	}
}
