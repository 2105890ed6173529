package service

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDisk(t *testing.T) {
	d, err := disk(t.TempDir())
	require.NoError(t, err)
	require.Positive(t, d.Size)
	require.LessOrEqual(t, d.Free, d.Size)
	_, err = disk(filepath.Join(t.TempDir(), "missing"))
	require.Error(t, err)
}
