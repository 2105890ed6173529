package record

import (
	"context"
	"errors"
	"fmt"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/spelling"
	"github.com/segment-export/segment-export/internal/store"
)

// Find reads an object by name for a command, with a hint when it is not there.
func Find[T any](ctx context.Context, st objects, kind catalogue.Kind, name string) (T, store.Object, error) {
	v, o, err := Object[T](ctx, st, kind, name)
	if !errors.Is(err, store.ErrNotFound) {
		return v, o, err
	}
	all, err := st.Objects(ctx, string(kind))
	if err != nil {
		return v, o, err
	}
	var names []string
	for _, other := range all {
		names = append(names, other.Name)
	}
	hint := fmt.Sprintf("see: starter %s list", kind)
	if near := spelling.Nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return v, o, protocol.Refuse(protocol.ErrNotFound, "there is no %s %q; %s", kind, name, hint)
}

// List reads all objects of a kind.
func List[T any](ctx context.Context, st objects, kind catalogue.Kind) ([]T, error) {
	objects, err := st.Objects(ctx, string(kind))
	if err != nil {
		return nil, err
	}
	all := make([]T, 0, len(objects))
	for _, o := range objects {
		v, err := Decode[T](o.Body)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// objects are the stored objects of the catalogue.
type objects interface {
	Object(ctx context.Context, kind, name string) (store.Object, error)
	Objects(ctx context.Context, kind string) ([]store.Object, error)
}

// Object reads one object of the catalogue.
func Object[T any](ctx context.Context, st objects, kind catalogue.Kind, name string) (T, store.Object, error) {
	o, err := st.Object(ctx, string(kind), name)
	if err != nil {
		var zero T
		return zero, o, fmt.Errorf("%s %q: %w", kind, name, err)
	}
	v, err := Decode[T](o.Body)
	return v, o, err
}
