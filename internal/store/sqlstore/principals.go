package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/segment-export/segment-export/internal/store"
)

const principalColumns = `subject, name, role, groups, seen_at, revoked`

var (
	selectSubject   = reading(`SELECT ` + principalColumns + ` FROM principals WHERE subject = $1`)
	lockedSubject   = inTx(`SELECT ` + principalColumns + ` FROM principals WHERE subject = $1 FOR UPDATE`)
	insertPrincipal = inTx(`INSERT INTO principals (subject, name, role, groups, seen_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT DO NOTHING`)
	seePrincipal     = inTx(`UPDATE principals SET role = $2, groups = $3, seen_at = $4 WHERE subject = $1`)
	selectPrincipal  = reading(`SELECT ` + principalColumns + ` FROM principals WHERE name = $1`)
	selectPrincipals = reading(`SELECT ` + principalColumns + ` FROM principals ORDER BY name`)
	revokePrincipal  = inTx(`UPDATE principals SET revoked = $2 WHERE name = $1`)
)

// seenAgain is after how long it is noted again that a person was seen: not with
// every command.
const seenAgain = time.Minute

// SeePrincipal notes that a person was seen.
func (s *Store) SeePrincipal(ctx context.Context, p store.Principal) (store.Principal, error) {
	groups, err := json.Marshal(p.Groups)
	if err != nil {
		return p, err
	}
	now, err := s.Now(ctx)
	if err != nil {
		return p, err
	}
	known, err := scanPrincipal(s.row(ctx, selectSubject, p.Subject))
	if err == nil && known.Role == p.Role && sameGroups(known.Groups, groups) && now.Sub(known.SeenAt) < seenAgain {
		return known, nil
	}
	err = s.update(ctx, "noting who was seen", func(t tx) error {
		for _, name := range []string{p.Name, otherName(p)} {
			if _, err := t.exec(ctx, insertPrincipal, p.Subject, name, p.Role, string(groups), toMicros(now)); err != nil {
				return err
			}
			var err error
			if known, err = scanPrincipal(t.row(ctx, lockedSubject, p.Subject)); !errors.Is(err, sql.ErrNoRows) {
				if err != nil {
					return err
				}
				break
			}
		}
		if known.Subject != p.Subject {
			return fmt.Errorf("no name is left for a subject that would be called %s: %w", p.Name, store.ErrExists)
		}
		known.Role, known.Groups, known.SeenAt = p.Role, p.Groups, now
		_, err := t.exec(ctx, seePrincipal, p.Subject, p.Role, string(groups), toMicros(now))
		return err
	})
	return known, err
}

func sameGroups(known []string, groups []byte) bool {
	raw, err := json.Marshal(known)
	return err == nil && string(raw) == string(groups)
}

// otherName is the name of a person whose own belongs to another subject.
func otherName(p store.Principal) string {
	sum := sha256.Sum256([]byte(p.Subject))
	return p.Name + "~" + hex.EncodeToString(sum[:4])
}

// Principal returns one by name.
func (s *Store) Principal(ctx context.Context, name string) (store.Principal, error) {
	p, err := scanPrincipal(s.row(ctx, selectPrincipal, name))
	if err != nil {
		return p, fmt.Errorf("looking up who was seen: %w", notFound(err))
	}
	return p, nil
}

// Principals returns all.
func (s *Store) Principals(ctx context.Context) ([]store.Principal, error) {
	all, err := list(ctx, s, selectPrincipals, scanPrincipal)
	if err != nil {
		return nil, fmt.Errorf("listing who was seen: %w", err)
	}
	return all, nil
}

// RevokePrincipal revokes or restores the access of a person.
func (s *Store) RevokePrincipal(ctx context.Context, name string, revoked bool) error {
	n, err := s.exec(ctx, "changing whose access is revoked", revokePrincipal, name, number(revoked))
	if err == nil && n == 0 {
		return store.ErrNotFound
	}
	return err
}

func scanPrincipal(row scanner) (store.Principal, error) {
	var p store.Principal
	var groups blob
	var seen, revoked int64
	if err := row.Scan(&p.Subject, &p.Name, &p.Role, &groups, &seen, &revoked); err != nil {
		return p, err
	}
	p.SeenAt, p.Revoked = fromMicros(seen), revoked != 0
	return p, json.Unmarshal(groups, &p.Groups)
}
