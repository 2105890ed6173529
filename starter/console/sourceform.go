package console

import (
	"encoding/csv"
	"net/url"
	"strconv"
	"strings"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
)

// sourceForm is the form of a source.
type sourceForm struct {
	New        bool
	Name, Kind string
	Version    int64
	Files      catalogue.FilesSettings
	Columns    string
	Dataverse  catalogue.DataverseSettings
	Postgres   catalogue.PostgresSettings
	Dates      catalogue.Dates
	Shared     string
	Credential string // where it is: stored, or a reference
	Error      string
}

func (q *request) sourceNew() error {
	if err := q.allowed(protocol.SourceAdd); err != nil {
		return err
	}
	f := &sourceForm{New: true, Kind: q.r.URL.Query().Get("kind"), Shared: catalogue.SharedAdmins.String()}
	if f.Kind == "" {
		f.Kind = catalogue.TypeFiles
	}
	return q.sourceForm(f)
}

// sourceEdit shows the form of a source that there is.
func (q *request) sourceEdit() error {
	if err := q.allowed(protocol.SourceEdit); err != nil {
		return err
	}
	f, err := q.sourceNow(q.r.PathValue("name"))
	if err != nil {
		return err
	}
	return q.sourceForm(f)
}

// sourceNow is the form of a source as it is stored.
func (q *request) sourceNow(name string) (*sourceForm, error) {
	var a protocol.SourceAnswer
	if err := act(q, Order{Name: protocol.SourceShow, Args: protocol.SourceShowArgs{Name: name, Stored: true}, Object: name}, &a); err != nil {
		return nil, err
	}
	f := &sourceForm{Name: name, Kind: a.Type, Version: a.Version, Dates: a.Dates, Shared: a.Shared.String(), Credential: a.Credential}
	switch {
	case a.Files != nil:
		f.Files = *a.Files
		f.Columns = asCSV(f.Files.Columns)
	case a.Dataverse != nil:
		f.Dataverse = *a.Dataverse
	case a.Postgres != nil:
		f.Postgres = *a.Postgres
	}
	return f, nil
}

func (q *request) sourceForm(f *sourceForm) error {
	title, line := q.texts.say("source.new"), "starter source add NAME --kind "+f.Kind
	if !f.New {
		title, line = q.texts.say("source.edit", f.Name), "starter source edit "+quoted(f.Name)
	}
	return q.renderForm("sourceform", f.Error, view{Title: title, Section: "sources", Command: line, Content: f})
}

// sourceSave stores a source. The worker tests it first.
func (q *request) sourceSave() error {
	if err := q.form(); err != nil {
		return err
	}
	form := q.r.PostForm
	f := &sourceForm{New: true, Name: strings.TrimSpace(form.Get("name")), Kind: form.Get("kind")}
	if name := q.r.PathValue("name"); name != "" {
		var err error
		if f, err = q.sourceNow(name); err != nil {
			return err
		}
		f.Version, _ = strconv.ParseInt(form.Get("version"), 10, 64)
	}
	shared := catalogue.Sharing(form.Get("shared"))
	f.Shared = shared.String()
	settings := protocol.SourceSettings{Shared: &shared}
	err := f.read(form, &settings)
	if err == nil {
		err = q.sourceStore(f, settings, form.Get("credential"))
	}
	if err != nil {
		if canBeCorrected(err) {
			f.Error = err.Error()
			return q.sourceForm(f)
		}
		return err
	}
	return q.done(address("sources", f.Name), "source.done.add")
}

func (q *request) sourceStore(f *sourceForm, settings protocol.SourceSettings, secret string) error {
	do := Order{Name: protocol.SourceAdd, Object: f.Name, Personal: true, Args: protocol.SourceAddArgs{SourceSettings: settings, Name: f.Name, Kind: f.Kind}}
	if !f.New {
		do.Name, do.Args = protocol.SourceEdit, protocol.SourceEditArgs{SourceSettings: settings, Name: f.Name, Version: f.Version}
	}
	if secret != "" {
		do.Secret = protocol.SourceSecret{Credential: []byte(secret)}
	}
	return act(q, do, &ignored{})
}

// read takes the settings of the source's kind from a form. What has no field
// in the form stays.
func (f *sourceForm) read(form url.Values, settings *protocol.SourceSettings) error {
	var texts map[string]*string
	var numbers map[string]*int
	switch f.Kind {
	case catalogue.TypeFiles:
		s := &f.Files
		texts = map[string]*string{"path": &s.Path, "url": &s.URL, "account": &s.Account, "endpoint": &s.Endpoint, "region": &s.Region, "layout": &s.Layout,
			"delimiter": &s.Delimiter, "encoding": &s.Encoding, "quoteescape": &s.QuoteEscape, "sheet": &s.Sheet, "columns": &f.Columns}
		settings.Files = s
	case catalogue.TypeDataverse:
		s := &f.Dataverse
		texts = map[string]*string{"url": &s.URL, "auth": &s.Auth, "tenant": &s.Tenant, "client": &s.ClientID, "authority": &s.Authority, "onchange": &s.OnChange}
		numbers = map[string]*int{"settle": &s.SettleSeconds}
		settings.Dataverse = s
	case catalogue.TypePostgres:
		s := &f.Postgres
		texts = map[string]*string{"host": &s.Host, "database": &s.Database, "user": &s.User, "tls": &s.TLS, "ca": &s.CA, "schema": &s.Schema, "id": &s.ID}
		numbers = map[string]*int{"port": &s.Port}
		settings.Postgres = s
	}
	for name, setting := range map[string]*string{"timezone": &f.Dates.TimeZone, "dateformat": &f.Dates.DateFormat} {
		if form.Has(name) {
			*setting = strings.TrimSpace(form.Get(name))
			settings.Dates = &f.Dates
		}
	}
	for name, setting := range texts {
		if form.Has(name) {
			*setting = strings.TrimSpace(form.Get(name))
		}
	}
	for name, setting := range numbers {
		text := strings.TrimSpace(form.Get(name))
		if !form.Has(name) {
			continue
		}
		*setting = 0
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return &invalid{"The field " + name + " takes a whole number, or nothing."}
		}
		*setting = n
	}
	if f.Kind != catalogue.TypeFiles {
		return nil
	}
	f.Files.Columns = nil
	if f.Columns != "" {
		names, err := csv.NewReader(strings.NewReader(f.Columns)).Read()
		if err != nil {
			return &invalid{"The columns are a list with commas; names with a comma are in double quotes."}
		}
		for _, name := range names {
			f.Files.Columns = append(f.Files.Columns, strings.TrimSpace(name))
		}
	}
	return nil
}

// asCSV is a list as a line of CSV.
func asCSV(list []string) string {
	if len(list) == 0 {
		return ""
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(list) // a strings.Builder takes everything
	w.Flush()
	return strings.TrimSpace(b.String())
}
