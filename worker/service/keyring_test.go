package service

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/seal"
)

// keyring runs the command keyring of a program.
func keyring(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	app := &cli.App{Name: "worker", Writer: &out, ErrWriter: &bytes.Buffer{}, Commands: []*cli.Command{KeyringCommand("worker", &cli.StringFlag{Name: "store-url"})}}
	err := app.RunContext(t.Context(), append([]string{"worker", "keyring"}, args...))
	return out.String(), err
}

func TestKeyringCommands(t *testing.T) {
	dir := t.TempDir()
	_, err := keyring(t, "show", "--data-dir", dir)
	require.ErrorContains(t, err, "there is no keyring in "+dir)
	s, err := openStore(t.Context(), Options{DataDir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	path := filepath.Join(dir, keyringFile)
	quiet := slog.New(slog.DiscardHandler)
	k, err := openKeyring(t.Context(), s, path, quiet)
	require.NoError(t, err)

	shown, err := keyring(t, "show", "--data-dir", dir, "--output", "json")
	require.NoError(t, err)
	var what struct {
		ID, Fingerprint string
		Keys            int
	}
	require.NoError(t, json.Unmarshal([]byte(shown), &what))
	require.Equal(t, k.ID(), what.ID)
	require.Equal(t, k.PublicKey().Fingerprint(), what.Fingerprint)
	require.Equal(t, 1, what.Keys)

	stale := t.TempDir()
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(stale, keyringFile), file, 0o600))

	said, err := keyring(t, "rotate", "--data-dir", dir)
	require.NoError(t, err)
	require.Contains(t, said, "has 2 keys now")
	said, err = keyring(t, "reencrypt", "--data-dir", dir)
	require.NoError(t, err)
	require.Equal(t, "1 of 1 encrypted again\n", said) // by which the store knows its keyring
	_, err = openKeyring(t.Context(), s, filepath.Join(stale, keyringFile), quiet)
	require.ErrorIs(t, err, seal.ErrWrongKeyring)
	require.ErrorContains(t, err, "lacks the key that was added last", "a copy that was not brought up to date")
	_, err = openKeyring(t.Context(), s, path, quiet)
	require.NoError(t, err, "a worker starts with the rotated keyring")

	// A worker that has run all the while reads the new key without a restart.
	known, err := s.Object(t.Context(), metaKind, metaKeyring)
	require.NoError(t, err)
	require.NoError(t, k.OpenCheck(known.Sealed))
	require.Equal(t, 2, k.Keys())
	require.Equal(t, what.Fingerprint, k.PublicKey().Fingerprint(), "what is pinned stays")

	// Another keyring in its place is refused by worker and command alike.
	require.NoError(t, os.Remove(path))
	_, err = openKeyring(t.Context(), s, path, quiet)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "the keyring of this store is missing")
	_, err = seal.CreateKeyring(path)
	require.NoError(t, err)
	_, err = openKeyring(t.Context(), s, path, quiet)
	require.ErrorIs(t, err, seal.ErrWrongKeyring)
	_, err = keyring(t, "reencrypt", "--data-dir", dir)
	require.ErrorIs(t, err, seal.ErrWrongKeyring)
}

// A keyring that is older than its store may mean that a store was lost. Workers
// that start for the first time at the same moment are no such case.
func TestAKeyringOlderThanItsStoreIsLogged(t *testing.T) {
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	path := filepath.Join(t.TempDir(), keyringFile)
	s := emptyStore(t)
	for range 2 { // the second finds both
		_, err := openKeyring(t.Context(), s, path, log)
		require.NoError(t, err)
		require.Empty(t, said.String())
	}
	_, err := openKeyring(t.Context(), emptyStore(t), path, log)
	require.NoError(t, err)
	require.Contains(t, said.String(), "If the store was lost, stop and restore it from a backup")
}
