package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/record"
)

// Note is what is kept with an export's ledger.
type Note struct {
	// ID is of this ledger: one that was reset, or made for another export of the
	// same name, has another, and verdicts of earlier runs do not belong in it.
	ID       string   `json:"id"`
	Endpoint string   `json:"endpoint"`
	Brand    string   `json:"brand"`
	Key      []byte   `json:"key"`     // the digest key, wrapped by the keyring
	Markers  []string `json:"markers"` // the custom property of each bit of an entry's segments
	Owners   []string `json:"owners"`  // the segment that each bit's marker was last given to
	// Unsure says that the account may have other data than the ledger says, of
	// contacts that are not known: the next run sends all.
	Unsure bool `json:"unsure,omitempty"`
	// LastRead is how many contacts the last complete run had.
	LastRead int `json:"last_read"`
	// LastMembers are its members by segment.
	LastMembers map[string]int `json:"last_members,omitempty"`
	LastRun     string         `json:"last_run,omitempty"`
	LastAt      time.Time      `json:"last_at,omitzero"`
	LastFull    time.Time      `json:"last_full,omitzero"` // the last complete run that sent all contacts
	Rules       rules          `json:"rules,omitzero"`     // of the last complete run
	// Fields are the mapped field of each bit of an entry's filled ones.
	Fields []string `json:"fields,omitempty"`
	// ConsentRules is the version of the rules of consent that the last complete
	// run followed; LastUndeclared and LastUnreadable are its parts of contacts with
	// an undeclared value and with a date that could not be read.
	ConsentRules   int     `json:"consent_rules,omitempty"`
	LastUndeclared float64 `json:"last_undeclared,omitempty"`
	LastUnreadable float64 `json:"last_unreadable,omitempty"`
}

// rules are digests of what decides how a profile becomes a contact. They only
// explain beforehand why many contacts differ: whether one does is decided by its
// own digest.
type rules struct {
	Mapping string `json:"mapping"`
	Consent string `json:"consent"`
	Markers string `json:"markers"`
	Dates   string `json:"dates,omitempty"`
}

// RulesOf returns the digests for an export and its source.
func RulesOf(e catalogue.Export, s catalogue.Source) rules {
	digest := func(v any) string {
		sum := sha256.Sum256(record.Encode(v))
		return hex.EncodeToString(sum[:8])
	}
	markers := map[string]string{}
	for _, s := range e.Segments {
		markers[s.Segment] = s.Marker
	}
	r := rules{Mapping: digest(e.Mapping), Consent: digest(e.Consent), Markers: digest(markers)}
	if read := [2]catalogue.Dates{e.Dates, s.Dates}; read != [2]catalogue.Dates{} {
		r.Dates = digest(read)
	}
	return r
}

// Changed names what differs; nothing for a ledger without a complete run.
func (r rules) Changed(now rules) []string {
	if r == (rules{}) {
		return nil
	}
	var names []string
	for _, part := range []struct {
		name string
		same bool
	}{
		{"mapping", r.Mapping == now.Mapping},
		{"consent rule", r.Consent == now.Consent},
		{"segments and markers", r.Markers == now.Markers},
		{"time zone or date format", r.Dates == now.Dates},
	} {
		if !part.same {
			names = append(names, part.name)
		}
	}
	return names
}

// FullDue says whether a run of an export that asks for one now and then sends
// all its contacts: daily runs do not begin at the same second, hence the hours.
func (n *Note) FullDue(e catalogue.Export, began time.Time) bool {
	const slack = 6 * time.Hour
	return e.FullEvery > 0 && began.Sub(n.LastFull) >= time.Duration(e.FullEvery)*24*time.Hour-slack
}

// ConsentRules is the version of how consent is decided. A run that follows a
// later one than the run before asks about whom it would unsubscribe.
const ConsentRules = 1

// maxMarkers is how many markers an entry of the ledger has bits for.
const maxMarkers = 64

// Bit returns the bit of a segment's marker, giving it one if it has none.
func (n *Note) Bit(s catalogue.ExportedSegment) (uint, error) {
	for len(n.Owners) < len(n.Markers) {
		n.Owners = append(n.Owners, "")
	}
	for i, m := range n.Markers {
		if m == s.Marker {
			n.Owners[i] = s.Segment
			return uint(i), nil
		}
	}
	if len(n.Markers) == maxMarkers {
		return 0, fmt.Errorf("an export can have had %d markers in its life; reset its ledger", maxMarkers)
	}
	n.Markers, n.Owners = append(n.Markers, s.Marker), append(n.Owners, s.Segment)
	return uint(len(n.Markers) - 1), nil
}

// MaxFields is how many mapped fields an entry of the ledger has bits for.
const MaxFields = 64

// FieldBits returns the bit of each field, giving it one if it has none. Fields
// beyond the last bit have none, which is maxFields: they are never cleared.
func (n *Note) FieldBits(names []string) []uint {
	bits := make([]uint, len(names))
	for i, name := range names {
		bit := slices.Index(n.Fields, name)
		if bit < 0 && len(n.Fields) < MaxFields {
			n.Fields, bit = append(n.Fields, name), len(n.Fields)
		}
		if bit < 0 {
			bit = MaxFields
		}
		bits[i] = uint(bit)
	}
	return bits
}

// Former returns the bits of markers that a segment had before its present one.
func (n *Note) Former(s catalogue.ExportedSegment) uint64 {
	var bits uint64
	for i, owner := range n.Owners {
		if owner == s.Segment && n.Markers[i] != s.Marker {
			bits |= 1 << i
		}
	}
	return bits
}

// Foreign returns the bits of markers that belong to another export by now:
// this one gave them up.
func (a *Ledgers) Foreign(ctx context.Context, n *Note, export string) (uint64, error) {
	owners, err := a.Store.MarkerOwners(ctx, n.Brand)
	if err != nil {
		return 0, err
	}
	var bits uint64
	for i, m := range n.Markers {
		if owner, owned := owners[m]; owned && owner != export {
			bits |= 1 << i
		}
	}
	return bits, nil
}

// LeaseName is the lease for changes of an export's ledger or its note.
func LeaseName(export string) string { return "ledger/" + export }

// KeyContext is the context that a ledger's digest key is wrapped with.
func KeyContext(export string) string { return "ledger/" + export + "/digest-key" }

// Note returns the note of an export's ledger and its unwrapped digest key;
// both nil when there is none yet.
func (a *Ledgers) Note(ctx context.Context, export string) (*Note, []byte, error) {
	data, err := a.Store.LedgerMeta(ctx, export)
	if data == nil || err != nil {
		return nil, nil, err
	}
	n, err := record.Decode[Note](data)
	if err != nil {
		return nil, nil, err
	}
	key, err := a.Keyring.UnwrapKey(n.Key, KeyContext(export))
	return &n, key, err
}

// Names returns the custom properties of marker bits.
func (n *Note) Names(bits uint64) []string {
	var names []string
	for i, m := range n.Markers {
		if bits&(1<<i) != 0 {
			names = append(names, m)
		}
	}
	return names
}
