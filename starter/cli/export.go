package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/protocol"
)

func (s *session) exportCommands() *cli.Command {
	return group("export", "which segments go where, and how",
		s.leaf("export", leaf{
			name: "add", args: "NAME", usage: "define an export",
			detail: "The attributes that fields can be mapped to: " + attributes() + ".\n" +
				"The e-mail is required. Without a mapped consent and its date nobody is subscribed; a phone number goes only\n" +
				"with its own consent (sms-consent, sms-consent-date). Adding an export does not run it, unless --run is given.",
			example: "starter export add spring --connection \"Spring shop\" --source crm --segment spring_buyers --id CustomerId \\\n" +
				"   --map email=Email --map first-name=FirstName --map consent=EmailConsent --map consent-date=ConsentDate \\\n" +
				"   --map property:loyalty_points:number=Points",
			flags: append(exportFlags(), savingFlags()...),
			do:    s.exportAdd,
		}),
		s.leaf("export", leaf{
			name: "list", usage: "list exports with their last runs",
			example: "starter export list --sort last-run",
			flags:   []cli.Flag{&cli.StringFlag{Name: "sort", Usage: "`COLUMN` to sort by: " + strings.Join(sortColumns(), ", ") + "; with a minus in front, the other way", DefaultText: "name"}},
			do:      s.exportList,
		}),
		s.leaf("export", leaf{
			name: "show", args: "NAME", usage: "show an export with its last run", example: "starter export show spring",
			do: func(c *cli.Context) error {
				return showObject(c, s, catalogue.KindExport, exportPage)
			},
		}),
		s.leaf("export", leaf{
			name: "edit", args: "NAME", usage: "change an export",
			detail: "What is given is changed, the rest stays: --map changes or adds an attribute, --segment adds a segment,\n" +
				"--consent-value and --opt-out-value replace the values that were there. When another user has changed the\n" +
				"export since it was read, nothing is changed. An open run continues with the settings it started with.\n" +
				"--reset-ledger forgets what Omnisend has confirmed: the next run is like the first one. Use it when the account was\n" +
				"emptied, or before starter run NAME --adopt takes over an audience that carries the markers already.",
			example: "starter export edit spring --map city=Town --unmap state --marker spring_buyers=spring_2027",
			flags: append(editFlags(),
				&cli.BoolFlag{Name: "reset-ledger", Usage: "forget what was confirmed of its contacts; given alone", DisableDefaultText: true},
				versionFlag()),
			do: s.exportEdit,
		}),
		s.leaf("export", leaf{
			name: "duplicate", args: "NAME", usage: "make an export like another one",
			detail:  "The copy gets markers of its own, made of the names of segment and export: a custom property has one owner.",
			example: "starter export duplicate spring --as summer --marker spring_buyers=summer_buyers",
			flags: []cli.Flag{
				&cli.StringFlag{Name: "as", Usage: "`NAME` of the new export"},
				markerFlag(),
			},
			do: s.exportDuplicate,
		}),
		s.leaf("export", leaf{
			name: "attach", args: "NAME", usage: "give an export a connection",
			example: "starter export attach spring --connection \"Spring shop\"",
			flags:   []cli.Flag{&cli.StringFlag{Name: "connection", Usage: "`NAME` of the connection to send through"}},
			do:      s.exportAttach,
		}),
		s.leaf("export", leaf{
			name: "detach", args: "NAME", usage: "make an export inactive until it is attached to a connection",
			example: "starter export detach spring",
			do: func(c *cli.Context) error {
				return show(c, s, protocol.ExportDetach, protocol.Named{Name: c.Args().First()}, exportPage)
			},
		}),
		s.removeExportCommand(),
	)
}

func attributes() string {
	var names []string
	for _, a := range contact.Attributes {
		names = append(names, string(a))
	}
	return strings.Join(names, ", ") + ",\nand property:NAME or property:NAME:TYPE for a custom property (text, number, boolean, date, list)"
}

// savingFlags say what is done beside saving.
func savingFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "create-segment", Usage: "make a segment at Omnisend on each marker", DisableDefaultText: true},
		&cli.BoolFlag{Name: "run", Usage: "save and run", DisableDefaultText: true},
	}
}

func (s *session) exportAdd(c *cli.Context) error {
	if err := required(c, "connection", "source", "segment", "map"); err != nil {
		return err
	}
	args := protocol.ExportAddArgs{Name: c.Args().First(), CreateSegment: c.Bool("create-segment")}
	if err := change(c, &args.ExportSpec); err != nil {
		return err
	}
	raw, err := s.call(c.Context, order{name: protocol.ExportAdd, args: args, object: args.Name})
	if err != nil {
		return err
	}
	return s.saved(c, raw, "Added:")
}

// saved shows an export that was saved, or runs it; then it is the run that is
// answered, and the export is named on the side.
func (s *session) saved(c *cli.Context, raw json.RawMessage, what string) error {
	var a protocol.ExportAnswer
	if err := decode(raw, &a); err != nil {
		return err
	}
	if !c.Bool("run") {
		return s.print(raw, func(p *page) {
			p.line("%s", what)
			exportPage(p, a)
		})
	}
	s.say("%s %s, version %d", strings.TrimSuffix(what, ":"), a.Name, a.Version)
	return s.runExport(c)
}

func (s *session) exportEdit(c *cli.Context) error {
	name := c.Args().First()
	switch edits, resets := given(c, editFlags()), c.Bool("reset-ledger"); {
	case !edits && !resets:
		return usage("nothing to change; see: starter export edit --help")
	case edits && resets:
		return usage("--reset-ledger is given alone: it is not a setting, and cannot be undone")
	case resets:
		return show(c, s, protocol.ExportReset, protocol.Named{Name: name}, resetPage)
	}
	now, err := answer[protocol.ExportAnswer](c.Context, s, order{name: protocol.ExportShow, args: protocol.Named{Name: name}, object: name})
	if err != nil {
		return err
	}
	args := protocol.ExportEditArgs{Name: name, Version: now.Version, ExportSpec: now.ExportSpec, CreateSegment: c.Bool("create-segment")}
	if c.IsSet("version") {
		args.Version = c.Int64("version")
	}
	if err := change(c, &args.ExportSpec); err != nil {
		return err
	}
	raw, err := s.call(c.Context, order{name: protocol.ExportEdit, args: args, object: name})
	if err != nil {
		return err
	}
	return s.saved(c, raw, "Saved:")
}

func (s *session) exportDuplicate(c *cli.Context) error {
	if err := required(c, "as"); err != nil {
		return err
	}
	markers, err := markers(c)
	if err != nil {
		return err
	}
	args := protocol.ExportDuplicateArgs{Name: c.Args().First(), As: c.String("as"), Markers: markers}
	return carryOut(c, s, order{name: protocol.ExportDuplicate, args: args, object: args.Name}, func(p *page, a protocol.ExportAnswer) {
		p.line("Added:")
		exportPage(p, a)
	})
}

func (s *session) exportAttach(c *cli.Context) error {
	if err := required(c, "connection"); err != nil {
		return err
	}
	args := protocol.ExportAttachArgs{Name: c.Args().First(), Connection: c.String("connection")}
	return carryOut(c, s, order{name: protocol.ExportAttach, args: args, object: args.Name}, exportPage)
}

func lastRunCell(p *page, r *protocol.RunAnswer) string {
	if r == nil {
		return "never"
	}
	return fmt.Sprintf("%s, %s", r.Status, p.minute(lastTime(&protocol.ExportAnswer{LastRun: r})))
}

func lastRun(p *page, r *protocol.RunAnswer) string {
	if r == nil {
		return "never"
	}
	at := r.StartedAt
	if r.EndedAt != nil {
		at = *r.EndedAt
	}
	return fmt.Sprintf("%s, %s", r.Status, p.time(at))
}

func resetPage(p *page, a protocol.ExportResetAnswer) {
	p.line("The ledger of %s is reset: it held %s, %s of them refused", a.Name,
		plural(a.Held.Contacts, "contact", "contacts"), count(a.Held.Refused))
	notes(p, a.Notes)
}
