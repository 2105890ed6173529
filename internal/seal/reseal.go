package seal

import (
	"encoding/binary"

	"github.com/tink-crypto/tink-go/v2/core/cryptofmt"
)

// Kind is a kind of what is sealed, for sealing it again.
type Kind string

// The kinds: of Seal, SealBlob, WrapKey, SealCheck.
const (
	KindValue Kind = kindValue
	KindBlob  Kind = kindBlob
	KindKey   Kind = kindKey
	KindCheck Kind = kindCheck
)

// Stale says that something was sealed with another key than the newest.
func (k *Keyring) Stale(sealed []byte) bool {
	id := k.keys.Load().dataSet.KeysetInfo().GetPrimaryKeyId()
	if len(sealed) < cryptofmt.TinkPrefixSize || sealed[0] != cryptofmt.TinkStartByte {
		return true
	}
	return binary.BigEndian.Uint32(sealed[1:cryptofmt.TinkPrefixSize]) != id
}

// Reseal opens what is sealed and seals the same with the newest key.
func (k *Keyring) Reseal(kind Kind, sealed []byte, context string) ([]byte, error) {
	plaintext, err := k.open(sealed, string(kind), context)
	if err != nil {
		return nil, err
	}
	return k.seal(plaintext, string(kind), context)
}

// Keys is how many keys for data there are; the newest seals.
func (k *Keyring) Keys() int { return k.keys.Load().dataSet.Len() }
