package delivery_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
)

// winter is another export to the same account, of the segment readers.
func (s *steps) winter(mapping contact.Mapping) *steps {
	s.T.Helper()
	w := *s.Steps
	w.Export.Name = "winter"
	w.Export.Segments = []catalogue.ExportedSegment{{Segment: "readers", Marker: "segment_readers"}}
	w.Export.Mapping = mapping
	s.Put(catalogue.KindExport, "winter", w.Export, nil)
	return &steps{&w}
}

func (s *steps) readers(rows string) {
	s.T.Helper()
	require.NoError(s.T, os.WriteFile(filepath.Join(s.Dir, "readers.csv"), []byte("Id,Email,Name,Nick\n"+rows), 0o600))
}

// Two exports fill the first name from different fields. While a contact is in
// both, the account has what was sent last; when it leaves one, the other sends
// it again.
func TestAContactThatLeavesARivalIsSentAgain(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	winter := s.winter(contact.Mapping{contact.Email: "Email", contact.FirstName: "Nick"})
	s.Write("ann@example.com,Ann", "cid@example.com,Cid")
	s.readers("1,ann@example.com,Ann,Nan\n2,bob@example.com,Bob,Bobby\n")
	note := `1 attribute is filled by the export "winter" too, from another field (first-name)`
	r := s.Begin(run.Request{Yes: true})
	require.Contains(t, r.Notes[0], note)
	s.Upload(r)
	s.Sweep(r)
	s.Finish(r, "")
	require.Equal(t, 2, winter.Run().New)
	require.Equal(t, "Nan", s.At("ann@example.com").Fields["firstName"])
	require.Equal(t, 2, s.Run().Unchanged, "it is in both, and the last one sent wins")

	s.readers("2,bob@example.com,Bob,Bobby\n")
	require.Equal(t, 1, winter.Run().Leavers)
	r = s.Run()
	require.Equal(t, []int{1, 1}, []int{r.Changed, r.Unchanged})
	require.Equal(t, map[string]int{"profile": 1}, r.Differences)
	require.Equal(t, "Ann", s.At("ann@example.com").Fields["firstName"])
	require.Equal(t, 2, s.Run().Unchanged, "once")
}

// Two exports of other segments with the same mapping do not concern each other.
func TestExportsWithTheSameMappingAreNoRivals(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	winter := s.winter(s.Export.Mapping)
	s.Write("ann@example.com,Ann")
	s.readers("1,ann@example.com,Ann,Nan\n2,bob@example.com,Bob,Bobby\n")
	require.Empty(t, s.Run().Notes)
	winter.Run()
	s.readers("2,bob@example.com,Bob,Bobby\n")
	require.Equal(t, 1, winter.Run().Leavers)
	require.Equal(t, 1, s.Run().Unchanged)
}
