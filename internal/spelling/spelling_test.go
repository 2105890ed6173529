package spelling

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNearest(t *testing.T) {
	names := []string{"Email", "FirstName", "LastName"}
	for typed, want := range map[string]string{
		"email": "Email", "Emial": "Email", "Firstname": "FirstName", "lastname ": "LastName", "xyzzy": "", "": "",
	} {
		require.Equal(t, want, Nearest(typed, names), typed)
	}
	require.Equal(t, "LastName", Within(3, "LastNa", names))
	require.Empty(t, Within(1, "LastNa", names))
	require.Empty(t, Nearest("email", nil))
}
