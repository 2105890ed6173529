package cli

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
)

func budgetFlags() []cli.Flag {
	return []cli.Flag{
		&cli.Float64Flag{Name: "share", Usage: "`PART` of the brand's calls a minute that exports may use, above 0 to 1", DefaultText: "0.75"},
		&cli.IntFlag{Name: "calls-per-minute", Usage: "the brand's limit in calls a minute (`N`); 0, no limit, only for an endpoint on the worker's machine", DefaultText: "400"},
	}
}

func keyFlag() cli.Flag {
	return &cli.StringFlag{Name: "api-key-file", Usage: "`FILE` with the API key, - for standard input; else " + keyVariable + ", else a question on the terminal"}
}

const keyDetail = "The API key comes from a file, from " + keyVariable + " or from a question on the terminal, never from the\narguments; it travels sealed to the worker's key."

func (s *session) connectionCommands() *cli.Command {
	return group("connection", "Omnisend accounts",
		s.leaf("connection", leaf{
			name: "add", args: "NAME", usage: "define a connection to an Omnisend account",
			detail:  keyDetail + " Somebody has to agree to the transfer of\npersonal data: --agree, or a question on the terminal, which shows the statement.",
			example: "starter connection add \"Spring shop\" --api-key-file key.txt --agree",
			flags: append([]cli.Flag{
				keyFlag(),
				&cli.StringFlag{Name: "brand", Usage: "`ID` of the brand, for a key that may not read its own brand"},
				&cli.BoolFlag{Name: "agree", Usage: "agree to the transfer of personal data to Omnisend", DisableDefaultText: true},
			}, budgetFlags()...),
			do: s.connectionAdd,
		}),
		s.leaf("connection", leaf{
			name: "list", usage: "all connections", example: "starter connection list",
			do: func(c *cli.Context) error { return show(c, s, command.ConnectionList, nil, connectionTable) },
		}),
		s.leaf("connection", leaf{
			name: "show", args: "NAME", usage: "a connection", example: "starter connection show \"Spring shop\"",
			do: func(c *cli.Context) error {
				return show(c, s, command.ConnectionShow, command.Named{Name: c.Args().First()}, connectionPage)
			},
		}),
		s.leaf("connection", leaf{
			name: "edit", args: "NAME", usage: "change a connection's budget",
			example: "starter connection edit \"Spring shop\" --share 0.5",
			flags:   budgetFlags(),
			do:      s.connectionEdit,
		}),
		s.leaf("connection", leaf{
			name: "rotate-key", args: "NAME", usage: "replace the API key by another one of the same brand",
			detail:  keyDetail,
			example: "starter connection rotate-key \"Spring shop\" --api-key-file new-key.txt",
			flags:   []cli.Flag{keyFlag()},
			do:      s.connectionRotate,
		}),
		s.leaf("connection", leaf{
			name: "remove", args: "NAME", usage: "remove a connection that no export uses",
			example: "starter connection remove \"Spring shop\"",
			do: func(c *cli.Context) error {
				return show(c, s, command.ConnectionRemove, command.Named{Name: c.Args().First()}, func(p *page, a catalogue.Connection) {
					p.line("Removed the connection %s", a.Name)
				})
			},
		}),
	)
}

// budget reads the options of the budget; nil is not said.
func budget(c *cli.Context) (*float64, *int) {
	var share *float64
	var calls *int
	if c.IsSet("share") {
		share = new(c.Float64("share"))
	}
	if c.IsSet("calls-per-minute") {
		calls = new(c.Int("calls-per-minute"))
	}
	return share, calls
}

func (s *session) connectionAdd(c *cli.Context) error {
	args := command.ConnectionAddArgs{Name: c.Args().First(), Brand: c.String("brand")}
	args.Share, args.CallsPerMinute = budget(c)
	if !c.Bool("agree") && !s.o.InTerminal {
		return usage("a connection transfers personal data to Omnisend, and somebody has to agree to it: read the statement and give --agree.\n\n%s", catalogue.TransferStatement)
	}
	if err := s.ready(c.Context); err != nil {
		return err
	}
	if args.Agree = c.Bool("agree"); !args.Agree {
		s.say("%s\n", catalogue.TransferStatement)
		agreed, err := s.ask(c.Context, "Do you agree?")
		if err != nil {
			return err
		}
		if !agreed {
			return usage("not agreed: the connection was not made")
		}
		args.Agree = true
	}
	key, err := s.apiKey(c.Context, c.String("api-key-file"))
	if err != nil {
		return err
	}
	do := order{name: command.ConnectionAdd, args: args, object: args.Name, secret: command.ConnectionSecret{Key: key}}
	return carryOut(c, s, do, func(p *page, a catalogue.Connection) {
		p.line("Added:")
		connectionPage(p, a)
	})
}

func (s *session) connectionEdit(c *cli.Context) error {
	args := command.ConnectionEditArgs{Name: c.Args().First()}
	args.Share, args.CallsPerMinute = budget(c)
	if args.Share == nil && args.CallsPerMinute == nil {
		return usage("nothing to change: give --share or --calls-per-minute")
	}
	do := order{name: command.ConnectionEdit, args: args, object: args.Name}
	return carryOut(c, s, do, connectionPage)
}

func (s *session) connectionRotate(c *cli.Context) error {
	if err := s.ready(c.Context); err != nil {
		return err
	}
	key, err := s.apiKey(c.Context, c.String("api-key-file"))
	if err != nil {
		return err
	}
	args := command.Named{Name: c.Args().First()}
	do := order{name: command.ConnectionRotate, args: args, object: args.Name, secret: command.ConnectionSecret{Key: key}}
	return carryOut(c, s, do, func(p *page, a catalogue.Connection) {
		p.line("The connection %s uses the new key from now on; parked runs go on with: starter runs resume", a.Name)
	})
}

func connectionTable(p *page, all []catalogue.Connection) {
	if len(all) == 0 {
		p.line("No connections yet; add one with: starter connection add NAME")
		return
	}
	var rows [][]any
	for _, a := range all {
		rows = append(rows, []any{a.Name, brand(a), limit(a), p.time(a.UpdatedAt), a.UpdatedBy})
	}
	p.table([]string{"name", "brand", "budget", "updated", "by"}, rows)
}

func connectionPage(p *page, a catalogue.Connection) {
	consent := "nobody has agreed to the transfer of personal data"
	if a.Consent != nil {
		consent = fmt.Sprintf("%s (statement %s)", by(p, a.Consent.At, a.Consent.By), a.Consent.Version)
	}
	p.fields("name", a.Name, "brand", brand(a), "endpoint", a.Endpoint, "budget", limit(a),
		"max contacts", count(a.MaxContacts), "agreed", consent,
		"created", by(p, a.CreatedAt, a.CreatedBy), "updated", by(p, a.UpdatedAt, a.UpdatedBy))
}

func brand(a catalogue.Connection) string {
	switch {
	case a.BrandStated:
		return a.BrandID + " (stated, not read with the key)"
	case a.BrandName == "":
		return a.BrandID
	}
	return fmt.Sprintf("%s (%s)", a.BrandName, a.BrandID)
}

func limit(a catalogue.Connection) string {
	if a.CallsPerMinute == 0 {
		return "no limit"
	}
	return fmt.Sprintf("%g of %d calls a minute", a.Share, a.CallsPerMinute)
}

// by is when something was done and by whom.
func by(p *page, at time.Time, who string) string {
	if at.IsZero() {
		return who
	}
	return p.time(at) + " by " + who
}
