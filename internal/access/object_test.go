package access_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
)

// object is a connection that is shared that way.
func object(s catalogue.Sharing) access.Object {
	return access.OfConnection(catalogue.Connection{Meta: catalogue.Meta{Name: "shop"}, Shared: s})
}

func TestObjectsThatAreNotShared(t *testing.T) {
	shared, closed, unsaid := object(catalogue.SharedContributors), object(catalogue.SharedAdmins), object("")
	cases := []struct {
		role    access.Role
		command string
		about   []access.Object
		allowed bool
	}{
		{access.Admin, "run", []access.Object{closed, unsaid}, true},
		{access.Contributor, "run", []access.Object{shared}, true},
		{access.Contributor, "run", []access.Object{closed}, false},
		{access.Contributor, "run", []access.Object{unsaid}, false},
		{access.Contributor, "export add", []access.Object{shared, closed}, false},
		{access.Contributor, "connection show", []access.Object{closed}, false},
		{access.Contributor, "runs show", []access.Object{closed}, true}, // what a viewer may see
		{access.Viewer, "runs show", []access.Object{closed}, true},
		{access.Contributor, "run", []access.Object{object("everybody")}, false},
	}
	for _, c := range cases {
		err := access.Check(access.Principal{Name: "anna", Role: c.role}, c.command, c.about...)
		if c.allowed {
			require.NoError(t, err)
			continue
		}
		var refused *access.NotSharedError
		require.ErrorAs(t, err, &refused)
		require.ErrorContains(t, err, `needs the connection "shop", which is for administrators only: ask an admin`)
		require.NotContains(t, err.Error(), "anna")
	}
	require.IsType(t, &access.NotAllowedError{}, access.Check(access.Principal{Role: access.Viewer}, "run", shared), "a role is needed all the same")
	require.False(t, access.May(access.Principal{Role: access.Viewer}, shared))
}

func TestRolesAreNamed(t *testing.T) {
	for _, r := range roles[1:] {
		parsed, err := access.ParseRole(r.String())
		require.NoError(t, err)
		require.Equal(t, r, parsed)
	}
	for _, text := range []string{"", "nobody", "Admin", "owner"} {
		_, err := access.ParseRole(text)
		require.Error(t, err)
	}
}
