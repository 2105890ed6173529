package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/store"
)

// Commands change the catalogue only with create, replace and remove, which see
// to it that the caller may have the object as it was and as it becomes, and
// that the audit has both.

// authorise sees to it that the caller may use everything that a command is
// about. Administrators may, and what a viewer may see needs no more than a
// role: for both nothing is read.
func (a *Desk) authorise(ctx context.Context, c Caller, about []protocol.Subject) error {
	if needs, _ := access.Required(c.Request.Name); c.Role >= access.Admin || needs <= access.Viewer {
		return nil
	}
	for _, s := range about {
		reached, err := a.resolve(ctx, c, s)
		if errors.Is(err, store.ErrNotFound) {
			return protocol.Refuse(protocol.ErrNotFound, "there is no %s %q", s.Kind, s.Name)
		}
		if err != nil {
			return err
		}
		if err := access.Check(c.Principal, c.Request.Name, reached...); err != nil {
			return protocol.Refuse(protocol.ErrNotAllowed, "%v", err)
		}
	}
	return nil
}

// resolve finds what a subject reaches.
func (a *Desk) resolve(ctx context.Context, c Caller, s protocol.Subject) ([]access.Object, error) {
	if s.Kind == protocol.KindRun {
		r, err := a.RunOf(ctx, c, s.Name)
		if err != nil {
			return nil, err
		}
		return a.ReachedByRun(ctx, r)
	}
	v, err := catalogue.New(s.Kind)
	if err != nil {
		return nil, err
	}
	o, err := a.Store.Object(ctx, string(s.Kind), s.Name)
	if err != nil {
		return nil, err
	}
	if err := record.DecodeInto(o.Body, v); err != nil {
		return nil, err
	}
	return a.Reached(ctx, v)
}

// RunOf finds the run that a command means, once: an export's name may mean
// another run a moment later, which the caller may not be allowed to use.
func (a *Desk) RunOf(ctx context.Context, c Caller, ref string) (store.Run, error) {
	if r, ok := c.runs[ref]; ok {
		return r, nil
	}
	r, err := a.FindRun(ctx, ref)
	if err == nil && c.runs != nil {
		c.runs[ref] = r
	}
	return r, err
}

// ReachedByRun returns the connection and the source that a run was started
// with: what is kept of it comes from there, whatever its export uses now. An
// object that was removed and added again under the same name is another one.
func (a *Desk) ReachedByRun(ctx context.Context, r store.Run) ([]access.Object, error) {
	report, err := job.StoredReport(r)
	if err != nil {
		return nil, err
	}
	connection, err := a.ofConnection(ctx, r.Connection, r.CreatedAt)
	if err != nil {
		return nil, err
	}
	source, err := a.ofSource(ctx, report.Source, r.CreatedAt)
	return []access.Object{connection, source}, err
}

// Reached returns the connections and sources that a user of an object uses
// through it: an export reads its source and sends over its connection.
func (a *Desk) Reached(ctx context.Context, v catalogue.Object) ([]access.Object, error) {
	switch v := v.(type) {
	case *catalogue.Connection:
		return []access.Object{access.OfConnection(*v)}, nil
	case *catalogue.Source:
		return []access.Object{access.OfSource(*v)}, nil
	case *catalogue.Export:
		source, err := a.ofSource(ctx, v.Source, today)
		if err != nil || v.Connection == "" {
			return []access.Object{source}, err
		}
		connection, err := a.ofConnection(ctx, v.Connection, today)
		return []access.Object{connection, source}, err
	case *catalogue.Schedule:
		e, _, err := record.Object[catalogue.Export](ctx, a.Store, catalogue.KindExport, v.Name)
		if errors.Is(err, store.ErrNotFound) {
			return []access.Object{{Kind: catalogue.KindExport, Name: v.Name}}, nil
		}
		if err != nil {
			return nil, err
		}
		return a.Reached(ctx, &e)
	case *catalogue.Refresh: // concerns everything, so it is for administrators
		return []access.Object{{Kind: catalogue.KindRefresh, Name: v.Name}}, nil
	}
	return nil, fmt.Errorf("a %T is nothing to be checked", v)
}

// today stands for the time of the command itself.
var today time.Time

// ofConnection returns a connection as it counted at a time. One that is gone,
// or was added later, is for administrators.
func (a *Desk) ofConnection(ctx context.Context, name string, at time.Time) (access.Object, error) {
	c, _, err := record.Object[catalogue.Connection](ctx, a.Store, catalogue.KindConnection, name)
	if errors.Is(err, store.ErrNotFound) || err == nil && later(c.Meta, at) {
		return access.Object{Kind: catalogue.KindConnection, Name: name}, nil
	}
	return access.OfConnection(c), err
}

// ofSource returns a source as it counted at a time. One that is gone, or was
// added later, is for administrators.
func (a *Desk) ofSource(ctx context.Context, name string, at time.Time) (access.Object, error) {
	s, _, err := record.Object[catalogue.Source](ctx, a.Store, catalogue.KindSource, name)
	if errors.Is(err, store.ErrNotFound) || err == nil && later(s.Meta, at) {
		return access.Object{Kind: catalogue.KindSource, Name: name}, nil
	}
	return access.OfSource(s), err
}

// later says that an object was added after a time.
func later(m catalogue.Meta, at time.Time) bool { return !at.IsZero() && m.CreatedAt.After(at) }

// MayHave refuses what the caller may not have: anything of an administrator's,
// an export with a connection or a source that is not shared.
func (a *Desk) MayHave(ctx context.Context, c Caller, v catalogue.Object) error {
	if c.Role >= access.Admin {
		return nil
	}
	reached, err := a.Reached(ctx, v)
	if err != nil {
		return err
	}
	if err := access.Check(c.Principal, c.Request.Name, reached...); err != nil {
		return protocol.Refuse(protocol.ErrNotAllowed, "%v", err)
	}
	return nil
}

// own makes an export run as the person who changes it, unless an administrator
// says otherwise: an edit never gives a person another's rights.
func own(c Caller, v catalogue.Object) {
	if e, ok := v.(*catalogue.Export); ok && c.Role < access.Admin && e.RunAs != c.Name {
		e.RunAs = ""
	}
}

// Create stores a new object for a command. One that is there already with the
// very same content was stored by an earlier attempt at the command.
func (a *Desk) Create(ctx context.Context, c Caller, v catalogue.Object, sealed []byte) error {
	if err := a.MayHave(ctx, c, v); err != nil {
		return err
	}
	own(c, v)
	kind, name := v.Kind(), v.Head().Name
	o := store.Object{Kind: string(kind), Name: name, Body: record.Encode(v), Sealed: sealed, Command: c.Request.ID}
	err := a.Store.CreateObject(ctx, o)
	if !errors.Is(err, store.ErrExists) {
		return err
	}
	if there, err := a.Store.Object(ctx, o.Kind, name); err == nil && bytes.Equal(there.Body, o.Body) {
		return nil
	}
	return protocol.Refuse(protocol.ErrExists, "there is a %s %q already; see: starter %s show %q", kind, name, kind, name)
}

// Replace stores an object's new content, and its new secret unless that is
// nil, in the place of o, from which it was made. It enters in v who changed it
// and when.
func (a *Desk) Replace(ctx context.Context, c Caller, o store.Object, v catalogue.Object, sealed []byte) error {
	before, err := catalogue.New(v.Kind())
	if err != nil {
		return err
	}
	if err := record.DecodeInto(o.Body, before); err != nil {
		return err
	}
	for _, state := range []catalogue.Object{before, v} {
		if err := a.MayHave(ctx, c, state); err != nil {
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
	o.Body, o.Sealed, o.Command = record.Encode(v), sealed, c.Request.ID
	err = a.Store.UpdateObject(ctx, o)
	if errors.Is(err, store.ErrConflict) {
		return protocol.Refuse(protocol.ErrConflict, "the %s %q was changed by another user meanwhile; look at it and try again", v.Kind(), head.Name)
	}
	return err
}

// Remove removes an object for a command.
func (a *Desk) Remove(ctx context.Context, c Caller, v catalogue.Object) error {
	if err := a.MayHave(ctx, c, v); err != nil {
		return err
	}
	return a.Store.DeleteObject(ctx, string(v.Kind()), v.Head().Name, c.Request.ID)
}
