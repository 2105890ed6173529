package command

import (
	"context"
	"errors"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/store"
)

// identify finds out who gives a command, and notes that they were seen.
func (a *Desk) identify(ctx context.Context, request *protocol.Request) (access.Principal, error) {
	now, err := a.Store.Now(ctx)
	if err != nil {
		return access.Principal{}, err
	}
	person, err := a.Identity.Identify(ctx, access.Evidence{Claim: request.Claim(), Proof: request.Proof, Credential: request.Credential}, now)
	if refuted, ok := errors.AsType[*access.IdentityError](err); ok {
		return access.Principal{}, protocol.Refuse(protocol.ErrNotAllowed, "%v", refuted)
	}
	if err != nil {
		return access.Principal{}, err
	}
	if person.Subject == "" {
		return access.Principal{Name: person.Name, Role: person.Role}, nil
	}
	seen, err := a.Store.SeePrincipal(ctx, store.Principal{Subject: person.Subject, Name: person.Name, Role: person.Role.String(), Groups: person.Groups})
	if err != nil {
		return access.Principal{}, err
	}
	p := access.Principal{Name: seen.Name, Role: person.Role}
	if seen.Revoked {
		// By name in the audit, but with no right.
		p.Role = access.Nobody
		return p, protocol.Refuse(protocol.ErrNotAllowed, "your access was revoked; ask an administrator to restore it")
	}
	return p, nil
}
