package e2e

import (
	"context"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

// What can be wrong with a file, as the user of the command line meets it: a
// sentence with file and line, or a counted reject; nothing is sent of a file
// that cannot be read to its end.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := newShop(t, 10, sandbox.Options{Seed: 5})
	s.open(activities.Tuning{})
	s.must("source", "add", "crm", "--kind", "files", "--path", "segments")
	s.must("connection", "add", "Spring shop", "--api-key-file", s.path("key.txt"), "--agree", "--calls-per-minute", "0")
	add := []string{"export", "add", "spring", "--connection", "Spring shop", "--source", "crm", "--segment"}

	refused := func(exit int, says string, args ...string) {
		t.Helper()
		code, out, errs := s.starter(args...)
		require.Equal(t, exit, code, "%s%s", out, errs)
		require.Contains(t, errs, says)
		require.NotContains(t, errs, "goroutine")
	}
	refused(1, `segments/nowhere.csv: no such segment; there is "spring_buyers"`, append(append([]string{}, add...), append([]string{"nowhere"}, mapping...)...)...)
	refused(2, `has no field "Mail"`, append(append([]string{}, add...), "spring_buyers", "--map", "email=Mail")...)
	refused(1, "nowhere does not exist below the files root", "source", "add", "other", "--kind", "files", "--path", "nowhere")
	refused(2, `the attribute "email" is not mapped`, append(append([]string{}, add...), "spring_buyers", "--map", "city=City")...)
	s.replace([]byte("Id,Email,Name\n1,a@example.com,A\n"))
	s.must(append(append([]string{}, add...), "spring_buyers", "--id", "Id", "--map", "email=Email", "--map", "first-name=Name")...)

	for name, test := range map[string]struct {
		file   string
		reason string         // of a run that fails
		counts map[string]int // of a run that ends: rejects by reason
		sent   int
	}{
		"without the mapped column": {"Id,Mail,Name\n1,a@example.com,A\n", `segments/spring_buyers.csv has no column "Email"`, nil, 0},
		"cut off in quotes":         {"Id,Email,Name\n1,a@example.com,A\n2,\"b@example.com,B\n", "segments/spring_buyers.csv: line 3", nil, 0},
		"a row with too few":        {"Id,Email,Name\n1\n2,b@example.com,B\n", "", map[string]int{"email_missing": 1}, 1},
		"invalid UTF-8":             {"Id,Email,Name\n1,a@example.com,\xe9\n2,b@example.com,B\n", "", map[string]int{"invalid_utf8": 1}, 1},
		"a byte-order mark":         {"\ufeffId,Email,Name\r\n1,c@example.com,C\r\n", "", map[string]int{}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s.replace([]byte(test.file))
			before := s.sandbox.Stats(omnisendtest.Brand).Items
			code, out, errs := s.starter("run", "spring", "--yes", "--output", "json")
			r := s.show()
			require.NoError(t, r.Check())
			if test.reason != "" {
				require.Equal(t, 1, code, "%s%s", out, errs)
				require.Equal(t, run.Failed, r.Status)
				require.Contains(t, r.Reason, test.reason)
				require.NotEmpty(t, r.Action)
				require.Equal(t, before, s.sandbox.Stats(omnisendtest.Brand).Items, "nothing was sent")
				return
			}
			require.Contains(t, []int{0, 3}, code, "%s%s", out, errs)
			require.Equal(t, test.counts, r.Reasons)
			require.Equal(t, test.sent, r.Contacts)
		})
	}

	t.Run("a file that is gone", func(t *testing.T) {
		require.NoError(t, os.Remove(s.path("segments", "spring_buyers.csv")))
		code, out, errs := s.starter("run", "spring", "--yes", "--output", "json")
		require.Equal(t, 1, code, "%s%s", out, errs)
		require.Contains(t, s.show().Reason, "segments/spring_buyers.csv: no such segment")
	})
}

// A file that is replaced while it is read is read again from the start, and the
// report says so.
func TestAFileReplacedInMidRead(t *testing.T) {
	t.Parallel()
	s := newShop(t, 10, sandbox.Options{Seed: 5})
	// Parts of one row, and slices of a few of them: the worker comes back often.
	s.open(activities.Tuning{PartRows: 1, Slice: 20 * time.Millisecond})
	s.must("source", "add", "crm", "--kind", "files", "--path", "segments")
	s.must("connection", "add", "Spring shop", "--api-key-file", s.path("key.txt"), "--agree", "--calls-per-minute", "0")
	s.must("export", "add", "spring", "--connection", "Spring shop", "--source", "crm", "--segment", "spring_buyers", "--map", "email=Email")
	old := "Email\n" + strings.Repeat("old@example.com\n", 2000)
	s.replace([]byte(old))
	var asked atomic.Bool
	hook := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		asked.Store(true) // the preflight: reading follows
		next.ServeHTTP(w, r)
	}
	s.hook.Store(&hook)
	s.must("run", "spring", "--yes", "--detach")
	s.eventually("reading has started", func() bool { return asked.Load() && s.reading() > 0 })
	s.replace([]byte("Email\nnew@example.com\n"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, s.client.GetWorkflow(ctx, "export/spring", "").Get(ctx, nil))
	r := s.show()
	require.Equal(t, run.Completed, r.Status, r.Reason)
	require.NoError(t, r.Check())
	require.Equal(t, []string{`segment "spring_buyers" was replaced while it was being read; it was read again from the start`}, r.Notes)
	require.Equal(t, 1, r.Read)
	require.Equal(t, []string{"new@example.com"}, keys(s.sandbox.Contacts(omnisendtest.Brand)))
}

// reading is how many rows the run has read so far.
func (s *shop) reading() int {
	answer, err := s.client.QueryWorkflow(s.t.Context(), "export/spring", "", protocol.ProgressQuery)
	if err != nil {
		return 0
	}
	var p protocol.Progress
	require.NoError(s.t, answer.Get(&p))
	return p.Read
}

func keys(all map[string]sandbox.Contact) []string {
	var names []string
	for name := range all {
		names = append(names, name)
	}
	return names
}
