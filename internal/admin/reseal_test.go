package admin

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/alerting"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/ledger"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/seal"
	"github.com/segment-export/segment-export/internal/store"
)

// stale counts what is sealed with an older key.
func (s *steps) stale() int {
	s.T.Helper()
	n := 0
	for _, place := range []store.Place{store.PlaceObject, store.PlaceNote, store.PlaceShard, store.PlaceBlob} {
		all, err := s.Store.SealedAt(s.T.Context(), place, store.Sealed{}, 10_000)
		require.NoError(s.T, err)
		for _, sealed := range all {
			data := sealed.Data
			if place == store.PlaceNote {
				note, err := record.Decode[ledger.Note](data)
				require.NoError(s.T, err)
				data = note.Key
			}
			if len(data) > 0 && s.Keyring.Stale(data) {
				n++
			}
		}
	}
	return n
}

// A keyring is rotated in mid-run, everything is sealed again, and the run
// continues: what was read before is uploaded after, and the next run finds nothing
// changed.
func TestEverythingIsSealedAnewWhileARunGoesOn(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("a@example.com,A", "b@example.com,B", "not an address,C")
	report := s.Begin(run.Request{Yes: true})
	_, err := s.Ledgers().AddressKey(t.Context())
	require.NoError(t, err)
	target, err := s.Keyring.Seal([]byte("{}"), alerting.TargetContext("late"))
	require.NoError(t, err)
	s.Put(catalogue.KindAlert, "late", catalogue.Alert{Meta: catalogue.Meta{Name: "late"}}, target)
	require.Zero(t, s.stale())

	require.NoError(t, s.Keyring.Rotate())
	before := s.stale()
	require.Greater(t, before, 3)
	told := 0
	done, err := Reseal(t.Context(), s.Store, s.Keyring, func(Resealed) { told++ })
	require.NoError(t, err)
	require.Equal(t, Resealed{Seen: before, Again: before}, done)
	require.Positive(t, told)
	require.Zero(t, s.stale())
	done, err = Reseal(t.Context(), s.Store, s.Keyring, func(Resealed) {})
	require.NoError(t, err)
	require.Equal(t, Resealed{Seen: before}, done, "nothing is left to do")

	s.Upload(report)
	require.Len(t, s.Target.Sandbox.Contacts(omnisendtest.Brand), 2)

	// One that was not made with this keyring is counted, and left alone.
	other, err := seal.CreateKeyring(filepath.Join(t.TempDir(), "keyring.json"))
	require.NoError(t, err)
	foreign, err := other.SealBlob([]byte("x"), ledger.ShardContext("spring"))
	require.NoError(t, err)
	require.NoError(t, s.Store.SaveLedgerShard(t.Context(), "spring", 99, foreign))
	done, err = Reseal(t.Context(), s.Store, s.Keyring, func(Resealed) {})
	require.NoError(t, err)
	require.Equal(t, 1, done.Damaged)
	kept, err := s.Store.LedgerShard(t.Context(), "spring", 99)
	require.NoError(t, err)
	require.Equal(t, foreign, kept)
}
