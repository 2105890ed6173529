package activities

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
)

// people writes a segment of numbered people; name makes each one's name.
func (s *steps) people(segment string, from, to int, name func(int) string) {
	s.t.Helper()
	var content strings.Builder
	content.WriteString("Id,Email,Name\n")
	for i := from; i < to; i++ {
		fmt.Fprintf(&content, "%d,person%d@example.com,%s\n", i, i, name(i))
	}
	require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, "new"), []byte(content.String()), 0o600))
	require.NoError(s.t, os.Rename(filepath.Join(s.dir, "new"), filepath.Join(s.dir, segment+".csv")))
}

func plainName(i int) string { return fmt.Sprintf("Person %d", i) }

// twoSegments makes the export one of buyers and of readers.
func (s *steps) twoSegments() {
	s.t.Helper()
	spec := s.export.ExportSpec
	spec.Segments = append(spec.Segments, catalogue.ExportedSegment{Segment: "readers", Marker: "segment_readers"})
	s.remap(spec)
}

// One of two segments shrinks to almost nothing while the other still has its
// people: the export as a whole has lost nobody.
func TestOneSegmentOfTwoShrinks(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.twoSegments()
	s.people("buyers", 0, 542, plainName)
	s.people("readers", 0, 600, plainName)
	require.Equal(t, 600, s.run().New)

	s.people("buyers", 0, 5, plainName)
	r := s.begin(run.Request{})
	require.Zero(t, r.LeaversDue, "all are in the other segment")
	require.Equal(t, []int{537, 0}, []int{r.Segments[0].Left, r.Segments[1].Left})
	require.Len(t, r.Guards, 1)
	require.Equal(t, catalogue.GuardShrunk, r.Guards[0].Guard)
	require.Equal(t, "segment buyers has 5 members, 99 % fewer than the 542 of the last complete read", r.Guards[0].Message)
	s.approve(r.RunID, catalogue.GuardShrunk)
	s.upload(r)
	s.sweep(r)
	require.Equal(t, 537, s.finish(r, "").Changed)
	require.NotContains(t, s.at("person541@example.com").Properties, "segment_buyers")

	again := s.begin(run.Request{})
	require.Empty(t, again.Guards, "what was approved is what the next run is compared with")
	require.Equal(t, 600, again.Unchanged)
}

// A file that was saved in another encoding has rows that cannot be read. The
// people in them have not left, and those who have cannot be told from them.
func TestNobodyLeavesASegmentWithRowsThatCannotBeRead(t *testing.T) {
	for name, spoilt := range map[string]string{"not decodable": "P\xe9ter", "of a wrong shape": "Pe,ter"} {
		t.Run(name, func(t *testing.T) {
			s := newSteps(t, sandbox.Options{})
			s.twoSegments()
			s.people("buyers", 0, 300, plainName)
			s.people("readers", 200, 400, plainName)
			require.Equal(t, 400, s.run().New)

			s.people("buyers", 10, 300, func(i int) string { // the first ten have left
				if i < 13 {
					return spoilt
				}
				return plainName(i)
			})
			s.people("readers", 200, 390, plainName)
			r := s.begin(run.Request{Yes: true})
			require.Empty(t, r.Guards)
			require.Equal(t, []int{3, 3, 0}, []int{r.Segments[0].Invalid, r.Segments[0].Unreadable, r.Segments[0].Left})
			require.Equal(t, []int{0, 0, 10}, []int{r.Segments[1].Invalid, r.Segments[1].Unreadable, r.Segments[1].Left})
			require.Equal(t, 10, r.LeaversDue)
			require.Contains(t, r.Notes, `segment "buyers" has rows that could not be read (3): whoever is missing may be in one of them, so nobody loses its marker (contacts that keep it: 13)`)
			s.upload(r)
			s.sweep(r)
			require.Equal(t, 10, s.finish(r, "").Leavers)
			for i := range 13 {
				require.Contains(t, s.at(fmt.Sprintf("person%d@example.com", i)).Properties, "segment_buyers")
			}
			require.NotContains(t, s.at("person399@example.com").Properties, "segment_readers")

			s.people("buyers", 10, 300, plainName)
			r = s.begin(run.Request{Yes: true})
			require.Equal(t, []int{10, 10, 380}, []int{r.Segments[0].Left, r.LeaversDue, r.Unchanged})
			require.Empty(t, r.Notes)
		})
	}
}

// Whoever leaves one segment and may still be in another loses the marker of
// the first alone, and that of the other once it can be read.
func TestALeaverKeepsTheMarkerThatIsInDoubt(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.twoSegments()
	s.people("buyers", 0, 3, plainName)
	s.people("readers", 0, 3, plainName)
	require.Equal(t, 3, s.run().New)

	s.people("buyers", 0, 3, func(i int) string { return []string{"Ann", "Bo", "C\xe9"}[i] })
	s.people("readers", 0, 2, plainName)
	require.Equal(t, 1, s.run().Leavers)
	require.Equal(t, map[string]any{"segment_buyers": true}, s.at("person2@example.com").Properties)

	s.people("buyers", 0, 2, plainName)
	require.Equal(t, 1, s.run().Leavers)
	require.Empty(t, s.at("person2@example.com").Properties)
	require.Zero(t, s.begin(run.Request{}).LeaversDue)
}

// The first run and a retry say which rows could not be read.
func TestTheFirstRunAndRetriesSayWhatCouldNotBeRead(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.people("buyers", 0, 3, func(i int) string { return []string{"Ann", "Bo", "C\xe9"}[i] })
	r := s.begin(run.Request{})
	require.Contains(t, r.Guards[0].Message, "; rows that could not be read, and are not among them: 1")
	require.Contains(t, r.Notes[0], "rows that could not be read (1)")
	r = s.begin(run.Request{Retry: true})
	require.Contains(t, r.Notes[0], "rows that could not be read (1)")
}
