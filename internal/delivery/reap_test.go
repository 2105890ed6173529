package delivery_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// cannotFold meets a fault of this program where verdicts are booked.
type cannotFold struct{ store.Store }

func (cannotFold) SettledCalls(context.Context, string) ([]store.Call, error) { panic("odd") }

// A run that was ended in Temporal, and that cannot be finished for a fault of
// this program, does not stop the runs of other exports. The next run over the
// connection that does not meet the fault books its verdicts.
func TestATerminatedRunThatCannotBeFinishedEnds(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("ann@example.com,Ann")
	r := s.Begin(run.Request{Yes: true})
	s.Upload(r)
	s.Sweep(r)
	r.Status = run.Running
	require.NoError(t, s.Delivery.Record(t.Context(), delivery.RecordInput{RunID: r.RunID, Report: r}))
	s.Lost()
	all := s.Store
	s.Store = cannotFold{all}
	require.NoError(t, s.Delivery.ReapTerminated(t.Context()))
	s.Store = all
	ended := s.Stored(r.RunID)
	require.Equal(t, run.Failed, ended.Status)
	require.Contains(t, strings.Join(ended.Notes, " "), "a fault of this program")

	next := s.Started(run.Request{Yes: true})
	s.Store = cannotFold{all}
	_, err := s.Delivery.Reconcile(t.Context(), job.RunInput{RunID: next.RunID})
	var blocked *fault.BlockedError
	require.ErrorAs(t, err, &blocked)
	require.Contains(t, blocked.Reason, r.RunID)
	require.Contains(t, blocked.Action, "starter runs abandon "+r.RunID)
	s.Store = all
	s.Reconcile(next.RunID)
	require.Equal(t, 1, s.Decide(s.Read(next)).Unchanged)
}
