package sqlstore

import (
	"context"
	"fmt"
)

var (
	selectShard = reading(`SELECT data FROM ledger_shards WHERE export = $1 AND shard = $2`)
	saveShard   = inTx(`INSERT INTO ledger_shards (export, shard, data) VALUES ($1, $2, $3)
		ON CONFLICT (export, shard) DO UPDATE SET data = excluded.data`)
	dropShards = inTx(`DELETE FROM ledger_shards WHERE export = $1`)
	selectNote = reading(`SELECT note FROM ledger_notes WHERE export = $1`)
	saveNote   = inTx(`INSERT INTO ledger_notes (export, note) VALUES ($1, $2)
		ON CONFLICT (export) DO UPDATE SET note = excluded.note`)
	dropNote = inTx(`DELETE FROM ledger_notes WHERE export = $1`)
)

// LedgerShard returns one shard of an export's ledger.
func (s *Store) LedgerShard(ctx context.Context, export string, shard int) ([]byte, error) {
	data, err := optional(s.row(ctx, selectShard, export, shard))
	if err != nil {
		return nil, fmt.Errorf("reading shard %d of the ledger of %s: %w", shard, export, err)
	}
	return data, nil
}

// SaveLedgerShard replaces one shard.
func (s *Store) SaveLedgerShard(ctx context.Context, export string, shard int, data []byte) error {
	_, err := s.exec(ctx, fmt.Sprintf("saving shard %d of the ledger of %s", shard, export),
		saveShard, export, shard, present(data))
	return err
}

// LedgerMeta returns the note kept with an export's ledger.
func (s *Store) LedgerMeta(ctx context.Context, export string) ([]byte, error) {
	note, err := optional(s.row(ctx, selectNote, export))
	if err != nil {
		return nil, fmt.Errorf("reading the note of the ledger of %s: %w", export, err)
	}
	return note, nil
}

// SaveLedgerMeta replaces the note.
func (s *Store) SaveLedgerMeta(ctx context.Context, export string, note []byte) error {
	_, err := s.exec(ctx, "saving the note of the ledger of "+export, saveNote, export, present(note))
	return err
}

// DropLedger removes an export's shards and note.
func (s *Store) DropLedger(ctx context.Context, export string) error {
	return s.update(ctx, "removing the ledger of "+export, func(t tx) error {
		if _, err := t.exec(ctx, dropShards, export); err != nil {
			return err
		}
		_, err := t.exec(ctx, dropNote, export)
		return err
	})
}
