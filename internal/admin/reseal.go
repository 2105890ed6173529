package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/segment-export/segment-export/internal/alerting"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/connect"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/ledger"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/seal"
	"github.com/segment-export/segment-export/internal/store"
)

// Resealed is the progress of a reseal.
type Resealed struct {
	Seen    int // of all that is sealed
	Again   int // sealed again
	Moved   int // changed by another process at the same moment: look again
	Damaged int // cannot be opened with any key of the keyring
}

// resealPage is how much is looked at at once.
const resealPage = 50

// Reseal seals all that the store keeps sealed with the keyring's newest key,
// while workers run. What is sealed with it already is left alone, so that a
// second attempt continues where the first one was cut off. progress is called now
// and then.
func Reseal(ctx context.Context, st store.Store, k *seal.Keyring, progress func(Resealed)) (Resealed, error) {
	var done Resealed
	for _, place := range []store.Place{store.PlaceObject, store.PlaceNote, store.PlaceShard, store.PlaceBlob} {
		for after := (store.Sealed{}); ; {
			page, err := st.SealedAt(ctx, place, after, resealPage)
			if err != nil {
				return done, err
			}
			if len(page) == 0 {
				break
			}
			for _, s := range page {
				if err := reseal(ctx, st, k, place, s, &done); err != nil {
					return done, err
				}
			}
			after = page[len(page)-1]
			progress(done)
		}
	}
	return done, nil
}

func reseal(ctx context.Context, st store.Store, k *seal.Keyring, place store.Place, s store.Sealed, done *Resealed) error {
	if len(s.Data) == 0 {
		return nil
	}
	done.Seen++
	fresh, err := sealAgain(ctx, st, k, place, s)
	switch {
	case errors.Is(err, seal.ErrCannotOpen) || errors.Is(err, store.ErrNotFound):
		done.Damaged++
		return nil
	case err != nil:
		return fmt.Errorf("sealing again (%s %s %s): %w", place, s.Name, s.Part, err)
	case fresh == nil:
		return nil
	}
	did, err := st.Reseal(ctx, place, s, fresh)
	if err != nil {
		return err
	}
	if did {
		done.Again++
	} else {
		done.Moved++
	}
	return nil
}

// sealAgain returns what takes the place of s; nil when it may stay.
func sealAgain(ctx context.Context, st store.Store, k *seal.Keyring, place store.Place, s store.Sealed) ([]byte, error) {
	if place == store.PlaceNote {
		n, err := record.Decode[ledger.Note](s.Data)
		if err != nil || !k.Stale(n.Key) {
			return nil, err
		}
		if n.Key, err = k.Reseal(seal.KindKey, n.Key, ledger.KeyContext(s.Name)); err != nil {
			return nil, err
		}
		return record.Encode(n), nil
	}
	if !k.Stale(s.Data) {
		return nil, nil
	}
	switch place {
	case store.PlaceShard:
		return k.Reseal(seal.KindBlob, s.Data, ledger.ShardContext(s.Name))
	case store.PlaceBlob:
		return k.Reseal(seal.KindBlob, s.Data, job.BlobContext(s.Name, store.BlobKind(s.Part)))
	}
	kind, sealedAs, err := secretOf(ctx, st, s)
	if err != nil {
		return nil, err
	}
	return k.Reseal(kind, s.Data, sealedAs)
}

// secretOf says how the secret of an object is sealed.
func secretOf(ctx context.Context, st store.Store, s store.Sealed) (kind seal.Kind, sealedAs string, err error) {
	if s.Name == ledger.MetaKind {
		if s.Part == ledger.MetaForgottenKey {
			return seal.KindKey, ledger.MetaKind + "/" + ledger.MetaForgottenKey, nil
		}
		return seal.KindCheck, "", nil // by which the store knows its keyring
	}
	v, err := catalogue.New(catalogue.Kind(s.Name))
	if err != nil {
		return "", "", err
	}
	o, err := st.Object(ctx, s.Name, s.Part)
	if err != nil {
		return "", "", err
	}
	if err := record.DecodeInto(o.Body, v); err != nil {
		return "", "", err
	}
	switch v := v.(type) {
	case *catalogue.Connection:
		return seal.KindValue, connect.KeyContext(*v), nil
	case *catalogue.Source:
		return seal.KindValue, connect.CredentialContext(v), nil
	case *catalogue.Alert:
		return seal.KindValue, alerting.TargetContext(v.Name), nil
	}
	return "", "", fmt.Errorf("the %s %q has a secret, which is not known here: %w", s.Name, s.Part, seal.ErrCannotOpen)
}
