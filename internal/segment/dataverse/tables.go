package dataverse

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/segment-export/segment-export/internal/segment"
)

// The tables that Customer Insights - Data writes its results to.
const (
	membershipTable = "msdynci_segmentmembership"
	profileTable    = "msdynci_customerprofile"
	// metadataTable is private to Customer Insights and may be forbidden; the
	// role of a Viewer reads it in some environments and not in others.
	metadataTable = "mscipriv_segmentmetadata"
)

// The columns that are read by name.
const (
	customerID  = "msdynci_customerid"
	segmentList = "msdynci_segments"
	memberType  = "msdynci_segmentmembershiptype"
	modifiedOn  = "modifiedon"
)

// Page sizes. Dataverse gives up to 5,000 rows of a standard and of an elastic
// table; what stands behind a virtual table may end at 1,000 without a word.
const (
	pageRows        = 5000
	virtualPageRows = 1000
)

// mostDefinition bounds the answer about a table's columns, of which Dataverse
// allows about a thousand.
const mostDefinition = 16 << 20

// kind is how Dataverse stores a table.
type kind string

const (
	standard kind = "Standard"
	elastic  kind = "Elastic"
	virtual  kind = "Virtual"
)

// table is what the environment says of a table.
type table struct {
	name    string
	set     string // the name in addresses
	id      string // the primary key's column
	kind    kind
	columns []string // that hold single values and may be read, sorted
}

func (t *table) page() int {
	if t.kind == virtual {
		return virtualPageRows
	}
	return pageRows
}

// singleValues are the types of columns that hold one value a text can be made of.
var singleValues = []string{"String", "Memo", "Integer", "BigInt", "Decimal", "Double", "Money", "DateTime", "Boolean",
	"Uniqueidentifier", "Picklist", "State", "Status"}

// define asks the environment for a table's definition.
func (c *client) define(ctx context.Context, name string) (*table, error) {
	var answer struct {
		Set        string  `json:"EntitySetName"`
		ID         string  `json:"PrimaryIdAttribute"`
		Type       string  `json:"TableType"`
		Provider   *string `json:"DataProviderId"`
		Attributes []struct {
			Name     string  `json:"LogicalName"`
			Type     string  `json:"AttributeType"`
			Of       *string `json:"AttributeOf"` // the column that it only describes
			Readable bool    `json:"IsValidForRead"`
		} `json:"Attributes"`
	}
	address := c.address("EntityDefinitions(LogicalName="+quoted(name)+")",
		"$select", "LogicalName,EntitySetName,PrimaryIdAttribute,TableType,DataProviderId",
		"$expand", "Attributes($select=LogicalName,AttributeType,AttributeOf,IsValidForRead)")
	_, err := c.get(ctx, request{url: address, table: name}, func(body io.Reader) error {
		if err := json.NewDecoder(io.LimitReader(body, mostDefinition)).Decode(&answer); err != nil {
			return shape(err)
		}
		return nil
	})
	if isRefusal(err, http.StatusNotFound) {
		return nil, c.noTable(name)
	}
	if err != nil {
		return nil, err
	}
	t := &table{name: name, set: answer.Set, id: answer.ID, kind: kind(answer.Type)}
	if answer.Provider != nil && t.kind != elastic {
		t.kind = virtual
	}
	for _, a := range answer.Attributes {
		if a.Readable && a.Of == nil && slices.Contains(singleValues, a.Type) {
			t.columns = append(t.columns, a.Name)
		}
	}
	slices.Sort(t.columns)
	if t.set == "" || t.id == "" || !slices.Contains(t.columns, customerID) {
		return nil, segment.Malformed("the table %s of %s is not the one that Customer Insights - Data makes: it has no column %s", name, c.origin, customerID)
	}
	return t, nil
}

// noTable says what a missing table means.
func (c *client) noTable(name string) error {
	return &segment.AccessError{Message: "the environment " + c.origin + " has no table " + name,
		Action: "check that this is the Dataverse environment of Customer Insights - Data (its Settings > System > About), " +
			"and that its profiles are unified and its segments have been refreshed once"}
}

// fields are the columns that a mapping can use: the customer's id, then
// whatever unification made.
func (t *table) fields() []string {
	fields := []string{customerID}
	for _, column := range t.columns {
		if strings.HasPrefix(column, "msdynci_") && column != customerID && column != t.id {
			fields = append(fields, column)
		}
	}
	return fields
}

// isRefusal tells whether an error is an answer with one of the statuses.
func isRefusal(err error, statuses ...int) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && slices.Contains(statuses, r.status)
}
