package delivery_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
)

// verify compares a sample of the export's ledger with the account, to its end.
func (s *steps) verify(id string, sample int) (*delivery.VerifyResult, protocol.VerifyAnswer) {
	s.T.Helper()
	in := s.allowed(id, sample)
	for {
		result, err := s.Delivery.Verify(s.T.Context(), in, job.Execution{Workflow: in.WorkflowID()})
		require.NoError(s.T, err)
		if result.Done || result.Halt != nil {
			found, err := s.Delivery.Verified(s.T.Context(), id)
			require.NoError(s.T, err)
			return result, found
		}
	}
}

func (s *steps) allowed(id string, sample int) delivery.VerifyInput {
	s.T.Helper()
	in := delivery.VerifyInput{ID: id, Export: "spring", Sample: sample}
	var err error
	in.Ticket, err = s.Ticket(in.TicketFor()...)
	require.NoError(s.T, err)
	return in
}

// A comparison finds contacts that do not carry their marker any more, and no
// others.
func TestVerifyFindsWhatDiffers(t *testing.T) {
	s := carriedBy(t)
	result, found := s.verify("all is well", 100)
	require.Equal(t, &delivery.VerifyResult{Done: true, Checked: 20}, result)
	require.Equal(t, protocol.VerifyAnswer{Export: "spring", Ledger: 20, Sample: 20, Checked: 20, Differences: []protocol.VerifyDifference{}}, found)

	changed := *s.At("person3@example.com")
	changed.Properties = map[string]any{"segment_buyers": false}
	s.Target.Sandbox.Seed(omnisendtest.Brand, changed)
	result, found = s.verify("one lost its marker", 100)
	require.Equal(t, 1, result.Differences)
	require.Len(t, found.Differences, 1)
	require.Equal(t, "person3@example.com", found.Differences[0].Email)
	require.False(t, found.Differences[0].Gone)
	require.Equal(t, []string{"segment_buyers"}, found.Differences[0].Missing)
}

// A sample looks up as many contacts as it says, and none twice.
func TestVerifySamples(t *testing.T) {
	s := carriedBy(t)
	result, found := s.verify("a sample", 7)
	require.Equal(t, 7, result.Checked)
	require.Equal(t, 7, found.Sample)
	require.Equal(t, 20, found.Ledger)
}

// A comparison needs a worker's ticket, for exactly it, in its own workflow.
func TestVerifyNeedsItsTicket(t *testing.T) {
	s := carriedBy(t)
	in := s.allowed("one", 5)
	other := in
	other.Sample = 2000
	for name, try := range map[string]struct {
		in delivery.VerifyInput
		by job.Execution
	}{
		"another workflow": {in, job.Execution{Workflow: "export/spring"}},
		"another sample":   {other, job.Execution{Workflow: in.WorkflowID()}},
		"no ticket":        {delivery.VerifyInput{ID: "one", Export: "spring", Sample: 5}, job.Execution{Workflow: in.WorkflowID()}},
	} {
		_, err := s.Delivery.Verify(t.Context(), try.in, try.by)
		var final *job.FinalError
		require.ErrorAs(t, err, &final, name)
	}
}

// carriedBy has an export of 20 contacts that ran.
func carriedBy(t *testing.T) *steps {
	t.Helper()
	s := newSteps(t, sandbox.Options{})
	rows := make([]string, 0, 20)
	for i := range 20 {
		rows = append(rows, "person"+strconv.Itoa(i)+"@example.com,Ann")
	}
	s.Write(rows...)
	require.Equal(t, 20, s.Run().New)
	return s
}
