package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// expireAtOnce bounds one transaction of cleaning up: others are waiting.
const expireAtOnce = 1000

// old lists the rows to be removed; the condition names them by what.
func old(what, from string) *query {
	return reading(`SELECT ` + what + ` FROM ` + from + fmt.Sprintf(` LIMIT %d`, expireAtOnce))
}

// these is the list of keys that is passed as JSON.
const these = `(SELECT CAST(value->>'k' AS TEXT) FROM jsonb_array_elements(CAST($1 AS jsonb)))`

var (
	keepDigest   = inTx(`INSERT INTO forgotten (digest, at) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING`)
	dropDigest   = inTx(`DELETE FROM forgotten WHERE digest = $1`)
	selectDigest = reading(`SELECT digest FROM forgotten ORDER BY digest`)

	oldCalls = old(`origin`, `calls WHERE (state = 'void' OR folded = 1) AND run IN
		(SELECT id FROM runs WHERE ended_at > 0 AND ended_at < $1)`)
	oldRuns = old(`id`, `runs WHERE ended_at > 0 AND ended_at < $1
		AND created_at < (SELECT MAX(n.created_at) FROM runs n WHERE n.export = runs.export AND n.plan = runs.plan)
		AND id NOT IN (SELECT run FROM calls WHERE folded = 0 AND state <> 'void')`)
	oldCommands = old(`id`, `commands WHERE begun_at < $1`)
	oldAudit    = old(`id`, `audit WHERE at < $1`)

	dropCalls    = inTx(`DELETE FROM calls WHERE origin IN ` + these)
	dropCommands = inTx(`DELETE FROM commands WHERE id IN ` + these)
	dropAudit    = inTx(`DELETE FROM audit WHERE id IN ` + these)
	dropChanges  = inTx(`DELETE FROM audit_changes WHERE command IN ` + these)
	dropRun      = []*query{
		inTx(`DELETE FROM runs WHERE id IN ` + these),
		inTx(`DELETE FROM calls WHERE run IN ` + these),
		inTx(`DELETE FROM states WHERE run IN ` + these),
		inTx(`DELETE FROM blobs WHERE run IN ` + these),
		inTx(`DELETE FROM turns WHERE run IN ` + these),
	}
)

// Forget keeps the digest of an address.
func (s *Store) Forget(ctx context.Context, digest []byte) error {
	return s.update(ctx, "keeping a digest", func(t tx) error {
		now, err := t.now(ctx)
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, keepDigest, present(digest), now)
		return err
	})
}

// AllowAgain removes the digest of an address.
func (s *Store) AllowAgain(ctx context.Context, digest []byte) (bool, error) {
	n, err := s.exec(ctx, "removing a digest", dropDigest, present(digest))
	return n > 0, err
}

// Forgotten returns the digests of addresses that must not be carried again.
func (s *Store) Forgotten(ctx context.Context) ([][]byte, error) {
	all, err := list(ctx, s, selectDigest, func(row scanner) ([]byte, error) {
		var digest blob
		err := row.Scan(&digest)
		return digest, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the digests of forgotten addresses: %w", err)
	}
	return all, nil
}

// ExpireCalls removes calls of runs that ended long ago.
func (s *Store) ExpireCalls(ctx context.Context, before time.Time) (int, error) {
	return s.expire(ctx, "removing old calls", before, oldCalls, dropCalls)
}

// ExpireRuns removes runs that ended long ago.
func (s *Store) ExpireRuns(ctx context.Context, before time.Time) (int, error) {
	return s.expire(ctx, "removing old runs", before, oldRuns, dropRun...)
}

// ExpireCommands removes the record of commands carried out long ago.
func (s *Store) ExpireCommands(ctx context.Context, before time.Time) (int, error) {
	return s.expire(ctx, "removing old commands", before, oldCommands, dropCommands)
}

// ExpireAudit removes old entries of the audit.
func (s *Store) ExpireAudit(ctx context.Context, before time.Time) (int, error) {
	return s.expire(ctx, "removing old entries of the audit", before, oldAudit, dropAudit, dropChanges)
}

// expire removes what a query finds older than a time, piece by piece.
func (s *Store) expire(ctx context.Context, what string, before time.Time, find *query, drop ...*query) (int, error) {
	sum := 0
	for {
		n, err := s.expireSome(ctx, what, before, find, drop)
		sum += n
		if err != nil || n < expireAtOnce {
			return sum, err
		}
	}
}

// expireSome needs no lock between finding and removing: what may be removed
// once may be removed ever after.
func (s *Store) expireSome(ctx context.Context, what string, before time.Time, find *query, drop []*query) (int, error) {
	type key struct {
		Key string `json:"k"`
	}
	keys, err := list(ctx, s, find, func(row scanner) (key, error) {
		var k key
		err := row.Scan(&k.Key)
		return k, err
	}, toMicros(before))
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	list, err := json.Marshal(keys)
	if err != nil {
		return 0, err
	}
	err = s.update(ctx, what, func(t tx) error {
		for _, q := range drop {
			if _, err := t.exec(ctx, q, string(list)); err != nil {
				return err
			}
		}
		return nil
	})
	return len(keys), err
}
