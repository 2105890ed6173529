package console

import (
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
	Rows   bool // first rows were asked for, which the audit records
}

// source shows one source with what is in it.
func (q *request) source() error { return q.sourcePage(nil) }

func (q *request) sourcePage(tested *protocol.SourceTested) error {
	name := q.r.PathValue("name")
	v := sourceView{Tested: tested, Rows: q.r.URL.Query().Has("rows")}
	err := ask(q, Order{Name: protocol.SourceShow, Args: protocol.SourceShowArgs{Name: name, Rows: v.Rows}, Object: name, Personal: true}, &v.SourceAnswer)
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
