package console

import (
	"strings"

	"github.com/segment-export/segment-export/internal/protocol"
)

// audit shows who did what, newest first.
func (q *request) audit() error {
	query := q.r.URL.Query()
	args := protocol.AuditArgs{Actor: query.Get("actor"), Object: query.Get("object"), Command: query.Get("command"), Past: query.Get("past"), Limit: auditPerPage}
	var page protocol.AuditPage
	// What was asked for names people, so that it travels sealed, and the answer
	// is not kept.
	if err := act(q, Order{Name: protocol.Audit, Secret: args, Personal: true}, &page); err != nil {
		return err
	}
	type content struct {
		protocol.AuditPage
		Args protocol.AuditArgs
		Last string
	}
	v := content{AuditPage: page, Args: args}
	if len(page.Entries) > 0 {
		v.Last = page.Entries[len(page.Entries)-1].ID
	}
	return q.show("audit", view{Title: q.texts.say("audit.title"), Section: "records", Command: "starter audit", Content: v})
}

const auditPerPage = 50

// people shows who may do what.
func (q *request) people() error {
	var people []protocol.PersonAnswer
	if q.administers() {
		if err := act(q, Order{Name: protocol.AccessList, Personal: true}, &people); err != nil {
			return err
		}
	}
	return q.show("people", view{Title: q.texts.say("people.title"), Section: "records", Command: "starter access list", Content: people})
}

// peopleDo revokes or restores a person's access.
func (q *request) peopleDo() error {
	if err := q.form(); err != nil {
		return err
	}
	names := map[string]string{"revoke": protocol.AccessRevoke, "restore": protocol.AccessRestore}
	name, ok := names[q.r.PostForm.Get("do")]
	if !ok {
		return &invalid{q.texts.say("form.unreadable")}
	}
	if err := act(q, Order{Name: name, Secret: protocol.PersonArgs{Name: q.r.PostForm.Get("name")}, Personal: true}, &ignored{}); err != nil {
		return err
	}
	return q.done("/records/people", "people.done."+q.r.PostForm.Get("do"))
}

// personView is the page on which one address is looked up or forgotten. The
// address is in the body of a POST, so that no log and no history has it.
type personView struct {
	Email     string
	Explained *protocol.ExplainAnswer
	Forgotten *protocol.ForgetAnswer
}

func (q *request) personForm() error {
	if err := q.allowed(protocol.Explain); err != nil {
		return err
	}
	return q.personPage(personView{})
}

func (q *request) personPage(v personView) error {
	return q.show("person", view{Title: q.texts.say("person.title"), Section: "records", Command: "starter explain ADDRESS", Content: v})
}

// person explains or forgets one address.
func (q *request) person() error {
	if err := q.form(); err != nil {
		return err
	}
	v := personView{Email: strings.TrimSpace(q.r.PostForm.Get("email"))}
	secret := protocol.Address{Email: v.Email}
	if q.r.PostForm.Get("do") != "forget" {
		v.Explained = &protocol.ExplainAnswer{}
		if err := act(q, Order{Name: protocol.Explain, Secret: secret, Personal: true}, v.Explained); err != nil {
			return err
		}
		return q.personPage(v)
	}
	if err := q.confirmed(v.Email); err != nil {
		return err
	}
	v.Forgotten = &protocol.ForgetAnswer{}
	if err := act(q, Order{Name: protocol.Forget, Args: protocol.ForgetArgs{}, Secret: secret, Personal: true}, v.Forgotten); err != nil {
		return err
	}
	return q.personPage(v)
}
