package delivery_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
)

// Omnisend has taken a change whose verdict never came, and the source has the
// former data again: the account is brought back to it, though the ledger's
// last confirmed content is the very same.
func TestAContactWithoutAVerdictIsSentAgain(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("ann@example.com,Ann", "bob@example.com,Bob")
	require.Equal(t, 2, s.Run().New)

	s.Write("ann@example.com,Anna", "bob@example.com,Bob", "cy@example.com,Cy")
	r := s.Begin(run.Request{Yes: true})
	s.Upload(r)
	r = s.Finish(r, run.Canceled)
	require.Equal(t, 2, r.Pending)
	require.Equal(t, "Anna", s.At("ann@example.com").Fields["firstName"])
	s.Later(8 * 24 * time.Hour) // the results have expired

	s.Write("ann@example.com,Ann", "bob@example.com,Bob")
	r = s.Run()
	require.Equal(t, 1, r.Changed)
	require.Equal(t, 1, r.Unchanged)
	require.Equal(t, 1, r.Leavers, "it may carry the marker")
	require.Equal(t, "Ann", s.At("ann@example.com").Fields["firstName"])
	require.NotContains(t, s.At("cy@example.com").Properties, "segment_buyers")
	require.Equal(t, 2, s.Run().Unchanged)
}

// A batch that was just made and answers 404 keeps nobody else waiting.
func TestABatchThatIsNotReadableYet(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("ann@example.com,Ann")
	r := s.Begin(run.Request{Yes: true})
	s.Upload(r)
	s.Target.Clock.Advance(8 * 24 * time.Hour) // at Omnisend only: its batch is gone
	swept := s.Sweep(r)
	require.Equal(t, 1, swept.Totals.Unsettled)
	require.Equal(t, 1, swept.Missing)
	require.Equal(t, s.StoreNow.Now().Add(10*time.Minute), swept.MissingUntil)
	s.StoreNow.Advance(10 * time.Minute)
	swept = s.Sweep(r)
	require.Zero(t, swept.Totals.Unsettled)
	require.Zero(t, swept.Missing)
	require.Equal(t, []int{1}, swept.Uploads, "its contact goes again")
}

// Verdicts of a run that began before its export's ledger was dropped are not
// booked into the next ledger of that name.
func TestVerdictsOfAFormerLedger(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("ann@example.com,Ann", "bob@example.com,Bob")
	r := s.Begin(run.Request{Yes: true})
	s.Upload(r)
	require.Equal(t, 2, s.Finish(r, run.Canceled).Pending)
	require.NoError(t, s.Store.DropLedger(t.Context(), "spring"))

	s.Write("ann@example.com,Ann")
	r = s.Run()
	require.Equal(t, 1, r.New)
	require.Zero(t, r.Leavers, "bob belonged to the former ledger")
	require.Equal(t, 1, s.Run().Unchanged)
}

// A run that was taken up is listed as running.
func TestABegunRunIsRunning(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("ann@example.com,Ann")
	r := s.Begin(run.Request{Yes: true})
	require.Equal(t, run.Running, s.Stored(r.RunID).Status)
}

// An export that wants a full run now and then gets it when the time has come,
// and not before.
func TestAFullRunNowAndThen(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	spec := s.Export.ExportSpec
	spec.FullEvery = 30
	s.Remap(spec)
	s.Write("ann@example.com,Ann", "bob@example.com,Bob")
	require.Equal(t, 2, s.Run().New)
	s.Later(29 * 24 * time.Hour)
	require.Equal(t, 2, s.Run().Unchanged)
	s.Later(24 * time.Hour)
	r := s.Run()
	require.Equal(t, 2, r.Changed)
	require.True(t, r.Full)
	require.Equal(t, 2, s.Run().Unchanged, "the next one is due in 30 days")
}
