package delivery_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
)

// carried has an account that carries the markers of an export whose ledger was
// lost.
func carried(t *testing.T, contacts int) *steps {
	t.Helper()
	s := newSteps(t, sandbox.Options{})
	rows := make([]string, 0, contacts)
	for i := range contacts {
		rows = append(rows, fmt.Sprintf("person%d@example.com,Ann", i))
	}
	s.Write(rows...)
	require.Equal(t, contacts, s.Run().New)
	require.NoError(t, s.Store.DropLedger(t.Context(), "spring"))
	return s
}

// adopt takes the audience over, as far as it goes.
func (s *steps) adopt(r *run.Report) *delivery.AdoptResult {
	s.T.Helper()
	for {
		result, err := s.Delivery.Adopt(s.T.Context(), job.RunInput{RunID: r.RunID})
		require.NoError(s.T, err)
		if result.Done || result.Halt != nil {
			return result
		}
	}
}

// An audience whose sample carries the markers is booked and not sent: the next
// run finds nothing changed.
func TestAnAudienceIsTakenOver(t *testing.T) {
	s := carried(t, 30)
	r := s.Begin(run.Request{Adopt: true})
	require.Equal(t, 30, r.ToSend)
	require.Empty(t, r.Guards, "nothing is sent, so nothing is asked")
	require.Equal(t, &delivery.AdoptResult{Done: true, Checked: 30, Carry: 30}, s.adopt(r))
	r = s.Finish(r, "")
	require.Equal(t, run.Completed, r.Status)
	require.Zero(t, r.Calls)
	require.Contains(t, fmt.Sprint(r.Notes), "of 30 compared 30 carry their markers")
	require.Equal(t, 30, s.Run().Unchanged)
}

// An attempt that is cut off is continued by the next one.
func TestTakingOverGoesOnWhereItWasCutOff(t *testing.T) {
	s := carried(t, 30)
	r := s.Begin(run.Request{Adopt: true})
	s.Tuning.Slice = 1 // nanosecond: one attempt compares one contact
	attempts := 0
	for {
		result, err := s.Delivery.Adopt(t.Context(), job.RunInput{RunID: r.RunID})
		require.NoError(t, err)
		if attempts++; result.Done {
			break
		}
		require.LessOrEqual(t, result.Checked, 30)
		require.Less(t, attempts, 100)
		s.Tuning.Slice *= 2
	}
	require.Greater(t, attempts, 2)
	require.Equal(t, &delivery.AdoptResult{Done: true, Checked: 30, Carry: 30}, s.adopt(r))
	require.Equal(t, run.Completed, s.Finish(r, "").Status)
}

// An account that carries too few markers is not taken over, and nothing is
// booked.
func TestAnAudienceThatIsNotThereIsNotTakenOver(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("ann@example.com,Ann", "bob@example.com,Bob")
	r := s.Begin(run.Request{Adopt: true})
	result := s.adopt(r)
	require.False(t, result.Done)
	require.Equal(t, run.HaltFail, result.Halt.Kind)
	require.Contains(t, result.Halt.Reason, "only 0 of 2 sampled contacts carry the markers")
	s.Finish(r, run.Failed)
	require.Equal(t, 2, s.Begin(run.Request{Yes: true}).ToSend)
	require.Empty(t, s.Target.Sandbox.Contacts(omnisendtest.Brand))
}

// Only a run that was asked to takes an audience over.
func TestARunThatSendsTakesNothingOver(t *testing.T) {
	s := carried(t, 3)
	r := s.Begin(run.Request{Yes: true})
	_, err := s.Delivery.Adopt(t.Context(), job.RunInput{RunID: r.RunID})
	var final *job.FinalError
	require.ErrorAs(t, err, &final)
	require.ErrorContains(t, err, "it takes no audience over")
}
