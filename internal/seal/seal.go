// Package seal encrypts what is personal or secret: at rest with a keyring, on
// its way through Temporal in envelopes to one reader. All cryptography is
// Tink's; this package names contexts, so that nothing sealed for one place
// opens in another.
package seal

import (
	"crypto/rand"
	"errors"
	"fmt"
)

// ErrCannotOpen is the error of everything that does not open: sealed with
// another key or for another context, or damaged. It does not tell which, and
// never carries a part of what was sealed.
var ErrCannotOpen = errors.New("cannot open what is sealed: another key, another context, or damaged")

// The kinds of what is sealed. They are authenticated with the context, so that
// one kind cannot be passed off as another, and numbered, so that a format can
// change.
const (
	kindValue    = "segment-export/value/1"
	kindBlob     = "segment-export/blob/1"
	kindKey      = "segment-export/key/1"
	kindCheck    = "segment-export/check/1"
	kindTicket   = "segment-export/ticket/1"
	kindEnvelope = "segment-export/envelope/1"
)

// DataKeySize is the length of a data key in bytes.
const DataKeySize = 32

// bind makes what a seal is bound to. Kinds hold no zero byte, so that the
// encoding is unambiguous whatever the context is.
func bind(kind, context string) []byte {
	return []byte(kind + "\x00" + context)
}

// Seal encrypts a small secret for one context, which must be given again to
// open it.
func (k *Keyring) Seal(plaintext []byte, context string) ([]byte, error) {
	return k.seal(plaintext, kindValue, context)
}

// Open decrypts what Seal made.
func (k *Keyring) Open(sealed []byte, context string) ([]byte, error) {
	return k.open(sealed, kindValue, context)
}

// NewDataKey returns a random key for use outside this package, such as an
// export's key for digests. Keep it wrapped.
func NewDataKey() []byte {
	key := make([]byte, DataKeySize)
	_, _ = rand.Read(key) // never fails: the program ends instead
	return key
}

// WrapKey encrypts a data key, so that the keyring can be rotated while the
// data key and all that was made with it stay.
func (k *Keyring) WrapKey(key []byte, context string) ([]byte, error) {
	if len(key) != DataKeySize {
		return nil, fmt.Errorf("a data key has %d bytes, not %d", DataKeySize, len(key))
	}
	return k.seal(key, kindKey, context)
}

// UnwrapKey decrypts what WrapKey made.
func (k *Keyring) UnwrapKey(wrapped []byte, context string) ([]byte, error) {
	return k.open(wrapped, kindKey, context)
}

// SealCheck makes the value that a store keeps to recognise its keyring by.
func (k *Keyring) SealCheck() ([]byte, error) {
	return k.seal([]byte(k.ID()), kindCheck, "")
}

// OpenCheck tells with ErrWrongKeyring that this keyring does not open a store:
// a worker that continued could read nothing of it, and would write
// what the others cannot read.
func (k *Keyring) OpenCheck(check []byte) error {
	id, err := k.open(check, kindCheck, "")
	if err != nil || string(id) != k.ID() {
		return fmt.Errorf("%s (id %s): %w", k.path, k.ID(), ErrWrongKeyring)
	}
	return nil
}

// Ticket makes a permission for what the context says, which nobody without the
// keyring can make.
func (k *Keyring) Ticket(context string) ([]byte, error) {
	return k.seal(nil, kindTicket, context)
}

// CheckTicket tells with ErrCannotOpen that a ticket is not one of Ticket's for
// the very same context.
func (k *Keyring) CheckTicket(ticket []byte, context string) error {
	_, err := k.open(ticket, kindTicket, context)
	return err
}

func (k *Keyring) seal(plaintext []byte, kind, context string) ([]byte, error) {
	sealed, err := k.keys.Load().data.Encrypt(plaintext, bind(kind, context))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return sealed, nil
}

func (k *Keyring) open(sealed []byte, kind, context string) ([]byte, error) {
	bound := bind(kind, context)
	plaintext, err := k.keys.Load().data.Decrypt(sealed, bound)
	if err == nil {
		return plaintext, nil
	}
	// The key may be one that another process has added since.
	if !k.refresh() {
		return nil, ErrCannotOpen
	}
	if plaintext, err = k.keys.Load().data.Decrypt(sealed, bound); err != nil {
		return nil, ErrCannotOpen
	}
	return plaintext, nil
}
