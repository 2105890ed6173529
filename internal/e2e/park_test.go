package e2e

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/segment/synthetic"
)

// A segment that is suddenly a quarter as long, or empty, parks before the
// first call; what was approved then loses exactly its marker.
func TestShrunkenAndEmptySegmentsPark(t *testing.T) {
	t.Parallel()
	s := newShop(t, 400, sandbox.Options{Seed: 5})
	s.open(activities.Tuning{})
	s.define("--calls-per-minute", "0")
	_, first := s.run("--yes")
	before := s.sandbox.Stats(omnisendtest.Brand).Batches

	s.replace(nil)
	code, r := s.run("--yes")
	require.Equal(t, 4, code)
	require.Equal(t, run.Parked, r.Status)
	require.Contains(t, r.Reason, "guard empty")
	code, _, _ = s.starter("runs", "cancel", "spring")
	require.Zero(t, code)
	s.eventually("the run is canceled", func() bool { return s.show().Status == run.Canceled })

	for _, left := range []int{200, 100} { // half as long, and a quarter
		if r.Status == run.Parked && left < 200 {
			s.must("runs", "cancel", "spring")
			s.eventually("the run is canceled", func() bool { return s.show().Status == run.Canceled })
		}
		s.write(left, synthetic.Variant{})
		code, r = s.run("--yes")
		require.Equal(t, 4, code)
		require.Contains(t, r.Reason, "guard shrunk")
	}
	require.Equal(t, 4, code)
	require.Contains(t, r.Reason, "guard shrunk")
	require.Equal(t, before, s.sandbox.Stats(omnisendtest.Brand).Batches, "nothing was sent")
	s.must("runs", "approve", r.RunID, "--guard", "shrunk")
	s.eventually("the run continues", func() bool { return s.show().Status.Complete() })
	s.record("parked", protocol.ExportWorkflowType, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)
	last := s.show()
	require.NoError(t, last.Check())
	require.Equal(t, first.Contacts-last.Contacts, last.Leavers)
	marked := 0
	for _, c := range s.sandbox.Contacts(omnisendtest.Brand) {
		if c.Properties["segment_spring_buyers"] == true {
			marked++
		}
	}
	require.Equal(t, last.Contacts, marked)
}

// A file that cannot be read to its end fails the run with the place, and its
// report adds up all the same.
func TestBrokenFileFailsWithItsPlace(t *testing.T) {
	t.Parallel()
	s := newShop(t, 10, sandbox.Options{Seed: 5})
	s.open(activities.Tuning{})
	s.define("--calls-per-minute", "0")
	content, err := os.ReadFile(s.path("segments", "spring_buyers.csv"))
	require.NoError(t, err)
	s.replace(append(content, "x,\"never closed\n"...))
	code, out, errs := s.starter("run", "spring", "--yes", "--output", "json")
	require.Equal(t, 1, code, "%s%s", out, errs)
	r := s.show()
	require.NoError(t, r.Check())
	require.Equal(t, run.Failed, r.Status)
	require.Contains(t, r.Reason, "spring_buyers.csv: line ")
	require.Zero(t, s.sandbox.Stats(omnisendtest.Brand).Batches)
}

// A key that is revoked in mid-run parks the run, which continues after resume;
// afterwards no address and not the key stands in clear in any file.
func TestRevokedKeyParksAndNothingIsStoredInClear(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1000, sandbox.Options{Seed: 5})
	s.open(activities.Tuning{BatchSize: 100})
	s.define("--calls-per-minute", "0")
	var uploads atomic.Int32
	hook := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if isUpload(r) && uploads.Add(1) == 4 {
			s.sandbox.Revoke(omnisendtest.Key)
		}
		next.ServeHTTP(w, r)
	}
	s.hook.Store(&hook)
	s.must("run", "spring", "--yes", "--detach")
	s.eventually("the run parks", func() bool { return s.show().Status == run.Parked })
	require.Contains(t, s.show().Reason, "refused the API key")
	s.sandbox.Restore(omnisendtest.Key)
	s.must("runs", "resume", "spring")
	s.eventually("the run completes", func() bool { return s.show().Status.Complete() })
	r := s.show()
	require.NoError(t, r.Check())
	require.Equal(t, s.expected.Contacts, r.New)

	secrets := [][]byte{[]byte(omnisendtest.Key)}
	for address := range s.sandbox.Contacts(omnisendtest.Brand) {
		secrets = append(secrets, []byte(address))
		if len(secrets) > 50 {
			break
		}
	}
	files := 0
	require.NoError(t, filepath.WalkDir(s.path("data"), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		files++
		for _, secret := range secrets {
			require.Falsef(t, bytes.Contains(content, secret), "%s holds %s in clear", strings.TrimPrefix(path, s.dir), secret)
		}
		return nil
	}))
	require.GreaterOrEqual(t, files, 4)
}
