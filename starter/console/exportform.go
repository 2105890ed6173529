package console

import (
	"encoding/json"
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
	Fields      []fieldChoice
	Mapping     []mappingRow
	Consents    []consentValues
	Preview     *protocol.PreviewAnswer
	Asked       bool   // for a preview, by its button
	PreviewNote string // why there is none
	MayRunAs    bool
	Guards      []guardRow
	SourceError string
	Error       string
	Base        string // the export's settings as JSON, when the form was opened
	Changed     *changed
}

// changed is what another tab or person changed of an export while its form was open.
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
	Name      string // of a custom property
	Field     string
	Suggested bool
	Required  bool
}

// fieldChoice is a field of the source with a value of it.
type fieldChoice struct{ Name, Sample string }

// consentValues are the values that were found in a field of consent.
type consentValues struct {
	Attribute contact.Attribute
	Field     string
	Values    []consentValue
}

// consentValue is a value with how many rows have it and what it means.
type consentValue struct {
	Value, Means string
	Count        int
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
	f.Spec.Normalise()
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
	return q.renderForm("exportform", f.Error, view{Title: title, Section: "exports", Command: line, Content: f})
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
	if err == nil && form.Get("then") == "preview" {
		f.Asked = true
		return q.exportForm(f)
	}
	if err == nil && f.New {
		err = act(q, Order{Name: protocol.ExportAdd, Args: protocol.ExportAddArgs{ExportSpec: f.Spec, Name: f.Name}, Object: f.Name}, &ignored{})
	} else if err == nil {
		err = act(q, Order{Name: protocol.ExportEdit, Args: protocol.ExportEditArgs{ExportSpec: f.Spec, Name: f.Name, Version: f.Version}, Object: f.Name}, &ignored{})
	}
	if err != nil {
		if status, _ := statusOf(err); status == 409 && !f.New {
			if err := q.compareWithNow(f); err != nil {
				return err
			}
		}
		if canBeCorrected(err) {
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
