package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/store"
)

var spoolTests = map[string]func(t *testing.T, f fixture){
	"a step is stored, twice the same as once": func(t *testing.T, f fixture) {
		step := store.Step{Run: "r", Name: "collect/0", Lease: f.lease(t, "l"), State: []byte("cursor"), Blobs: []store.Blob{
			{Kind: store.BlobPart, Group: 0, Seq: 1, Data: some(1, 100)},
			{Kind: store.BlobPart, Group: 0, Seq: 0, Data: some(0, 100)},
			{Kind: store.BlobPart, Group: 1, Seq: 0, Data: some(2, 100)},
			{Kind: store.BlobReject, Group: 0, Seq: 0, Data: some(3, 100)},
		}}
		for range 2 {
			require.NoError(t, f.CommitStep(t.Context(), step))
			requireState(t, f, "r", "collect/0", []byte("cursor"))
			requireBlobs(t, f, "r", store.BlobPart, 0, step.Blobs[1], step.Blobs[0])
			requireBlobs(t, f, "r", store.BlobPart, 1, step.Blobs[2])
			requireBlobs(t, f, "r", store.BlobReject, 0, step.Blobs[3])
		}
		one, err := f.Blob(t.Context(), "r", store.BlobPart, 0, 1)
		require.NoError(t, err)
		require.Equal(t, step.Blobs[0], one)
	},
	"a later step replaces": func(t *testing.T, f fixture) {
		blob := store.Blob{Kind: store.BlobTail, Data: []byte("old")}
		require.NoError(t, f.CommitStep(t.Context(), store.Step{Run: "r", Name: "decide", State: []byte("1"), Blobs: []store.Blob{blob}}))
		blob.Data = []byte("new")
		require.NoError(t, f.CommitStep(t.Context(), store.Step{Run: "r", Name: "decide", State: []byte("2"), Blobs: []store.Blob{blob}}))
		requireState(t, f, "r", "decide", []byte("2"))
		requireBlobs(t, f, "r", store.BlobTail, 0, blob)
	},
	"drop goes first": func(t *testing.T, f fixture) {
		tail := store.Blob{Kind: store.BlobTail, Seq: 1, Data: []byte("tail")}
		part := store.Blob{Kind: store.BlobPart, Data: []byte("part")}
		batch := store.Blob{Kind: store.BlobBatch, Data: []byte("batch")}
		require.NoError(t, f.CommitStep(t.Context(), store.Step{Run: "r", Blobs: []store.Blob{tail, part, batch}}))
		require.NoError(t, f.CommitStep(t.Context(), store.Step{Run: "other", Blobs: []store.Blob{tail}}))
		tail.Seq = 2
		require.NoError(t, f.CommitStep(t.Context(), store.Step{
			Run: "r", Blobs: []store.Blob{tail}, Drop: []store.BlobKind{store.BlobTail, store.BlobPart},
		}))
		requireBlobs(t, f, "r", store.BlobTail, 0, tail)
		requireBlobs(t, f, "r", store.BlobPart, 0)
		requireBlobs(t, f, "r", store.BlobBatch, 0, batch)
		tail.Seq = 1
		requireBlobs(t, f, "other", store.BlobTail, 0, tail)
	},
	"a fenced step stores nothing": func(t *testing.T, f fixture) {
		part := store.Blob{Kind: store.BlobPart, Data: []byte("part")}
		require.NoError(t, f.CommitStep(t.Context(), store.Step{Run: "r", Name: "s", State: []byte("1"), Blobs: []store.Blob{part}}))
		step := store.Step{
			Run: "r", Name: "s", Lease: f.takenOver(t, "l"), State: []byte("2"),
			Blobs: []store.Blob{{Kind: store.BlobBatch}}, Drop: []store.BlobKind{store.BlobPart},
		}
		require.ErrorIs(t, f.CommitStep(t.Context(), step), store.ErrFenced)
		step.Lease = store.Lease{Name: "never taken", Token: 1}
		require.ErrorIs(t, f.CommitStep(t.Context(), step), store.ErrFenced)
		requireState(t, f, "r", "s", []byte("1"))
		requireBlobs(t, f, "r", store.BlobPart, 0, part)
		requireBlobs(t, f, "r", store.BlobBatch, 0)
	},
	"what is not there": func(t *testing.T, f fixture) {
		state, err := f.StepState(t.Context(), "r", "s")
		require.NoError(t, err)
		require.Nil(t, state)
		requireBlobs(t, f, "r", store.BlobPart, 0)
		_, err = f.Blob(t.Context(), "r", store.BlobPart, 0, 0)
		require.ErrorIs(t, err, store.ErrNotFound)
		require.NoError(t, f.DropSpool(t.Context(), "r"))
	},
	"empty states and blobs are there": func(t *testing.T, f fixture) {
		require.NoError(t, f.CommitStep(t.Context(), store.Step{
			Run: "r", Name: "s", State: []byte{}, Blobs: []store.Blob{{Kind: store.BlobPart}},
		}))
		requireState(t, f, "r", "s", []byte{})
		requireBlobs(t, f, "r", store.BlobPart, 0, store.Blob{Kind: store.BlobPart, Data: []byte{}})
	},
	"a step without a name has no state": func(t *testing.T, f fixture) {
		require.NoError(t, f.CommitStep(t.Context(), store.Step{Run: "r", State: []byte("lost")}))
		state, err := f.StepState(t.Context(), "r", "")
		require.NoError(t, err)
		require.Nil(t, state)
	},
	"big blobs": func(t *testing.T, f fixture) {
		var blobs []store.Blob
		for i := range 8 {
			blobs = append(blobs, store.Blob{Kind: store.BlobBatch, Group: -1, Seq: i, Data: some(i, 100_000<<(i/2))})
		}
		require.NoError(t, f.CommitStep(t.Context(), store.Step{Run: "r", Name: "s", State: some(9, 300_000), Blobs: blobs}))
		requireBlobs(t, f, "r", store.BlobBatch, -1, blobs...)
		requireState(t, f, "r", "s", some(9, 300_000))
	},
	"odd names": func(t *testing.T, f fixture) {
		for _, name := range odd[1:] {
			blob := store.Blob{Kind: store.BlobKind(name), Data: []byte(name)}
			require.NoError(t, f.CommitStep(t.Context(), store.Step{Run: name, Name: name, State: []byte(name), Blobs: []store.Blob{blob}}))
			requireState(t, f, name, name, []byte(name))
			requireBlobs(t, f, name, blob.Kind, 0, blob)
			require.NoError(t, f.DropSpool(t.Context(), name, blob.Kind))
			requireBlobs(t, f, name, blob.Kind, 0, blob)
		}
	},
	"a run's spool is removed but for what is kept": func(t *testing.T, f fixture) {
		for _, id := range []string{"r", "other"} {
			step := store.Step{Run: id, Name: "s", State: []byte("1")}
			for _, kind := range []store.BlobKind{store.BlobPart, store.BlobReject, store.BlobSamples} {
				step.Blobs = append(step.Blobs, store.Blob{Kind: kind, Data: []byte{1}})
			}
			require.NoError(t, f.CommitStep(t.Context(), step))
		}
		for range 2 {
			require.NoError(t, f.DropSpool(t.Context(), "r", store.BlobReject, store.BlobSamples))
			state, err := f.StepState(t.Context(), "r", "s")
			require.NoError(t, err)
			require.Nil(t, state)
			requireBlobs(t, f, "r", store.BlobPart, 0)
			requireBlobs(t, f, "r", store.BlobReject, 0, store.Blob{Kind: store.BlobReject, Data: []byte{1}})
			requireBlobs(t, f, "r", store.BlobSamples, 0, store.Blob{Kind: store.BlobSamples, Data: []byte{1}})
			requireState(t, f, "other", "s", []byte("1"))
			requireBlobs(t, f, "other", store.BlobPart, 0, store.Blob{Kind: store.BlobPart, Data: []byte{1}})
		}
		require.NoError(t, f.DropSpool(t.Context(), "r"))
		requireBlobs(t, f, "r", store.BlobReject, 0)
		requireBlobs(t, f, "r", store.BlobSamples, 0)
	},
	"old blobs expire": func(t *testing.T, f fixture) {
		for i := range 4 {
			require.NoError(t, f.CommitStep(t.Context(), store.Step{Run: fmt.Sprint(i), Blobs: []store.Blob{
				{Kind: store.BlobReject}, {Kind: store.BlobSamples},
			}}))
			f.clock.Advance(time.Hour)
		}
		before := f.clock.Now().Add(-2 * time.Hour) // exactly when the third was stored
		n, err := f.ExpireSpool(t.Context(), store.BlobReject, before)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		n, err = f.ExpireSpool(t.Context(), store.BlobReject, before)
		require.NoError(t, err)
		require.Zero(t, n)
		requireBlobs(t, f, "1", store.BlobReject, 0)
		requireBlobs(t, f, "2", store.BlobReject, 0, store.Blob{Kind: store.BlobReject, Data: []byte{}})
		requireBlobs(t, f, "0", store.BlobSamples, 0, store.Blob{Kind: store.BlobSamples, Data: []byte{}})
	},
	"steps of many at once": func(t *testing.T, f fixture) {
		errs := race(8, func(i int) error {
			return f.CommitStep(t.Context(), store.Step{
				Run: "r", Name: fmt.Sprint(i % 2), State: []byte("s"),
				Blobs: []store.Blob{{Kind: store.BlobPart, Seq: i, Data: some(i, 50_000)}, {Kind: store.BlobTail, Data: []byte("same")}},
			})
		})
		require.Equal(t, 8, count(errs, succeeded), "%v", errs)
		blobs, err := f.Blobs(t.Context(), "r", store.BlobPart, 0)
		require.NoError(t, err)
		require.Len(t, blobs, 8)
		for i, b := range blobs {
			require.Equal(t, store.Blob{Kind: store.BlobPart, Seq: i, Data: some(i, 50_000)}, b)
		}
	},
}

var ledgerTests = map[string]func(t *testing.T, f fixture){
	"shards and the note": func(t *testing.T, f fixture) {
		requireLedger(t, f, "spring", 0, nil, nil)
		for range 2 {
			require.NoError(t, f.SaveLedgerShard(t.Context(), "spring", 0, some(0, 200_000)))
			require.NoError(t, f.SaveLedgerShard(t.Context(), "spring", 255, some(1, 10)))
			require.NoError(t, f.SaveLedgerMeta(t.Context(), "spring", []byte("note")))
		}
		requireLedger(t, f, "spring", 0, some(0, 200_000), []byte("note"))
		requireLedger(t, f, "spring", 255, some(1, 10), []byte("note"))
		requireLedger(t, f, "spring", 1, nil, []byte("note"))
		requireLedger(t, f, "Spring", 0, nil, nil)

		require.NoError(t, f.SaveLedgerShard(t.Context(), "spring", 0, []byte("new")))
		require.NoError(t, f.SaveLedgerMeta(t.Context(), "spring", []byte("other")))
		requireLedger(t, f, "spring", 0, []byte("new"), []byte("other"))
	},
	"empty is not none": func(t *testing.T, f fixture) {
		require.NoError(t, f.SaveLedgerShard(t.Context(), "spring", 0, nil))
		require.NoError(t, f.SaveLedgerMeta(t.Context(), "spring", []byte{}))
		requireLedger(t, f, "spring", 0, []byte{}, []byte{})
	},
	"one export's is dropped": func(t *testing.T, f fixture) {
		for _, name := range odd {
			require.NoError(t, f.SaveLedgerShard(t.Context(), name, 3, []byte(name)))
			require.NoError(t, f.SaveLedgerMeta(t.Context(), name, []byte(name)))
		}
		for range 2 {
			require.NoError(t, f.DropLedger(t.Context(), odd[2]))
		}
		for i, name := range odd {
			if i == 2 {
				requireLedger(t, f, name, 3, nil, nil)
				continue
			}
			requireLedger(t, f, name, 3, []byte(name), []byte(name))
		}
	},
}

func requireState(t *testing.T, f fixture, run, name string, want []byte) {
	t.Helper()
	state, err := f.StepState(t.Context(), run, name)
	require.NoError(t, err)
	require.Equal(t, want, state)
}

func requireBlobs(t *testing.T, f fixture, run string, kind store.BlobKind, group int, want ...store.Blob) {
	t.Helper()
	blobs, err := f.Blobs(t.Context(), run, kind, group)
	require.NoError(t, err)
	require.Equal(t, want, blobs)
}

func requireLedger(t *testing.T, f fixture, export string, shard int, data, note []byte) {
	t.Helper()
	got, err := f.LedgerShard(t.Context(), export, shard)
	require.NoError(t, err)
	require.Equal(t, data, got)
	got, err = f.LedgerMeta(t.Context(), export)
	require.NoError(t, err)
	require.Equal(t, note, got)
}
