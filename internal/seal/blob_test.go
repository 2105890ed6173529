package seal

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

func TestBlobsOfFormerVersionsOpen(t *testing.T) {
	k, err := CreateKeyring(filepath.Join(t.TempDir(), "keyring"))
	require.NoError(t, err)
	enc, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	plaintext := bytes.Repeat([]byte("a row of a segment\n"), 10_000)
	for _, want := range [][]byte{plaintext, nil} {
		sealed, err := k.seal(enc.EncodeAll(want, nil), kindBlob, "c")
		require.NoError(t, err)
		opened, err := k.OpenBlob(sealed, "c")
		require.NoError(t, err)
		if len(want) == 0 {
			require.Empty(t, opened)
			continue
		}
		require.True(t, bytes.Equal(want, opened))
	}
}

// What is authentic and yet in no known form, as a newer program could write it,
// does not open either.
func TestBlobsOfUnknownFormsDoNotOpen(t *testing.T) {
	k, err := CreateKeyring(filepath.Join(t.TempDir(), "keyring"))
	require.NoError(t, err)
	huge := append([]byte{formS2}, s2.Encode(nil, []byte("x"))...)
	huge = append(huge[:1], 0xff, 0xff, 0xff, 0xff, 0x0f) // says that it holds 4 GiB
	for name, data := range map[string][]byte{
		"nothing": nil, "another form": {0x07, 1, 2}, "no S2": {formS2}, "cut off": {formS2, 10, 1}, "too large": huge, "no zstd": {formZstd, 0xb5},
	} {
		sealed, err := k.seal(data, kindBlob, "c")
		require.NoError(t, err)
		_, err = k.OpenBlob(sealed, "c")
		require.Equal(t, ErrCannotOpen, err, name)
	}
}
