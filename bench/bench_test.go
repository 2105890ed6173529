package main

import (
	"bytes"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/segment/synthetic"
)

// The bare loop must send what an export sends, or its speed is no measure.
func TestBareSendsEveryRow(t *testing.T) {
	var content bytes.Buffer
	_, err := synthetic.Write(&content, 250, 1)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "rows.csv")
	require.NoError(t, os.WriteFile(path, content.Bytes(), 0o600))
	box, err := sandbox.New(sandbox.Options{CountOnly: true, Keys: []sandbox.Key{{Key: "sandbox-key", Brand: "sandbox"}}})
	require.NoError(t, err)
	server := httptest.NewServer(box)
	defer server.Close()

	require.NoError(t, bare(t.Context(), path, server.URL+"/api"))

	stats := box.Stats("sandbox")
	require.Equal(t, 3, stats.Route("POST /batches"))
	require.Equal(t, 3, stats.Total())
}

func TestSetupIsChecked(t *testing.T) {
	for name, s := range map[string]setup{
		"no profiles":             {size: 0, workers: 1, store: "sqlite"},
		"no workers":              {size: 1, workers: 0, store: "sqlite"},
		"another store":           {size: 1, workers: 1, store: "mysql"},
		"several workers, a file": {size: 1, workers: 2, store: "sqlite"},
	} {
		require.Error(t, s.check(), name)
	}
	require.NoError(t, setup{size: 1, workers: 2, store: "postgres"}.check())
}

func TestDiskIsChecked(t *testing.T) {
	require.NoError(t, enoughDisk(t.TempDir(), 1))
	require.ErrorContains(t, enoughDisk(t.TempDir(), math.MaxInt64/diskForProfile), "MB free")
}
