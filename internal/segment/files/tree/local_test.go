package tree

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
)

// A file that was replaced since it was listed is not opened, although its
// name and its size are the same.
func TestAReplacedFileIsNotOpened(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	write("s.csv", "Id\n1\n")
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, root.Close()) })
	l, err := Local(root, ".")
	require.NoError(t, err)
	listed, err := l.Stat(t.Context(), "s.csv")
	require.NoError(t, err)
	content, err := l.Open(t.Context(), listed)
	require.NoError(t, err)
	require.NoError(t, content.Close())

	write("new", "Id\n2\n")
	require.NoError(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "s.csv")))
	_, err = l.Open(t.Context(), listed)
	require.ErrorIs(t, err, segment.ErrChanged)
}
