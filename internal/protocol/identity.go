package protocol

import (
	"strings"

	"github.com/segment-export/segment-export/internal/catalogue"
)

// The names of the commands of introduction.
const (
	Hello  = "hello" // the worker's public key; needs no proof
	WhoAmI = "whoami"
)

// HelloAnswer tells who is at the other end.
type HelloAnswer struct {
	PublicKey   string `json:"public_key"`
	Fingerprint string `json:"fingerprint"`
}

// WhoAmIAnswer tells who the worker takes the caller for.
type WhoAmIAnswer struct {
	Name string `json:"name"`
	Role string `json:"role"`
}

// Named selects an object by name: a source, a connection or an export, which
// the command's own name begins with.
type Named struct {
	Name string `json:"name"`
}

// About names the object.
func (n Named) About(name string) []Subject {
	kind, _, _ := strings.Cut(name, " ")
	return []Subject{{catalogue.Kind(kind), n.Name}}
}

// None are the arguments of a command that takes none.
type None struct{}

// About names nothing.
func (None) About(string) []Subject { return nil }
