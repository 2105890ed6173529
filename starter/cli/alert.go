package cli

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
)

const alertDetail = `Notifies people when a condition of an export starts and when it ends, not of every run. The conditions (--on):
failed, parked, skipped, rejects (more than --rejects), zero (no rows at all), late (no complete run for --late).
It goes by mail (--mail-server, --mail-from, --mail-to) or to a webhook (--webhook-url-file), such as one of Slack or
Microsoft Teams. Passwords, keys and the webhook's URL come from files (- for standard input) and travel sealed.`

func (s *session) alertCommands() *cli.Command {
	return group("alert", "notify people when an export needs attention",
		s.leaf("alert", leaf{
			name: "add", args: "NAME", usage: "define an alert",
			detail: alertDetail,
			example: "starter alert add ops --mail-server smtp.example.com:587 --mail-from exports@example.com --mail-to ops@example.com \\\n" +
				"    --mail-user exports --mail-password-file password.txt --late 26h\n" +
				"starter alert add chat --webhook-url-file slack-url.txt --on failed --on parked --export spring",
			flags: append(s.alertFlags(),
				&cli.StringFlag{Name: "mail-server", Usage: "`HOST:PORT` of the SMTP server; STARTTLS, or TLS from the start on port 465"},
				&cli.StringFlag{Name: "mail-from", Usage: "`ADDRESS` that mail comes from"},
				&cli.StringSliceFlag{Name: "mail-to", Usage: "`ADDRESS` that mail goes to, repeatable"},
				&cli.StringFlag{Name: "mail-user", Usage: "user `NAME` for the SMTP server"},
				&cli.StringFlag{Name: "mail-password-file", Usage: "`FILE` with the password for it"},
				&cli.BoolFlag{Name: "mail-plain", Usage: "send without encryption; only for a server on the worker's machine", DisableDefaultText: true},
				&cli.StringFlag{Name: "webhook-url-file", Usage: "`FILE` with the URL"},
				&cli.StringFlag{Name: "webhook-format", Usage: "text (Slack, your own) or teams; guessed from the URL", DefaultText: "guessed"},
				&cli.StringFlag{Name: "signing-key-file", Usage: "`FILE` with the key that requests are signed with; without it one is made and shown once"},
			),
			do: s.alertAdd,
		}),
		s.leaf("alert", leaf{
			name: "edit", args: "NAME", usage: "change what an alert reports",
			detail: "Options that are not given stay as they are, and so does the destination: to change it, remove the alert and\n" +
				"add it again. --export '' makes it report about all exports.",
			example: "starter alert edit ops --on failed --on parked\nstarter alert edit ops --export spring --rejects 2%",
			flags:   s.alertFlags(), do: s.alertEdit,
		}),
		s.leaf("alert", leaf{
			name: "list", usage: "list alerts", example: "starter alert list",
			do: func(c *cli.Context) error { return show(c, s, protocol.AlertList, nil, alertTable) },
		}),
		s.leaf("alert", leaf{
			name: "show", args: "NAME", usage: "show an alert", example: "starter alert show ops",
			do: func(c *cli.Context) error {
				return show(c, s, protocol.AlertShow, protocol.Named{Name: c.Args().First()}, alertPage)
			},
		}),
		s.leaf("alert", leaf{
			name: "remove", args: "NAME", usage: "remove an alert", example: "starter alert remove ops",
			do: func(c *cli.Context) error {
				return show(c, s, protocol.AlertRemove, protocol.Named{Name: c.Args().First()}, func(p *page, a catalogue.Alert) {
					p.line("Removed the alert %s", a.Name)
				})
			},
		}),
		s.leaf("alert", leaf{
			name: "test", args: "NAME", usage: "send a message now, to see whether it arrives", example: "starter alert test ops",
			do: func(c *cli.Context) error {
				return show(c, s, protocol.AlertTest, protocol.Named{Name: c.Args().First()}, func(p *page, a protocol.AlertTested) {
					p.line("The test of %s was taken: %s", a.Name, a.Target)
				})
			},
		}),
	)
}

// alertFlags are what an alert reports.
func (s *session) alertFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "export", Usage: "only about this export (`NAME`), repeatable; without it about all"},
		&cli.StringSliceFlag{Name: "on", Usage: "`CONDITION` to notify about, repeatable; without it all, late only with --late"},
		&cli.StringFlag{Name: "rejects", Value: "5%", Usage: "`PERCENT` of the rows above which rejects are reported"},
		&cli.DurationFlag{Name: "late", Usage: "`TIME` after the last complete run when an export is late, such as 26h"},
	}
}

// alertConditions are the conditions of --on.
func alertConditions(c *cli.Context) (on []catalogue.Condition) {
	for _, name := range c.StringSlice("on") {
		on = append(on, catalogue.Condition(name))
	}
	return on
}

// alertRejects is the part of the rows that --rejects names.
func alertRejects(c *cli.Context) (float64, error) {
	percent, err := strconv.ParseFloat(strings.TrimSuffix(c.String("rejects"), "%"), 64)
	if err != nil {
		return 0, usage("--rejects %q is not a percentage, such as 5%%", c.String("rejects"))
	}
	return percent / 100, nil
}

// alertEdit changes what is given and leaves the rest.
func (s *session) alertEdit(c *cli.Context) error {
	if !slices.ContainsFunc([]string{"export", "on", "rejects", "late"}, c.IsSet) {
		return usage("nothing to change; give --export, --on, --rejects or --late")
	}
	raw, err := s.call(c.Context, order{name: protocol.AlertShow, args: protocol.Named{Name: c.Args().First()}})
	if err != nil {
		return err
	}
	var a catalogue.Alert
	if err := decode(raw, &a); err != nil {
		return err
	}
	if c.IsSet("export") {
		a.Exports = slices.DeleteFunc(c.StringSlice("export"), func(name string) bool { return name == "" })
	}
	if c.IsSet("on") {
		a.On = alertConditions(c)
	}
	if c.IsSet("late") {
		a.Late = c.Duration("late")
	}
	if c.IsSet("rejects") {
		if a.Rejects, err = alertRejects(c); err != nil {
			return err
		}
	}
	if err := a.Check(); err != nil {
		return usage("%v", err)
	}
	args := protocol.AlertEditArgs{AlertAddArgs: protocol.AlertAddArgs{Name: a.Name, Exports: a.Exports, On: a.On, Rejects: a.Rejects, Late: a.Late}, Version: a.Version}
	raw, err = s.call(c.Context, order{name: protocol.AlertEdit, args: args, object: a.Name})
	if err != nil {
		return err
	}
	if err := decode(raw, &a); err != nil {
		return err
	}
	return s.print(raw, func(p *page) { alertPage(p, a) })
}

func (s *session) alertAdd(c *cli.Context) error {
	args := protocol.AlertAddArgs{Name: c.Args().First(), Exports: c.StringSlice("export"), On: alertConditions(c), Late: c.Duration("late")}
	if len(args.On) == 0 {
		for _, condition := range catalogue.Conditions {
			if condition != catalogue.ConditionLate || args.Late > 0 {
				args.On = append(args.On, condition)
			}
		}
	}
	var err error
	if args.Rejects, err = alertRejects(c); err != nil {
		return err
	}
	if err := (&catalogue.Alert{On: args.On, Rejects: args.Rejects, Late: args.Late}).Check(); err != nil {
		return usage("%v", err)
	}
	secret, made, err := s.alertSecret(c)
	if err != nil {
		return err
	}
	raw, err := s.call(c.Context, order{name: protocol.AlertAdd, args: args, object: args.Name, secret: secret})
	if err != nil {
		return err
	}
	var a struct {
		catalogue.Alert
		SigningKey string `json:"signing_key,omitempty"`
	}
	if err := decode(raw, &a); err != nil {
		return err
	}
	if a.SigningKey = made; made != "" {
		if raw, err = json.Marshal(a); err != nil {
			return err
		}
	}
	return s.print(raw, func(p *page) {
		p.line("Added:")
		alertPage(p, a.Alert)
		if made != "" {
			p.line("signing key, shown once: %s", made)
		}
		p.line("See whether it arrives: starter alert test %s", a.Name)
	})
}

// alertSecret reads where the alert goes, and makes a signing key if there is
// none.
func (s *session) alertSecret(c *cli.Context) (*protocol.AlertSecret, string, error) {
	mail, hook := c.String("mail-server") != "", c.String("webhook-url-file") != ""
	switch {
	case mail == hook:
		return nil, "", usage("an alert goes by mail or to a webhook: give --mail-server or --webhook-url-file, one of the two")
	case mail:
		if err := required(c, "mail-from", "mail-to"); err != nil {
			return nil, "", err
		}
		m := &protocol.AlertMail{Server: c.String("mail-server"), From: c.String("mail-from"), To: c.StringSlice("mail-to"),
			Username: c.String("mail-user"), Plain: c.Bool("mail-plain")}
		var err error
		if file := c.String("mail-password-file"); file != "" {
			m.Password, err = s.secretFile("mail-password-file", file)
		}
		return &protocol.AlertSecret{Mail: m}, "", err
	}
	url, err := s.secretFile("webhook-url-file", c.String("webhook-url-file"))
	if err != nil {
		return nil, "", err
	}
	w := &protocol.AlertWebhook{URL: url, Format: c.String("webhook-format")}
	if file := c.String("signing-key-file"); file != "" {
		w.Key, err = s.secretFile("signing-key-file", file)
		return &protocol.AlertSecret{Webhook: w}, "", err
	}
	w.Key = rand.Text()
	return &protocol.AlertSecret{Webhook: w}, w.Key, nil
}

// secretFile reads a secret of one line from a file or standard input.
func (s *session) secretFile(option, file string) (string, error) {
	in := s.o.In
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", usage("--%s: %v", option, err)
		}
		defer f.Close()
		in = f
	}
	text, err := readLimited(in)
	if err != nil {
		return "", err
	}
	if text = strings.TrimSpace(text); text == "" || strings.ContainsAny(text, "\r\n") {
		return "", usage("--%s: %s does not hold one line", option, file)
	}
	return text, nil
}

func alertTable(p *page, all []catalogue.Alert) {
	if len(all) == 0 {
		p.line("No alerts yet; add one with: starter alert add NAME")
		return
	}
	var rows [][]any
	for _, a := range all {
		rows = append(rows, []any{a.Name, a.Channel, a.Target, alertExports(a), conditions(a)})
	}
	p.table([]string{"name", "by", "to", "exports", "tells of"}, rows)
}

func alertPage(p *page, a catalogue.Alert) {
	late := ""
	if a.Late > 0 {
		late = fmt.Sprintf("%s after the last complete run", a.Late)
	}
	p.fields("name", a.Name, "by", string(a.Channel), "to", a.Target, "exports", alertExports(a), "tells of", conditions(a),
		"rejects", fmt.Sprintf("more than %.3g %%", 100*a.Rejects), "late", late,
		"created", by(p, a.CreatedAt, a.CreatedBy))
}

func alertExports(a catalogue.Alert) string {
	if len(a.Exports) == 0 {
		return "all"
	}
	return strings.Join(a.Exports, ", ")
}

func conditions(a catalogue.Alert) string {
	var names []string
	for _, c := range a.On {
		names = append(names, string(c))
	}
	return strings.Join(names, ", ")
}
