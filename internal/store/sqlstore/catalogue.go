package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/segment-export/segment-export/internal/store"
)

var (
	insertObject = inTx(`INSERT INTO objects (kind, name, version, body, sealed) VALUES ($1, $2, 1, $3, $4)
		ON CONFLICT (kind, name) DO NOTHING`)
	updateObject = inTx(`UPDATE objects SET version = version + 1, body = $4, sealed = COALESCE($5, sealed)
		WHERE kind = $1 AND name = $2 AND version = $3`)
	objectVersion = inTx(`SELECT version FROM objects WHERE kind = $1 AND name = $2`)
	selectObject  = reading(`SELECT kind, name, version, body, sealed FROM objects WHERE kind = $1 AND name = $2`)
	selectObjects = reading(`SELECT kind, name, version, body, NULL FROM objects WHERE kind = $1 ORDER BY name`)
	deleteObject  = inTx(`DELETE FROM objects WHERE kind = $1 AND name = $2`)
	objectBody    = inTx(`SELECT body FROM objects WHERE kind = $1 AND name = $2 FOR UPDATE`)

	// A command that is attempted again keeps what was before the first attempt.
	saveChange = inTx(`INSERT INTO audit_changes (command, kind, name, before, after, secret) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (command, kind, name) DO UPDATE SET after = excluded.after,
		secret = CASE WHEN audit_changes.secret = 1 THEN 1 ELSE excluded.secret END`)

	releaseMarkers = inTx(`DELETE FROM markers WHERE brand = $1 AND export = $2`)
	claimMarker    = inTx(`INSERT INTO markers (brand, property, export) VALUES ($1, $2, $3)
		ON CONFLICT (brand, property) DO NOTHING`)
	selectOwners = reading(`SELECT property, export FROM markers WHERE brand = $1`)
	markerOwner  = inTx(`SELECT export FROM markers WHERE brand = $1 AND property = $2`)
)

// CreateObject stores a new object.
func (s *Store) CreateObject(ctx context.Context, o store.Object) error {
	return s.update(ctx, "creating the "+o.Kind+" "+o.Name, func(t tx) error {
		n, err := t.exec(ctx, insertObject, o.Kind, o.Name, nullableText(o.Body), nullable(o.Sealed))
		if err == nil && n == 0 {
			return store.ErrExists
		}
		if err != nil {
			return err
		}
		return t.keepChange(ctx, o, nil)
	})
}

// UpdateObject replaces an object that nobody has changed meanwhile.
func (s *Store) UpdateObject(ctx context.Context, o store.Object) error {
	return s.update(ctx, "changing the "+o.Kind+" "+o.Name, func(t tx) error { return t.replaceObject(ctx, o) })
}

func (t tx) replaceObject(ctx context.Context, o store.Object) error {
	before, err := t.bodyBefore(ctx, o)
	if err != nil {
		return err
	}
	n, err := t.exec(ctx, updateObject, o.Kind, o.Name, o.Version, nullableText(o.Body), nullable(o.Sealed))
	if err != nil {
		return err
	}
	if n > 0 {
		return t.keepChange(ctx, o, before)
	}
	var version int64
	switch err := t.row(ctx, objectVersion, o.Kind, o.Name).Scan(&version); {
	case errors.Is(err, sql.ErrNoRows):
		return store.ErrNotFound
	case err != nil:
		return err
	}
	return store.ErrConflict
}

// Object returns one object.
func (s *Store) Object(ctx context.Context, kind, name string) (store.Object, error) {
	o, err := scanObject(s.row(ctx, selectObject, kind, name))
	if err != nil {
		return store.Object{}, fmt.Errorf("reading the %s %s: %w", kind, name, notFound(err))
	}
	return o, nil
}

// Objects returns all objects of a kind, without their secrets.
func (s *Store) Objects(ctx context.Context, kind string) ([]store.Object, error) {
	all, err := list(ctx, s, selectObjects, scanObject, kind)
	if err != nil {
		return nil, fmt.Errorf("listing each %s: %w", kind, err)
	}
	return all, nil
}

func scanObject(row scanner) (store.Object, error) {
	var o store.Object
	var body, sealed blob
	err := row.Scan(&o.Kind, &o.Name, &o.Version, &body, &sealed)
	o.Body, o.Sealed = json.RawMessage(body), sealed
	return o, err
}

// DeleteObject removes one object.
func (s *Store) DeleteObject(ctx context.Context, kind, name, command string) error {
	return s.update(ctx, "removing the "+kind+" "+name, func(t tx) error {
		o := store.Object{Kind: kind, Name: name, Command: command}
		before, err := t.bodyBefore(ctx, o)
		if err != nil {
			return err
		}
		n, err := t.exec(ctx, deleteObject, kind, name)
		if err == nil && n == 0 {
			return store.ErrNotFound
		}
		if err != nil {
			return err
		}
		return t.keepChange(ctx, o, before)
	})
}

// bodyBefore reads what a command is about to change; nil when it is not there.
func (t tx) bodyBefore(ctx context.Context, o store.Object) (blob, error) {
	var before blob
	if o.Command == "" {
		return nil, nil
	}
	if err := t.row(ctx, objectBody, o.Kind, o.Name).Scan(&before); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	return before, nil
}

// keepChange keeps an object's values before and after a command.
func (t tx) keepChange(ctx context.Context, o store.Object, before blob) error {
	if o.Command == "" {
		return nil
	}
	_, err := t.exec(ctx, saveChange, o.Command, o.Kind, o.Name, nullableText(json.RawMessage(before)), nullableText(o.Body), number(o.Sealed != nil))
	return err
}

// ClaimMarkers makes the export the owner of these properties and no others.
func (s *Store) ClaimMarkers(ctx context.Context, brand, export string, properties []string) error {
	// Sorted, so that two exports that claim the same ones do not wait for each
	// other; without repetitions, so that an export is not in its own way.
	properties = slices.Compact(slices.Sorted(slices.Values(properties)))
	return s.update(ctx, "claiming markers for the export "+export, func(t tx) error {
		if _, err := t.exec(ctx, releaseMarkers, brand, export); err != nil {
			return err
		}
		for _, property := range properties {
			n, err := t.exec(ctx, claimMarker, brand, property, export)
			if err != nil {
				return err
			}
			if n > 0 {
				continue
			}
			taken := &store.MarkerTakenError{Property: property}
			switch err := t.row(ctx, markerOwner, brand, property).Scan(&taken.Export); {
			case errors.Is(err, sql.ErrNoRows): // its owner gave it up at this moment
				return store.ErrConflict
			case err != nil:
				return err
			}
			return taken
		}
		return nil
	})
}

// MarkerOwners returns who owns each custom property at a brand.
func (s *Store) MarkerOwners(ctx context.Context, brand string) (map[string]string, error) {
	type owned struct{ property, export string }
	all, err := list(ctx, s, selectOwners, func(row scanner) (owned, error) {
		var o owned
		err := row.Scan(&o.property, &o.export)
		return o, err
	}, brand)
	if err != nil {
		return nil, fmt.Errorf("listing the markers of the brand %s: %w", brand, err)
	}
	owners := make(map[string]string, len(all))
	for _, o := range all {
		owners[o.property] = o.export
	}
	return owners, nil
}

// notFound says in the store's words that there was no row.
func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}
