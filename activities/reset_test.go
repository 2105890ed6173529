package activities

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/intake"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
)

// A run that has ended is not carried on for a workflow that was reset, but for
// what ended it and may be repeated.
func TestAResetRunIsNotAdmitted(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("ann@example.com,Ann")
	r := s.Run()
	g := &admission{activities: s.activities()}
	ctx := context.WithValue(t.Context(), executionKey{}, job.Execution{Workflow: "export/spring", First: "workflow of " + r.RunID})
	for name, in := range map[string]any{"Collect": intake.CollectInput{RunID: r.RunID}, "UploadBatch": delivery.UploadInput{RunID: r.RunID}, "TakeTurn": job.RunInput{RunID: r.RunID}} {
		require.ErrorContains(t, g.admit(ctx, name, []any{in}), "has ended (completed)", name)
	}
	ticket, err := s.Ticket(job.RunTicket(r.RunID, "spring", false)...)
	require.NoError(t, err)
	_, err = s.activities().Preflight(ctx, intake.PreflightInput{RunID: r.RunID, Ticket: ticket})
	require.ErrorContains(t, err, "has ended (completed)")
	require.NoError(t, g.admit(ctx, "Finish", []any{delivery.FinishInput{RunID: r.RunID}}))
	again, err := s.activities().Finish(ctx, delivery.FinishInput{RunID: r.RunID, Report: &run.Report{Status: run.Failed}})
	require.NoError(t, err)
	require.Equal(t, run.Completed, again.Status)
	require.Equal(t, 1, again.New)
}
