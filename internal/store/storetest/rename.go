package storetest

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/store"
)

var renameTests = map[string]func(t *testing.T, f fixture){
	"an object gets another name, and what refers to it follows": func(t *testing.T, f fixture) {
		require.NoError(t, f.CreateObject(t.Context(), object("connection", "shop")))
		require.NoError(t, f.CreateObject(t.Context(), object("export", "spring")))
		to := store.Object{Kind: "connection", Name: "the shop", Version: 1, Body: json.RawMessage(`{"n":1}`), Sealed: []byte("again")}
		user := store.Object{Kind: "export", Name: "spring", Version: 1, Body: json.RawMessage(`{"c":"the shop"}`)}
		require.NoError(t, f.RenameObject(t.Context(), "shop", to, user))
		to.Version, user.Version, user.Sealed = 2, 2, object("export", "spring").Sealed
		got, err := f.Object(t.Context(), "connection", "the shop")
		require.NoError(t, err)
		require.Equal(t, to, got)
		got, err = f.Object(t.Context(), "export", "spring")
		require.NoError(t, err)
		require.Equal(t, user, got)
		_, err = f.Object(t.Context(), "connection", "shop")
		require.ErrorIs(t, err, store.ErrNotFound)
		require.ErrorIs(t, f.RenameObject(t.Context(), "shop", to, user), store.ErrNotFound)
	},
	"what stands in the way of a name leaves all as it was": func(t *testing.T, f fixture) {
		for _, name := range []string{"shop", "other"} {
			require.NoError(t, f.CreateObject(t.Context(), object("connection", name)))
		}
		require.NoError(t, f.CreateObject(t.Context(), object("export", "spring")))
		to, user := object("connection", "other"), object("export", "spring")
		to.Version, user.Version = 1, 1
		require.ErrorIs(t, f.RenameObject(t.Context(), "shop", to, user), store.ErrExists)
		to.Name = "new"
		to.Version = 2
		require.ErrorIs(t, f.RenameObject(t.Context(), "shop", to, user), store.ErrConflict)
		to.Version, user.Version = 1, 7
		require.ErrorIs(t, f.RenameObject(t.Context(), "shop", to, user), store.ErrConflict, "another user changed the export")
		got, err := f.Object(t.Context(), "connection", "shop")
		require.NoError(t, err)
		require.Equal(t, int64(1), got.Version)
		_, err = f.Object(t.Context(), "connection", "new")
		require.ErrorIs(t, err, store.ErrNotFound)
	},
}
