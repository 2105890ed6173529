package store

import (
	"context"
	"time"
)

// Principal is a person who has proven to a worker who they are.
type Principal struct {
	Subject string    // identifies them at their identity provider; never changes
	Name    string    // what they are called here; of one subject only, and never changes
	Role    string    // access.Role, as of the last time
	Groups  []string  // as of the last time
	SeenAt  time.Time // to the minute; set by the store
	Revoked bool      // an administrator has shut them out
}

// Principals keeps who was seen, for what is done in the name of people while they
// are away.
type Principals interface {
	// SeePrincipal notes that a person was seen, with Subject, Role and Groups
	// of p, and returns what is kept. Name counts the first time: when it belongs
	// to another subject, another one is made of it.
	SeePrincipal(ctx context.Context, p Principal) (Principal, error)
	// Principal returns one by name; ErrNotFound.
	Principal(ctx context.Context, name string) (Principal, error)
	// Principals returns all, sorted by name.
	Principals(ctx context.Context) ([]Principal, error)
	// RevokePrincipal revokes or restores the access of a person; ErrNotFound.
	RevokePrincipal(ctx context.Context, name string, revoked bool) error
}
