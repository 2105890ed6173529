package protocol

import (
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
)

// ExportPreview shows what an export would make of the first rows of its
// segments, before it is saved. Its answer is sealed.
const ExportPreview = "export preview"

// ExportPreviewArgs are the arguments of export preview. Without a mapping only
// the fields are looked at; without segments the first one of the source is.
type ExportPreviewArgs struct {
	catalogue.ExportSpec
}

// About names the connection and the source that it uses.
func (a ExportPreviewArgs) About(string) []Subject { return used(a.ExportSpec) }

// PreviewAnswer is what the first rows hold and become; it travels sealed.
type PreviewAnswer struct {
	Rows   int             `json:"rows"`   // that were looked at
	More   bool            `json:"more"`   // there are more
	Fields []PreviewField  `json:"fields"` // in the order of the source
	Result *PreviewOutcome `json:"result,omitempty"`
}

// PreviewField is what the rows hold in one field.
type PreviewField struct {
	Name    string         `json:"name"`
	Filled  int            `json:"filled"`            // rows with a value
	Samples []string       `json:"samples,omitempty"` // a few different values, cut where they are long
	Values  []PreviewValue `json:"values,omitempty"`  // all values, the most frequent first; empty where there are many
}

// PreviewValue is a value with how many rows have it.
type PreviewValue struct {
	Value string `json:"value"`
	Count int    `json:"count"`
}

// PreviewOutcome is what the rows become.
type PreviewOutcome struct {
	Contacts      int                  `json:"contacts"` // different addresses
	Duplicate     int                  `json:"duplicate"`
	Invalid       map[string]int       `json:"invalid,omitempty"` // rows, by reason
	Subscribed    int                  `json:"subscribed"`
	NonSubscribed int                  `json:"non_subscribed"`
	Unsubscribed  int                  `json:"unsubscribed"`
	Notes         map[string]int       `json:"notes,omitempty"`    // contacts that are not subscribed, by why
	LeftOut       map[string]int       `json:"left_out,omitempty"` // values, by why
	Dates         []contact.DateSample `json:"dates,omitempty"`    // of consent, and how they were read
}
