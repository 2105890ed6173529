package workflows

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/run"
)

// A tick asks until nothing is due any more, and tells what came of it.
func TestTickAsksUntilNothingIsDue(t *testing.T) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetWorkerOptions(unhurried)
	env.RegisterActivity(&activities.Activities{})
	began := env.Now()
	var asked []time.Duration
	answers := []activities.TickResult{
		{Wait: time.Minute}, // a parked run is ending
		{Begun: map[string]string{"spring": "run-2"}},
		{Skipped: map[string]string{"autumn": "run run-1 (on-demand) was still open: running"}},
		{Done: true},
	}
	env.OnActivity(acts.Tick, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.TickInput) (*activities.TickResult, error) {
		require.Equal(t, "export/spring", in.Schedule)
		asked = append(asked, env.Now().Sub(began).Round(time.Minute))
		return &answers[len(asked)-1], nil
	})
	env.ExecuteWorkflow(Tick, TickInput{TickInput: activities.TickInput{Schedule: "export/spring"}})
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []time.Duration{0, time.Minute, time.Minute, time.Minute}, asked)
	var result TickResult
	require.NoError(t, env.GetWorkflowResult(&result))
	require.Equal(t, map[string]string{"spring": "run-2"}, result.Begun)
	require.Contains(t, result.Skipped["autumn"], "still open")
}

// A tick that waits for long continues as new, and tells in the end what came of
// all of it.
func TestTickKeepsWhatCameOfItWhenItContinuesAsNew(t *testing.T) {
	tick := func(in TickInput, answer activities.TickResult) *testsuite.TestWorkflowEnvironment {
		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestWorkflowEnvironment()
		env.SetWorkerOptions(unhurried)
		env.RegisterActivity(&activities.Activities{})
		env.SetContinueAsNewSuggested(true)
		env.OnActivity(acts.Tick, mock.Anything, activities.TickInput{Schedule: "refresh"}).Return(&answer, nil)
		env.ExecuteWorkflow(Tick, in)
		return env
	}
	skipped := map[string]string{"autumn": "run run-1 (on-demand) was still open: running"}
	env := tick(TickInput{TickInput: activities.TickInput{Schedule: "refresh"}}, activities.TickResult{Skipped: skipped})
	var again *workflow.ContinueAsNewError
	require.ErrorAs(t, env.GetWorkflowError(), &again)
	var next TickInput
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(again.Input, &next))

	env = tick(next, activities.TickResult{Begun: map[string]string{"spring": "run-2"}, Done: true})
	require.NoError(t, env.GetWorkflowError())
	var result TickResult
	require.NoError(t, env.GetWorkflowResult(&result))
	require.Equal(t, TickResult{Begun: map[string]string{"spring": "run-2"}, Skipped: skipped}, result)
}

// The next automatic start ends a run that waits for an answer, wherever it
// waits, and no other run.
func TestNextStartEndsARunThatWaits(t *testing.T) {
	next := func(w *world) {
		w.later(time.Hour, func() { w.decide(func(c *run.Control) { c.Superseded = true }) })
	}
	t.Run("for a guard", func(t *testing.T) {
		w := newWorld(t)
		w.guards = []run.GuardResult{{Guard: catalogue.GuardShrunk, Message: "far fewer"}}
		next(w)
		require.NoError(t, w.run(t, ExportInput{}))
		require.Equal(t, run.Skipped, w.finished.Status)
		require.EqualValues(t, "unanswered question: guard shrunk: far fewer.", w.finished.Reason)
		require.NotContains(t, w.order, "upload")
	})
	t.Run("for a key, before it has read", func(t *testing.T) {
		w := newWorld(t)
		w.preflight = func() *activities.PreflightResult {
			return &activities.PreflightResult{Report: &run.Report{}, Halt: &activities.Halt{Kind: activities.HaltPark, Reason: "the key is refused"}}
		}
		next(w)
		require.NoError(t, w.run(t, ExportInput{}))
		require.Equal(t, run.Skipped, w.finished.Status)
		require.EqualValues(t, "unanswered question: the key is refused", w.finished.Reason)
	})
	t.Run("for a key, in the middle", func(t *testing.T) {
		w := newWorld(t)
		w.upload = func(batch int) *activities.UploadResult {
			if batch > 0 {
				return &activities.UploadResult{Halt: &activities.Halt{Kind: activities.HaltPark, Reason: "the key is refused"}}
			}
			return nil
		}
		next(w)
		require.NoError(t, w.run(t, ExportInput{Window: 1}))
		require.Equal(t, run.Skipped, w.finished.Status)
		require.EqualValues(t, "unanswered question: the key is refused", w.finished.Reason)
		require.Contains(t, w.order, "sweep", "its verdicts are collected")
	})
	t.Run("but not one that is paused", func(t *testing.T) {
		w := newWorld(t)
		w.control.Paused = true
		next(w)
		w.later(2*time.Hour, func() { w.decide(func(c *run.Control) { c.Paused = false }) })
		require.NoError(t, w.run(t, ExportInput{}))
		require.Equal(t, run.Completed, w.finished.Status)
	})
}
