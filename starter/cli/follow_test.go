package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/starter/cli"
)

// at is a run in the middle of something.
func at(status run.Status, phase run.Phase) *protocol.Progress {
	r := finished(status).Report
	r.Phase, r.ToSend = phase, 1000
	return &protocol.Progress{Report: r, Sent: 250}
}

// parkedBy is a run that guards hold.
func parkedBy(guards ...catalogue.Guard) *protocol.Progress {
	p := at(run.Parked, run.PhaseDecide)
	for _, g := range guards {
		message := "about " + string(g)
		p.Guards = append(p.Guards, run.GuardResult{Guard: g, Message: message})
		p.Reason += reason.Format("guard %s: %s. ", g, message)
	}
	return p
}

// script lets the run answer like this, one after the other, and end after the
// last answer if it is nil.
func (b *bench) script(all ...*protocol.Progress) {
	b.server.ended = make(chan struct{})
	ended := false
	b.server.progress = func(n int) (*protocol.Progress, error) {
		n = min(n, len(all)-1)
		if all[n] == nil {
			if !ended {
				ended = true
				close(b.server.ended)
			}
			return nil, errors.New("it has ended")
		}
		return all[n], nil
	}
}

func TestRunToItsEnd(t *testing.T) {
	for status, code := range map[run.Status]int{
		run.Completed: 0, run.CompletedWithRejects: 3, run.Failed: 1, run.Expired: 1, run.Skipped: 6, run.Canceled: 6,
		run.Running: 1, // terminated in Temporal: its report never ended
	} {
		t.Run(string(status), func(t *testing.T) {
			b := newBench(t)
			b.script(at(run.Running, run.PhaseCollect), at(run.Running, run.PhaseDeliver), nil)
			b.answers(started, finished(status))
			require.Equal(t, code, b.run("run", "spring", "--yes", "--output", "json"), b.err.String())
			require.Equal(t, []string{"run", "runs show"}, b.names())
			require.Equal(t, protocol.RunRef{Run: "run-1"}, args[protocol.RunRef](b, 1))
			d := json.NewDecoder(&b.out)
			var got protocol.RunAnswer
			require.NoError(t, d.Decode(&got))
			require.False(t, d.More(), "exactly one object")
			require.Equal(t, finished(status), got)
			require.Contains(t, b.err.String(), "profiles sent 250/1,000")

			b.script(nil)
			b.answers(started, finished(status))
			require.Equal(t, code, b.run("run", "spring"))
			require.Contains(t, b.out.String(), string(status))
			require.Contains(t, b.out.String(), "segment_buyers")
		})
	}
}

func TestQuiet(t *testing.T) {
	b := newBench(t)
	b.script(at(run.Running, run.PhaseDeliver), nil)
	b.answers(started, finished(run.Completed))
	require.Equal(t, 0, b.run("run", "spring", "-q"))
	require.NotContains(t, b.err.String(), "profiles")
}

func TestDetach(t *testing.T) {
	b := newBench(t)
	b.answers(started)
	require.Equal(t, 0, b.run("run", "spring", "--detach", "-o", "json"))
	require.JSONEq(t, `{"run_id":"run-1","workflow_id":"export/spring"}`, b.out.String())
}

func TestInterruptDetaches(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(context.Background())
	b.server.ended = make(chan struct{})
	b.server.progress = func(int) (*protocol.Progress, error) {
		cancel()
		return at(run.Running, run.PhaseDeliver), nil
	}
	b.answers(started)
	require.Equal(t, 130, b.runIn(ctx, "run", "spring", "--output", "json"))
	require.Equal(t, []string{"run"}, b.names(), "the run is left alone")
	require.Contains(t, b.err.String(), "starter runs watch run-1")
	require.Contains(t, b.out.String(), `{"error":{"class":"interrupted"`)
}

func TestParkedExits(t *testing.T) {
	for name, p := range map[string]*protocol.Progress{
		"first run": parkedBy(catalogue.GuardFirstRun),
		"key":       at(run.Parked, run.PhaseDeliver),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.script(p)
			parked := finished(run.Parked)
			parked.Reason, parked.Action = "the key is not accepted", "rotate it"
			b.answers(started, parked)
			require.Equal(t, 4, b.run("run", "spring"))
			require.Contains(t, b.out.String(), "the key is not accepted")
			require.Contains(t, b.out.String(), "rotate it")
		})
	}
}

func TestFirstRunQuestion(t *testing.T) {
	asks := parkedBy(catalogue.GuardFirstRun)
	t.Run("yes", func(t *testing.T) {
		b := newBench(t)
		b.terminal("y\n")
		// It says parked for a while after the approval.
		b.script(asks, asks, asks, asks, asks, at(run.Running, run.PhaseDeliver), nil)
		b.answers(started, finished(run.Parked), finished(run.Completed))
		require.Equal(t, 0, b.run("run", "spring"))
		require.Equal(t, []string{"run", "runs approve", "runs show"}, b.names())
		require.Equal(t, protocol.RunsApproveArgs{RunRef: protocol.RunRef{Run: "run-1"}, Guard: catalogue.GuardFirstRun}, args[protocol.RunsApproveArgs](b, 1))
		require.Contains(t, b.err.String(), "about first-run.\nSend them? [y/N]")
	})
	t.Run("no", func(t *testing.T) {
		b := newBench(t)
		b.terminal("\n")
		b.script(asks)
		b.answers(started, finished(run.Parked))
		require.Equal(t, 4, b.run("run", "spring"))
		require.Equal(t, []string{"run", "runs show"}, b.names())
	})
	t.Run("another guard asks as well", func(t *testing.T) {
		b := newBench(t)
		b.terminal("y\n")
		both := parkedBy(catalogue.GuardFirstRun, catalogue.GuardInvalid)
		rest := parkedBy(catalogue.GuardFirstRun, catalogue.GuardInvalid)
		rest.Reason = "guard invalid: about invalid."
		b.script(both, both, rest)
		b.answers(started, finished(run.Parked), finished(run.Parked))
		require.Equal(t, 4, b.run("run", "spring"))
		require.Equal(t, []string{"run", "runs approve", "runs show"}, b.names())
		require.Equal(t, 1, strings.Count(b.err.String(), "[y/N]"))
	})
	t.Run("only another guard", func(t *testing.T) {
		b := newBench(t)
		b.terminal("y\n")
		b.script(parkedBy(catalogue.GuardShrunk))
		b.answers(started, finished(run.Parked))
		require.Equal(t, 4, b.run("run", "spring"))
		require.NotContains(t, b.err.String(), "[y/N]")
	})
}

func TestJustResumed(t *testing.T) {
	b := newBench(t)
	b.script(parkedBy(), at(run.Running, run.PhaseDeliver), nil)
	b.answers(finished(run.Parked), finished(run.Completed))
	require.Equal(t, 0, b.run("runs", "watch"), "one answer that says parked is from before")
}

func TestWorkerAway(t *testing.T) {
	b := newBench(t)
	b.server.ended = make(chan struct{})
	b.server.progress = func(n int) (*protocol.Progress, error) {
		switch {
		case n < 30:
			return nil, errors.New("nobody")
		case n == 32:
			close(b.server.ended)
		}
		return at(run.Running, run.PhaseDeliver), nil
	}
	b.answers(started, cli.Fail("no worker", "so it is"), cli.Fail("no server", "so it is"), finished(run.Completed))
	require.Equal(t, 0, b.run("run", "spring"), b.err.String())
	require.Contains(t, b.err.String(), "no worker is answering")
	require.Contains(t, b.err.String(), "a worker answers again")
}

func TestNextRunHasBegun(t *testing.T) {
	b := newBench(t)
	next := at(run.Running, run.PhaseCollect)
	next.RunID = "run-2"
	b.script(next)
	b.answers(started, finished(run.Completed))
	require.Equal(t, 0, b.run("run", "spring"))
}

func TestWatchOfAnEndedRun(t *testing.T) {
	b := newBench(t)
	b.answers(finished(run.CompletedWithRejects))
	require.Equal(t, 3, b.run("runs", "watch", "run-1"))
}

func TestShowHasTheNumbersOfNow(t *testing.T) {
	b := newBench(t)
	p := at(run.Running, run.PhaseDeliver)
	p.New = 77
	b.script(p)
	b.answers(finished(run.Queued))
	require.Equal(t, 0, b.run("runs", "show", "-o", "json"))
	require.Contains(t, b.out.String(), `"new":77`)
	require.Empty(t, b.err.String())
	b.server.progress = nil
	b.answers(finished(run.Queued))
	require.Equal(t, 0, b.run("runs", "show", "-o", "json"))
	require.Contains(t, b.out.String(), `"new":900`)
	require.Contains(t, b.err.String(), "the run does not answer")
}

func TestPlan(t *testing.T) {
	report := finished(run.Completed)
	report.Plan, report.ToSend, report.PlannedCalls, report.PlannedMinutes = true, 1000, 10, 2.5
	report.Differences = map[string]int{"city": 3}
	report.Consent.UndatedOptOuts, report.Consent.DatedRefusals = 12, 30
	report.Guards = parkedBy(catalogue.GuardShrunk).Guards
	found := sealedAnswer{protocol.SamplesAnswer{New: []json.RawMessage{json.RawMessage(`{"email":"ann@example.com"}`)}}}
	b := newBench(t)

	b.script(nil)
	b.answers(started, report, found)
	require.Equal(t, 0, b.run("plan", "spring", "--full"))
	require.Equal(t, []string{"plan", "runs show", "samples"}, b.names())
	require.Equal(t, protocol.RunArgs{Export: "spring", Full: true}, args[protocol.RunArgs](b, 0))
	for _, want := range []string{"10 calls, about 2 min 30 s", "3  city", "guard shrunk: about shrunk", "ann@example.com", "40  email_invalid",
		"Undated opt-outs: 12 (first-seen: ", "Dated refusals: 30 (opt-out: "} {
		require.Contains(t, b.out.String(), want)
	}

	b.script(nil)
	b.answers(started, report, found)
	require.Equal(t, 0, b.run("plan", "spring", "-o", "json"))
	var got struct {
		RunID   string                 `json:"run_id"`
		Samples protocol.SamplesAnswer `json:"samples"`
	}
	require.NoError(t, json.Unmarshal(b.out.Bytes(), &got))
	require.Equal(t, "run-1", got.RunID)
	require.JSONEq(t, `{"email":"ann@example.com"}`, string(got.Samples.New[0]))

	b.script(nil)
	b.answers(started, report, cli.Fail("not found", "so it is"))
	require.Equal(t, 0, b.run("plan", "spring"), "nothing to show samples of")

	failed := finished(run.Failed)
	failed.Plan = true
	b.script(nil)
	b.answers(started, failed)
	require.Equal(t, 1, b.run("plan", "spring"))
	require.NotContains(t, b.out.String(), "would", "it did not find out")
}

// A run that waits for an answer shows what it would do, as its plan did.
func TestParkedShowsWhatItWouldDo(t *testing.T) {
	b := newBench(t)
	parked := protocol.RunAnswer{Report: parkedBy(catalogue.GuardShrunk).Report}
	parked.ToSend, parked.LeaversDue, parked.PlannedCalls, parked.PlannedMinutes, parked.Calls = 915, 12, 11, 0.5, 0
	parked.Action = "approve it or cancel it"
	b.server.progress = func(int) (*protocol.Progress, error) { return nil, errors.New("no answer") }
	b.answers(parked)
	require.Equal(t, 0, b.run("runs", "show", "spring"))
	require.Contains(t, b.out.String(), `contacts          1,100
  to send           915
  unchanged          95
  refused before      5
markers to clear     12
calls                11
`)
	require.Contains(t, b.out.String(), "It would take 11 calls, about 30 s\n")
	require.Contains(t, b.out.String(), "guard shrunk: about shrunk")
	require.NotContains(t, b.out.String(), "A run would park")
}
