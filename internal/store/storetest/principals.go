package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/store"
)

var principalTests = map[string]func(t *testing.T, f fixture){
	"a person is seen": func(t *testing.T, f fixture) {
		_, err := f.Principal(t.Context(), "ana")
		require.ErrorIs(t, err, store.ErrNotFound)
		require.ErrorIs(t, f.RevokePrincipal(t.Context(), "ana", true), store.ErrNotFound)
		p := store.Principal{Subject: "idp/1", Name: "ana", Role: "viewer", Groups: odd}
		got, err := f.SeePrincipal(t.Context(), p)
		require.NoError(t, err)
		p.SeenAt = f.clock.Now()
		require.Equal(t, p, got)
		got, err = f.Principal(t.Context(), "ana")
		require.NoError(t, err)
		require.Equal(t, p, got)

		f.clock.Advance(time.Hour)
		again := store.Principal{Subject: "idp/1", Name: "renamed", Role: "admin", Groups: []string{"x"}}
		got, err = f.SeePrincipal(t.Context(), again)
		require.NoError(t, err)
		again.Name, again.SeenAt = "ana", f.clock.Now() // a name is kept
		require.Equal(t, again, got)
		all, err := f.Principals(t.Context())
		require.NoError(t, err)
		require.Equal(t, []store.Principal{again}, all)
	},
	"a name belongs to one subject": func(t *testing.T, f fixture) {
		names := map[string]bool{}
		for _, subject := range []string{"idp/1", "idp/2", "idp/3", "idp/2"} {
			p, err := f.SeePrincipal(t.Context(), store.Principal{Subject: subject, Name: "ana"})
			require.NoError(t, err)
			require.Equal(t, subject, p.Subject)
			names[p.Name] = true
			f.clock.Advance(time.Hour)
		}
		require.Len(t, names, 3)
		require.True(t, names["ana"])
	},
	"of many seen at once each has a name": func(t *testing.T, f fixture) {
		errs := race(8, func(i int) error {
			_, err := f.SeePrincipal(t.Context(), store.Principal{Subject: odd[i%4], Name: "ana"})
			return err
		})
		require.Equal(t, 8, count(errs, succeeded))
		all, err := f.Principals(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 4)
	},
	"access is revoked": func(t *testing.T, f fixture) {
		_, err := f.SeePrincipal(t.Context(), store.Principal{Subject: "idp/1", Name: "ana", Role: "admin"})
		require.NoError(t, err)
		for _, revoked := range []bool{true, true, false} {
			require.NoError(t, f.RevokePrincipal(t.Context(), "ana", revoked))
			f.clock.Advance(time.Hour)
			p, err := f.SeePrincipal(t.Context(), store.Principal{Subject: "idp/1", Name: "ana", Role: "admin"})
			require.NoError(t, err)
			require.Equal(t, revoked, p.Revoked)
		}
	},
}
