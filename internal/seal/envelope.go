package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/tink-crypto/tink-go/v2/hybrid"
	"github.com/tink-crypto/tink-go/v2/hybrid/hpke"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// maxPublicKeyText bounds what ParsePublicKey looks at; ours have about 200
// characters.
const maxPublicKeyText = 1024

// ErrPublicKey is the error of a text that is no public key of ours.
var ErrPublicKey = errors.New("not a public key of this program")

// PublicKey seals envelopes that only the holder of the private key opens. An
// envelope does not tell who sealed it: anybody may. The zero value seals
// nothing.
type PublicKey struct {
	text        string
	fingerprint string
	sealer      tink.HybridEncrypt
}

// PublicKey returns the key that envelopes to this keyring are sealed to.
func (k *Keyring) PublicKey() PublicKey { return k.keys.Load().envelope.public }

// OpenEnvelope decrypts an envelope to this keyring.
func (k *Keyring) OpenEnvelope(sealed []byte, context string) ([]byte, error) {
	return k.keys.Load().envelope.open(sealed, context)
}

// ParsePublicKey reads the text form, which may come from anybody.
func ParsePublicKey(text string) (PublicKey, error) {
	if len(text) > maxPublicKeyText {
		return PublicKey{}, ErrPublicKey
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return PublicKey{}, ErrPublicKey
	}
	handle, err := keyset.ReadWithNoSecrets(keyset.NewBinaryReader(bytes.NewReader(raw)))
	if err != nil {
		return PublicKey{}, ErrPublicKey
	}
	return publicKeyOf(handle)
}

// publicKeyOf takes exactly one key of exactly the kind this program makes:
// the sender of a key does not choose the cryptography.
func publicKeyOf(handle *keyset.Handle) (PublicKey, error) {
	entry, err := handle.Primary()
	if err != nil || handle.Len() != 1 {
		return PublicKey{}, ErrPublicKey
	}
	key, ok := entry.Key().(*hpke.PublicKey)
	if !ok {
		return PublicKey{}, ErrPublicKey
	}
	params, ok := key.Parameters().(*hpke.Parameters)
	if !ok || params.KEMID() != hpke.DHKEM_X25519_HKDF_SHA256 || params.KDFID() != hpke.HKDFSHA256 ||
		params.AEADID() != hpke.AES256GCM || params.Variant() != hpke.VariantTink {
		return PublicKey{}, ErrPublicKey
	}
	sealer, err := hybrid.NewHybridEncrypt(handle)
	if err != nil {
		return PublicKey{}, ErrPublicKey
	}
	var out bytes.Buffer
	if err := handle.WriteWithNoSecrets(keyset.NewBinaryWriter(&out)); err != nil {
		return PublicKey{}, ErrPublicKey
	}
	return PublicKey{
		text:        base64.RawURLEncoding.EncodeToString(out.Bytes()),
		fingerprint: fingerprint(key.PublicKeyBytes()),
		sealer:      sealer,
	}, nil
}

// fingerprint hashes the bare key, since the encoding around it may change with
// the library. 128 bits are kept: as hard to match as the key is to break, and
// short enough to compare by eye.
func fingerprint(key []byte) string {
	sum := sha256.Sum256(append([]byte("segment-export/public-key/1\x00"), key...))
	groups := make([]string, 8)
	for i := range groups {
		groups[i] = hex.EncodeToString(sum[2*i : 2*i+2])
	}
	return strings.Join(groups, ":")
}

// String returns the text form, which ParsePublicKey reads.
func (p PublicKey) String() string { return p.text }

// Fingerprint identifies the key in groups of hexadecimal digits, for people to
// compare and pin.
func (p PublicKey) Fingerprint() string { return p.fingerprint }

// MarshalText returns the text form.
func (p PublicKey) MarshalText() ([]byte, error) { return []byte(p.text), nil }

// UnmarshalText reads the text form.
func (p *PublicKey) UnmarshalText(text []byte) error {
	var err error
	*p, err = ParsePublicKey(string(text))
	return err
}

// Seal encrypts to the holder of the private key, for one context, which must
// be given again to open the envelope.
func (p PublicKey) Seal(plaintext []byte, context string) ([]byte, error) {
	if p.sealer == nil {
		return nil, ErrPublicKey
	}
	sealed, err := p.sealer.Encrypt(plaintext, bind(kindEnvelope, context))
	if err != nil {
		return nil, fmt.Errorf("seal envelope: %w", err)
	}
	return sealed, nil
}

// pair is a private key for envelopes with what it is used through.
type pair struct {
	private *keyset.Handle
	public  PublicKey
	opener  tink.HybridDecrypt
}

func newPair() (pair, error) {
	private, err := keyset.NewHandle(hybrid.DHKEM_X25519_HKDF_SHA256_HKDF_SHA256_AES_256_GCM_Key_Template())
	if err != nil {
		return pair{}, err
	}
	return pairOf(private)
}

func pairOf(private *keyset.Handle) (pair, error) {
	handle, err := private.Public()
	if err != nil {
		return pair{}, err
	}
	public, err := publicKeyOf(handle)
	if err != nil {
		return pair{}, err
	}
	opener, err := hybrid.NewHybridDecrypt(private)
	if err != nil {
		return pair{}, err
	}
	return pair{private, public, opener}, nil
}

func (p pair) open(sealed []byte, context string) ([]byte, error) {
	if p.opener == nil {
		return nil, ErrCannotOpen
	}
	plaintext, err := p.opener.Decrypt(sealed, bind(kindEnvelope, context))
	if err != nil {
		return nil, ErrCannotOpen
	}
	return plaintext, nil
}

// ReplyKey is a key pair for the answer to one command. It is never stored: with
// the process that made it goes the means to read the answer.
type ReplyKey struct{ pair pair }

// NewReplyKey makes a key pair.
func NewReplyKey() (ReplyKey, error) {
	p, err := newPair()
	if err != nil {
		return ReplyKey{}, fmt.Errorf("new reply key: %w", err)
	}
	return ReplyKey{p}, nil
}

// Public returns the key that the answer is sealed to.
func (r ReplyKey) Public() PublicKey { return r.pair.public }

// Open decrypts the answer.
func (r ReplyKey) Open(sealed []byte, context string) ([]byte, error) {
	return r.pair.open(sealed, context)
}
