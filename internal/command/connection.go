package command

import "github.com/segment-export/segment-export/internal/catalogue"

// The names of the commands about connections.
const (
	ConnectionAdd    = "connection add"
	ConnectionList   = "connection list"
	ConnectionShow   = "connection show"
	ConnectionEdit   = "connection edit"
	ConnectionRotate = "connection rotate-key"
	ConnectionRemove = "connection remove"
)

// ConnectionAddArgs are the arguments of connection add; the key travels sealed.
type ConnectionAddArgs struct {
	Name           string   `json:"name"`
	Brand          string   `json:"brand,omitempty"` // stated, for a key that may not read it
	Agree          bool     `json:"agree"`
	Share          *float64 `json:"share,omitempty"`
	CallsPerMinute *int     `json:"calls_per_minute,omitempty"`
}

// About names nothing that is there yet.
func (ConnectionAddArgs) About(string) []Subject { return nil }

// ConnectionEditArgs changes what is not nil.
type ConnectionEditArgs struct {
	Name           string   `json:"name"`
	Share          *float64 `json:"share,omitempty"`
	CallsPerMinute *int     `json:"calls_per_minute,omitempty"`
}

// About names the connection.
func (a ConnectionEditArgs) About(string) []Subject {
	return []Subject{{catalogue.KindConnection, a.Name}}
}

// ConnectionSecret is the sealed part of connection add and rotate-key.
type ConnectionSecret struct {
	Key string `json:"key"`
}
