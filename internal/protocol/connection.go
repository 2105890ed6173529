package protocol

import (
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
)

// The names of the commands about connections.
const (
	ConnectionAdd    = "connection add"
	ConnectionList   = "connection list"
	ConnectionShow   = "connection show"
	ConnectionEdit   = "connection edit"
	ConnectionTest   = "connection test"
	ConnectionShare  = "connection share"
	ConnectionStop   = "connection stop"
	ConnectionStart  = "connection start"
	ConnectionResume = "connection resume"
	ConnectionRotate = "connection rotate-key"
	ConnectionRemove = "connection remove"
)

// ConnectionSettings are what can be said when a connection is added and
// changed later; what is nil is left as it is, or as is usual.
type ConnectionSettings struct {
	Shared         *catalogue.Sharing `json:"shared,omitempty"`
	Share          *float64           `json:"share,omitempty"`
	CallsPerMinute *int               `json:"calls_per_minute,omitempty"`
	MaxContacts    *int               `json:"max_contacts,omitempty"`
	APIKey         string             `json:"api_key,omitempty"` // a reference; empty: none
}

// ConnectionAddArgs are the arguments of connection add; the key travels sealed.
type ConnectionAddArgs struct {
	ConnectionSettings

	Name  string `json:"name"`
	Brand string `json:"brand,omitempty"` // stated, for a key that may not read it
	Agree bool   `json:"agree"`
}

// About names nothing that is there yet.
func (ConnectionAddArgs) About(string) []Subject { return nil }

// What happens to open runs when the agreement is withdrawn.
const (
	RunningCancel = "cancel"
	RunningFinish = "finish"
)

// ConnectionEditArgs changes what is said.
type ConnectionEditArgs struct {
	ConnectionSettings

	Name     string `json:"name"`
	Version  int64  `json:"version,omitempty"` // of which it was made; 0: whatever it is now
	Rename   string `json:"rename,omitempty"`
	Agree    bool   `json:"agree,omitempty"`
	Withdraw bool   `json:"withdraw,omitempty"`
	Running  string `json:"running,omitempty"` // with Withdraw, when runs are open
}

// About names the connection.
func (a ConnectionEditArgs) About(string) []Subject {
	return []Subject{{catalogue.KindConnection, a.Name}}
}

// ConnectionShareArgs are the arguments of connection share.
type ConnectionShareArgs struct {
	Name string            `json:"name"`
	With catalogue.Sharing `json:"with"`
}

// About names the connection.
func (a ConnectionShareArgs) About(string) []Subject {
	return []Subject{{catalogue.KindConnection, a.Name}}
}

// ConnectionRotateArgs are the arguments of connection rotate-key; the key
// travels sealed, unless it is a reference.
type ConnectionRotateArgs struct {
	Name   string `json:"name"`
	APIKey string `json:"api_key,omitempty"`
}

// About names the connection.
func (a ConnectionRotateArgs) About(string) []Subject {
	return []Subject{{catalogue.KindConnection, a.Name}}
}

// What happens to the exports of a connection that is removed.
const (
	ExportsDetach = "detach"
	ExportsRemove = "remove"
)

// ConnectionRemoveArgs are the arguments of connection remove.
type ConnectionRemoveArgs struct {
	Name    string `json:"name"`
	Exports string `json:"exports,omitempty"` // empty: there must be none
}

// About names the connection.
func (a ConnectionRemoveArgs) About(string) []Subject {
	return []Subject{{catalogue.KindConnection, a.Name}}
}

// ConnectionAnswer shows a connection and who uses it.
type ConnectionAnswer struct {
	catalogue.Connection

	Exports  []string `json:"exports,omitempty"`  // that use it
	Running  []string `json:"running,omitempty"`  // ids of open runs
	Canceled []string `json:"canceled,omitempty"` // ids of runs that the command canceled
	Notes    []string `json:"notes,omitempty"`
	// Hour are the minutes of the last hour with calls or refusals of the brand,
	// the oldest first; of connection show.
	Hour []BudgetMinute `json:"hour,omitempty"`
}

// BudgetMinute is how a brand's budget was used in one minute.
type BudgetMinute struct {
	At      time.Time `json:"at"`      // its start
	Calls   int       `json:"calls"`   // by all exports of the brand
	Refused int       `json:"refused"` // 429s that began a pause
	Limit   int       `json:"limit"`   // in force
}

// ConnectionTested is what a test of a connection found out.
type ConnectionTested struct {
	Name      string `json:"name"`
	BrandID   string `json:"brand_id"`
	BrandName string `json:"brand_name,omitempty"`
	ReadBrand bool   `json:"read_brand"` // the key may read which brand it belongs to
	Segments  bool   `json:"segments"`   // the key may read the account's segments
}

// ConnectionResumed is what ending a pause of a connection's budget found.
type ConnectionResumed struct {
	Name   string  `json:"name"`
	Paused float64 `json:"paused_seconds"` // what was left of the pause; 0: there was none
}

// ConnectionSecret is the sealed part of connection add and rotate-key.
type ConnectionSecret struct {
	Key string `json:"key"`
}
