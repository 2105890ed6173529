// Package access decides who may do what: roles, the identity of the holder of a
// machine's data directory, and proofs that a command comes from them.
package access

import (
	"errors"
	"fmt"
)

// Role says what a person may do. Each role may do all that the lower ones may;
// the zero value may do nothing that needs a role.
type Role int

// The roles.
const (
	Nobody      Role = iota
	Viewer           // sees what there is and how runs go, nothing personal
	Contributor      // makes exports on connections that are shared, and runs them
	Admin            // holds connections and sources
)

// String returns the role's name.
func (r Role) String() string {
	switch r {
	case Nobody:
		return "nobody"
	case Viewer:
		return "viewer"
	case Contributor:
		return "contributor"
	case Admin:
		return "admin"
	}
	return fmt.Sprintf("role(%d)", int(r))
}

// ParseRole reads a role's name.
func ParseRole(text string) (Role, error) {
	for _, r := range []Role{Viewer, Contributor, Admin} {
		if text == r.String() {
			return r, nil
		}
	}
	return Nobody, fmt.Errorf("%q is none of the roles viewer, contributor, admin", text)
}

// Principal is the person who gives a command.
type Principal struct {
	Name string
	Role Role
}

// ErrUnknownCommand is the error of a command that does not exist.
var ErrUnknownCommand = errors.New("unknown command")

// Required returns the least role for a command, and whether there is such a
// command.
func Required(command string) (Role, bool) {
	c, ok := Specified(command)
	return c.Role, ok
}

// Reads says that a command changes nothing.
func Reads(command string) bool {
	c, _ := Specified(command)
	return c.Reads
}

// NotAllowedError is the error of a command that needs a higher role.
type NotAllowedError struct {
	Principal Principal
	Command   string
	Needs     Role
}

// Error says who can help.
func (e *NotAllowedError) Error() string {
	who := "nobody has proven to ask for this command"
	if e.Principal.Role > Nobody {
		// Not by name: the text passes through Temporal.
		who = "you are " + withArticle(e.Principal.Role)
	}
	help := withArticle(Admin)
	if e.Needs < Admin {
		help = withArticle(e.Needs) + " or " + help
	}
	return fmt.Sprintf("%s, and %q needs %s: ask %s", who, e.Command, withArticle(e.Needs), help)
}

func withArticle(r Role) string {
	if r == Admin {
		return "an " + r.String()
	}
	return "a " + r.String()
}

// Check tells whether p may give a command about these objects: with a
// *NotAllowedError or *NotSharedError if not, with ErrUnknownCommand if there is
// none. What a viewer may see is seen of every object.
func Check(p Principal, command string, about ...Object) error {
	needs, ok := Required(command)
	switch {
	case !ok:
		return fmt.Errorf("%w: %q", ErrUnknownCommand, command)
	case p.Role < needs:
		return &NotAllowedError{Principal: p, Command: command, Needs: needs}
	case needs <= Viewer:
		return nil
	}
	for _, o := range about {
		if !May(p, o) {
			return &NotSharedError{Principal: p, Command: command, Object: o}
		}
	}
	return nil
}
