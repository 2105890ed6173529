package console

import (
	"strings"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
)

// sources lists where segments are read.
func (q *request) sources() error {
	var all []catalogue.Source
	if err := ask(q, Order{Name: protocol.SourceList}, &all); err != nil {
		return err
	}
	return q.show("sources", view{Title: q.texts.say("sources.title"), Section: "sources", Command: "starter source list", Content: all})
}

// sourceView is what a source's page shows.
type sourceView struct {
	protocol.SourceAnswer

	Error  string // why the source does not show what it has
	Tested *protocol.SourceTested
}

// source shows one source with what is in it.
func (q *request) source() error { return q.sourcePage(nil) }

func (q *request) sourcePage(tested *protocol.SourceTested) error {
	name := q.r.PathValue("name")
	v := sourceView{Tested: tested}
	err := ask(q, Order{Name: protocol.SourceShow, Args: protocol.SourceShowArgs{Name: name}, Object: name, Personal: true}, &v.SourceAnswer)
	if err != nil {
		if status, _ := statusOf(err); status != 422 {
			return err
		}
		v.Error = err.Error()
		err = ask(q, Order{Name: protocol.SourceShow, Args: protocol.SourceShowArgs{Name: name, Stored: true}, Object: name}, &v.SourceAnswer)
	}
	if err != nil {
		return err
	}
	return q.show("source", view{Title: name, Section: "sources", Command: "starter source show " + quoted(name), Content: v})
}

// sourceForm is the form of a new source.
type sourceForm struct {
	Name, Kind string
	Files      catalogue.FilesSettings
	Dataverse  catalogue.DataverseSettings
	Postgres   catalogue.PostgresSettings
	Shared     string
	Error      string
}

func (q *request) sourceNew() error {
	if err := q.allowed(protocol.SourceAdd); err != nil {
		return err
	}
	f := &sourceForm{Kind: q.r.URL.Query().Get("kind"), Shared: catalogue.SharedAdmins.String()}
	if f.Kind == "" {
		f.Kind = catalogue.TypeFiles
	}
	return q.sourceForm(f)
}

func (q *request) sourceForm(f *sourceForm) error {
	status := 200
	if f.Error != "" {
		status = 422
	}
	return q.render(status, "sourceform", view{Title: q.texts.say("source.new"), Section: "sources",
		Command: "starter source add NAME --kind " + f.Kind, Content: f})
}

// sourceAdd stores a source. The worker tests it first.
func (q *request) sourceAdd() error {
	if err := q.form(); err != nil {
		return err
	}
	form := q.r.PostForm
	text := func(name string) string { return strings.TrimSpace(form.Get(name)) }
	shared := catalogue.Sharing(text("shared"))
	f := &sourceForm{Name: text("name"), Kind: text("kind"), Shared: shared.String()}
	settings := protocol.SourceSettings{Shared: &shared}
	switch f.Kind {
	case catalogue.TypeFiles:
		f.Files = catalogue.FilesSettings{Path: text("path"), URL: text("url"), Account: text("account"), Delimiter: text("delimiter"), Encoding: text("encoding")}
		settings.Files = &f.Files
	case catalogue.TypeDataverse:
		f.Dataverse = catalogue.DataverseSettings{URL: text("url"), Auth: text("auth"), Tenant: text("tenant"), ClientID: text("client")}
		settings.Dataverse = &f.Dataverse
	case catalogue.TypePostgres:
		f.Postgres = catalogue.PostgresSettings{Host: text("host"), Database: text("database"), User: text("user"), TLS: text("tls"), Schema: text("schema"), ID: text("id")}
		settings.Postgres = &f.Postgres
	}
	do := Order{Name: protocol.SourceAdd, Args: protocol.SourceAddArgs{SourceSettings: settings, Name: f.Name, Kind: f.Kind}, Object: f.Name, Personal: true}
	if secret := form.Get("credential"); secret != "" {
		do.Secret = protocol.SourceSecret{Credential: []byte(secret)}
	}
	if err := act(q, do, &ignored{}); err != nil {
		if status, _ := statusOf(err); status == 422 || status == 409 {
			f.Error = err.Error()
			return q.sourceForm(f)
		}
		return err
	}
	return q.done(address("sources", f.Name), "source.done.add")
}

// sourceDo carries out the button that was pressed on a source's page.
func (q *request) sourceDo() error {
	if err := q.form(); err != nil {
		return err
	}
	name := q.r.PathValue("name")
	switch q.r.PostForm.Get("do") {
	case "test":
		var tested protocol.SourceTested
		if err := act(q, Order{Name: protocol.SourceTest, Args: protocol.Named{Name: name}, Object: name, Personal: true}, &tested); err != nil {
			return err
		}
		return q.sourcePage(&tested)
	case "share":
		args := protocol.SourceShareArgs{Name: name, With: catalogue.Sharing(q.r.PostForm.Get("shared"))}
		if err := act(q, Order{Name: protocol.SourceShare, Args: args, Object: name}, &ignored{}); err != nil {
			return err
		}
		return q.done(address("sources", name), "source.done.share")
	}
	return &invalid{q.texts.say("form.unreadable")}
}

// sourceRemove removes a source after its name was typed.
func (q *request) sourceRemove() error {
	if err := q.form(); err != nil {
		return err
	}
	name := q.r.PathValue("name")
	if err := q.confirmed(name); err != nil {
		return err
	}
	if err := act(q, Order{Name: protocol.SourceRemove, Args: protocol.Named{Name: name}, Object: name}, &ignored{}); err != nil {
		return err
	}
	return q.done("/sources", "source.done.remove", name)
}
