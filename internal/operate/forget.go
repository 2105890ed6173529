package operate

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/intake"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/ledger"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// eraser takes one address out of everything that is kept.
type eraser struct {
	*Commands
	email  string
	answer protocol.ForgetAnswer
}

// erase takes the address out of ledgers, rejects, samples, and batches that
// wait for a verdict. What an open run holds is left to it: its batches are
// identified by their places, and end with it. It may be repeated.
func (e *eraser) erase(ctx context.Context) error {
	if err := e.ledgers(ctx); err != nil {
		return err
	}
	open := map[string]bool{}
	for _, kind := range []store.BlobKind{store.BlobReject, store.BlobSamples, store.BlobVerify, store.BlobBatch} {
		runs, err := e.Store.RunsWith(ctx, kind)
		if err != nil {
			return err
		}
		for _, id := range runs {
			if r, err := e.Store.Run(ctx, id); err == nil && r.EndedAt.IsZero() {
				open[id] = true
				continue
			}
			if err := e.run(ctx, id, kind); err != nil {
				return err
			}
		}
	}
	parts, err := e.Store.RunsWith(ctx, store.BlobPart)
	if err != nil {
		return err
	}
	for _, id := range parts {
		open[id] = true
	}
	for id := range open {
		e.answer.OpenRuns = append(e.answer.OpenRuns, id)
	}
	slices.Sort(e.answer.OpenRuns)
	return nil
}

// ledgers removes the address from every export's ledger.
func (e *eraser) ledgers(ctx context.Context) error {
	exports, err := e.exports(ctx)
	if err != nil {
		return err
	}
	for _, name := range exports {
		_, key, err := e.Ledgers().Note(ctx, name)
		if err != nil {
			return err
		}
		if key == nil {
			continue
		}
		address := contact.NewDigester(key).Address(e.email)
		found := false
		err = e.UnderLease(ctx, ledger.LeaseName(name), func(ctx context.Context, _ lease.Hold) error {
			return e.Ledgers().ChangeEntries(ctx, name, contact.Shard(address), func(entry spool.Entry) *spool.Entry {
				if entry.Address != address {
					return &entry
				}
				found = true
				return nil
			})
		})
		if err != nil {
			return err
		}
		if found {
			e.answer.Ledgers = append(e.answer.Ledgers, name)
		}
	}
	return nil
}

// run erases the address from a run's blobs of one kind.
func (e *eraser) run(ctx context.Context, id string, kind store.BlobKind) error {
	take := map[store.BlobKind]func([]byte) ([]byte, int, error){
		store.BlobReject: e.rejects, store.BlobSamples: e.samples, store.BlobVerify: e.differences, store.BlobBatch: e.batches,
	}[kind]
	count := map[store.BlobKind]*int{
		store.BlobReject: &e.answer.Rejects, store.BlobSamples: &e.answer.Samples, store.BlobVerify: &e.answer.Samples, store.BlobBatch: &e.answer.Contacts,
	}[kind]
	for _, group := range []int{job.RejectsRead, job.RejectsRefused} { // the others have only the first
		blobs, err := e.Store.Blobs(ctx, id, kind, group)
		if err != nil {
			return err
		}
		for _, b := range blobs {
			data, err := e.OpenBlob(id, b)
			if err != nil {
				return err
			}
			left, n, err := take(data)
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			if b.Data, err = e.Keyring.SealBlob(left, job.BlobContext(id, kind)); err != nil {
				return err
			}
			if err := e.Store.CommitStep(ctx, store.Step{Run: id, Blobs: []store.Blob{b}}); err != nil {
				return err
			}
			*count += n
		}
	}
	return nil
}

func (e *eraser) rejects(data []byte) ([]byte, int, error) {
	if len(data) == 0 {
		return nil, 0, nil
	}
	all, err := record.Decode[[]protocol.Reject](data)
	left := slices.DeleteFunc(slices.Clone(all), func(r protocol.Reject) bool { return sameAddress(r.Email, e.email) })
	return record.Encode(left), len(all) - len(left), err
}

func (e *eraser) samples(data []byte) ([]byte, int, error) {
	all, err := record.Decode[intake.Samples](data)
	n := 0
	of := func(item json.RawMessage) bool {
		if itemAddress(item) != e.email {
			return false
		}
		n++
		return true
	}
	all.New, all.Leavers = slices.DeleteFunc(all.New, of), slices.DeleteFunc(all.Leavers, of)
	all.Changed = slices.DeleteFunc(all.Changed, func(c protocol.ChangedSample) bool { return of(c.Contact) })
	return record.Encode(all), n, err
}

func (e *eraser) differences(data []byte) ([]byte, int, error) {
	found, err := record.Decode[protocol.VerifyAnswer](data)
	before := len(found.Differences)
	found.Differences = slices.DeleteFunc(found.Differences, func(d protocol.VerifyDifference) bool { return d.Email == e.email })
	return record.Encode(found), before - len(found.Differences), err
}

// batches blanks the address's contact and leaves its place: calls count on
// places, and a contact without an address is never booked.
func (e *eraser) batches(data []byte) ([]byte, int, error) {
	var left []byte
	n := 0
	for item, err := range spool.BatchItems(data) {
		if err != nil {
			return nil, 0, err
		}
		if item.Email == e.email {
			item = spool.BatchItem{Kind: item.Kind}
			n++
		}
		left = spool.AppendBatchItem(left, item)
	}
	return left, n, nil
}

// sameAddress compares an address as a source has it with one as it is sent.
func sameAddress(given, email string) bool {
	normal, ok := contact.NormaliseEmail(given)
	return ok && normal == email
}

// itemAddress returns the address of a contact as it is sent.
func itemAddress(item json.RawMessage) string {
	var c struct {
		Identifiers []struct {
			Type string `json:"type"`
			ID   string `json:"id"`
		} `json:"identifiers"`
	}
	if json.Unmarshal(item, &c) == nil {
		for _, i := range c.Identifiers {
			if i.Type == "email" {
				return i.ID
			}
		}
	}
	return ""
}
