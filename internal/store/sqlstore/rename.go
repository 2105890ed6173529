package sqlstore

import (
	"context"

	"github.com/segment-export/segment-export/internal/store"
)

var renameObject = inTx(`UPDATE objects SET name = $3 WHERE kind = $1 AND name = $2 AND version = $4
	AND NOT EXISTS (SELECT 1 FROM objects AS other WHERE other.kind = $1 AND other.name = $3)`)

// RenameObject gives an object another name and changes what refers to it.
func (s *Store) RenameObject(ctx context.Context, from string, o store.Object, others ...store.Object) error {
	return s.update(ctx, "renaming the "+o.Kind+" "+from, func(t tx) error {
		n, err := t.exec(ctx, renameObject, o.Kind, from, o.Name, o.Version)
		if err != nil {
			return err
		}
		if n == 0 {
			return t.whyNotRenamed(ctx, from, o)
		}
		for _, changed := range append([]store.Object{o}, others...) {
			if err := t.replaceObject(ctx, changed); err != nil {
				return err
			}
		}
		return nil
	})
}

// whyNotRenamed tells what stood in the way.
func (t tx) whyNotRenamed(ctx context.Context, from string, o store.Object) error {
	var version int64
	if err := t.row(ctx, objectVersion, o.Kind, from).Scan(&version); err != nil {
		return notFound(err)
	}
	if version != o.Version {
		return store.ErrConflict
	}
	return store.ErrExists
}
