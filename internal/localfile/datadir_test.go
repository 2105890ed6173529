package localfile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDefault(t *testing.T) {
	home := func() (string, error) { return "/home/ann", nil }
	for _, c := range []struct{ name, xdg, want string }{
		{"nothing set", "", "/home/ann/.local/share/segment-export"},
		{"set", "/data", "/data/segment-export"},
		{"relative", "data", "/home/ann/.local/share/segment-export"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, err := of(func(string) (string, bool) { return c.xdg, c.xdg != "" }, home)
			require.NoError(t, err)
			require.Equal(t, c.want, dir)
		})
	}
	_, err := of(func(string) (string, bool) { return "", false }, func() (string, error) { return "", errors.New("no home") })
	require.ErrorContains(t, err, Variable)
}

func TestCheckWhole(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, CheckWhole(dir))
	require.NoError(t, CheckWhole(filepath.Join(dir, "not there")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, Unfinished), nil, 0o600))
	require.ErrorContains(t, CheckWhole(dir), dir+" is a backup that was not finished")
}
