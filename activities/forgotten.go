package activities

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
	metaKind         = "meta"
	metaForgottenKey = "forgotten-key"
)

// reasonForgotten is why a row of a forgotten address is not sent.
const reasonForgotten contact.Reason = "forgotten"

// addressKey returns the digester of forgotten addresses, made with the first one.
func (a *Activities) addressKey(ctx context.Context) (*contact.Digester, error) {
	const sealedAs = metaKind + "/" + metaForgottenKey
	o, err := a.Store.Object(ctx, metaKind, metaForgottenKey)
	if errors.Is(err, store.ErrNotFound) {
		wrapped, err := a.Keyring.WrapKey(seal.NewDataKey(), sealedAs)
		if err != nil {
			return nil, err
		}
		err = a.Store.CreateObject(ctx, store.Object{Kind: metaKind, Name: metaForgottenKey, Body: []byte(`{}`), Sealed: wrapped})
		if err != nil && !errors.Is(err, store.ErrExists) {
			return nil, err
		}
		if o, err = a.Store.Object(ctx, metaKind, metaForgottenKey); err != nil {
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

// forgotten is who must not be carried. The zero value is nobody.
type forgotten struct {
	digests map[contact.Digest]bool
	key     *contact.Digester
}

// forgottenNow reads who must not be carried. Each user needs its own.
func (a *Activities) forgottenNow(ctx context.Context) (forgotten, error) {
	all, err := a.Store.Forgotten(ctx)
	if err != nil || len(all) == 0 {
		return forgotten{}, err
	}
	f := forgotten{digests: make(map[contact.Digest]bool, len(all))}
	for _, d := range all {
		if len(d) == len(contact.Digest{}) {
			f.digests[contact.Digest(d)] = true
		}
	}
	f.key, err = a.addressKey(ctx)
	return f, err
}

// has says whether an address, as it is sent, must not be carried.
func (f *forgotten) has(email string) bool {
	return len(f.digests) > 0 && f.digests[f.key.Address(email)]
}
