package intake

import (
	"context"
	"errors"
	"fmt"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// mayActAs says why a run may not use connections and sources with a user's
// rights; nil when it may. It uses the groups of the user's last token and the
// roles that these have now.
func (a *Steps) mayActAs(ctx context.Context, name string, uses ...access.Object) (*run.Halt, error) {
	if _, known := a.Identity.RoleOf(nil); !known {
		return nil, nil
	}
	// They are not named: the reason passes through Temporal.
	no := func(why string) *run.Halt {
		return &run.Halt{Kind: run.HaltSkip, Reason: reason.Format("the user whom the export runs as %s", why),
			Action: "see who that is with: starter export show; an administrator, or a contributor who may use its connection and its source, takes it over by editing it"}
	}
	seen, err := a.Store.Principal(ctx, name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return no("has never shown this worker who they are"), nil
	case err != nil:
		return nil, err
	case seen.Revoked:
		return no("has no access any more: an administrator revoked it"), nil
	}
	role, _ := a.Identity.RoleOf(seen.Groups)
	p := access.Principal{Name: name, Role: role}
	if err := access.Check(p, protocol.Run); err != nil {
		return no("may not run exports any more"), nil
	}
	for _, o := range uses {
		if !access.May(p, o) {
			return no(fmt.Sprintf("may not use the %s %q any more", o.Kind, o.Name)), nil
		}
	}
	return nil, nil
}
