package intake_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/intake"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
)

// fatFolder names, for the test program when it measures itself, the folder with
// the segment to read.
const fatFolder = "SEGMENT_EXPORT_TEST_FAT_FOLDER"

// A small file can hold rows as long as they may be: none of them is kept, as a
// contact or as a reject, so that the worker stays as small as with any file.
func TestFatRowsTakeNoMemory(t *testing.T) {
	if folder := os.Getenv(fatFolder); folder != "" {
		readFat(t, folder)
		return
	}
	fat := strings.Repeat("x", 900_000)
	folder := t.TempDir()
	var file bytes.Buffer
	file.Write(packed(t, "Id,Email,Name\n"))
	name, address := packed(t, "7,ann@example.com,"+fat+"\n"), packed(t, "8,"+fat+"@example.com,Bob\n")
	for range 1500 {
		file.Write(name)
		file.Write(address)
	}
	require.Less(t, file.Len(), 10<<20)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "fat.csv.gz"), file.Bytes(), 0o600))

	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFatRowsTakeNoMemory$", "-test.v")
	again.Env = append(os.Environ(), fatFolder+"="+folder, "GOMEMLIMIT=200MiB")
	out, err := again.CombinedOutput()
	require.NoError(t, err, string(out))
	_, after, found := strings.Cut(string(out), "peak KiB ")
	require.True(t, found, string(out))
	digits, _, _ := strings.Cut(after, "\n")
	peak, err := strconv.Atoi(strings.TrimSpace(digits))
	require.NoError(t, err)
	t.Logf("peak of %d MiB", peak>>10)
	require.Less(t, peak, 400<<10)
}

// packed is a text as a gzip file, which several may follow one another in.
func packed(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	require.NoError(t, err)
	_, err = w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// readFat reads and decides the segment and prints the most memory that this
// process ever had.
func readFat(t *testing.T, folder string) {
	t.Helper()
	s := newSteps(t, sandbox.Options{})
	spec := s.Export.ExportSpec
	spec.Segments = []catalogue.ExportedSegment{{Segment: "fat", Marker: "segment_fat"}}
	s.Remap(spec)
	require.NoError(t, os.Link(filepath.Join(folder, "fat.csv.gz"), filepath.Join(s.Dir, "fat.csv.gz")))
	r := s.Begin(run.Request{})
	require.Equal(t, []int{3000, 3000, 3000, 0}, []int{r.Read, r.Invalid, r.Segments[0].Unreadable, r.Contacts})
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(status), "VmHWM:")
	require.True(t, found)
	fmt.Println("peak KiB", strings.Fields(after)[0])
}

// Parts and batches are cut by bytes, not only by rows, and a reject keeps a
// bounded part of a value.
func TestPartsAndBatchesAreCutByBytes(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Tuning.PartBytes = 1000
	s.Write("ann@example.com,"+strings.Repeat("a", 900), "bob@example.com,"+strings.Repeat("b", 900), "cy@example.com,"+strings.Repeat("c", 900),
		strings.Repeat("d", 2000)+",D", "eve@example.com,"+strings.Repeat("e", 20_000))
	r := s.Read(s.Take(run.Request{}))
	state, err := s.Store.StepState(t.Context(), r.RunID, job.CollectStep(0))
	require.NoError(t, err)
	read, err := record.Decode[job.CollectState](state)
	require.NoError(t, err)
	require.Equal(t, map[string]int{"email_invalid": 1, "field_too_long": 1}, read.Reasons)
	require.Equal(t, 2, read.Parts, "of two contacts each, at most")
	require.Greater(t, read.Bytes, int64(2700))
	require.NoError(t, s.EachReject(t.Context(), r.RunID, func(reject protocol.Reject) {
		require.LessOrEqual(t, len(reject.Email), intake.MaxRejectValue+len("…"))
	}, job.RejectsRead))

	decided, err := s.Intake.Decide(t.Context(), job.RunInput{RunID: r.RunID})
	require.NoError(t, err)
	require.True(t, decided.Done)
	require.Equal(t, 3, decided.Report.ToSend)
	require.Equal(t, 3, decided.Uploads)
}
