package access_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/localfile"
	"github.com/segment-export/segment-export/internal/seal"
)

func workerKey(t *testing.T) seal.PublicKey {
	t.Helper()
	r, err := seal.NewReplyKey() // a pair like any other
	require.NoError(t, err)
	return r.Public()
}

func TestIdentityFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), access.IdentityFile)
	worker := workerKey(t)
	_, err := access.LoadIdentity(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = access.CreateIdentity(path, seal.PublicKey{})
	require.ErrorIs(t, err, seal.ErrPublicKey)
	require.NoFileExists(t, path)

	made, created, err := access.LoadOrCreateIdentity(path, worker)
	require.NoError(t, err)
	require.True(t, created)
	require.Len(t, made.Secret, access.SecretSize)
	require.Equal(t, access.Principal{Name: made.Name, Role: access.Admin}, made.Principal())
	require.NotEmpty(t, made.Name)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())

	loaded, created, err := access.LoadOrCreateIdentity(path, worker)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, []byte(made.Secret), []byte(loaded.Secret))
	require.Equal(t, worker.String(), loaded.PublicKey.String())
	require.NoError(t, access.Verify(made.Secret, claim(), access.Prove(loaded.Secret, claim()), issued))

	_, err = access.CreateIdentity(path, worker)
	require.ErrorIs(t, err, fs.ErrExist)
	_, _, err = access.LoadOrCreateIdentity(path, workerKey(t))
	require.ErrorIs(t, err, access.ErrOtherWorker)
	require.ErrorContains(t, err, path)
}

func TestIdentityByManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), access.IdentityFile)
	worker := workerKey(t)
	var created atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, made, err := access.LoadOrCreateIdentity(path, worker)
			if err != nil {
				t.Error(err)
			}
			if made {
				created.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, created.Load())
}

func TestLoadIdentityRefuses(t *testing.T) {
	good := filepath.Join(t.TempDir(), access.IdentityFile)
	_, err := access.CreateIdentity(good, workerKey(t))
	require.NoError(t, err)
	raw, err := os.ReadFile(good)
	require.NoError(t, err)
	set := func(name string, value any) []byte {
		m := map[string]any{}
		require.NoError(t, json.Unmarshal(raw, &m))
		m[name] = value
		out, err := json.Marshal(m)
		require.NoError(t, err)
		return out
	}
	cases := []struct {
		name string
		file []byte
		mode fs.FileMode
		is   error
		says string
	}{
		{"empty", nil, 0o600, access.ErrIdentityDamaged, "remove it"},
		{"half", raw[:len(raw)/2], 0o600, access.ErrIdentityDamaged, ""},
		{"an empty object", []byte("{}"), 0o600, access.ErrIdentityDamaged, ""},
		{"newer version", set("version", 2), 0o600, nil, "has format 2"},
		{"no version", set("version", 0), 0o600, access.ErrIdentityDamaged, ""},
		{"no name", set("name", ""), 0o600, access.ErrIdentityDamaged, ""},
		{"short secret", set("secret", "SEVTSA=="), 0o600, access.ErrIdentityDamaged, ""},
		{"secret not base64", set("secret", "HUSH!"), 0o600, access.ErrIdentityDamaged, ""},
		{"no public key", set("public_key", ""), 0o600, access.ErrIdentityDamaged, ""},
		{"another public key", set("public_key", workerKey(t).String()), 0o600, access.ErrIdentityDamaged, ""},
		{"readable by the group", raw, 0o640, localfile.ErrExposed, "chmod 600"},
		{"readable by all", raw, 0o644, localfile.ErrExposed, "chmod 600"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), access.IdentityFile)
			require.NoError(t, os.WriteFile(path, c.file, 0o600))
			require.NoError(t, os.Chmod(path, c.mode))
			id, err := access.LoadIdentity(path)
			require.Error(t, err)
			require.Nil(t, id)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, path)
			require.NotContains(t, err.Error(), "HUSH")
		})
	}
}
