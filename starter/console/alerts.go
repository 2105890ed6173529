package console

import (
	"crypto/rand"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
)

// alerts lists the alerts.
func (q *request) alerts() error {
	var all []catalogue.Alert
	if err := ask(q, Order{Name: protocol.AlertList}, &all); err != nil {
		return err
	}
	return q.show("alerts", view{Title: q.texts.say("alerts.title"), Section: "records", Command: "starter alert list", Content: all})
}

// alertForm is the form of an alert. Where one goes cannot be changed: it is
// sealed, and an alert that goes elsewhere is another one.
type alertForm struct {
	New        bool
	Name       string
	Version    int64
	Channel    catalogue.ChannelType
	Target     string
	On         []catalogue.Condition
	Conditions []catalogue.Condition
	Exports    []string
	All        []string // exports to choose from
	Percent    string   // of rejects
	Hours      string   // without a complete run
	Mail       protocol.AlertMail
	To         string
	Format     string
	Error      string
}

// Tells says whether the alert is about a condition.
func (f *alertForm) Tells(c catalogue.Condition) bool { return slices.Contains(f.On, c) }

// Covers says whether the alert names an export.
func (f *alertForm) Covers(export string) bool { return slices.Contains(f.Exports, export) }

func (q *request) alertNew() error {
	if err := q.allowed(protocol.AlertAdd); err != nil {
		return err
	}
	f := &alertForm{New: true, Channel: catalogue.ChannelMail, Percent: "5"}
	if q.r.URL.Query().Get("channel") == string(catalogue.ChannelWebhook) {
		f.Channel = catalogue.ChannelWebhook
	}
	for _, c := range catalogue.Conditions {
		if c != catalogue.ConditionLate {
			f.On = append(f.On, c)
		}
	}
	return q.alertForm(f)
}

func (q *request) alertEdit() error {
	if err := q.allowed(protocol.AlertEdit); err != nil {
		return err
	}
	name := q.r.PathValue("name")
	var a catalogue.Alert
	if err := ask(q, Order{Name: protocol.AlertShow, Args: protocol.Named{Name: name}, Object: name}, &a); err != nil {
		return err
	}
	f := &alertForm{Name: name, Version: a.Version, Channel: a.Channel, Target: a.Target, On: a.On, Exports: a.Exports,
		Percent: strconv.FormatFloat(a.Rejects*100, 'f', -1, 64)}
	if a.Late > 0 {
		f.Hours = strconv.FormatFloat(a.Late.Hours(), 'f', -1, 64)
	}
	return q.alertForm(f)
}

func (q *request) alertForm(f *alertForm) error {
	var exports []protocol.ExportAnswer
	if err := ask(q, Order{Name: protocol.ExportList}, &exports); err != nil {
		return err
	}
	for _, e := range exports {
		f.All = append(f.All, e.Name)
	}
	f.Conditions = catalogue.Conditions
	title, line := q.texts.say("alert.new"), "starter alert add NAME"
	if !f.New {
		title, line = q.texts.say("alert.edit", f.Name), "starter alert show "+quoted(f.Name)
	}
	return q.renderForm("alertform", f.Error, view{Title: title, Section: "records", Command: line, Content: f})
}

// alertSave adds or changes an alert.
func (q *request) alertSave() error {
	if err := q.form(); err != nil {
		return err
	}
	form := q.r.PostForm
	f := &alertForm{Name: q.r.PathValue("name"), Channel: catalogue.ChannelType(form.Get("channel")), Target: form.Get("target"), Exports: form["export"],
		Percent: strings.TrimSpace(form.Get("rejects")), Hours: strings.TrimSpace(form.Get("late")), To: form.Get("to"), Format: form.Get("format"),
		Mail: protocol.AlertMail{Server: strings.TrimSpace(form.Get("server")), From: strings.TrimSpace(form.Get("from")), To: words(form.Get("to")),
			Username: strings.TrimSpace(form.Get("user")), Plain: form.Get("plain") != ""}}
	if f.Name == "" {
		f.New, f.Name = true, strings.TrimSpace(form.Get("name"))
	}
	f.Version, _ = strconv.ParseInt(form.Get("version"), 10, 64)
	for _, c := range form["on"] {
		f.On = append(f.On, catalogue.Condition(c))
	}
	key, err := q.alertStore(f)
	if err != nil {
		if canBeCorrected(err) {
			f.Error = err.Error()
			return q.alertForm(f)
		}
		return err
	}
	if key != "" {
		return q.done("/records/alerts", "alert.done.key", key)
	}
	return q.done("/records/alerts", "alert.done.save")
}

// alertStore gives the command. It returns the key that was made to sign
// requests to a webhook, which is shown once.
func (q *request) alertStore(f *alertForm) (key string, err error) {
	args := protocol.AlertAddArgs{Name: f.Name, Exports: f.Exports, On: f.On}
	percent, err := strconv.ParseFloat(strings.TrimSuffix(f.Percent, "%"), 64)
	if err != nil {
		return "", &invalid{q.texts.say("alert.rejects.unreadable")}
	}
	args.Rejects = percent / 100
	if f.Hours != "" {
		hours, err := strconv.ParseFloat(f.Hours, 64)
		if err != nil || !(hours > 0 && hours < 24*366) {
			return "", &invalid{q.texts.say("alert.late.unreadable")}
		}
		args.Late = time.Duration(hours * float64(time.Hour))
	}
	if err := (&catalogue.Alert{On: args.On, Rejects: args.Rejects, Late: args.Late}).Check(); err != nil {
		return "", &invalid{q.texts.say("alert.incomplete")}
	}
	if !f.New {
		return "", act(q, Order{Name: protocol.AlertEdit, Args: protocol.AlertEditArgs{AlertAddArgs: args, Version: f.Version}, Object: f.Name}, &ignored{})
	}
	secret := protocol.AlertSecret{}
	switch f.Channel {
	case catalogue.ChannelWebhook:
		key = rand.Text()
		secret.Webhook = &protocol.AlertWebhook{URL: strings.TrimSpace(q.r.PostForm.Get("credential")), Key: key, Format: f.Format}
	default:
		mail := f.Mail
		mail.Password = q.r.PostForm.Get("password")
		secret.Mail = &mail
	}
	return key, act(q, Order{Name: protocol.AlertAdd, Args: args, Object: f.Name, Secret: secret}, &ignored{})
}

// alertDo carries out the button that was pressed beside an alert.
func (q *request) alertDo() error {
	if err := q.form(); err != nil {
		return err
	}
	name := q.r.PostForm.Get("name")
	var tested protocol.AlertTested
	if err := act(q, Order{Name: protocol.AlertTest, Args: protocol.Named{Name: name}, Object: name}, &tested); err != nil {
		return err
	}
	return q.done("/records/alerts", "alerts.done", tested.Target)
}

// alertRemove removes an alert after its name was typed.
func (q *request) alertRemove() error {
	if err := q.form(); err != nil {
		return err
	}
	name := q.r.PathValue("name")
	if err := q.confirmed(name); err != nil {
		return err
	}
	if err := act(q, Order{Name: protocol.AlertRemove, Args: protocol.Named{Name: name}, Object: name}, &ignored{}); err != nil {
		return err
	}
	return q.done("/records/alerts", "alert.done.remove", name)
}
