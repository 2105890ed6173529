package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/command"
)

func (s *session) editExportCommand() *cli.Command {
	return s.leaf("export", leaf{
		name: "edit", args: "NAME", usage: "change an export",
		detail: "With --reset-ledger what Omnisend has confirmed is forgotten: the next run is like the first one. Do that when the\n" +
			"account was emptied, or before an audience that carries the markers already is taken over: starter run NAME --adopt.",
		example: "starter export edit spring --full-every 30\nstarter export edit spring --reset-ledger",
		flags: []cli.Flag{
			&cli.IntFlag{Name: "full-every", Usage: "send all contacts, changed or not, every `DAYS`; 0 for never by itself"},
			&cli.BoolFlag{Name: "reset-ledger", Usage: "forget what was confirmed of its contacts", DisableDefaultText: true},
		},
		do: s.editExport,
	})
}

func (s *session) editExport(c *cli.Context) error {
	args := command.ExportEditArgs{Name: c.Args().First()}
	if c.IsSet("full-every") {
		days := c.Int("full-every")
		args.FullEvery = &days
	}
	edits, resets := args.FullEvery != nil, c.Bool("reset-ledger")
	switch {
	case !edits && !resets:
		return usage("nothing is to be changed; see: starter export edit --help")
	case edits && resets:
		return usage("--reset-ledger is given alone: it is no setting, and cannot be taken back")
	case resets:
		return show(c, s, command.ExportReset, command.Named{Name: args.Name}, func(p *page, a command.ExportResetAnswer) {
			p.line("The ledger of %s is reset: it held %s, %s of them refused", a.Name,
				plural(a.Held.Contacts, "contact", "contacts"), count(a.Held.Refused))
			notes(p, a.Notes)
		})
	}
	return carryOut(c, s, order{name: command.ExportEdit, args: args, object: args.Name}, func(p *page, a command.ExportAnswer) {
		p.line("Changed:")
		exportPage(p, a)
	})
}
