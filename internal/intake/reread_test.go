package intake_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/intake"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
)

// A segment that is replaced while it is read is read again, and decided about
// as if the first read had never been, whatever parts it left.
func TestARereadIsDecidedAbout(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Tuning.PartRows, s.Tuning.Slice = 1, 1
	for round := range 3 {
		var rows []string
		for i := range 20 {
			rows = append(rows, fmt.Sprintf("old%d-%d@example.com,Old", round, i))
		}
		s.Write(rows...)
		r := s.Take(run.Request{Yes: true})
		for range 10 + round {
			read, err := s.Intake.Collect(t.Context(), intake.CollectInput{RunID: r.RunID})
			require.NoError(t, err)
			require.False(t, read.Done)
		}
		s.Write(fmt.Sprintf("new%d@example.com,New", round))
		r = s.Read(r)
		require.Len(t, r.Notes, 1)
		require.Equal(t, 1, r.Read)
		r = s.Decide(r)
		require.Equal(t, 1, r.Contacts)
		s.Finish(r, run.Canceled)
	}
}
