package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/store"
)

var catalogueTests = map[string]func(t *testing.T, f fixture){
	"an object is created, read, changed and removed": func(t *testing.T, f fixture) {
		o := object("export", "spring")
		require.NoError(t, f.CreateObject(t.Context(), o))
		o.Version = 1
		got, err := f.Object(t.Context(), "export", "spring")
		require.NoError(t, err)
		require.Equal(t, o, got)

		o.Body, o.Sealed = json.RawMessage(`{"a": 1}`), []byte("new")
		require.NoError(t, f.UpdateObject(t.Context(), o))
		o.Version = 2
		got, err = f.Object(t.Context(), "export", "spring")
		require.NoError(t, err)
		require.Equal(t, o, got)

		require.NoError(t, f.DeleteObject(t.Context(), "export", "spring", ""))
		_, err = f.Object(t.Context(), "export", "spring")
		require.ErrorIs(t, err, store.ErrNotFound)
	},
	"what is not there": func(t *testing.T, f fixture) {
		require.NoError(t, f.CreateObject(t.Context(), object("source", "crm")))
		_, err := f.Object(t.Context(), "source", "CRM")
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = f.Object(t.Context(), "export", "crm")
		require.ErrorIs(t, err, store.ErrNotFound)
		require.ErrorIs(t, f.UpdateObject(t.Context(), object("source", "other")), store.ErrNotFound)
		require.ErrorIs(t, f.DeleteObject(t.Context(), "source", "other", ""), store.ErrNotFound)
	},
	"a second one of the name is refused": func(t *testing.T, f fixture) {
		require.NoError(t, f.CreateObject(t.Context(), object("source", "crm")))
		other := object("source", "crm")
		other.Body = json.RawMessage(`{}`)
		require.ErrorIs(t, f.CreateObject(t.Context(), other), store.ErrExists)
		got, err := f.Object(t.Context(), "source", "crm")
		require.NoError(t, err)
		require.Equal(t, object("source", "crm").Body, got.Body)
		require.NoError(t, f.CreateObject(t.Context(), object("connection", "crm")), "another kind")
	},
	"a change needs the version that it was made from": func(t *testing.T, f fixture) {
		o := object("source", "crm")
		require.NoError(t, f.CreateObject(t.Context(), o))
		for _, version := range []int64{-1, 0, 2} {
			o.Version = version
			require.ErrorIs(t, f.UpdateObject(t.Context(), o), store.ErrConflict)
		}
		o.Version = 1
		require.NoError(t, f.UpdateObject(t.Context(), o))
		require.ErrorIs(t, f.UpdateObject(t.Context(), o), store.ErrConflict)
	},
	"a change without a secret leaves it": func(t *testing.T, f fixture) {
		o := object("connection", "shop")
		require.NoError(t, f.CreateObject(t.Context(), o))
		change := o
		change.Version, change.Sealed = 1, nil
		require.NoError(t, f.UpdateObject(t.Context(), change))
		got, err := f.Object(t.Context(), "connection", "shop")
		require.NoError(t, err)
		require.Equal(t, o.Sealed, got.Sealed)
	},
	"zero values": func(t *testing.T, f fixture) {
		require.NoError(t, f.CreateObject(t.Context(), store.Object{}))
		got, err := f.Object(t.Context(), "", "")
		require.NoError(t, err)
		require.Equal(t, store.Object{Version: 1}, got)
		none, err := f.Objects(t.Context(), "export")
		require.NoError(t, err)
		require.Empty(t, none)
	},
	"a list is sorted by bytes, of one kind, and without secrets": func(t *testing.T, f fixture) {
		for _, name := range odd {
			require.NoError(t, f.CreateObject(t.Context(), object("export", name)))
		}
		require.NoError(t, f.CreateObject(t.Context(), object("source", "other")))
		all, err := f.Objects(t.Context(), "export")
		require.NoError(t, err)
		var names []string
		for _, o := range all {
			names = append(names, o.Name)
			require.Nil(t, o.Sealed)
			require.Equal(t, int64(1), o.Version)
			require.Equal(t, object("export", o.Name).Body, o.Body)
			one, err := f.Object(t.Context(), "export", o.Name)
			require.NoError(t, err)
			require.NotNil(t, one.Sealed)
		}
		require.Equal(t, slices.Sorted(slices.Values(odd)), names)
	},
	"of many who create the same, one does": func(t *testing.T, f fixture) {
		errs := race(8, func(int) error { return f.CreateObject(t.Context(), object("export", "spring")) })
		require.Equal(t, 1, count(errs, succeeded))
		require.Equal(t, 7, count(errs, func(err error) bool { return errors.Is(err, store.ErrExists) }))
	},
	"of many who change the same version, one does": func(t *testing.T, f fixture) {
		o := object("export", "spring")
		require.NoError(t, f.CreateObject(t.Context(), o))
		o.Version = 1
		errs := race(8, func(i int) error {
			mine := o
			mine.Body = json.RawMessage(fmt.Sprint(i))
			return f.UpdateObject(t.Context(), mine)
		})
		require.Equal(t, 1, count(errs, succeeded))
		require.Equal(t, 7, count(errs, func(err error) bool { return errors.Is(err, store.ErrConflict) }))
		got, err := f.Object(t.Context(), "export", "spring")
		require.NoError(t, err)
		require.Equal(t, int64(2), got.Version)
		require.Equal(t, fmt.Sprint(slices.IndexFunc(errs, succeeded)), string(got.Body))
	},
}

// requireTaken checks that the error names the property and its owner.
func requireTaken(t *testing.T, err error, property, owner string) {
	t.Helper()
	require.ErrorIs(t, err, store.ErrExists)
	var taken *store.MarkerTakenError
	require.ErrorAs(t, err, &taken)
	require.Equal(t, store.MarkerTakenError{Property: property, Export: owner}, *taken)
}

var markerTests = map[string]func(t *testing.T, f fixture){
	"a marker has one owner for each brand": func(t *testing.T, f fixture) {
		require.NoError(t, f.ClaimMarkers(t.Context(), "b", "spring", []string{"m1", "m2"}))
		require.NoError(t, f.ClaimMarkers(t.Context(), "b", "spring", []string{"m1", "m2"}), "again")
		requireTaken(t, f.ClaimMarkers(t.Context(), "b", "summer", []string{"m2"}), "m2", "spring")
		require.NoError(t, f.ClaimMarkers(t.Context(), "other", "summer", []string{"m2"}))
		require.NoError(t, f.ClaimMarkers(t.Context(), "b", "summer", []string{"M2"}), "another property")
	},
	"what is not claimed any more is free": func(t *testing.T, f fixture) {
		require.NoError(t, f.ClaimMarkers(t.Context(), "b", "spring", []string{"m1", "m2"}))
		require.NoError(t, f.ClaimMarkers(t.Context(), "b", "spring", []string{"m2"}))
		require.NoError(t, f.ClaimMarkers(t.Context(), "b", "summer", []string{"m1"}))
		requireTaken(t, f.ClaimMarkers(t.Context(), "b", "summer", []string{"m1", "m2"}), "m2", "spring")
		require.NoError(t, f.ClaimMarkers(t.Context(), "b", "spring", nil))
		require.NoError(t, f.ClaimMarkers(t.Context(), "b", "summer", []string{"m1", "m2"}))
	},
	"a refused claim changes nothing": func(t *testing.T, f fixture) {
		require.NoError(t, f.ClaimMarkers(t.Context(), "b", "spring", []string{"m"}))
		require.NoError(t, f.ClaimMarkers(t.Context(), "b", "summer", []string{"s"}))
		requireTaken(t, f.ClaimMarkers(t.Context(), "b", "summer", []string{"a", "m", "z"}), "m", "spring")
		require.NoError(t, f.ClaimMarkers(t.Context(), "b", "autumn", []string{"a", "z"}))
		requireTaken(t, f.ClaimMarkers(t.Context(), "b", "autumn", []string{"s"}), "s", "summer")
	},
	"their owners can be found": func(t *testing.T, f fixture) {
		owners, err := f.MarkerOwners(t.Context(), "b")
		require.NoError(t, err)
		require.Empty(t, owners)
		require.NoError(t, f.ClaimMarkers(t.Context(), "b", "spring", []string{"m1", odd[3]}))
		require.NoError(t, f.ClaimMarkers(t.Context(), "b", odd[2], []string{"m2"}))
		require.NoError(t, f.ClaimMarkers(t.Context(), "other", "spring", []string{"m3"}))
		owners, err = f.MarkerOwners(t.Context(), "b")
		require.NoError(t, err)
		require.Equal(t, map[string]string{"m1": "spring", odd[3]: "spring", "m2": odd[2]}, owners)
	},
	"odd names, repeated": func(t *testing.T, f fixture) {
		require.NoError(t, f.ClaimMarkers(t.Context(), odd[3], odd[2], append(odd, odd...)))
		for _, property := range odd {
			requireTaken(t, f.ClaimMarkers(t.Context(), odd[3], "x", []string{property}), property, odd[2])
		}
	},
	"of many who claim the same, one gets them": func(t *testing.T, f fixture) {
		errs := race(6, func(i int) error {
			claim := []string{"a", "b", "c"}
			if i%2 == 1 {
				slices.Reverse(claim)
			}
			return f.ClaimMarkers(t.Context(), "b", fmt.Sprint(i), claim)
		})
		require.Equal(t, 1, count(errs, succeeded), "%v", errs)
		for _, err := range errs {
			if err != nil {
				requireTaken(t, err, "a", fmt.Sprint(slices.IndexFunc(errs, succeeded)))
			}
		}
	},
}
