package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/seal"
	"github.com/segment-export/segment-export/internal/store"
)

// The object of the store that holds the key of the digests of forgotten
// addresses. It is no export's: those keys go with their ledgers.
const (
	MetaKind         = "meta"
	MetaForgottenKey = "forgotten-key"
)

// ReasonForgotten is why a row of a forgotten address is not sent.
const ReasonForgotten contact.Reason = "forgotten"

// AddressKey returns the digester of forgotten addresses, made with the first one.
func (a *Ledgers) AddressKey(ctx context.Context) (*contact.Digester, error) {
	const sealedAs = MetaKind + "/" + MetaForgottenKey
	o, err := a.Store.Object(ctx, MetaKind, MetaForgottenKey)
	if errors.Is(err, store.ErrNotFound) {
		wrapped, err := a.Keyring.WrapKey(seal.NewDataKey(), sealedAs)
		if err != nil {
			return nil, err
		}
		err = a.Store.CreateObject(ctx, store.Object{Kind: MetaKind, Name: MetaForgottenKey, Body: []byte(`{}`), Sealed: wrapped})
		if err != nil && !errors.Is(err, store.ErrExists) {
			return nil, err
		}
		if o, err = a.Store.Object(ctx, MetaKind, MetaForgottenKey); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	key, err := a.Keyring.UnwrapKey(o.Sealed, sealedAs)
	if err != nil {
		return nil, fmt.Errorf("the key of forgotten addresses: %w", err)
	}
	return contact.NewDigester(key), nil
}

// Forgotten is who must not be carried. The zero value is nobody.
type Forgotten struct {
	digests map[contact.Digest]bool
	key     *contact.Digester
}

// Forgotten reads who must not be carried. Each user needs its own.
func (a *Ledgers) Forgotten(ctx context.Context) (Forgotten, error) {
	all, err := a.Store.Forgotten(ctx)
	if err != nil || len(all) == 0 {
		return Forgotten{}, err
	}
	f := Forgotten{digests: make(map[contact.Digest]bool, len(all))}
	for _, d := range all {
		if len(d) == len(contact.Digest{}) {
			f.digests[contact.Digest(d)] = true
		}
	}
	f.key, err = a.AddressKey(ctx)
	return f, err
}

// Has says whether an address, as it is sent, must not be carried.
func (f *Forgotten) Has(email string) bool {
	return len(f.digests) > 0 && f.digests[f.key.Address(email)]
}
