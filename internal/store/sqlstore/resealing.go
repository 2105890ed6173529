package sqlstore

import (
	"context"
	"fmt"

	"github.com/segment-export/segment-export/internal/store"
)

// resealing are the statements for each place. All take the same four keys.
var resealing = map[store.Place]struct{ list, replace *query }{
	store.PlaceObject: {
		reading(`SELECT kind, name, 0, 0, sealed FROM objects WHERE sealed IS NOT NULL AND (kind, name) > ($1, $2)
			AND CAST($3 AS BIGINT) >= 0 AND CAST($4 AS BIGINT) >= 0 ORDER BY kind, name LIMIT $5`),
		inTx(`UPDATE objects SET sealed = $6 WHERE kind = $1 AND name = $2 AND CAST($3 AS BIGINT) >= 0 AND CAST($4 AS BIGINT) >= 0 AND sealed = $5`),
	},
	store.PlaceShard: {
		reading(`SELECT export, '', 0, shard, data FROM ledger_shards WHERE (export, shard) > ($1, CAST($4 AS BIGINT))
			AND $2 = '' AND CAST($3 AS BIGINT) >= 0 ORDER BY export, shard LIMIT $5`),
		inTx(`UPDATE ledger_shards SET data = $6 WHERE export = $1 AND shard = $4 AND $2 = '' AND CAST($3 AS BIGINT) >= 0 AND data = $5`),
	},
	store.PlaceNote: {
		reading(`SELECT export, '', 0, 0, note FROM ledger_notes WHERE export > $1
			AND $2 = '' AND CAST($3 AS BIGINT) >= 0 AND CAST($4 AS BIGINT) >= 0 ORDER BY export LIMIT $5`),
		inTx(`UPDATE ledger_notes SET note = $6 WHERE export = $1 AND $2 = '' AND CAST($3 AS BIGINT) >= 0 AND CAST($4 AS BIGINT) >= 0 AND note = $5`),
	},
	store.PlaceBlob: {
		reading(`SELECT run, kind, grp, seq, data FROM blobs WHERE (run, kind, grp, seq) > ($1, $2, CAST($3 AS BIGINT), CAST($4 AS BIGINT))
			ORDER BY run, kind, grp, seq LIMIT $5`),
		inTx(`UPDATE blobs SET data = $6 WHERE run = $1 AND kind = $2 AND grp = $3 AND seq = $4 AND data = $5`),
	},
}

// SealedAt returns what is kept at a kind of place.
func (s *Store) SealedAt(ctx context.Context, place store.Place, after store.Sealed, limit int) ([]store.Sealed, error) {
	all, err := list(ctx, s, resealing[place].list, scanSealed, after.Name, after.Part, after.Group, after.Seq, limit)
	if err != nil {
		return nil, fmt.Errorf("listing what is sealed (%s): %w", place, err)
	}
	return all, nil
}

func scanSealed(row scanner) (store.Sealed, error) {
	var s store.Sealed
	var data blob
	err := row.Scan(&s.Name, &s.Part, &s.Group, &s.Seq, &data)
	s.Data = data
	return s, err
}

// Reseal puts data in the place of what was sealed before.
func (s *Store) Reseal(ctx context.Context, place store.Place, was store.Sealed, data []byte) (bool, error) {
	n, err := s.exec(ctx, "sealing again ("+string(place)+")", resealing[place].replace, was.Name, was.Part, was.Group, was.Seq, was.Data, data)
	return n > 0, err
}
