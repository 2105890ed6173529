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

// required is the least role for each command: the only place where that is
// decided. Where a higher role sees more of the same answer, the command sees
// to it. A command that is not here is not carried out.
var required = map[string]Role{
	"hello": Nobody, // how a worker introduces itself

	"whoami":      Viewer,
	"status":      Viewer,
	"export list": Viewer,
	"export show": Viewer,
	"runs list":   Viewer,
	"alert list":  Viewer,
	"alert show":  Viewer,
	"runs show":   Viewer,
	// When things run, and nothing of them.
	"schedule show": Viewer,
	"refresh show":  Viewer,

	// Contributors see the name and kind of those that are shared.
	"source list":     Contributor,
	"source show":     Contributor,
	"source test":     Contributor,
	"connection list": Contributor,
	"connection show": Contributor,

	"export add":       Contributor,
	"export edit":      Contributor,
	"export check":     Contributor,
	"export preview":   Contributor, // its answer holds personal data
	"export duplicate": Contributor,
	"export attach":    Contributor,
	"export detach":    Contributor,
	"export remove":    Contributor,
	// It makes the next run send everything; on record like every change.
	"export reset-ledger": Contributor,
	"plan":                Contributor,
	"run":                 Contributor,
	"run all":             Contributor, // of those that they may run
	"runs pause":          Contributor,
	"runs resume":         Contributor,
	"runs approve":        Contributor,
	"runs cancel":         Contributor,
	"runs abandon":        Contributor,
	"runs retry-rejects":  Contributor,
	// Their answers hold personal data.
	"samples":       Contributor,
	"explain":       Contributor,
	"verify":        Contributor,
	"verify result": Contributor,
	"runs rejects":  Contributor,

	// The rights are those of editing the export.
	"schedule set":            Contributor,
	"schedule on":             Contributor,
	"schedule off":            Contributor,
	"schedule follow-refresh": Contributor,

	"refresh set": Admin,
	"refresh on":  Admin,
	"refresh off": Admin,
	"refresh now": Admin,

	"forget": Admin, // erases, and overrides every export

	"alert add":             Admin,
	"alert edit":            Admin,
	"alert remove":          Admin,
	"alert test":            Admin,
	"source add":            Admin,
	"source edit":           Admin,
	"source share":          Admin,
	"source owner":          Admin,
	"source remove":         Admin,
	"connection add":        Admin,
	"connection edit":       Admin,
	"connection test":       Admin,
	"connection stop":       Admin,
	"connection start":      Admin,
	"connection resume":     Admin,
	"connection rotate-key": Admin,
	"connection share":      Admin,
	"connection remove":     Admin,
	"access list":           Admin,
	"access revoke":         Admin,
	"access restore":        Admin,
	"audit":                 Admin,
}

// looking are the commands above a viewer's that only look, and show nothing
// personal of a customer.
var looking = map[string]bool{
	"source list": true, "source show": true, "connection list": true, "connection show": true, "connection test": true,
	"access list": true, "audit": true,
}

// Looks says that a command changes nothing, and shows nothing personal of a
// customer: it leaves no trace in the audit.
func Looks(command string) bool {
	needs, ok := Required(command)
	return ok && (needs <= Viewer || looking[command])
}

// revealing are the commands that change nothing and show something personal of
// customers: they are in the audit.
var revealing = map[string]bool{"source test": true, "samples": true, "explain": true, "runs rejects": true, "verify result": true, "export preview": true}

// Reads says that a command changes nothing.
func Reads(command string) bool { return Looks(command) || revealing[command] }

// ErrUnknownCommand is the error of a command that does not exist.
var ErrUnknownCommand = errors.New("unknown command")

// Required tells the least role for a command, and whether there is such a
// command.
func Required(command string) (Role, bool) {
	role, ok := required[command]
	return role, ok
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
