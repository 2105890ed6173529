package access

import (
	"fmt"

	"github.com/segment-export/segment-export/internal/catalogue"
)

// Object is what a command is about, as far as it matters for who may do it.
// An export and a run reach both a connection and a source.
type Object struct {
	Kind   catalogue.Kind    // of the connection or source that counts
	Name   string            // its name
	Shared catalogue.Sharing // as it says
	Owner  string            // of a source: may use it, shared or not
}

// OfConnection is a connection as an object to be checked.
func OfConnection(c catalogue.Connection) Object {
	return Object{Kind: catalogue.KindConnection, Name: c.Name, Shared: c.Shared}
}

// OfSource is a source as an object to be checked.
func OfSource(s catalogue.Source) Object {
	return Object{Kind: catalogue.KindSource, Name: s.Name, Shared: s.Shared, Owner: s.Owner}
}

// May says whether p may use the connection or source: make exports on it, run
// them, see what they carry.
func May(p Principal, o Object) bool {
	return p.Role >= Admin || p.Role == Contributor && (o.Shared == catalogue.SharedContributors || o.Owner != "" && o.Owner == p.Name)
}

// NotSharedError is the error of a command about a connection or source that is
// not shared with the person who gives it.
type NotSharedError struct {
	Principal Principal
	Command   string
	Object    Object
}

// Error says who can help.
func (e *NotSharedError) Error() string {
	return fmt.Sprintf("you are %s, and %q needs the %s %q, which is for administrators only: ask an admin to do it, or to share the %s with contributors (starter %s share %q --with %s)",
		withArticle(e.Principal.Role), e.Command, e.Object.Kind, e.Object.Name, e.Object.Kind, e.Object.Kind, e.Object.Name, catalogue.SharedContributors)
}
