// Package manifest is the configuration as files: documents of a kind, a name
// and a spec, which describe a source, a connection, an export, its schedule, the
// system refresh or an alert. A spec has those fields of the catalogue's own
// types that people decide about. The package does no I/O.
package manifest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/schedule"
)

// Document describes one object.
type Document struct {
	Kind catalogue.Kind  `json:"kind"`
	Name string          `json:"name"`
	Spec json.RawMessage `json:"spec"`
	Line int             `json:"-"` // of the file, where it begins
}

// String names the document's object.
func (d Document) String() string { return fmt.Sprintf("%s %q", d.Kind, d.Name) }

// Kinds are the kinds of documents, in the order in which they are carried out:
// what is named by others comes first.
var Kinds = []catalogue.Kind{catalogue.KindSource, catalogue.KindConnection, catalogue.KindExport, catalogue.KindSchedule,
	catalogue.KindRefresh, catalogue.KindAlert}

// Schedule is the spec of a schedule, which has the name of its export.
type Schedule struct {
	schedule.Calendar

	Off bool `json:"off,omitempty"` // the times are kept
}

// RefreshName is the name of the only document of the kind refresh.
const RefreshName = "system"

// Refresh is the spec of the system refresh: times, or a source to follow.
type Refresh struct {
	Schedule

	Follow string `json:"follow,omitempty"` // a source
}

// Alert is the spec of an alert. Its destination is one of Mail and Webhook, and
// is used only when the alert is added: the worker keeps it sealed and shows it
// to nobody.
type Alert struct {
	Exports []string              `json:"exports,omitempty"` // none: all
	On      []catalogue.Condition `json:"on,omitempty"`      // none: all, late only with Late
	Rejects *float64              `json:"rejects,omitempty"` // nil: AlertRejects
	Late    string                `json:"late,omitempty"`    // such as 26h
	Mail    *AlertMail            `json:"mail,omitempty"`
	Webhook *AlertWebhook         `json:"webhook,omitempty"`
}

// AlertRejects is the part of the rows above which an alert tells of rejects
// unless its spec says otherwise.
const AlertRejects = 0.05

// AlertMail is where mail goes. The password is in a file of the person who applies the
// document.
type AlertMail struct {
	Server       string   `json:"server"`
	From         string   `json:"from"`
	To           []string `json:"to"`
	User         string   `json:"user,omitempty"`
	PasswordFile string   `json:"password_file,omitempty"`
	Plain        bool     `json:"plain,omitempty"`
}

// AlertWebhook is where requests go. URL and key are in files of the person who applies
// the document.
type AlertWebhook struct {
	URLFile        string `json:"url_file"`
	Format         string `json:"format,omitempty"`
	SigningKeyFile string `json:"signing_key_file"`
}

// types are the types that the specs are read into.
var types = map[catalogue.Kind]reflect.Type{
	catalogue.KindSource:     reflect.TypeFor[catalogue.Source](),
	catalogue.KindConnection: reflect.TypeFor[catalogue.Connection](),
	catalogue.KindExport:     reflect.TypeFor[catalogue.Export](),
	catalogue.KindSchedule:   reflect.TypeFor[Schedule](),
	catalogue.KindRefresh:    reflect.TypeFor[Refresh](),
	catalogue.KindAlert:      reflect.TypeFor[Alert](),
}

// kept are the fields that the worker keeps itself: nobody writes them, and
// they are in no document. Meta's are others such.
var kept = map[catalogue.Kind][]string{
	catalogue.KindSource:     {},
	catalogue.KindConnection: {"endpoint", "brand_name", "brand_stated", "consent", "withdrawn", "stopped"},
	catalogue.KindExport:     {"brand"},
	catalogue.KindSchedule:   {"interval"},
	catalogue.KindRefresh:    {"interval"},
	catalogue.KindAlert:      {},
}

// field is one field of a spec.
type field struct {
	name     string // in JSON
	kind     reflect.Type
	optional bool // may be left out
}

// fields lists what a spec of a kind, or a struct in it, may hold.
func fieldsOf(t reflect.Type, without []string) []field {
	var all []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Type == reflect.TypeFor[catalogue.Meta](), !f.IsExported(), name == "-", slices.Contains(without, name):
			continue
		case f.Anonymous && name == "":
			all = append(all, fieldsOf(f.Type, without)...)
			continue
		case name == "":
			name = f.Name
		}
		all = append(all, field{name: name, kind: f.Type, optional: strings.Contains(options, "omit")})
	}
	return all
}

// specFields lists the fields of a kind's spec.
func specFields(kind catalogue.Kind) []field { return fieldsOf(types[kind], kept[kind]) }

// Of makes the document of an object, of which raw is the JSON.
func Of(kind catalogue.Kind, raw json.RawMessage) (Document, error) {
	var all map[string]json.RawMessage
	d := Document{Kind: kind}
	if err := json.Unmarshal(raw, &all); err != nil {
		return d, err
	}
	if err := json.Unmarshal(all["name"], &d.Name); err != nil {
		return d, err
	}
	var spec strings.Builder
	for _, f := range specFields(kind) {
		value, ok := all[f.name]
		if !ok || isEmpty(value) {
			continue
		}
		if spec.Len() > 0 {
			spec.WriteByte(',')
		}
		fmt.Fprintf(&spec, "%q:%s", f.name, value)
	}
	d.Spec = json.RawMessage("{" + spec.String() + "}")
	return d, nil
}

// isEmpty says that a value says no more than one that is left out.
func isEmpty(value json.RawMessage) bool {
	switch string(value) {
	case `null`, `""`, `[]`, `{}`:
		return true
	}
	return false
}

// JSON returns the document with its parts in their order.
func (d Document) JSON() json.RawMessage {
	raw, err := json.Marshal(d)
	if err != nil {
		panic(fmt.Sprintf("a document is not JSON: %v", err)) // its spec was read from JSON
	}
	return raw
}
