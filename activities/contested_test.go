package activities

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
	s.t.Helper()
	w := *s
	w.export.Name = "winter"
	w.export.Segments = []catalogue.ExportedSegment{{Segment: "readers", Marker: "segment_readers"}}
	w.export.Mapping = mapping
	s.put(catalogue.KindExport, "winter", w.export, nil)
	return &w
}

func (s *steps) readers(rows string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, "readers.csv"), []byte("Id,Email,Name,Nick\n"+rows), 0o600))
}

// Two exports fill the first name from different fields. While a contact is in
// both, the account has what was sent last; when it leaves one, the other sends
// it again.
func TestAContactThatLeavesARivalIsSentAgain(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	winter := s.winter(contact.Mapping{contact.Email: "Email", contact.FirstName: "Nick"})
	s.write("ann@example.com,Ann", "cid@example.com,Cid")
	s.readers("1,ann@example.com,Ann,Nan\n2,bob@example.com,Bob,Bobby\n")
	note := `1 attribute is filled by the export "winter" too, from another field (first-name)`
	r := s.begin(run.Request{Yes: true})
	require.Contains(t, r.Notes[0], note)
	s.upload(r)
	s.sweep(r)
	s.finish(r, "")
	require.Equal(t, 2, winter.run().New)
	require.Equal(t, "Nan", s.at("ann@example.com").Fields["firstName"])
	require.Equal(t, 2, s.run().Unchanged, "it is in both, and the last one sent wins")

	s.readers("2,bob@example.com,Bob,Bobby\n")
	require.Equal(t, 1, winter.run().Leavers)
	r = s.run()
	require.Equal(t, []int{1, 1}, []int{r.Changed, r.Unchanged})
	require.Equal(t, map[string]int{"profile": 1}, r.Differences)
	require.Equal(t, "Ann", s.at("ann@example.com").Fields["firstName"])
	require.Equal(t, 2, s.run().Unchanged, "once")
}

// Two exports of other segments with the same mapping do not concern each other.
func TestExportsWithTheSameMappingAreNoRivals(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	winter := s.winter(s.export.Mapping)
	s.write("ann@example.com,Ann")
	s.readers("1,ann@example.com,Ann,Nan\n2,bob@example.com,Bob,Bobby\n")
	require.Empty(t, s.run().Notes)
	winter.run()
	s.readers("2,bob@example.com,Bob,Bobby\n")
	require.Equal(t, 1, winter.run().Leavers)
	require.Equal(t, 1, s.run().Unchanged)
}
