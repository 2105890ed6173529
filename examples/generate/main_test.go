package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment/synthetic"
)

func TestRun(t *testing.T) {
	var out, messages bytes.Buffer
	file := filepath.Join(t.TempDir(), "expected.json")
	require.NoError(t, run([]string{"--size", "100", "--seed", "2", "--leave", "0.1", "--expected", file}, &out, &messages))
	var want bytes.Buffer
	expected, err := synthetic.WriteVariant(&want, 100, 2, synthetic.Variant{Leave: 0.1})
	require.NoError(t, err)
	require.Equal(t, want.String(), out.String())
	require.Empty(t, messages.String())
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var got synthetic.Expected
	require.NoError(t, json.Unmarshal(data, &got))
	require.Equal(t, expected, got)

	require.Error(t, run([]string{"--size", "-1"}, &out, &messages))
	require.Error(t, run([]string{"--no-such-flag"}, &out, &messages))
	require.Error(t, run([]string{"--expected", filepath.Join(t.TempDir(), "no", "folder")}, &out, &messages))
}
