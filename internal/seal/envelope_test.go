package seal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/hybrid"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/signature"

	"github.com/segment-export/segment-export/internal/seal"
)

func TestPublicKeyTravelsAsText(t *testing.T) {
	k := newKeyring(t)
	text := k.PublicKey().String()
	require.Less(t, len(text), 250)
	require.Regexp(t, `^[A-Za-z0-9_-]+$`, text)
	require.Regexp(t, `^([0-9a-f]{4}:){7}[0-9a-f]{4}$`, k.PublicKey().Fingerprint())

	p, err := seal.ParsePublicKey(text)
	require.NoError(t, err)
	require.Equal(t, text, p.String())
	require.Equal(t, k.PublicKey().Fingerprint(), p.Fingerprint())

	raw, err := json.Marshal(p)
	require.NoError(t, err)
	var q seal.PublicKey
	require.NoError(t, json.Unmarshal(raw, &q))
	sealed, err := q.Seal([]byte(secret), "command/1")
	require.NoError(t, err)
	opened, err := k.OpenEnvelope(sealed, "command/1")
	require.NoError(t, err)
	require.Equal(t, secret, string(opened))
}

func TestReplyKey(t *testing.T) {
	one, err := seal.NewReplyKey()
	require.NoError(t, err)
	two, err := seal.NewReplyKey()
	require.NoError(t, err)
	require.NotEqual(t, one.Public().Fingerprint(), two.Public().Fingerprint())

	p, err := seal.ParsePublicKey(one.Public().String())
	require.NoError(t, err)
	sealed, err := p.Seal([]byte(secret), "command/1")
	require.NoError(t, err)
	opened, err := one.Open(sealed, "command/1")
	require.NoError(t, err)
	require.Equal(t, secret, string(opened))
	_, err = one.Open(sealed, "command/2")
	require.Equal(t, seal.ErrCannotOpen, err)
	_, err = two.Open(sealed, "command/1")
	require.Equal(t, seal.ErrCannotOpen, err)
	_, err = seal.ReplyKey{}.Open(sealed, "command/1")
	require.Equal(t, seal.ErrCannotOpen, err)
}

func TestParsePublicKeyRefuses(t *testing.T) {
	_, err := seal.PublicKey{}.Seal([]byte(secret), "c")
	require.ErrorIs(t, err, seal.ErrPublicKey)

	ours := hybrid.DHKEM_X25519_HKDF_SHA256_HKDF_SHA256_AES_256_GCM_Key_Template()
	two := keyset.NewManager()
	for range 2 {
		id, err := two.Add(ours)
		require.NoError(t, err)
		require.NoError(t, two.SetPrimary(id))
	}
	twoKeys, err := two.Handle()
	require.NoError(t, err)

	good := newKeyring(t).PublicKey().String()
	cases := map[string]string{
		"empty":            "",
		"not base64":       "%%%",
		"padded":           good + "=",
		"cut off":          good[:len(good)-8],
		"too long":         strings.Repeat("A", 2000),
		"junk":             base64.RawURLEncoding.EncodeToString([]byte("junk that is no keyset")),
		"a private key":    encode(t, handleOf(t, ours), true),
		"two keys":         encode(t, twoKeys, false),
		"a weaker cipher":  encode(t, handleOf(t, hybrid.DHKEM_X25519_HKDF_SHA256_HKDF_SHA256_AES_128_GCM_Key_Template()), false),
		"another curve":    encode(t, handleOf(t, hybrid.DHKEM_P256_HKDF_SHA256_HKDF_SHA256_AES_256_GCM_Key_Template()), false),
		"without a prefix": encode(t, handleOf(t, hybrid.DHKEM_X25519_HKDF_SHA256_HKDF_SHA256_AES_256_GCM_Raw_Key_Template()), false),
		"another scheme":   encode(t, handleOf(t, hybrid.ECIESHKDFAES128GCMKeyTemplate()), false),
		"for signatures":   encode(t, handleOf(t, signature.ED25519KeyTemplate()), false),
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			p, err := seal.ParsePublicKey(text)
			require.Equal(t, seal.ErrPublicKey, err)
			require.Zero(t, p)
		})
	}
}

func handleOf(t *testing.T, template *tinkpb.KeyTemplate) *keyset.Handle {
	t.Helper()
	h, err := keyset.NewHandle(template)
	require.NoError(t, err)
	return h
}

func encode(t *testing.T, h *keyset.Handle, private bool) string {
	t.Helper()
	var out bytes.Buffer
	if private {
		require.NoError(t, insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&out)))
	} else {
		public, err := h.Public()
		require.NoError(t, err)
		require.NoError(t, public.WriteWithNoSecrets(keyset.NewBinaryWriter(&out)))
	}
	return base64.RawURLEncoding.EncodeToString(out.Bytes())
}

func FuzzOpen(f *testing.F) {
	k, err := seal.CreateKeyring(filepath.Join(f.TempDir(), "keyring.json"))
	require.NoError(f, err)
	genuine := map[string]bool{}
	for _, p := range places(k) {
		sealed, err := p.seal(make([]byte, seal.DataKeySize), "c")
		require.NoError(f, err)
		genuine[p.name+string(sealed)] = true
		f.Add(sealed)
		f.Add(sealed[:6])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, sealed []byte) {
		for _, p := range places(k) {
			if opened, err := p.open(sealed, "c"); !genuine[p.name+string(sealed)] {
				require.Equal(t, seal.ErrCannotOpen, err)
				require.Nil(t, opened)
			}
		}
	})
}

func FuzzParsePublicKey(f *testing.F) {
	reply, err := seal.NewReplyKey()
	require.NoError(f, err)
	raw, err := base64.RawURLEncoding.DecodeString(reply.Public().String())
	require.NoError(f, err)
	f.Add(raw)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := seal.ParsePublicKey(base64.RawURLEncoding.EncodeToString(raw))
		if err != nil {
			require.Equal(t, seal.ErrPublicKey, err)
			return
		}
		// Whatever is taken for a key travels on unchanged and does not panic; a
		// point of low order is refused by Seal.
		again, err := seal.ParsePublicKey(p.String())
		require.NoError(t, err)
		require.Equal(t, p.Fingerprint(), again.Fingerprint())
		_, _ = p.Seal([]byte(secret), "c")
	})
}
