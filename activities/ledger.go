package activities

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/seal"
)

// ledgerNote is what is kept with an export's ledger.
type ledgerNote struct {
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
// serve to say beforehand why many contacts differ: whether one does is told by
// its own digest.
type rules struct {
	Mapping string `json:"mapping"`
	Consent string `json:"consent"`
	Markers string `json:"markers"`
	Dates   string `json:"dates,omitempty"`
}

func rulesOf(e catalogue.Export, s catalogue.Source) rules {
	digest := func(v any) string {
		sum := sha256.Sum256(encode(v))
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

// changed names what differs; nothing for a ledger without a complete run.
func (r rules) changed(now rules) []string {
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

// fullDue says whether a run of an export that asks for one now and then sends
// all its contacts: daily runs do not begin at the same second, hence the hours.
func (n *ledgerNote) fullDue(e catalogue.Export, began time.Time) bool {
	const slack = 6 * time.Hour
	return e.FullEvery > 0 && began.Sub(n.LastFull) >= time.Duration(e.FullEvery)*24*time.Hour-slack
}

// consentRules is the version of how consent is decided. A run that follows a
// later one than the run before asks about whom it would unsubscribe.
const consentRules = 1

// maxMarkers is how many markers an entry of the ledger has bits for.
const maxMarkers = 64

// bit returns the bit of a segment's marker, giving it one if it has none.
func (n *ledgerNote) bit(s catalogue.ExportedSegment) (uint, error) {
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

// maxFields is how many mapped fields an entry of the ledger has bits for.
const maxFields = 64

// fieldBits returns the bit of each field, giving it one if it has none. Fields
// beyond the last bit have none, which is maxFields: they are never cleared.
func (n *ledgerNote) fieldBits(names []string) []uint {
	bits := make([]uint, len(names))
	for i, name := range names {
		bit := slices.Index(n.Fields, name)
		if bit < 0 && len(n.Fields) < maxFields {
			n.Fields, bit = append(n.Fields, name), len(n.Fields)
		}
		if bit < 0 {
			bit = maxFields
		}
		bits[i] = uint(bit)
	}
	return bits
}

// former returns the bits of markers that a segment had before its present one.
func (n *ledgerNote) former(s catalogue.ExportedSegment) uint64 {
	var bits uint64
	for i, owner := range n.Owners {
		if owner == s.Segment && n.Markers[i] != s.Marker {
			bits |= 1 << i
		}
	}
	return bits
}

// foreign returns the bits of markers that belong to another export by now:
// this one gave them up.
func (a *Activities) foreign(ctx context.Context, n *ledgerNote, export string) (uint64, error) {
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

// ledgerLease is held by whoever changes an export's ledger or its note.
func ledgerLease(export string) string { return "ledger/" + export }

func ledgerKeyContext(export string) string { return "ledger/" + export + "/digest-key" }

// note returns the note of an export's ledger and its unwrapped digest key;
// both nil when there is none yet.
func (a *Activities) note(ctx context.Context, export string) (*ledgerNote, []byte, error) {
	data, err := a.Store.LedgerMeta(ctx, export)
	if data == nil || err != nil {
		return nil, nil, err
	}
	n, err := decode[ledgerNote](data)
	if err != nil {
		return nil, nil, err
	}
	key, err := a.Keyring.UnwrapKey(n.Key, ledgerKeyContext(export))
	return &n, key, err
}

// bindLedger makes the export's ledger on its first run, and refuses one that
// belongs to another account later: its digests say nothing about that one.
func (a *Activities) bindLedger(ctx context.Context, j *job, c catalogue.Connection) (halt *Halt, err error) {
	// A plan and a run may begin at the same moment: the ledger has one key.
	err = a.underLease(ctx, ledgerLease(j.Export.Name), func(ctx context.Context, _ hold) error {
		halt, err = a.bind(ctx, j, c)
		return err
	})
	return halt, err
}

func (a *Activities) bind(ctx context.Context, j *job, c catalogue.Connection) (*Halt, error) {
	n, _, err := a.note(ctx, j.Export.Name)
	if err != nil {
		return nil, err
	}
	made := n == nil
	if made {
		wrapped, err := a.Keyring.WrapKey(seal.NewDataKey(), ledgerKeyContext(j.Export.Name))
		if err != nil {
			return nil, err
		}
		n = &ledgerNote{ID: uuid.NewString(), Endpoint: c.Endpoint, Brand: c.BrandID, Key: wrapped}
	}
	if n.Endpoint != c.Endpoint || n.Brand != c.BrandID {
		return &Halt{Kind: HaltPark, Reason: fmt.Sprintf("the ledger of %q is about brand %s at %s, its connection is brand %s at %s",
			j.Export.Name, n.Brand, n.Endpoint, c.BrandID, c.Endpoint),
			Action: "set the former connection again, or make a new export for this account"}, nil
	}
	j.Ledger = n.ID
	before := encode(n)
	for _, s := range j.Export.Segments {
		if _, err := n.bit(s); err != nil {
			return &Halt{Kind: HaltFail, Reason: err.Error()}, nil
		}
	}
	mapper, err := j.mapper()
	if err != nil {
		return &Halt{Kind: HaltFail, Reason: "the mapping cannot work: " + err.Error()}, nil
	}
	n.fieldBits(mapper.FieldNames())
	for _, name := range j.Export.Mapping.Properties() {
		if slices.Contains(n.Markers, name) {
			return &Halt{Kind: HaltFail, Reason: fmt.Sprintf("the custom property %s is mapped, and was a marker of this export: contacts may still carry it as such", name),
				Action: "map the field to a custom property of another name; nothing was sent"}, nil
		}
	}
	if after := encode(n); made || !bytes.Equal(before, after) {
		return nil, a.Store.SaveLedgerMeta(ctx, j.Export.Name, after)
	}
	return nil, nil
}
