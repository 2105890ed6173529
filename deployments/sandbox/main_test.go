package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
)

// launch runs the program until the test cancels it, and returns what it
// announced.
func launch(t *testing.T, env map[string]string, args ...string) (url string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	code := make(chan int, 1)
	go func() {
		args = append([]string{"sandbox", "--listen", "127.0.0.1:0", "--output", "json"}, args...)
		code <- run(ctx, args, func(name string) string { return env[name] }, in, io.Discard)
		_ = in.Close()
	}()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	require.NoError(t, err)
	var said struct{ URL string }
	require.NoError(t, json.Unmarshal(line, &said))
	return said.URL, func() int {
		cancel()
		return <-code
	}
}

func TestServesUntilStopped(t *testing.T) {
	url, stop := launch(t, map[string]string{"OMNISEND_API_KEY": "from-env"}, "--fault", "too_many=1", "--mute-retry-after")
	c, err := omnisend.New(omnisend.Options{BaseURL: url, Key: "from-env"})
	require.NoError(t, err)
	_, err = c.CurrentBrand(t.Context())
	omnisendtest.RequireError(t, err, omnisend.Wait, 429)
	c.CloseIdle()
	require.Zero(t, stop())
}

func TestKeyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(file, []byte("# keys\n\nfull\nshop other contacts.read,contacts.write\n"), 0o600))
	url, stop := launch(t, nil, "--key-file", file, "--count-only")
	for key, want := range map[omnisend.Key]int{"full": 0, "shop": 403, "sandbox-key": 401} {
		c, err := omnisend.New(omnisend.Options{BaseURL: url, Key: key})
		require.NoError(t, err)
		b, err := c.CurrentBrand(t.Context())
		if want == 0 {
			require.NoError(t, err)
			require.Equal(t, "sandbox", b.ID)
		} else {
			omnisendtest.RequireError(t, err, omnisend.Park, want)
		}
		c.CloseIdle()
	}
	require.Zero(t, stop())
}

func TestCalledWrongly(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	wrong := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(wrong, []byte("a b c d\n"), 0o600))
	for name, tc := range map[string]struct {
		args []string
		code int
	}{
		"unknown flag":       {[]string{"--what"}, 2},
		"argument":           {[]string{"what"}, 2},
		"output":             {[]string{"--output", "xml"}, 2},
		"everybody":          {[]string{"--listen", "0.0.0.0:0"}, 2},
		"everybody, too":     {[]string{"--listen", ":0"}, 2},
		"unknown fault":      {[]string{"--fault", "x=0.1"}, 2},
		"fault of no rate":   {[]string{"--fault", "too_many"}, 2},
		"rate over 1":        {[]string{"--fault", "too_many=5"}, 2},
		"negative":           {[]string{"--calls-per-minute", "-1"}, 2},
		"no key file":        {[]string{"--key-file", "/nowhere/keys"}, 1},
		"no key in it":       {[]string{"--key-file", empty}, 2},
		"wrong line in it":   {[]string{"--key-file", wrong}, 2},
		"address not ours":   {[]string{"--listen", "127.0.0.1:99999"}, 1},
		"help is no failure": {[]string{"--help"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := run(t.Context(), append([]string{"sandbox"}, tc.args...), func(string) string { return "" }, &out, &errs)
			require.Equal(t, tc.code, code, errs.String())
			require.Equal(t, code != 0, errs.Len() > 0)
		})
	}
}

func TestKeepsItsStateInADataDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	var id string
	for i := range 2 {
		url, stop := launch(t, nil, "--data-dir", dir, "--batch-delay", "0")
		c, err := omnisend.New(omnisend.Options{BaseURL: url, Key: "sandbox-key"})
		require.NoError(t, err)
		if i == 0 {
			id, err = c.CreateBatch(t.Context(), "o", [][]byte{omnisendtest.Item("a@example.com", "")})
			require.NoError(t, err)
		}
		b, err := c.Batch(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, omnisend.BatchFinished, b.Status)
		_, there, err := c.ContactByEmail(t.Context(), "a@example.com")
		require.NoError(t, err)
		require.True(t, there)
		c.CloseIdle()
		require.Zero(t, stop())
	}
}
