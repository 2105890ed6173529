package workflows

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/worker"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// unhurried gives a workflow's code more than the second after which the SDK takes
// it to be deadlocked: a busy machine takes longer.
var unhurried = worker.Options{DeadlockDetectionTimeout: time.Minute}

// world is what the activities of a run find, without any I/O.
type world struct {
	mu       sync.Mutex // activities run beside each other and beside what happens later
	env      *testsuite.TestWorkflowEnvironment
	control  run.Control
	guards   []run.GuardResult
	uploads  int // batches decided
	leavers  int
	contacts int // in a batch
	earlier  int // calls of earlier runs without a verdict
	plan     bool

	upload    func(batch int) *activities.UploadResult // nil: done
	sweep     func() *activities.SweepResult           // nil: all settled
	preflight func() *activities.PreflightResult       // nil: all well
	collect   func() *activities.CollectResult
	decided   func() *activities.DecideResult
	order     []string // what happened
	batches   []int    // delivered
	sent      int      // contacts
	answered  int      // calls
	recorded  []run.Status
	last      *run.Report // recorded
	finished  *run.Report
}

func newWorld(t *testing.T) *world {
	var suite testsuite.WorkflowTestSuite
	w := &world{env: suite.NewTestWorkflowEnvironment(), uploads: 3, contacts: 10}
	w.env.SetWorkerOptions(unhurried)
	env := w.env
	env.SetTestTimeout(time.Minute)
	env.RegisterActivity(&activities.Activities{})
	env.RegisterWorkflow(SegmentExport)
	// What a killed worker was doing for a run continues elsewhere soon.
	env.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) {
		if info.ActivityType.Name != "Command" { // which is over in half a minute
			assert.Equal(t, activities.HeartbeatTimeout, info.HeartbeatTimeout, info.ActivityType.Name)
		}
	})
	// Tests that need more change a field, or override an activity first.
	did := func(what string) { w.order = append(w.order, what) }

	env.OnActivity(acts.Preflight, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.PreflightInput) (*activities.PreflightResult, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			did("preflight")
			if w.preflight != nil {
				return w.preflight(), nil
			}
			return &activities.PreflightResult{Connection: "shop", Report: &run.Report{Export: "spring", RunID: in.RunID,
				Segments: []run.SegmentCount{{Segment: "buyers", Marker: "segment_buyers"}}, Reasons: map[string]int{}, StartedAt: env.Now()}}, nil
		}).Maybe()
	env.OnActivity(acts.Reconcile, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.RunInput) (*activities.SweepResult, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return &activities.SweepResult{Totals: store.CallTotals{Unsettled: w.earlier}}, nil
		}).Maybe()
	env.OnActivity(acts.Collect, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.CollectInput) (*activities.CollectResult, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			did("collect")
			if w.collect != nil {
				return w.collect(), nil
			}
			return &activities.CollectResult{Done: true, Read: w.uploads * w.contacts}, nil
		}).Maybe()
	env.OnActivity(acts.Decide, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.RunInput) (*activities.DecideResult, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			did("decide")
			if w.decided != nil {
				return w.decided(), nil
			}
			n := w.uploads * w.contacts
			r := &run.Report{Plan: w.plan, RunID: "run-1", Read: n, Segments: []run.SegmentCount{{Segment: "buyers", Read: n}}, Reasons: map[string]int{}}
			r.Segments[0].Members, r.Contacts, r.ToSend, r.Unsent, r.Guards, r.LeaversDue = n, n, n, n, w.guards, w.leavers*w.contacts
			return &activities.DecideResult{Done: true, Report: r, Uploads: w.uploads, Leavers: w.leavers}, nil
		}).Maybe()
	env.OnActivity(acts.Control, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.RunInput) (run.Control, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.control, nil
		}).Maybe()
	env.OnActivity(acts.Record, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.RecordInput) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.recorded, w.last = append(w.recorded, in.Report.Status), in.Report
			return nil
		}).Maybe()
	env.OnActivity(acts.TakeTurn, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.RunInput) (bool, error) { return true, nil }).Maybe()
	env.OnActivity(acts.YieldTurn, mock.Anything, mock.Anything).Return(func(context.Context, activities.RunInput) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		did("yield")
		return nil
	}).Maybe()
	env.OnActivity(acts.UploadBatch, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.UploadInput) (*activities.UploadResult, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.upload != nil {
				if r := w.upload(in.Batch); r != nil {
					return r, nil
				}
			}
			did("upload")
			w.batches = append(w.batches, in.Batch)
			w.sent += w.contacts
			w.answered++
			return &activities.UploadResult{Done: true, Calls: 1, Contacts: w.contacts}, nil
		}).Maybe()
	env.OnActivity(acts.Sweep, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.SweepInput) (*activities.SweepResult, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			did("sweep")
			if w.sweep != nil {
				if r := w.sweep(); r != nil {
					return r, nil
				}
			}
			return &activities.SweepResult{Found: w.answered, Totals: store.CallTotals{Calls: w.answered, New: min(w.sent, w.uploads*w.contacts)}}, nil
		}).Maybe()
	env.OnActivity(acts.Finish, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.FinishInput) (*run.Report, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			did("finish")
			r := in.Report
			if r.Status == "" {
				r.Status = run.Completed
			}
			w.finished = r
			return r, nil
		}).Maybe()
	return w
}

func (w *world) run(t *testing.T, in ExportInput) error {
	t.Helper()
	in.RunID = "run-1"
	w.env.ExecuteWorkflow(SegmentExport, in)
	require.True(t, w.env.IsWorkflowCompleted())
	return w.env.GetWorkflowError()
}

// later does something at a time of the run's clock.
func (w *world) later(after time.Duration, do func()) {
	w.env.RegisterDelayedCallback(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		do()
	}, after)
}

// decide puts an operator's decision into the store and tells the run.
func (w *world) decide(change func(*run.Control)) {
	change(&w.control)
	w.env.SignalWorkflow(protocol.ControlSignal, nil)
}

func TestRunGoesThroughItsSteps(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.run(t, ExportInput{}))
	require.Equal(t, []string{"preflight", "collect", "decide", "upload", "upload", "upload", "sweep", "finish"}, w.order)
	require.ElementsMatch(t, []int{0, 1, 2}, w.batches, "they are delivered beside each other")
	require.Equal(t, run.Completed, w.finished.Status)
	require.Equal(t, 30, w.finished.Delivered)
	require.NoError(t, w.finished.Check())
}

func TestPlanSendsNothing(t *testing.T) {
	w := newWorld(t)
	w.guards, w.plan = []run.GuardResult{{Guard: catalogue.GuardFirstRun}}, true
	w.preflight = func() *activities.PreflightResult {
		return &activities.PreflightResult{Connection: "shop",
			Report: &run.Report{Plan: true, Segments: []run.SegmentCount{{}}, Reasons: map[string]int{}}}
	}
	require.NoError(t, w.run(t, ExportInput{}))
	require.Equal(t, []string{"preflight", "collect", "decide", "finish"}, w.order)
}

func TestGuardParksUntilItIsApproved(t *testing.T) {
	w := newWorld(t)
	w.guards = []run.GuardResult{{Guard: catalogue.GuardShrunk, Message: "far fewer"}, {Guard: catalogue.GuardFirstRun, Message: "first"}}
	w.later(time.Hour, func() {
		require.NotContains(t, w.order, "upload")
		w.decide(func(c *run.Control) { c.Approved = map[catalogue.Guard]string{catalogue.GuardShrunk: "ann"} })
	})
	w.later(2*time.Hour, func() {
		require.NotContains(t, w.order, "upload", "one guard is still unanswered")
		w.decide(func(c *run.Control) { c.Approved[catalogue.GuardFirstRun] = "ann" })
	})
	// A signal that is sent by hand, past the worker, approves nothing.
	w.later(time.Minute, func() { w.env.SignalWorkflow(protocol.ControlSignal, "approve shrunk") })
	require.NoError(t, w.run(t, ExportInput{}))
	require.Equal(t, []run.Status{run.Parked, run.Running}, w.recorded)
	require.Equal(t, run.Completed, w.finished.Status)
}

func TestRevokedKeyParksAndResumeGoesOn(t *testing.T) {
	w := newWorld(t)
	revoked := true
	w.upload = func(batch int) *activities.UploadResult {
		if revoked && batch > 0 {
			return &activities.UploadResult{Halt: &activities.Halt{Kind: activities.HaltPark, Reason: "the key is refused", Action: "rotate it"}}
		}
		return nil
	}
	w.later(time.Hour, func() {
		revoked = false
		p, err := w.env.QueryWorkflow(protocol.ProgressQuery)
		require.NoError(t, err)
		var progress protocol.Progress
		require.NoError(t, p.Get(&progress))
		require.Equal(t, run.Parked, progress.Status)
		require.EqualValues(t, "the key is refused", progress.Reason)
		require.Contains(t, w.order, "sweep", "verdicts are collected while the run is parked")
		w.decide(func(c *run.Control) { c.Resumes++ })
	})
	require.NoError(t, w.run(t, ExportInput{Window: 1}))
	require.ElementsMatch(t, []int{0, 1, 2}, w.batches)
	require.Equal(t, run.Completed, w.finished.Status)
	require.Empty(t, w.finished.Reason)
}

func TestPauseStopsUploadsAndCollectsVerdicts(t *testing.T) {
	w := newWorld(t)
	w.uploads = 5
	w.upload = func(batch int) *activities.UploadResult {
		if batch == 1 && w.control.Paused == false && len(w.batches) == 1 {
			w.decide(func(c *run.Control) { c.Paused = true })
		}
		return nil
	}
	var atPause int
	w.later(30*time.Minute, func() { atPause = len(w.batches) })
	w.later(time.Hour, func() {
		require.Len(t, w.batches, atPause)
		require.Less(t, atPause, 5)
		require.Contains(t, w.order, "sweep")
		require.Contains(t, w.order, "yield", "others may use the connection meanwhile")
		w.decide(func(c *run.Control) { c.Paused = false; c.Resumes++ })
	})
	require.NoError(t, w.run(t, ExportInput{Window: 1}))
	// An attempt that is asked to end may be repeated; the store knows its calls.
	slices.Sort(w.batches)
	require.Equal(t, seq(5), slices.Compact(w.batches))
	require.Equal(t, []run.Status{run.Paused, run.Running}, w.recorded)
}

func TestWaitForBudgetTriesTheBatchAgainLater(t *testing.T) {
	w := newWorld(t)
	began := w.env.Now()
	tries := 0
	w.upload = func(batch int) *activities.UploadResult {
		tries++
		if w.env.Now().Sub(began) < 40*time.Second {
			return &activities.UploadResult{Halt: &activities.Halt{Kind: activities.HaltWait, Wait: 30 * time.Second}}
		}
		return nil
	}
	require.NoError(t, w.run(t, ExportInput{Window: 1}))
	require.ElementsMatch(t, []int{0, 1, 2}, w.batches)
	require.Equal(t, 5, tries, "it waits for the given time before it tries again")
}

func TestContactsWithoutVerdictGoAgainAndLeaversGoLast(t *testing.T) {
	w := newWorld(t)
	w.leavers = 2
	first := true
	w.sweep = func() *activities.SweepResult {
		if !first {
			return nil
		}
		first = false
		return &activities.SweepResult{Found: 3, Uploads: []int{1}, Totals: store.CallTotals{New: 25}}
	}
	require.NoError(t, w.run(t, ExportInput{}))
	again, leaver := job.FirstUpload(1), job.FirstLeaver(0)
	require.Equal(t, []int{0, 1, 2, again, leaver, leaver + 1}, sorted(w.batches, 4))
	require.Less(t, slices.Index(w.order, "sweep"), len(w.order)-4)
}

// sorted sorts the first n, which are delivered at the same time.
func sorted(batches []int, n int) []int {
	out := slices.Clone(batches)
	slices.Sort(out[:min(n, len(out))])
	slices.Sort(out[min(n, len(out)):])
	return out
}

func TestCancelCollectsVerdictsAndFinishes(t *testing.T) {
	w := newWorld(t)
	w.uploads = 50
	w.upload = func(batch int) *activities.UploadResult {
		if batch == 2 {
			w.env.CancelWorkflow()
		}
		return nil
	}
	err := w.run(t, ExportInput{Window: 1})
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	require.Less(t, len(w.batches), 10)
	require.Equal(t, run.Canceled, w.finished.Status)
	require.Equal(t, []string{"sweep", "finish"}, w.order[len(w.order)-2:])
	require.NoError(t, w.finished.Check())
}

// asked is what a run answers when it is asked for its progress.
func (w *world) asked(t *testing.T) *protocol.Progress {
	value, err := w.env.QueryWorkflow(protocol.ProgressQuery)
	require.NoError(t, err)
	var p protocol.Progress
	require.NoError(t, value.Get(&p))
	return &p
}

// A canceled run that waits for verdicts says so, and until when.
func TestCanceledRunSaysWhatItWaitsFor(t *testing.T) {
	w := newWorld(t)
	w.uploads = 1
	w.sweep = func() *activities.SweepResult {
		return &activities.SweepResult{Totals: store.CallTotals{Pending: 10, Unsettled: 1}}
	}
	w.later(time.Minute, func() {
		require.Equal(t, run.Running, w.asked(t).Status)
		w.env.CancelWorkflow()
	})
	w.later(2*time.Minute, func() {
		p := w.asked(t)
		require.Equal(t, run.Canceling, p.Status)
		require.Regexp(t, `^1 call without a verdict; waiting for them until \d\d:\d\d:\d\d UTC at the latest$`, p.Reason)
	})
	err := w.run(t, ExportInput{})
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	require.Equal(t, run.Canceled, w.finished.Status)
	require.Empty(t, w.finished.Reason)
}

// A run that waits for the calls of the run before it says so.
func TestReconcilingRunSaysWhatItWaitsFor(t *testing.T) {
	w := newWorld(t)
	w.earlier = 2
	w.later(10*time.Minute, func() {
		require.EqualValues(t, "verdicts of earlier runs on the same brand are still to come: 2 calls", w.asked(t).Reason)
		w.earlier = 0
	})
	require.NoError(t, w.run(t, ExportInput{}))
	require.Zero(t, w.earlier, "it was asked")
	require.Equal(t, run.Completed, w.finished.Status)
}

// A parked run says what an approval does, and how to refuse it.
func TestGuardsSayWhatAnApprovalDoes(t *testing.T) {
	w := newWorld(t)
	w.leavers = 1
	w.guards = []run.GuardResult{{Guard: catalogue.GuardShrunk, Message: "far fewer"}, {Guard: catalogue.GuardFirstRun, Message: "first"}}
	w.later(time.Hour, func() {
		p := w.asked(t)
		require.EqualValues(t, "guard shrunk: far fewer. guard first-run: first.", p.Reason)
		require.EqualValues(t, "approve to send 30 contacts and clear the markers of 10 contacts (0 calls): starter runs approve "+p.RunID+
			" --guard shrunk; and: starter runs approve "+p.RunID+" --guard first-run; cancel to send nothing: starter runs cancel "+p.RunID, p.Action)
		w.env.CancelWorkflow()
	})
	require.Error(t, w.run(t, ExportInput{}))
}

func TestParkedRunExpires(t *testing.T) {
	w := newWorld(t)
	w.guards = []run.GuardResult{{Guard: catalogue.GuardEmpty}}
	require.ErrorContains(t, w.run(t, ExportInput{}), "expired")
	require.Equal(t, run.Expired, w.finished.Status)
}

func TestLongHistoryContinuesAsNewWithNothingInFlight(t *testing.T) {
	w := newWorld(t)
	w.uploads = 20
	w.env.SetCurrentHistoryLength(10)
	uploads := 0
	w.env.SetOnActivityCompletedListener(func(info *activity.Info, _ converter.EncodedValue, _ error) {
		if info.ActivityType.Name != "UploadBatch" {
			return
		}
		if uploads++; uploads == 5 {
			w.env.SetCurrentHistoryLength(100)
		}
	})
	err := w.run(t, ExportInput{MaxEvents: 50})
	var again *workflow.ContinueAsNewError
	require.ErrorAs(t, err, &again)
	var next ExportInput
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(again.Input, &next))
	done := len(w.batches)
	require.Less(t, done, 20)
	require.Equal(t, []int{done}, next.State.Delivery.Begun, "whatever was started is done")
	require.Empty(t, next.State.Delivery.Again)
	require.Nil(t, w.finished)

	// The next execution does the rest and nothing twice.
	rest := newWorld(t)
	rest.uploads, rest.batches = 20, slices.Clone(w.batches)
	rest.sent, rest.answered = w.sent, w.answered
	rest.env.ExecuteWorkflow(SegmentExport, next)
	require.NoError(t, rest.env.GetWorkflowError())
	slices.Sort(rest.batches)
	require.Equal(t, seq(20), rest.batches)
	require.NotContains(t, rest.order, "collect")
	require.Equal(t, run.Completed, rest.finished.Status)
}

func seq(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

// A worker may die after the last answer of a batch is stored and before it is
// reported: the attempt that follows finds nothing left to do.
func TestVerdictsAreCollectedOfUploadsWhoseEndWasLost(t *testing.T) {
	w := newWorld(t)
	w.upload = func(int) *activities.UploadResult { return &activities.UploadResult{Done: true} }
	require.NoError(t, w.run(t, ExportInput{}))
	require.Equal(t, []string{"preflight", "collect", "decide", "sweep", "finish"}, w.order)
}

func TestOverTheLimitIsSkippedWithBothNumbers(t *testing.T) {
	w := newWorld(t)
	w.decided = func() *activities.DecideResult {
		return &activities.DecideResult{Done: true, Uploads: 1,
			Report: &run.Report{Contacts: 1_200_000, OverLimit: 1_000_000, Segments: []run.SegmentCount{{}}, Reasons: map[string]int{}}}
	}
	require.NoError(t, w.run(t, ExportInput{}))
	require.Equal(t, run.Skipped, w.finished.Status)
	require.Contains(t, w.finished.Reason, "1,200,000")
	require.Contains(t, w.finished.Reason, "1,000,000")
}

func TestWhatCannotBeFixedFailsWithItsReason(t *testing.T) {
	w := newWorld(t)
	w.collect = func() *activities.CollectResult {
		return &activities.CollectResult{Halt: &activities.Halt{Kind: activities.HaltFail, Reason: "line 7: a quote is never closed"}}
	}
	err := w.run(t, ExportInput{})
	require.ErrorContains(t, err, "line 7")
	require.Equal(t, run.Failed, w.finished.Status)
	require.NotContains(t, w.order, "upload")
}
