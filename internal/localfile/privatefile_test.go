package localfile_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/localfile"
)

func TestCreateAndReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key.json")

	require.ErrorIs(t, localfile.Replace(path, []byte("x")), fs.ErrNotExist)
	require.NoError(t, localfile.Create(path, []byte("one")))
	require.ErrorIs(t, localfile.Create(path, []byte("two")), fs.ErrExist)
	requireContent(t, path, "one")
	require.NoError(t, localfile.Replace(path, []byte("three")))
	requireContent(t, path, "three")

	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing temporary is left")
}

func TestReplaceKeepsSymbolicLink(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	require.NoError(t, localfile.Create(path, []byte("one")))
	require.NoError(t, os.Symlink(path, link))
	require.NoError(t, localfile.Replace(link, []byte("two")))
	requireContent(t, path, "two")
	requireContent(t, link, "two")
}

func TestCreateByManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.json")
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if localfile.Create(path, []byte(strconv.Itoa(i))) == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, won.Load())
}

func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o660, 0o644, 0o610} {
		t.Run(mode.String(), func(t *testing.T) {
			path := filepath.Join(dir, mode.String())
			require.NoError(t, localfile.Create(path, []byte("hush")))
			require.NoError(t, os.Chmod(path, mode))
			_, _, err := localfile.Read(path)
			require.ErrorIs(t, err, localfile.ErrExposed)
			require.ErrorContains(t, err, "chmod 600 "+path)
			require.NotContains(t, err.Error(), "hush")
		})
	}
	_, _, err := localfile.Read(dir)
	require.ErrorContains(t, err, "not a file")
	_, _, err = localfile.Read(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)

	big := filepath.Join(dir, "big")
	require.NoError(t, localfile.Create(big, make([]byte, 1<<20+1)))
	_, _, err = localfile.Read(big)
	require.ErrorContains(t, err, "too large")
}

func requireContent(t *testing.T, path, want string) {
	t.Helper()
	data, info, err := localfile.Read(path)
	require.NoError(t, err)
	require.Equal(t, want, string(data))
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
}
