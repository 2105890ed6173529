package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
)

// One of two segments shrinks while the other keeps its people: the run parks
// before it clears a marker. Rows that cannot be read clear none either.
func TestEachSegmentIsGuarded(t *testing.T) {
	t.Parallel()
	s := newShop(t, 0, sandbox.Options{Seed: 5})
	people := func(segment string, from, to, spoilt int) {
		var content strings.Builder
		content.WriteString("Id,Email,Name\n")
		for i := from; i < to; i++ {
			name := fmt.Sprintf("Person %d", i)
			if i < spoilt {
				name += ",one value too many"
			}
			fmt.Fprintf(&content, "%d,person%d@example.com,%s\n", i, i, name)
		}
		require.NoError(t, os.WriteFile(s.path("new"), []byte(content.String()), 0o600))
		require.NoError(t, os.Rename(s.path("new"), s.path("segments", segment+".csv")))
	}
	marked := func(property string) int {
		n := 0
		for _, c := range s.sandbox.Contacts(omnisendtest.Brand) {
			if c.Properties[property] == true {
				n++
			}
		}
		return n
	}
	people("buyers", 0, 542, 0)
	people("readers", 0, 600, 0)
	s.open(activities.Tuning{})
	s.must("source", "add", "crm", "--kind", "files", "--path", "segments")
	s.must("connection", "add", "Spring shop", "--api-key-file", s.path("key.txt"), "--agree", "--calls-per-minute", "0")
	s.must("export", "add", "spring", "--connection", "Spring shop", "--source", "crm", "--segment", "buyers", "--segment", "readers",
		"--id", "Id", "--map", "email=Email", "--map", "first-name=Name")
	_, r := s.run("--yes")
	require.Equal(t, 600, r.New)

	people("buyers", 0, 542, 98) // read as people who left, they would lose their markers
	code, out, _ := s.starter("run", "spring", "--yes", "--output", "json")
	require.Equal(t, 3, code)
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.NoError(t, r.Check())
	require.Equal(t, []int{98, 98, 0, 0}, []int{r.Segments[0].Invalid, r.Segments[0].Unreadable, r.Segments[0].Left, r.Leavers})
	require.Contains(t, r.Notes[0], "(contacts that keep it: 98)")
	require.Equal(t, 542, marked("segment_buyers"))

	people("buyers", 0, 5, 0)
	code, r = s.run("--yes")
	require.Equal(t, 4, code)
	require.Equal(t, run.Parked, r.Status)
	require.Contains(t, r.Reason, "guard shrunk: segment buyers has 5 members, 99 % fewer than the 444 of the last complete read")
	require.Equal(t, 542, marked("segment_buyers"))
	_, text, _ := s.starter("runs", "show", "spring")
	require.Regexp(t, `SEGMENT +READ +MEMBERS +DUPLICATE +INVALID +LEFT +MARKER\nbuyers +5 +5 +0 +0 +537 +segment_buyers`, text)
	s.must("runs", "approve", r.RunID, "--guard", "shrunk")
	s.eventually("the run continues", func() bool { return s.show().Status.Complete() })
	require.Equal(t, []int{5, 600}, []int{marked("segment_buyers"), marked("segment_readers")})
}
