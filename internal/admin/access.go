package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/store"
)

// accessHandlers are the commands about people and what they did. What they ask
// about and what they answer travels sealed.
func (a *Commands) accessHandlers() map[string]command.Handler {
	return map[string]command.Handler{
		protocol.AccessList:    command.Without(a.accessList),
		protocol.AccessRevoke:  command.Without(a.accessRevoke),
		protocol.AccessRestore: command.Without(a.accessRestore),
		protocol.Audit:         command.Without(a.audit),
	}
}

// sealedArgs opens arguments that came sealed.
func sealedArgs[T any](a *Commands, c command.Caller) (T, error) {
	var args T
	data, err := a.Keyring.OpenEnvelope(c.Request.Sealed, protocol.Context(c.Request.ID))
	if err != nil {
		return args, protocol.Refuse(protocol.ErrUsage, "the sealed arguments did not arrive: they were sealed to another worker's key, or not at all")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&args); err != nil {
		return args, protocol.Refuse(protocol.ErrUsage, "this worker does not understand the command's sealed arguments: is the starter newer than the worker?")
	}
	return args, nil
}

func (a *Commands) accessList(ctx context.Context, _ command.Caller) (any, error) {
	seen, err := a.Store.Principals(ctx)
	if err != nil {
		return nil, err
	}
	exports, err := record.List[catalogue.Export](ctx, a.Store, catalogue.KindExport)
	if err != nil {
		return nil, err
	}
	people := make([]protocol.PersonAnswer, 0, len(seen))
	for _, p := range seen {
		people = append(people, a.person(p, exports))
	}
	return people, nil
}

// person shows a person, with the role that their groups give now.
func (a *Commands) person(p store.Principal, exports []catalogue.Export) protocol.PersonAnswer {
	role, known := a.Identity.RoleOf(p.Groups)
	if !known {
		role = access.Nobody // this worker takes nobody's token
	}
	if p.Revoked {
		role = access.Nobody
	}
	answer := protocol.PersonAnswer{Name: p.Name, Role: role.String(), Groups: p.Groups, SeenAt: p.SeenAt, Revoked: p.Revoked}
	for _, e := range exports {
		if e.Owner() == p.Name {
			answer.RunsAs = append(answer.RunsAs, e.Name)
		}
	}
	return answer
}

// accessRevoke revokes a person's access: their commands are refused, runs that
// act as them are skipped.
func (a *Commands) accessRevoke(ctx context.Context, c command.Caller) (any, error) {
	return a.revoke(ctx, c, true)
}

func (a *Commands) accessRestore(ctx context.Context, c command.Caller) (any, error) {
	return a.revoke(ctx, c, false)
}

func (a *Commands) revoke(ctx context.Context, c command.Caller, revoked bool) (any, error) {
	args, err := sealedArgs[protocol.PersonArgs](a, c)
	if err != nil {
		return nil, err
	}
	*c.Object = args.Name
	if revoked && args.Name == c.Name {
		return nil, protocol.Refuse(protocol.ErrConflict, "that is you: have another administrator do it")
	}
	err = a.Store.RevokePrincipal(ctx, args.Name, revoked)
	if errors.Is(err, store.ErrNotFound) {
		return nil, protocol.Refuse(protocol.ErrNotFound, "nobody of this name was seen; see: starter access list")
	}
	if err != nil {
		return nil, err
	}
	p, err := a.Store.Principal(ctx, args.Name)
	if err != nil {
		return nil, err
	}
	exports, err := record.List[catalogue.Export](ctx, a.Store, catalogue.KindExport)
	if err != nil {
		return nil, err
	}
	return a.person(p, exports), nil
}

// auditPerPage keeps an answer far below what Temporal takes.
const auditPerPage = 200

func (a *Commands) audit(ctx context.Context, c command.Caller) (any, error) {
	args, err := sealedArgs[protocol.AuditArgs](a, c)
	if err != nil {
		return nil, err
	}
	limit := args.Limit
	if limit <= 0 || limit > auditPerPage {
		limit = auditPerPage
	}
	entries, err := a.Store.AuditEntries(ctx, store.AuditFilter{Actor: args.Actor, Object: args.Object, Command: args.Command,
		Since: args.Since, Past: args.Past, Limit: limit + 1})
	if errors.Is(err, store.ErrNotFound) {
		return nil, protocol.Refuse(protocol.ErrNotFound, "there is no entry %q in the audit", args.Past)
	}
	if err != nil {
		return nil, err
	}
	page := protocol.AuditPage{Entries: []protocol.AuditAnswer{}, More: len(entries) > limit}
	for _, e := range entries[:min(limit, len(entries))] {
		answer := protocol.AuditAnswer{ID: e.ID, At: e.At, Actor: e.Actor, Command: e.Command, Object: e.Object, Outcome: e.Outcome, Args: e.Detail}
		for _, change := range e.Changes {
			answer.Changes = append(answer.Changes, auditChange(change))
		}
		page.Entries = append(page.Entries, answer)
	}
	return page, nil
}

// bookkeeping are the fields that change with every change.
var bookkeeping = []string{"version", "updated_by", "updated_at", "created_by", "created_at"}

// auditChange compares an object before and after, field by field.
func auditChange(c store.AuditChange) protocol.AuditChange {
	answer := protocol.AuditChange{Kind: c.Kind, Name: c.Name, What: "changed", Secret: c.Secret}
	switch {
	case c.Before == nil:
		answer.What = "added"
	case c.After == nil:
		answer.What = "removed"
	}
	var before, after map[string]json.RawMessage
	if json.Unmarshal(orNone(c.Before), &before) != nil || json.Unmarshal(orNone(c.After), &after) != nil {
		return answer
	}
	all := maps.Clone(before)
	if all == nil {
		all = map[string]json.RawMessage{}
	}
	maps.Copy(all, after)
	for _, field := range slices.Sorted(maps.Keys(all)) {
		if slices.Contains(bookkeeping, field) || bytes.Equal(before[field], after[field]) {
			continue
		}
		answer.Fields = append(answer.Fields, protocol.AuditField{Field: field, Before: before[field], After: after[field]})
	}
	return answer
}

func orNone(body json.RawMessage) json.RawMessage {
	if body == nil {
		return json.RawMessage("null")
	}
	return body
}
