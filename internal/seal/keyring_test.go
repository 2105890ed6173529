package seal_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/localfile"
	"github.com/segment-export/segment-export/internal/seal"
)

func TestKeyringFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keyring.json")
	_, err := seal.LoadKeyring(path)
	require.ErrorIs(t, err, fs.ErrNotExist)

	k, err := seal.CreateKeyring(path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	sealed, err := k.Seal([]byte(secret), "c")
	require.NoError(t, err)

	before, err := os.ReadFile(path)
	require.NoError(t, err)
	_, err = seal.CreateKeyring(path)
	require.ErrorIs(t, err, fs.ErrExist)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)

	again, created, err := seal.LoadOrCreateKeyring(path)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, k.ID(), again.ID())
	require.Equal(t, k.PublicKey().Fingerprint(), again.PublicKey().Fingerprint())
	opened, err := again.Open(sealed, "c")
	require.NoError(t, err)
	require.Equal(t, secret, string(opened))

	other, created, err := seal.LoadOrCreateKeyring(filepath.Join(dir, "other.json"))
	require.NoError(t, err)
	require.True(t, created)
	require.NotEqual(t, k.ID(), other.ID())
	require.NotEqual(t, k.PublicKey().Fingerprint(), other.PublicKey().Fingerprint())
}

func TestLoadOrCreateByManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.json")
	var created atomic.Int64
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			k, made, err := seal.LoadOrCreateKeyring(path)
			if err != nil {
				t.Error(err)
				return
			}
			if made {
				created.Add(1)
			}
			ids[i] = k.ID()
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, created.Load())
	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
}

func TestLoadKeyringRefuses(t *testing.T) {
	good := filepath.Join(t.TempDir(), "keyring.json")
	_, err := seal.CreateKeyring(good)
	require.NoError(t, err)
	raw, err := os.ReadFile(good)
	require.NoError(t, err)
	edit := func(change func(map[string]any)) []byte {
		m := map[string]any{}
		require.NoError(t, json.Unmarshal(raw, &m))
		change(m)
		out, err := json.Marshal(m)
		require.NoError(t, err)
		return out
	}
	leak := map[string]any{"primaryKeyId": "KEYMATERIAL"} // Tink's parser quotes what it does not understand

	cases := []struct {
		name string
		file []byte
		mode fs.FileMode
		is   error
		says string
	}{
		{"empty", nil, 0o600, seal.ErrDamaged, "backup"},
		{"half", raw[:len(raw)/2], 0o600, seal.ErrDamaged, ""},
		{"not json", []byte("KEYMATERIAL"), 0o600, seal.ErrDamaged, ""},
		{"an empty object", []byte("{}"), 0o600, seal.ErrDamaged, ""},
		{"no version", edit(func(m map[string]any) { delete(m, "version") }), 0o600, seal.ErrDamaged, ""},
		{"newer version", edit(func(m map[string]any) { m["version"] = 2 }), 0o600, nil, "has format 2"},
		{"no id", edit(func(m map[string]any) { delete(m, "id") }), 0o600, seal.ErrDamaged, ""},
		{"no data keys", edit(func(m map[string]any) { delete(m, "data") }), 0o600, seal.ErrDamaged, ""},
		{"broken data keys", edit(func(m map[string]any) { m["data"] = leak }), 0o600, seal.ErrDamaged, ""},
		{"no envelope keys", edit(func(m map[string]any) { delete(m, "envelope") }), 0o600, seal.ErrDamaged, ""},
		{"keys exchanged", edit(func(m map[string]any) { m["data"], m["envelope"] = m["envelope"], m["data"] }), 0o600, seal.ErrDamaged, ""},
		{"readable by the group", raw, 0o640, localfile.ErrExposed, "chmod 600"},
		{"readable by all", raw, 0o604, localfile.ErrExposed, "chmod 600"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keyring.json")
			require.NoError(t, os.WriteFile(path, c.file, 0o600))
			require.NoError(t, os.Chmod(path, c.mode))
			k, created, err := seal.LoadOrCreateKeyring(path)
			require.Error(t, err)
			require.Nil(t, k)
			require.False(t, created, "a keyring is never replaced")
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, path)
			require.NotContains(t, err.Error(), "KEYMATERIAL")
		})
	}
}

func TestCheck(t *testing.T) {
	k, other := newKeyring(t), newKeyring(t)
	check, err := k.SealCheck()
	require.NoError(t, err)
	require.NoError(t, k.OpenCheck(check))
	require.ErrorIs(t, other.OpenCheck(check), seal.ErrWrongKeyring)
	require.ErrorContains(t, other.OpenCheck(check), other.ID())
	require.ErrorIs(t, k.OpenCheck(nil), seal.ErrWrongKeyring)
	require.NoError(t, k.Rotate())
	require.NoError(t, k.OpenCheck(check))
}

func TestRotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.json")
	k, err := seal.CreateKeyring(path)
	require.NoError(t, err)
	worker, err := seal.LoadKeyring(path) // runs while another process rotates
	require.NoError(t, err)
	stale := copyOf(t, path)

	sealed := [][]byte{}
	sealWith := func(k *seal.Keyring) {
		s, err := k.Seal([]byte(secret), "c")
		require.NoError(t, err)
		sealed = append(sealed, s)
	}
	envelope, err := k.PublicKey().Seal([]byte(secret), "c")
	require.NoError(t, err)

	sealWith(k)
	require.NoError(t, k.Rotate())
	sealWith(k)
	require.NotEqual(t, sealed[0][:5], sealed[1][:5], "sealed with the new key: another prefix")
	require.NoError(t, worker.Rotate(), "from a process that had not seen the first rotation")
	sealWith(worker)
	require.NotEqual(t, sealed[1][:5], sealed[2][:5])

	fresh, err := seal.LoadKeyring(path)
	require.NoError(t, err)
	for name, ring := range map[string]*seal.Keyring{"rotated": k, "rotated later": worker, "read afresh": fresh} {
		for i, s := range sealed {
			opened, err := ring.Open(s, "c")
			require.NoError(t, err, "%s, sealed after %d rotations", name, i)
			require.Equal(t, secret, string(opened))
		}
		opened, err := ring.OpenEnvelope(envelope, "c")
		require.NoError(t, err)
		require.Equal(t, secret, string(opened))
		require.Equal(t, k.ID(), ring.ID())
		require.Equal(t, k.PublicKey().String(), ring.PublicKey().String())
	}
	_, err = stale.Open(sealed[1], "c")
	require.ErrorIs(t, err, seal.ErrCannotOpen)

	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
}

func TestRotateRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keyring.json")
	k, err := seal.CreateKeyring(path)
	require.NoError(t, err)

	require.NoError(t, os.WriteFile(path+".lock", nil, 0o600))
	require.ErrorContains(t, k.Rotate(), "another rotation is under way")
	require.NoError(t, os.Remove(path+".lock"))
	require.NoError(t, k.Rotate())
	require.NoFileExists(t, path+".lock")

	require.NoError(t, os.Remove(path))
	_, err = seal.CreateKeyring(path)
	require.NoError(t, err)
	require.ErrorContains(t, k.Rotate(), "another keyring")
}

func TestRotateByManyAtOnceLosesNoKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.json")
	_, err := seal.CreateKeyring(path)
	require.NoError(t, err)
	sealed := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range sealed {
		wg.Go(func() {
			k, err := seal.LoadKeyring(path)
			if err == nil {
				_ = k.Rotate() // may be refused: one at a time
				sealed[i], err = k.Seal([]byte(secret), "c")
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	fresh, err := seal.LoadKeyring(path)
	require.NoError(t, err)
	for _, s := range sealed {
		_, err := fresh.Open(s, "c")
		require.NoError(t, err)
	}
}

func TestKeyringPrintsNoKeys(t *testing.T) {
	k := newKeyring(t)
	reply, err := seal.NewReplyKey()
	require.NoError(t, err)
	for _, v := range []any{k, reply, k.PublicKey()} {
		for _, verb := range []string{"%v", "%+v", "%#v"} {
			require.NotContains(t, fmt.Sprintf(verb, v), "privateKey")
		}
	}
	out, err := json.Marshal(map[string]any{"k": k, "r": reply})
	require.NoError(t, err)
	require.JSONEq(t, `{"k":{},"r":{}}`, string(out))
}

func copyOf(t *testing.T, path string) *seal.Keyring {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	path = filepath.Join(t.TempDir(), "copy.json")
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	k, err := seal.LoadKeyring(path)
	require.NoError(t, err)
	return k
}
