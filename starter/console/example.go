package console

import (
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/protocol"
)

// The example that a first visit in the sandbox offers.
const (
	exampleSource     = "crm"
	exampleConnection = "Spring shop"
	exampleExport     = "spring"
	exampleSegment    = "spring_buyers"
	exampleKey        = "sandbox-key" // the only one that the sandbox of standalone takes
)

// exampleMapping says which columns of the example's file fill what.
var exampleMapping = contact.Mapping{
	contact.Email: "Email", contact.FirstName: "FirstName", contact.LastName: "LastName", contact.Address: "Street", contact.Country: "Country",
	contact.State: "State", contact.City: "City", contact.PostalCode: "PostalCode", contact.ConsentFlag: "EmailConsent", contact.ConsentDate: "ConsentDate",
}

// exampleAdd sets the example up: a source, a connection to the sandbox and an
// export. What is there already stays as it is, so that a second try completes
// a first one.
func (q *request) exampleAdd() error {
	if q.Example == "" || !q.Sandbox {
		return q.missing()
	}
	admins := catalogue.SharedAdmins
	for _, step := range []Order{
		{Name: protocol.SourceAdd, Object: exampleSource, Personal: true, Args: protocol.SourceAddArgs{Name: exampleSource, Kind: catalogue.TypeFiles,
			SourceSettings: protocol.SourceSettings{Shared: &admins, Files: &catalogue.FilesSettings{Path: q.Example}}}},
		{Name: protocol.ConnectionAdd, Object: exampleConnection, Secret: protocol.ConnectionSecret{Key: exampleKey},
			Args: protocol.ConnectionAddArgs{Name: exampleConnection, Agree: true, ConnectionSettings: protocol.ConnectionSettings{Shared: &admins}}},
		{Name: protocol.ExportAdd, Object: exampleExport, Args: protocol.ExportAddArgs{Name: exampleExport, ExportSpec: catalogue.ExportSpec{
			Connection: exampleConnection, Source: exampleSource, ID: "CustomerId", Mapping: exampleMapping, Segments: []catalogue.ExportedSegment{{Segment: exampleSegment}}}}},
	} {
		if err := act(q, step, &ignored{}); err != nil && classOf(err) != protocol.ErrExists {
			return err
		}
	}
	return q.done(address("exports", exampleExport), "example.done")
}
