package storetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/store"
)

var resealingTests = map[string]func(t *testing.T, f fixture){
	"everything sealed is gone through, page by page": func(t *testing.T, f fixture) {
		want := f.fillSealed(t)
		for place, n := range want {
			for _, limit := range []int{1, 2, 100} {
				var all []store.Sealed
				after := store.Sealed{}
				for {
					page, err := f.SealedAt(t.Context(), place, after, limit)
					require.NoError(t, err)
					if len(page) == 0 {
						break
					}
					require.LessOrEqual(t, len(page), limit)
					all = append(all, page...)
					after = page[len(page)-1]
				}
				require.Len(t, all, n, place)
			}
		}
	},
	"what has changed meanwhile is left alone": func(t *testing.T, f fixture) {
		for place := range f.fillSealed(t) {
			all, err := f.SealedAt(t.Context(), place, store.Sealed{}, 100)
			require.NoError(t, err)
			did, err := f.Reseal(t.Context(), place, all[0], []byte("again"))
			require.NoError(t, err)
			require.True(t, did)
			did, err = f.Reseal(t.Context(), place, all[0], []byte("again"))
			require.NoError(t, err)
			require.False(t, did, "it is not what it was")
			now, err := f.SealedAt(t.Context(), place, store.Sealed{}, 100)
			require.NoError(t, err)
			require.Equal(t, []byte("again"), now[0].Data)
			require.Equal(t, all[1:], now[1:], "nothing else has changed")
		}
	},
}

// fillSealed keeps something sealed at every place and says how many there are.
func (f fixture) fillSealed(t *testing.T) map[store.Place]int {
	t.Helper()
	ctx := t.Context()
	for i, name := range []string{"a", "b", "ż"} {
		require.NoError(t, f.CreateObject(ctx, object("connection", name)))
		require.NoError(t, f.CreateObject(ctx, store.Object{Kind: "export", Name: name, Body: []byte(`{}`)}))
		require.NoError(t, f.SaveLedgerMeta(ctx, name, some(i, 10)))
		for shard := range 3 {
			require.NoError(t, f.SaveLedgerShard(ctx, name, shard, some(shard, 30)))
		}
		require.NoError(t, f.CommitStep(ctx, store.Step{Run: name, Blobs: []store.Blob{
			{Kind: store.BlobPart, Data: some(1, 9)}, {Kind: store.BlobPart, Seq: 1, Data: some(2, 9)},
			{Kind: store.BlobReject, Group: 1, Data: some(3, 9)}, {Kind: store.BlobBatch, Group: 0, Seq: 7, Data: some(4, 9)}}}))
	}
	return map[store.Place]int{store.PlaceObject: 3, store.PlaceNote: 3, store.PlaceShard: 9, store.PlaceBlob: 12}
}
