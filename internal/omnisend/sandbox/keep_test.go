package sandbox_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
)

// A sandbox that is started again with its file knows what the one before had
// answered for, also when that was not closed: a process may be killed.
func TestASandboxIsStartedAgain(t *testing.T) {
	clock := omnisendtest.NewClock()
	file := filepath.Join(t.TempDir(), "sandbox.db")
	begin := func() *omnisendtest.Target {
		x := omnisendtest.Start(t, sandbox.Options{File: file, Now: clock.Now, BatchDelay: time.Minute, TrackReceived: true,
			Faults: sandbox.Faults{PoisonItems: []string{"poison@example.com"}}})
		t.Cleanup(func() { require.NoError(t, x.Sandbox.Close()) })
		return x
	}
	first := begin()
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	seeded := sandbox.Contact{Email: "Old@example.com", Status: "unsubscribed", Properties: map[string]any{"points": 5.0},
		Phones: map[string]sandbox.Phone{"+15551234567": {Status: "subscribed"}}}
	first.Sandbox.Seed(omnisendtest.Brand, seeded)
	done, err := first.API.CreateBatch(t.Context(), "done", [][]byte{
		omnisendtest.Item("a@example.com", `"firstName":"Zoë"`), omnisendtest.Item("poison@example.com", "")})
	require.NoError(t, err)
	clock.Advance(time.Minute)
	_, err = first.API.Batch(t.Context(), done)
	require.NoError(t, err)
	open, err := first.API.CreateBatch(t.Context(), "open", [][]byte{omnisendtest.Item("b@example.com", "")})
	require.NoError(t, err)
	segment, err := first.API.CreateSegment(t.Context(), "Buyers", "segment_buyers")
	require.NoError(t, err)
	before := first.Sandbox.Contacts(omnisendtest.Brand)
	require.Len(t, before, 2)

	second := begin()
	require.Equal(t, before, second.Sandbox.Contacts(omnisendtest.Brand))
	b, err := second.API.BatchItems(t.Context(), done)
	require.NoError(t, err)
	require.Equal(t, []any{omnisend.BatchFinished, 2, 1, "done"}, []any{b.Status, b.FinishedCount, b.ErrorsCount, b.Origin})
	verdicts := omnisend.Judge(b).ByEmail
	require.True(t, verdicts["a@example.com"].OK)
	require.Equal(t, 400, verdicts["poison@example.com"].Code)
	b, err = second.API.Batch(t.Context(), open)
	require.NoError(t, err)
	require.Equal(t, omnisend.BatchPending, b.Status)
	page, err := second.API.ListSegments(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, []omnisend.Segment{segment}, page.Segments)

	again, err := second.API.CreateBatch(t.Context(), "again", [][]byte{omnisendtest.Item("b@example.com", "")})
	require.NoError(t, err)
	require.NotContains(t, []string{done, open}, again)
	require.Equal(t, 1, second.Sandbox.Stats(omnisendtest.Brand).Overlaps, "the open batch has the same contact")
	clock.Advance(time.Minute)
	all, err := omnisendtest.AllBatches(t.Context(), second.API)
	require.NoError(t, err)
	require.Equal(t, []string{again, open, done}, []string{all[0].ID, all[1].ID, all[2].ID})
	for _, b := range all {
		require.Equal(t, omnisend.BatchFinished, b.Status)
	}
	require.Contains(t, second.Sandbox.Contacts(omnisendtest.Brand), "b@example.com")

	clock.Advance(8 * 24 * time.Hour) // results are kept for 7 days
	_, err = second.API.CreateBatch(t.Context(), "late", [][]byte{omnisendtest.Item("c@example.com", "")})
	require.NoError(t, err)
	all, err = omnisendtest.AllBatches(t.Context(), begin().API)
	require.NoError(t, err)
	require.Len(t, all, 1)
}

// A file that is none of a sandbox's is left alone.
func TestAFileThatIsNoSandboxs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "other")
	require.NoError(t, os.WriteFile(file, []byte("not a database, but longer than its header would be"), 0o600))
	_, err := sandbox.New(sandbox.Options{File: file})
	require.ErrorContains(t, err, file)
}
