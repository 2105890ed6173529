// Package ledger keeps what Omnisend has confirmed of each export: an entry for
// each contact, sealed in shards, and a note about the whole. It also keeps who
// must be forgotten.
package ledger

import (
	"log/slog"

	"github.com/segment-export/segment-export/internal/seal"
	"github.com/segment-export/segment-export/internal/store"
)

// Ledgers are the ledgers of all exports.
type Ledgers struct {
	Store   store.Store
	Keyring *seal.Keyring
	Log     *slog.Logger
}
