package activities

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/store"
)

// Commands change the catalogue only with create, replace and remove, which see
// to it that the caller may have the object as it was and as it becomes, and
// that the audit has both.

// authorise sees to it that the caller may use everything that a command is
// about. Administrators may, and what a viewer may see needs no more than a
// role: for both nothing is read.
func (a *Activities) authorise(ctx context.Context, c caller, about []protocol.Subject) error {
	if needs, _ := access.Required(c.request.Name); c.Role >= access.Admin || needs <= access.Viewer {
		return nil
	}
	for _, s := range about {
		reached, err := a.resolve(ctx, s)
		if errors.Is(err, store.ErrNotFound) {
			return refuse(protocol.ErrNotFound, "there is no %s %q", s.Kind, s.Name)
		}
		if err != nil {
			return err
		}
		if err := access.Check(c.Principal, c.request.Name, reached...); err != nil {
			return refuse(protocol.ErrNotAllowed, "%v", err)
		}
	}
	return nil
}

// resolve finds what a subject reaches.
func (a *Activities) resolve(ctx context.Context, s protocol.Subject) ([]access.Object, error) {
	if s.Kind == protocol.KindRun {
		r, err := a.findRun(ctx, s.Name)
		if err != nil {
			return nil, err
		}
		return a.reachedByRun(ctx, r)
	}
	v, err := catalogue.New(s.Kind)
	if err != nil {
		return nil, err
	}
	o, err := a.Store.Object(ctx, string(s.Kind), s.Name)
	if err != nil {
		return nil, err
	}
	if err := decodeInto(o.Body, v); err != nil {
		return nil, err
	}
	return a.reached(ctx, v)
}

// reachedByRun returns the connection and the source that a run was started
// with: what is kept of it comes from there, whatever became of its export.
func (a *Activities) reachedByRun(ctx context.Context, r store.Run) ([]access.Object, error) {
	report, err := storedReport(r)
	if err != nil {
		return nil, err
	}
	connection, err := a.ofConnection(ctx, r.Connection)
	if err != nil {
		return nil, err
	}
	source, err := a.ofSource(ctx, report.Source)
	return []access.Object{connection, source}, err
}

// reached returns the connections and sources that a user of an object uses
// through it: an export reads its source and sends over its connection.
func (a *Activities) reached(ctx context.Context, v catalogue.Object) ([]access.Object, error) {
	switch v := v.(type) {
	case *catalogue.Connection:
		return []access.Object{access.OfConnection(*v)}, nil
	case *catalogue.Source:
		return []access.Object{access.OfSource(*v)}, nil
	case *catalogue.Export:
		source, err := a.ofSource(ctx, v.Source)
		if err != nil || v.Connection == "" {
			return []access.Object{source}, err
		}
		connection, err := a.ofConnection(ctx, v.Connection)
		return []access.Object{connection, source}, err
	case *catalogue.Schedule:
		e, _, err := object[catalogue.Export](ctx, a, catalogue.KindExport, v.Name)
		if errors.Is(err, store.ErrNotFound) {
			return []access.Object{{Kind: catalogue.KindExport, Name: v.Name}}, nil
		}
		if err != nil {
			return nil, err
		}
		return a.reached(ctx, &e)
	case *catalogue.Refresh: // concerns everything, so it is for administrators
		return []access.Object{{Kind: catalogue.KindRefresh, Name: v.Name}}, nil
	}
	return nil, fmt.Errorf("a %T is nothing to be checked", v)
}

// ofConnection returns a connection that counts; one that is gone is for
// administrators.
func (a *Activities) ofConnection(ctx context.Context, name string) (access.Object, error) {
	c, _, err := object[catalogue.Connection](ctx, a, catalogue.KindConnection, name)
	if errors.Is(err, store.ErrNotFound) {
		return access.Object{Kind: catalogue.KindConnection, Name: name}, nil
	}
	return access.OfConnection(c), err
}

// ofSource returns a source that counts; one that is gone is for administrators.
func (a *Activities) ofSource(ctx context.Context, name string) (access.Object, error) {
	s, _, err := object[catalogue.Source](ctx, a, catalogue.KindSource, name)
	if errors.Is(err, store.ErrNotFound) {
		return access.Object{Kind: catalogue.KindSource, Name: name}, nil
	}
	return access.OfSource(s), err
}

// mayHave refuses what the caller may not have: anything of an administrator's,
// an export with a connection or a source that is not shared.
func (a *Activities) mayHave(ctx context.Context, c caller, v catalogue.Object) error {
	if c.Role >= access.Admin {
		return nil
	}
	reached, err := a.reached(ctx, v)
	if err != nil {
		return err
	}
	if err := access.Check(c.Principal, c.request.Name, reached...); err != nil {
		return refuse(protocol.ErrNotAllowed, "%v", err)
	}
	return nil
}

// own makes an export run as whoever changes it, unless an administrator says
// otherwise: nobody has another's rights by editing what runs with them.
func own(c caller, v catalogue.Object) {
	if e, ok := v.(*catalogue.Export); ok && c.Role < access.Admin && e.RunAs != c.Name {
		e.RunAs = ""
	}
}

// create stores a new object for a command. One that is there already with the
// very same content was stored by an earlier attempt at the command.
func (a *Activities) create(ctx context.Context, c caller, v catalogue.Object, sealed []byte) error {
	if err := a.mayHave(ctx, c, v); err != nil {
		return err
	}
	own(c, v)
	kind, name := v.Kind(), v.Head().Name
	o := store.Object{Kind: string(kind), Name: name, Body: encode(v), Sealed: sealed, Command: c.request.ID}
	err := a.Store.CreateObject(ctx, o)
	if !errors.Is(err, store.ErrExists) {
		return err
	}
	if there, err := a.Store.Object(ctx, o.Kind, name); err == nil && bytes.Equal(there.Body, o.Body) {
		return nil
	}
	return refuse(protocol.ErrExists, "there is a %s %q already; see: starter %s show %q", kind, name, kind, name)
}

// replace stores an object's new content, and its new secret unless that is
// nil, in the place of o, from which it was made. It enters in v who changed it
// and when.
func (a *Activities) replace(ctx context.Context, c caller, o store.Object, v catalogue.Object, sealed []byte) error {
	before, err := catalogue.New(v.Kind())
	if err != nil {
		return err
	}
	if err := decodeInto(o.Body, before); err != nil {
		return err
	}
	for _, state := range []catalogue.Object{before, v} {
		if err := a.mayHave(ctx, c, state); err != nil {
			return err
		}
	}
	own(c, v)
	now, err := a.Store.Now(ctx)
	if err != nil {
		return err
	}
	head := v.Head()
	head.UpdatedBy, head.UpdatedAt, head.Version = c.Name, now, o.Version+1
	o.Body, o.Sealed, o.Command = encode(v), sealed, c.request.ID
	err = a.Store.UpdateObject(ctx, o)
	if errors.Is(err, store.ErrConflict) {
		return refuse(protocol.ErrConflict, "the %s %q was changed by somebody else meanwhile; look at it and try again", v.Kind(), head.Name)
	}
	return err
}

// remove removes an object for a command.
func (a *Activities) remove(ctx context.Context, c caller, v catalogue.Object) error {
	if err := a.mayHave(ctx, c, v); err != nil {
		return err
	}
	return a.Store.DeleteObject(ctx, string(v.Kind()), v.Head().Name, c.request.ID)
}
