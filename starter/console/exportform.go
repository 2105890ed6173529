package console

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/manifest"
	"github.com/segment-export/segment-export/internal/protocol"
)

// exportForm is the form of an export. Its first part says from where to
// where; the rest is shown when the source has said what it holds.
type exportForm struct {
	New         bool
	Name        string
	Version     int64
	Spec        catalogue.ExportSpec
	Connections []string
	Sources     []string
	Segments    []segmentChoice
	Fields      []string
	Mapping     []mappingRow
	Guards      []guardRow
	SourceError string
	Error       string
	Base        string // the export's settings as JSON, when the form was opened
	Changed     *changed
}

// changed is what somebody changed of an export while its form was open.
type changed struct {
	By    string
	At    time.Time
	Lines []manifest.Difference
}

// segmentChoice is one segment of the source.
type segmentChoice struct {
	protocol.SegmentAnswer
	Chosen bool
}

// mappingRow says which field fills an attribute.
type mappingRow struct {
	Attribute contact.Attribute
	Field     string
	Suggested bool
	Required  bool
}

// guardRow is a guard's threshold in percent.
type guardRow struct {
	Guard   catalogue.Guard
	Percent string
}

// exportNew shows the form of a new export.
func (q *request) exportNew() error {
	query := q.r.URL.Query()
	f := &exportForm{New: true, Name: query.Get("name")}
	f.Spec.Connection, f.Spec.Source = query.Get("connection"), query.Get("source")
	return q.exportForm(f)
}

// exportEdit shows the form of an export that there is.
func (q *request) exportEdit() error {
	name := q.r.PathValue("name")
	var a protocol.ExportAnswer
	if err := ask(q, Order{Name: protocol.ExportShow, Args: protocol.Named{Name: name}, Object: name}, &a); err != nil {
		return err
	}
	f := &exportForm{Name: name, Version: a.Version, Spec: a.ExportSpec}
	base, err := json.Marshal(f.Spec)
	if err != nil {
		return err
	}
	f.Base = string(base)
	if source := q.r.URL.Query().Get("source"); source != "" {
		f.Spec.Source = source
	}
	return q.exportForm(f)
}

// exportForm fills in what there is to choose from and shows the form.
func (q *request) exportForm(f *exportForm) error {
	var err error
	if f.Connections, err = q.connectionNames(); err != nil {
		return err
	}
	var sources []catalogue.Source
	if err := ask(q, Order{Name: protocol.SourceList}, &sources); err != nil {
		return err
	}
	for _, s := range sources {
		f.Sources = append(f.Sources, s.Name)
	}
	if f.Spec.Source == "" && len(f.Sources) == 1 && f.Name != "" {
		f.Spec.Source = f.Sources[0]
	}
	if f.Spec.Source != "" {
		q.fillChoices(f)
	}
	title, line := q.texts.say("export.new"), "starter export add NAME --connection … --source … --segment … --map email=FIELD"
	if !f.New {
		title, line = q.texts.say("export.edit", f.Name), "starter export edit "+quoted(f.Name)
	}
	status := 200
	if f.Error != "" {
		status = 422
	}
	return q.render(status, "exportform", view{Title: title, Section: "exports", Command: line, Content: f})
}

func (q *request) connectionNames() ([]string, error) {
	var all []catalogue.Connection
	if err := ask(q, Order{Name: protocol.ConnectionList}, &all); err != nil {
		return nil, err
	}
	var names []string
	for _, c := range all {
		names = append(names, c.Name)
	}
	return names, nil
}

// fillChoices asks the source what it has. An error is part of the form: the
// visitor can choose another source.
func (q *request) fillChoices(f *exportForm) {
	var a protocol.SourceAnswer
	err := ask(q, Order{Name: protocol.SourceShow, Args: protocol.SourceShowArgs{Name: f.Spec.Source}, Object: f.Spec.Source, Personal: true}, &a)
	if err != nil {
		f.SourceError = err.Error()
		return
	}
	chosen := func(name string) bool {
		return slices.ContainsFunc(f.Spec.Segments, func(s catalogue.ExportedSegment) bool { return s.Segment == name })
	}
	f.Fields = a.Fields
	for _, s := range a.SegmentList {
		f.Segments = append(f.Segments, segmentChoice{s, chosen(s.Name)})
		for _, field := range s.Fields {
			if !slices.Contains(f.Fields, field) {
				f.Fields = append(f.Fields, field)
			}
		}
	}
	used := map[string]bool{}
	for _, a := range contact.Attributes {
		row := mappingRow{Attribute: a, Field: f.Spec.Mapping[a], Required: a == contact.Email}
		if f.New && f.Spec.Mapping == nil {
			row.Field = suggest(a, f.Fields, used)
			row.Suggested = row.Field != ""
		}
		used[row.Field] = true
		f.Mapping = append(f.Mapping, row)
	}
	if f.New && f.Spec.ID == "" {
		f.Spec.ID = suggest("id", f.Fields, used)
	}
	for _, g := range []catalogue.Guard{catalogue.GuardShrunk, catalogue.GuardInvalid, catalogue.GuardLeavers} {
		row := guardRow{Guard: g}
		if t, ok := f.Spec.Guards[g]; ok {
			row.Percent = strconv.FormatFloat(float64(t)*100, 'f', -1, 64)
		}
		f.Guards = append(f.Guards, row)
	}
}

// hints are the names under which sources hold an attribute, in lower case and
// without separators, the surest first.
var hints = map[contact.Attribute][]string{
	"id":                   {"customerid", "contactid", "profileid", "id"},
	contact.Email:          {"email", "emailaddress", "emailaddress1", "mail"},
	contact.FirstName:      {"firstname", "givenname", "forename"},
	contact.LastName:       {"lastname", "surname", "familyname"},
	contact.Address:        {"street", "address", "addressline1", "streetaddress", "address1line1"},
	contact.City:           {"city", "town", "address1city"},
	contact.State:          {"state", "province", "region", "stateprovince"},
	contact.PostalCode:     {"postalcode", "zip", "zipcode", "postcode"},
	contact.Country:        {"country", "countrycode", "countryregion"},
	contact.ConsentFlag:    {"emailconsent", "consent", "optin", "emailoptin", "subscribed", "marketingconsent"},
	contact.ConsentDate:    {"consentdate", "emailconsentdate", "consentat", "optindate", "subscribedat"},
	contact.BirthDate:      {"birthdate", "dateofbirth", "birthday", "dob"},
	contact.Gender:         {"gender", "sex"},
	contact.Phone:          {"phone", "mobile", "mobilephone", "telephone", "phonenumber"},
	contact.SMSConsent:     {"smsconsent", "smsoptin", "textconsent"},
	contact.SMSConsentDate: {"smsconsentdate", "smsconsentat"},
}

// suggest finds the field that most likely fills an attribute; empty when none
// is likely. A telephone number is not suggested: it needs a consent of its own.
func suggest(a contact.Attribute, fields []string, used map[string]bool) string {
	if a == contact.Phone || a == contact.SMSConsent || a == contact.SMSConsentDate {
		return ""
	}
	plain := strings.NewReplacer("_", "", "-", "", " ", "", ".", "")
	for _, hint := range hints[a] {
		for _, field := range fields {
			if !used[field] && plain.Replace(strings.ToLower(field)) == hint {
				return field
			}
		}
	}
	return ""
}

// exportSave adds or changes an export, and runs or plans it if the button
// says so. The form comes back with what the worker says against it.
func (q *request) exportSave() error {
	if err := q.form(); err != nil {
		return err
	}
	form := q.r.PostForm
	f := &exportForm{Name: q.r.PathValue("name")}
	if f.Name == "" {
		f.New, f.Name = true, strings.TrimSpace(form.Get("name"))
	} else {
		f.Version, _ = strconv.ParseInt(form.Get("version"), 10, 64)
		f.Base = form.Get("base")
		var now protocol.ExportAnswer
		if err := act(q, Order{Name: protocol.ExportShow, Args: protocol.Named{Name: f.Name}, Object: f.Name}, &now); err != nil {
			return err
		}
		f.Spec = now.ExportSpec
	}
	err := readSpec(form, &f.Spec)
	if err == nil && f.New {
		err = act(q, Order{Name: protocol.ExportAdd, Args: protocol.ExportAddArgs{ExportSpec: f.Spec, Name: f.Name}, Object: f.Name}, &ignored{})
	} else if err == nil {
		err = act(q, Order{Name: protocol.ExportEdit, Args: protocol.ExportEditArgs{ExportSpec: f.Spec, Name: f.Name, Version: f.Version}, Object: f.Name}, &ignored{})
	}
	if err != nil {
		status, _ := statusOf(err)
		if status == 409 && !f.New {
			if err := q.compareWithNow(f); err != nil {
				return err
			}
		}
		if status == 422 || status == 409 {
			f.Error = err.Error()
			return q.exportForm(f)
		}
		return err
	}
	switch form.Get("then") {
	case "run", "plan":
		return q.start(f.Name, form.Get("then"), false)
	}
	return q.done(address("exports", f.Name), "export.done.save")
}

// compareWithNow finds out what was changed since the form was opened. The
// form is then of the export as it is now, so that it can be saved.
func (q *request) compareWithNow(f *exportForm) error {
	var now protocol.ExportAnswer
	if err := act(q, Order{Name: protocol.ExportShow, Args: protocol.Named{Name: f.Name}, Object: f.Name}, &now); err != nil {
		return err
	}
	current, err := json.Marshal(now.ExportSpec)
	if err != nil {
		return err
	}
	f.Changed = &changed{By: now.UpdatedBy, At: now.UpdatedAt}
	if lines, err := manifest.Differences(json.RawMessage(f.Base), current); err == nil {
		f.Changed.Lines = lines
	}
	f.Version, f.Base = now.Version, string(current)
	return nil
}

// readSpec takes what the form says into the export. Settings without a field
// in the form stay as they are.
func readSpec(form url.Values, s *catalogue.ExportSpec) error {
	s.Connection, s.Source, s.ID = form.Get("connection"), form.Get("source"), form.Get("id")
	before := map[string]string{}
	for _, e := range s.Segments {
		before[e.Segment] = e.Marker
	}
	s.Segments = nil
	for _, name := range form["segment"] {
		s.Segments = append(s.Segments, catalogue.ExportedSegment{Segment: name, Marker: before[name]})
	}
	mapping := contact.Mapping{}
	for a, field := range s.Mapping { // custom properties have no row
		if !slices.Contains(contact.Attributes, a) {
			mapping[a] = field
		}
	}
	for _, a := range contact.Attributes {
		if field := form.Get("map." + string(a)); field != "" {
			mapping[a] = field
		}
	}
	name, field := strings.TrimSpace(form.Get("property")), form.Get("property.field")
	if name != "" && field != "" {
		mapping[contact.Attribute("property:"+name)] = field
	}
	for _, gone := range form["unmap"] {
		delete(mapping, contact.Attribute(gone))
	}
	s.Mapping = mapping
	s.Consent.Consent, s.Consent.OptOut = words(form.Get("consent")), words(form.Get("optout"))
	s.Leavers = catalogue.LeaverPolicy(form.Get("leavers"))
	return readGuards(form, s)
}

func readGuards(form url.Values, s *catalogue.ExportSpec) error {
	guards := map[catalogue.Guard]catalogue.Threshold{}
	for g, t := range s.Guards {
		if !form.Has("guard." + string(g)) {
			guards[g] = t
		}
	}
	for key := range form {
		guard, ok := strings.CutPrefix(key, "guard.")
		text := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(form.Get(key)), "%"))
		if !ok || text == "" {
			continue
		}
		percent, err := strconv.ParseFloat(text, 64)
		if err != nil || !(percent >= 0 && percent <= 100) {
			return &invalid{"The guard " + guard + " takes a percentage from 0 to 100."}
		}
		guards[catalogue.Guard(guard)] = catalogue.Threshold(percent / 100)
	}
	s.Guards = nil
	if len(guards) > 0 {
		s.Guards = guards
	}
	return nil
}

// words are the values of a comma-separated list.
func words(text string) (list []string) {
	for _, w := range strings.Split(text, ",") {
		if w = strings.TrimSpace(w); w != "" {
			list = append(list, w)
		}
	}
	return list
}
