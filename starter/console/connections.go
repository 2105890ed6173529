package console

import (
	"html/template"
	"strconv"
	"strings"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
)

// connections lists the Omnisend accounts.
func (q *request) connections() error {
	var all []catalogue.Connection
	if err := ask(q, Order{Name: protocol.ConnectionList}, &all); err != nil {
		return err
	}
	return q.show("connections", view{Title: q.texts.say("connections.title"), Section: "connections", Command: "starter connection list", Content: all})
}

// connectionView is what a connection's page shows.
type connectionView struct {
	protocol.ConnectionAnswer

	Statement string
	Budget    protocol.BudgetStatus
	Hour      []minute // those with calls or refusals
	Plot      template.HTML
}

// connection shows one connection.
func (q *request) connection() error {
	name := q.r.PathValue("name")
	v := connectionView{Statement: catalogue.TransferStatement}
	if err := ask(q, Order{Name: protocol.ConnectionShow, Args: protocol.Named{Name: name}, Object: name}, &v.ConnectionAnswer); err != nil {
		return err
	}
	var status protocol.StatusAnswer
	if err := ask(q, Order{Name: protocol.Status}, &status); err != nil {
		return err
	}
	for _, b := range status.Budgets {
		if b.Connection == name {
			v.Budget = b
		}
	}
	if v.BrandID != "" && v.CallsPerMinute > 0 {
		all := lastHour(q.Now(), v.ConnectionAnswer.Hour, v.Limit())
		v.Plot = hourPlot(all)
		for _, m := range all {
			if m.Calls > 0 || m.Refused > 0 {
				v.Hour = append(v.Hour, m)
			}
		}
	}
	return q.show("connection", view{Title: name, Section: "connections", Command: "starter connection show " + quoted(name), Content: v})
}

// connectionForm is the form of a new connection.
type connectionForm struct {
	Name, Brand string
	Shared      string
	Statement   string
	Error       string
}

func (q *request) connectionNew() error {
	if err := q.allowed(protocol.ConnectionAdd); err != nil {
		return err
	}
	return q.connectionForm(&connectionForm{Shared: catalogue.SharedAdmins.String()})
}

func (q *request) connectionForm(f *connectionForm) error {
	f.Statement = catalogue.TransferStatement
	return q.renderForm("connectionform", f.Error, view{Title: q.texts.say("connection.new"), Section: "connections",
		Command: "starter connection add NAME --agree", Content: f})
}

// connectionAdd stores a connection. The worker tests the key first; its answer
// has the brand's name.
func (q *request) connectionAdd() error {
	if err := q.form(); err != nil {
		return err
	}
	form := q.r.PostForm
	f := &connectionForm{Name: strings.TrimSpace(form.Get("name")), Brand: strings.TrimSpace(form.Get("brand")), Shared: form.Get("shared")}
	shared := catalogue.Sharing(f.Shared)
	args := protocol.ConnectionAddArgs{Name: f.Name, Brand: f.Brand, Agree: form.Get("agree") != "",
		ConnectionSettings: protocol.ConnectionSettings{Shared: &shared}}
	secret := protocol.ConnectionSecret{Key: strings.TrimSpace(form.Get("key"))}
	var err error = &invalid{q.texts.say("connection.key.missing")}
	if secret.Key != "" {
		err = act(q, Order{Name: protocol.ConnectionAdd, Args: args, Object: f.Name, Secret: secret}, &ignored{})
	}
	if err != nil {
		if canBeCorrected(err) {
			f.Error = err.Error()
			return q.connectionForm(f)
		}
		return err
	}
	return q.done(address("connections", f.Name), "connection.done.add")
}

// connectionDo carries out the button that was pressed on a connection's page.
func (q *request) connectionDo() error {
	if err := q.form(); err != nil {
		return err
	}
	name, form := q.r.PathValue("name"), q.r.PostForm
	do := Order{Args: protocol.Named{Name: name}, Object: name}
	button := form.Get("do")
	switch button {
	case "test":
		var tested protocol.ConnectionTested
		do.Name = protocol.ConnectionTest
		if err := act(q, do, &tested); err != nil {
			return err
		}
		return q.done(address("connections", name), "connection.done.test", tested.BrandName, tested.BrandID)
	case "stop":
		do.Name = protocol.ConnectionStop
	case "start":
		do.Name = protocol.ConnectionStart
	case "share":
		do.Name, do.Args = protocol.ConnectionShare, protocol.ConnectionShareArgs{Name: name, With: catalogue.Sharing(form.Get("shared"))}
	case "agree":
		do.Name, do.Args = protocol.ConnectionEdit, protocol.ConnectionEditArgs{Name: name, Agree: true}
	case "withdraw":
		if err := q.confirmed(name); err != nil {
			return err
		}
		do.Name, do.Args = protocol.ConnectionEdit, protocol.ConnectionEditArgs{Name: name, Withdraw: true, Running: form.Get("running")}
	case "rotate":
		do.Name, do.Args = protocol.ConnectionRotate, protocol.ConnectionRotateArgs{Name: name}
		do.Secret = protocol.ConnectionSecret{Key: strings.TrimSpace(form.Get("key"))}
	case "budget":
		percent, err := strconv.ParseFloat(strings.TrimSpace(form.Get("share")), 64)
		if err != nil {
			return &invalid{q.texts.say("connection.share.unreadable")}
		}
		share := percent / 100
		do.Name, do.Args = protocol.ConnectionEdit, protocol.ConnectionEditArgs{Name: name, ConnectionSettings: protocol.ConnectionSettings{Share: &share}}
	default:
		return &invalid{q.texts.say("form.unreadable")}
	}
	if err := act(q, do, &ignored{}); err != nil {
		return err
	}
	return q.done(address("connections", name), "connection.done."+button)
}

// connectionRemove removes a connection after its name was typed.
func (q *request) connectionRemove() error {
	if err := q.form(); err != nil {
		return err
	}
	name := q.r.PathValue("name")
	if err := q.confirmed(name); err != nil {
		return err
	}
	args := protocol.ConnectionRemoveArgs{Name: name, Exports: q.r.PostForm.Get("exports")}
	if err := act(q, Order{Name: protocol.ConnectionRemove, Args: args, Object: name}, &ignored{}); err != nil {
		return err
	}
	return q.done("/connections", "connection.done.remove", name)
}
