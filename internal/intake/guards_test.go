package intake_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/delivery/deliverytest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
)

// One of two segments shrinks to almost nothing while the other still has its
// people: the export as a whole has lost nobody.
func TestOneSegmentOfTwoShrinks(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.TwoSegments()
	s.People("buyers", 0, 542, deliverytest.PlainName)
	s.People("readers", 0, 600, deliverytest.PlainName)
	require.Equal(t, 600, s.Run().New)

	s.People("buyers", 0, 5, deliverytest.PlainName)
	r := s.Begin(run.Request{})
	require.Zero(t, r.LeaversDue, "all are in the other segment")
	require.Equal(t, []int{537, 0}, []int{r.Segments[0].Left, r.Segments[1].Left})
	require.Len(t, r.Guards, 1)
	require.Equal(t, catalogue.GuardShrunk, r.Guards[0].Guard)
	require.Equal(t, "segment buyers has 5 members, 99 % fewer than the 542 of the last complete read", r.Guards[0].Message)
	s.Approve(r.RunID, catalogue.GuardShrunk)
	s.Upload(r)
	s.Sweep(r)
	require.Equal(t, 537, s.Finish(r, "").Changed)
	require.NotContains(t, s.At("person541@example.com").Properties, "segment_buyers")

	again := s.Begin(run.Request{})
	require.Empty(t, again.Guards, "what was approved is what the next run is compared with")
	require.Equal(t, 600, again.Unchanged)
}

// A file that was saved in another encoding has rows that cannot be read. The
// people in them have not left, and cannot be distinguished from those who have.
func TestNobodyLeavesASegmentWithRowsThatCannotBeRead(t *testing.T) {
	for name, spoilt := range map[string]string{"not decodable": "P\xe9ter", "of a wrong shape": "Pe,ter"} {
		t.Run(name, func(t *testing.T) {
			s := newSteps(t, sandbox.Options{})
			s.TwoSegments()
			s.People("buyers", 0, 300, deliverytest.PlainName)
			s.People("readers", 200, 400, deliverytest.PlainName)
			require.Equal(t, 400, s.Run().New)

			s.People("buyers", 10, 300, func(i int) string { // the first ten have left
				if i < 13 {
					return spoilt
				}
				return deliverytest.PlainName(i)
			})
			s.People("readers", 200, 390, deliverytest.PlainName)
			r := s.Begin(run.Request{Yes: true})
			require.Empty(t, r.Guards)
			require.Equal(t, []int{3, 3, 0}, []int{r.Segments[0].Invalid, r.Segments[0].Unreadable, r.Segments[0].Left})
			require.Equal(t, []int{0, 0, 10}, []int{r.Segments[1].Invalid, r.Segments[1].Unreadable, r.Segments[1].Left})
			require.Equal(t, 10, r.LeaversDue)
			require.Contains(t, r.Notes, `segment "buyers" has rows that could not be read (3): a missing contact may be in one of them, so none loses its marker (contacts that keep it: 13)`)
			s.Upload(r)
			s.Sweep(r)
			require.Equal(t, 10, s.Finish(r, "").Leavers)
			for i := range 13 {
				require.Contains(t, s.At(fmt.Sprintf("person%d@example.com", i)).Properties, "segment_buyers")
			}
			require.NotContains(t, s.At("person399@example.com").Properties, "segment_readers")

			s.People("buyers", 10, 300, deliverytest.PlainName)
			r = s.Begin(run.Request{Yes: true})
			require.Equal(t, []int{10, 10, 380}, []int{r.Segments[0].Left, r.LeaversDue, r.Unchanged})
			require.Empty(t, r.Notes)
		})
	}
}

// A contact that leaves one segment and may still be in another loses the marker
// of the first alone, and that of the other once it can be read.
func TestALeaverKeepsTheMarkerThatIsInDoubt(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.TwoSegments()
	s.People("buyers", 0, 3, deliverytest.PlainName)
	s.People("readers", 0, 3, deliverytest.PlainName)
	require.Equal(t, 3, s.Run().New)

	s.People("buyers", 0, 3, func(i int) string { return []string{"Ann", "Bo", "C\xe9"}[i] })
	s.People("readers", 0, 2, deliverytest.PlainName)
	require.Equal(t, 1, s.Run().Leavers)
	require.Equal(t, map[string]any{"segment_buyers": true}, s.At("person2@example.com").Properties)

	s.People("buyers", 0, 2, deliverytest.PlainName)
	require.Equal(t, 1, s.Run().Leavers)
	require.Empty(t, s.At("person2@example.com").Properties)
	require.Zero(t, s.Begin(run.Request{}).LeaversDue)
}

// The first run and a retry say which rows could not be read.
func TestTheFirstRunAndRetriesSayWhatCouldNotBeRead(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.People("buyers", 0, 3, func(i int) string { return []string{"Ann", "Bo", "C\xe9"}[i] })
	r := s.Begin(run.Request{})
	require.Contains(t, r.Guards[0].Message, "; rows that could not be read, and are not among them: 1")
	require.Contains(t, r.Notes[0], "rows that could not be read (1)")
	r = s.Begin(run.Request{Retry: true})
	require.Contains(t, r.Notes[0], "rows that could not be read (1)")
}
