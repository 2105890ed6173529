// Package catalogue holds what administrators define: sources, connections and
// exports, with the rules that make one valid. It does no I/O.
package catalogue

import (
	"time"

	"github.com/segment-export/segment-export/internal/contact"
)

// Kind is the kind of an object of the catalogue.
type Kind string

// The kinds.
const (
	KindSource     Kind = "source"
	KindConnection Kind = "connection"
	KindExport     Kind = "export"
	KindSchedule   Kind = "schedule" // of the export of the same name
	KindRefresh    Kind = "refresh"  // there is one
)

// Meta is what every object of the catalogue carries besides its own fields.
type Meta struct {
	Name      string    `json:"name"`
	Version   int64     `json:"version"` // grows with each change; an edit names the one it was made from
	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedBy string    `json:"updated_by"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Consent is the record that a person agreed to the transfer of personal data.
type Consent struct {
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	Version string    `json:"version"` // of the statement's wording
	Wording string    `json:"wording"`
}

// Connection is one Omnisend account. Its API key is sealed and stored apart.
type Connection struct {
	Meta
	Type     string  `json:"kind,omitempty"`   // omnisend
	Shared   Sharing `json:"shared,omitempty"` // who besides administrators may use it
	Endpoint string  `json:"endpoint"`         // base URL the key was checked against
	// APIKey says where the key is: CredentialStored, or a reference that the
	// worker resolves (env:NAME, file:NAME).
	APIKey      string   `json:"api_key,omitempty"`
	BrandID     string   `json:"brand_id"`               // the account the connection is bound to
	BrandName   string   `json:"brand_name"`             // empty when the key may not read it
	BrandStated bool     `json:"brand_stated,omitempty"` // told by an administrator: the key may not read its own brand
	Consent     *Consent `json:"consent,omitempty"`
	// Withdrawn is there when an agreement was taken back and none given since.
	Withdrawn      *Withdrawal `json:"withdrawn,omitempty"`
	Stopped        *Stop       `json:"stopped,omitempty"` // by an administrator; nothing is sent
	Share          float64     `json:"share"`             // of the calls a minute that exports may use, above 0 to 1
	CallsPerMinute int         `json:"calls_per_minute"`  // the brand's limit; 0: none, only against loopback
	MaxContacts    int         `json:"max_contacts"`
}

// TypeOmnisend is the kind of all connections.
const TypeOmnisend = "omnisend"

// Budget is the name of the budget that all requests over the connection draw
// on.
func (c *Connection) Budget() string { return c.Endpoint + " " + c.BrandID }

// Limit is how many requests of exports may be made in a minute; meaningless
// without a limit.
func (c *Connection) Limit() int { return max(1, int(float64(c.CallsPerMinute)*c.Share)) }

// LeaverPolicy says what happens to a contact that left the export.
type LeaverPolicy string

// The policies.
const (
	LeaversUnmark LeaverPolicy = "unmark" // clear our marker, touch nothing else
	LeaversKeep   LeaverPolicy = "keep"
)

// Export is what is carried from where to where.
type Export struct {
	Meta
	ExportSpec

	// Brand is the account whose markers the export owns; it stays when the
	// export is detached.
	Brand string `json:"brand,omitempty"`
}

// ExportSpec is what people decide about an export.
type ExportSpec struct {
	Dates

	Connection string              `json:"connection,omitempty"` // empty: the export is inactive
	Source     string              `json:"source"`
	Segments   []ExportedSegment   `json:"segments"`
	ID         string              `json:"id,omitempty"` // the field with the stable customer id
	Mapping    contact.Mapping     `json:"mapping"`
	Consent    contact.ConsentRule `json:"consent_rule,omitzero"`
	// LenientLocalPart takes addresses with doubled or trailing dots before the @.
	LenientLocalPart bool `json:"lenient_local_part,omitempty"`
	// Empty says what happens to values that were emptied at the source, EmptyOf the
	// same of single attributes.
	Empty     contact.EmptyPolicy                       `json:"empty,omitempty"` // empty: EmptyKeep
	EmptyOf   map[contact.Attribute]contact.EmptyPolicy `json:"empty_of,omitempty"`
	Leavers   LeaverPolicy                              `json:"leavers,omitempty"`
	FullEvery int                                       `json:"full_every,omitempty"` // days after which a run sends all contacts; 0: never automatically
	Guards    map[Guard]Threshold                       `json:"guards,omitempty"`     // thresholds that differ from the defaults
	RunAs     string                                    `json:"run_as,omitempty"`     // whom runs act as; empty: who changed it last
}

// Normalise fills in what may be left out: markers made of the segments'
// names, and what happens to leavers.
func (s *ExportSpec) Normalise() {
	for i := range s.Segments {
		if s.Segments[i].Marker == "" {
			s.Segments[i].Marker = contact.MarkerProperty(s.Segments[i].Segment)
		}
	}
	if s.Leavers == "" {
		s.Leavers = LeaversUnmark
	}
}

// Markers are the custom properties that mark the export's segments.
func (s *ExportSpec) Markers() []string {
	markers := make([]string, len(s.Segments))
	for i := range s.Segments {
		markers[i] = s.Segments[i].Marker
	}
	return markers
}

// ExportedSegment is a segment of an export and the custom property that marks
// its members at Omnisend.
type ExportedSegment struct {
	Segment string `json:"segment"`
	Marker  string `json:"marker,omitempty"`
}

// Guard is the name of a check that parks a run before its first call.
type Guard string

// The guards.
const (
	GuardFirstRun Guard = "first-run"
	GuardEmpty    Guard = "empty"
	GuardShrunk   Guard = "shrunk"
	GuardInvalid  Guard = "invalid"
	GuardLeavers  Guard = "leavers"
	GuardOptOuts  Guard = "opt-outs"
	GuardConsent  Guard = "consent"
	GuardCleared  Guard = "cleared"
)

// Guards are all guards.
var Guards = []Guard{GuardFirstRun, GuardEmpty, GuardShrunk, GuardInvalid, GuardLeavers, GuardOptOuts, GuardConsent, GuardCleared}

// Threshold is the part, from 0 to 1, above which a guard parks a run.
type Threshold float64
