package activities

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
	s.write("ann@example.com,Ann", "bob@example.com,Bob")
	require.Equal(t, 2, s.run().New)

	s.write("ann@example.com,Anna", "bob@example.com,Bob", "cy@example.com,Cy")
	r := s.begin(run.Request{Yes: true})
	s.upload(r)
	r = s.finish(r, run.Canceled)
	require.Equal(t, 2, r.Pending)
	require.Equal(t, "Anna", s.at("ann@example.com").Fields["firstName"])
	s.later(8 * 24 * time.Hour) // the results have expired

	s.write("ann@example.com,Ann", "bob@example.com,Bob")
	r = s.run()
	require.Equal(t, 1, r.Changed)
	require.Equal(t, 1, r.Unchanged)
	require.Equal(t, 1, r.Leavers, "it may carry the marker")
	require.Equal(t, "Ann", s.at("ann@example.com").Fields["firstName"])
	require.NotContains(t, s.at("cy@example.com").Properties, "segment_buyers")
	require.Equal(t, 2, s.run().Unchanged)
}

// A batch that was just made and answers 404 keeps nobody else waiting.
func TestABatchThatIsNotReadableYet(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("ann@example.com,Ann")
	r := s.begin(run.Request{Yes: true})
	s.upload(r)
	s.target.Clock.Advance(8 * 24 * time.Hour) // at Omnisend only: its batch is gone
	swept := s.sweep(r)
	require.Equal(t, 1, swept.Totals.Unsettled)
	require.Equal(t, 1, swept.Missing)
	require.Equal(t, s.storeNow.Now().Add(10*time.Minute), swept.MissingUntil)
	s.storeNow.Advance(10 * time.Minute)
	swept = s.sweep(r)
	require.Zero(t, swept.Totals.Unsettled)
	require.Zero(t, swept.Missing)
	require.Equal(t, []int{1}, swept.Uploads, "its contact goes again")
}

// Verdicts of a run that began before its export's ledger was dropped are not
// booked into the next ledger of that name.
func TestVerdictsOfAFormerLedger(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("ann@example.com,Ann", "bob@example.com,Bob")
	r := s.begin(run.Request{Yes: true})
	s.upload(r)
	require.Equal(t, 2, s.finish(r, run.Canceled).Pending)
	require.NoError(t, s.Store.DropLedger(t.Context(), "spring"))

	s.write("ann@example.com,Ann")
	r = s.run()
	require.Equal(t, 1, r.New)
	require.Zero(t, r.Leavers, "bob belonged to the former ledger")
	require.Equal(t, 1, s.run().Unchanged)
}

// A run that was taken up is listed as running.
func TestABegunRunIsRunning(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("ann@example.com,Ann")
	r := s.begin(run.Request{Yes: true})
	require.Equal(t, run.Running, s.stored(r.RunID).Status)
}

// An export that wants a full run now and then gets it when the time has come,
// and not before.
func TestAFullRunNowAndThen(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	spec := s.export.ExportSpec
	spec.FullEvery = 30
	s.remap(spec)
	s.write("ann@example.com,Ann", "bob@example.com,Bob")
	require.Equal(t, 2, s.run().New)
	s.later(29 * 24 * time.Hour)
	require.Equal(t, 2, s.run().Unchanged)
	s.later(24 * time.Hour)
	r := s.run()
	require.Equal(t, 2, r.Changed)
	require.True(t, r.Full)
	require.Equal(t, 2, s.run().Unchanged, "the next one is due in 30 days")
}
