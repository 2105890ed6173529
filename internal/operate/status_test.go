package operate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/alerting"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// Whatever keeps exports from running needs attention, not only open runs.
func TestStatusNamesWhatNeedsAttention(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	admin := command.Caller{Principal: access.Principal{Name: "ann", Role: access.Admin}}
	status := func() []protocol.AttendStatus {
		now, err := s.Store.Now(t.Context())
		require.NoError(t, err)
		answer := &protocol.StatusAnswer{At: now}
		require.NoError(t, s.storeStatus(t.Context(), admin, answer, newestRuns))
		return answer.Attend
	}
	require.Empty(t, status(), "all is well")

	s.Put(catalogue.KindConnection, "stopped", catalogue.Connection{Meta: catalogue.Meta{Name: "stopped"}, BrandID: "b",
		Stopped: &catalogue.Stop{By: "ann"}}, nil)
	s.Put(catalogue.KindConnection, "withdrawn", catalogue.Connection{Meta: catalogue.Meta{Name: "withdrawn"}, BrandID: "b",
		Withdrawn: &catalogue.Withdrawal{By: "bob"}}, nil)
	now, err := s.Store.Now(t.Context())
	require.NoError(t, err)
	s.Put(alerting.KindAlertState, "ops/spring/1-1", alerting.Told{Pending: []alerting.Notice{{Alert: "ops", At: now}, {Alert: "ops", At: now}}}, nil)
	id := "5b7f3c52-0000-4000-8000-000000000001"
	require.NoError(t, s.Store.CreateRun(t.Context(), store.Run{ID: id, Export: "spring", Connection: "shop", Brand: "b", Status: string(run.Queued),
		Report: record.Encode(run.Report{}), Request: record.Encode(run.Request{})}))
	require.NoError(t, s.Store.SaveRun(t.Context(), id, string(run.Skipped), record.Encode(run.Report{Reason: "too many contacts", Action: "make it smaller"}), true))
	require.Len(t, status(), 3, "a message is on its way for a moment")
	s.Later(2 * time.Minute)
	require.Equal(t, []protocol.AttendStatus{
		{Connection: "stopped", Reason: "stopped by ann; no run of its exports starts", Action: `start it: starter connection start "stopped"`},
		{Connection: "withdrawn", Reason: "the agreement to the transfer of personal data was withdrawn by bob; no run of its exports starts",
			Action: `agree again: starter connection edit "withdrawn" --agree`},
		{Alert: "ops", Reason: "2 messages are not delivered; delivery is retried for 3 days", Action: `find out why: starter alert test "ops"`},
		{Export: "spring", RunID: id, Status: run.Skipped, Reason: "too many contacts", Action: "make it smaller"},
	}, status())
}

// What is asked for by a wrong name is named as that.
func TestRunsThatDoNotExist(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	for ref, want := range map[string]string{
		"spring": `the export "spring" has not run yet; start it: starter run "spring"`,
		"summer": `no export is called "summer", and no run has an id that begins with it; see: starter runs list`,
		"":       "there is no run yet; start one with: starter run EXPORT",
	} {
		_, err := s.FindRun(t.Context(), ref)
		require.EqualError(t, err, want)
	}
	_, err := s.runsList(t.Context(), command.Caller{}, protocol.RunsListArgs{Status: "faild"})
	require.ErrorContains(t, err, `unknown status "faild" (did you mean "failed"?)`)
	_, err = s.runsList(t.Context(), command.Caller{}, protocol.RunsListArgs{Export: "summer"})
	require.ErrorContains(t, err, "summer")
	_, err = s.runsList(t.Context(), command.Caller{}, protocol.RunsListArgs{Export: "spring"})
	require.NoError(t, err)
}

// A second run is refused with what the first one waits for.
func TestASecondRunIsToldWhatTheFirstWaitsFor(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	id := "5b7f3c52-0000-4000-8000-000000000001"
	require.NoError(t, s.Store.CreateRun(t.Context(), store.Run{ID: id, Export: "spring", Connection: "shop", Brand: "b", Status: string(run.Parked),
		Report: record.Encode(run.Report{Reason: "guard shrunk: far fewer.", Action: "approve it or cancel it"}), Request: record.Encode(run.Request{})}))
	_, err := s.BeginRun(t.Context(), "another", "spring", run.Request{Yes: true}, false)
	require.EqualError(t, err, "run "+id+` of the export "spring" is parked: guard shrunk: far fewer.`+"\nTo do: approve it or cancel it")

	require.NoError(t, s.ControlRun(t.Context(), id, func(c *run.Control) error { c.Canceled = true; return nil }))
	answer, err := s.runsShow(t.Context(), command.Caller{}, protocol.RunRef{Run: "spring"})
	require.NoError(t, err)
	require.Equal(t, run.Canceling, answer.(*protocol.RunAnswer).Status)
	_, err = s.BeginRun(t.Context(), "another", "spring", run.Request{}, false)
	require.EqualError(t, err, `the export "spring" is already running (run `+id+", canceling); watch it: starter runs watch "+id)
}
