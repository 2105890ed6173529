package dataversetest

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The tables.
const (
	Profiles    = "msdynci_customerprofile"
	Memberships = "msdynci_segmentmembership"
	Metadata    = "mscipriv_segmentmetadata"
)

// row is one record: its values by column, as encoding/json knows them.
type row map[string]any

// table is a table and its rows in the order of customer ids, then of keys.
type table struct {
	name, id string
	kind     Kind
	columns  map[string]string // types by name
	size     int
	at       func(i int) row
	oneTime  bool // all rows were written at the same time
}

func (t *table) set() string { return t.name + "s" }

func newTables(o Options) map[string]*table {
	system := map[string]string{"createdon": "DateTime", "modifiedon": "DateTime", "versionnumber": "BigInt", "ownerid": "Owner"}
	made := func(name string, kind Kind, columns map[string]string) *table {
		t := &table{name: name, id: name + "id", kind: kind, columns: maps.Clone(system)}
		t.columns[t.id] = "Uniqueidentifier"
		maps.Copy(t.columns, columns)
		if kind == Elastic {
			t.columns["partitionid"], t.columns["ttlinseconds"] = "String", "Integer"
		}
		return t
	}
	tables := map[string]*table{
		Profiles: made(Profiles, o.Kind, map[string]string{"msdynci_customerid": "String"}),
		Memberships: made(Memberships, o.Kind, map[string]string{"msdynci_customerid": "String", "msdynci_identifier": "String",
			"msdynci_segments": "Memo", "msdynci_segmentprovider": "String", "msdynci_segmentmembershiptype": "String",
			"msdynci_lookupfield_customer": "Lookup"}),
	}
	if !o.MetadataMissing {
		tables[Metadata] = made(Metadata, Standard, map[string]string{"msdyn_name": "String", "mscipriv_payload1": "Memo", "mscipriv_payload2": "Memo",
			"msdyn_isdeleted": "Boolean", "msdyn_ishistoryentry": "Boolean"})
	}
	return tables
}

// Profile is a unified customer.
type Profile struct {
	ID     string         // 32 hexadecimal digits; anything in tests
	Values map[string]any // by column
}

// Membership is what segments a customer is in.
type Membership struct {
	Customer string
	Segments []string
	Provider string // empty: DataPlatform
	Type     string // empty: Customer
	Raw      string // not empty: the column as it is, in place of the list
}

// Segment is what the private table says of a segment.
type Segment struct {
	Name, Title string
	Members     int
	Status      string // of its evaluation
	Run         string
	RefreshedAt time.Time
}

// Column adds a column to the table of profiles; its type is one of Dataverse's,
// such as String, DateTime, Decimal, Boolean.
func (s *Server) Column(name, kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tables[Profiles].columns[name] = kind
}

// Drop removes a table.
func (s *Server) Drop(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tables, name)
}

func guid(of string) string {
	sum := sha256.Sum256([]byte(of))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func stampOf(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }

// SetProfiles replaces all profiles, written at a time.
func (s *Server) SetProfiles(profiles []Profile, written time.Time) {
	rows := make([]row, len(profiles))
	for i, p := range profiles {
		r := row{"msdynci_customerprofileid": guid(p.ID), "msdynci_customerid": p.ID, "createdon": stampOf(written), "modifiedon": stampOf(written), "versionnumber": i}
		maps.Copy(r, p.Values)
		rows[i] = r
	}
	s.set(Profiles, rows)
}

// SetMemberships replaces all memberships, written at a time.
func (s *Server) SetMemberships(memberships []Membership, written time.Time) {
	rows := make([]row, len(memberships))
	for i, m := range memberships {
		names := m.Raw
		if names == "" {
			names = list(m.Segments)
		}
		identifier := m.Customer + "|" + cmp.Or(m.Provider, "DataPlatform") + "|" + cmp.Or(m.Type, "Customer") + "|"
		rows[i] = row{"msdynci_segmentmembershipid": guid(identifier), "msdynci_identifier": identifier, "msdynci_customerid": m.Customer,
			"msdynci_segments": names, "msdynci_segmentprovider": cmp.Or(m.Provider, "DataPlatform"), "msdynci_segmentmembershiptype": cmp.Or(m.Type, "Customer"),
			"createdon": stampOf(written), "modifiedon": stampOf(written), "versionnumber": i}
	}
	s.set(Memberships, rows)
}

// SetSegments replaces what the private table says.
func (s *Server) SetSegments(segments []Segment) {
	rows := make([]row, len(segments))
	for i, g := range segments {
		payload, _ := json.Marshal(map[string]any{"name": g.Name, "friendlyName": g.Title, "kind": "segment", "state": "active",
			"evaluationStatus": map[string]any{"jobStatus": cmp.Or(g.Status, "CompletedSuccess"), "evaluationDate": stampOf(g.RefreshedAt),
				"entityCount": g.Members, "lastSuccessfulRunId": g.Run}})
		rows[i] = row{"mscipriv_segmentmetadataid": guid(g.Name), "msdyn_name": g.Name, "mscipriv_payload1": string(payload), "mscipriv_payload2": nil,
			"msdyn_isdeleted": false, "msdyn_ishistoryentry": false, "modifiedon": stampOf(g.RefreshedAt)}
	}
	s.set(Metadata, rows)
}

func (s *Server) set(name string, rows []row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tables[name]
	if t == nil {
		return
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(t.compare(a["msdynci_customerid"], b["msdynci_customerid"]), t.compare(a[t.id], b[t.id]))
	})
	t.oneTime = false
	t.size, t.at = len(rows), func(i int) row { return rows[i] }
}

// Generate fills the tables with n customers that are made when they are asked
// for, so that the stand-in of a million needs no memory. Their ids must grow
// with i. segments says which ones customer i is in.
func (s *Server) Generate(n int, customer func(i int) Profile, segments func(i int) []string, written time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	profiles, memberships := s.tables[Profiles], s.tables[Memberships]
	at := stampOf(written)
	profiles.oneTime, memberships.oneTime = true, true
	profiles.size, profiles.at = n, func(i int) row {
		p := customer(i)
		r := row{"msdynci_customerprofileid": guid(p.ID), "msdynci_customerid": p.ID, "modifiedon": at}
		maps.Copy(r, p.Values)
		return r
	}
	memberships.size, memberships.at = n, func(i int) row {
		id := customer(i).ID
		return row{"msdynci_segmentmembershipid": guid(id + "|"), "msdynci_customerid": id, "msdynci_segments": list(segments(i)),
			"msdynci_segmentmembershiptype": "Customer", "modifiedon": at}
	}
}

// list is a list of names as the column has it.
func list(names []string) string {
	data, _ := json.Marshal(names)
	return string(data)
}

// compare orders values as the table's database does: SQL Server without
// regard to letter case, an elastic table by the characters' codes. Null comes
// first.
func (t *table) compare(a, b any) int {
	switch x := a.(type) {
	case nil:
		if b == nil {
			return 0
		}
		return -1
	case string:
		y, ok := b.(string)
		if !ok {
			return 1
		}
		if t.kind == Elastic {
			return strings.Compare(x, y)
		}
		return strings.Compare(strings.ToLower(x), strings.ToLower(y))
	case bool:
		if y, ok := b.(bool); ok && x == y {
			return 0
		}
		if x {
			return 1
		}
		return -1
	}
	if b == nil {
		return 1
	}
	return cmp.Compare(numberOf(a), numberOf(b))
}

func numberOf(v any) float64 {
	switch n := v.(type) {
	case int:
		return float64(n)
	case int64:
		return float64(n)
	case float64:
		return n
	case json.Number:
		f, _ := n.Float64()
		return f
	}
	return 0
}
