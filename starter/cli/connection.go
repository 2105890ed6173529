package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
)

func settingFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "who-can-use", Usage: "`WHO` may make exports on it: admins, or admins-and-contributors", DefaultText: "admins"},
		&cli.Float64Flag{Name: "share", Usage: "`PART` of the brand's calls a minute that exports may use, above 0 to 1", DefaultText: "0.75"},
		&cli.IntFlag{Name: "calls-per-minute", Usage: "the brand's limit in calls a minute (`N`); 0, no limit, only for an endpoint on the worker's machine", DefaultText: "400"},
		&cli.IntFlag{Name: "max-contacts", Usage: "the most contacts (`N`) that one export may have, after the contract with Omnisend", DefaultText: "1,000,000"},
	}
}

func keyFlag() cli.Flag {
	return &cli.StringFlag{Name: "api-key-file", Usage: "`FILE` with the API key, - for standard input; else " + keyVariable + ", else a question on the terminal"}
}

func keyRefFlag() cli.Flag {
	return &cli.StringFlag{Name: "api-key-ref", Usage: "`REF` to an API key that every worker has: env:NAME of its environment, file:NAME of its folder of secrets"}
}

const keyDetail = "The API key comes from a file, from " + keyVariable + " or from a question on the terminal, never from the\narguments. It travels sealed to the worker's key. With --api-key-ref the worker reads it each time, for instance\nfrom a secret that a vault mounts."

func (s *session) connectionCommands() *cli.Command {
	return group("connection", "manage connections: Omnisend accounts",
		s.leaf("connection", leaf{
			name: "add", args: "NAME", usage: "define a connection to an Omnisend account",
			detail:  keyDetail + "\n\nThe transfer of personal data needs an agreement: --agree, or a question on the terminal, which shows the\nstatement.",
			example: "starter connection add \"Spring shop\" --api-key-file key.txt --agree",
			flags: append([]cli.Flag{
				keyFlag(),
				keyRefFlag(),
				&cli.StringFlag{Name: "brand", Usage: "`ID` of the brand, for a key that may not read its own brand"},
				&cli.BoolFlag{Name: "agree", Usage: "agree to the transfer of personal data to Omnisend", DisableDefaultText: true},
			}, settingFlags()...),
			do: s.connectionAdd,
		}),
		s.leaf("connection", leaf{
			name: "list", usage: "list connections", example: "starter connection list",
			do: func(c *cli.Context) error { return show(c, s, protocol.ConnectionList, nil, connectionTable) },
		}),
		s.leaf("connection", leaf{
			name: "show", args: "NAME", usage: "show a connection", example: "starter connection show \"Spring shop\"",
			do: func(c *cli.Context) error {
				return showObject(c, s, catalogue.KindConnection, connectionPage)
			},
		}),
		s.leaf("connection", leaf{
			name: "edit", args: "NAME", usage: "change a connection's name, settings or agreement",
			detail: "Renaming takes along the exports that use it. --agree puts an agreement to the transfer of personal data\n" +
				"on record, --withdraw-consent takes it back: no run starts any more, and open runs are\n" +
				"canceled or may finish (--running).",
			example: "starter connection edit \"Spring shop\" --share 0.5\nstarter connection edit \"Spring shop\" --withdraw-consent --running cancel",
			flags: append([]cli.Flag{
				&cli.StringFlag{Name: "name", Usage: "new `NAME`"},
				&cli.BoolFlag{Name: "agree", Usage: "agree to the transfer of personal data to Omnisend", DisableDefaultText: true},
				&cli.BoolFlag{Name: "withdraw-consent", Usage: "take the agreement back", DisableDefaultText: true},
				&cli.StringFlag{Name: "running", Usage: "what to do with open runs: cancel or finish (`WHAT`)"},
				yesFlag("do not ask whether to withdraw the agreement"),
				versionFlag(),
			}, settingFlags()...),
			do: s.connectionEdit,
		}),
		s.leaf("connection", leaf{
			name: "test", args: "NAME", usage: "check with Omnisend that the key works and what it may do",
			example: "starter connection test \"Spring shop\"",
			do: func(c *cli.Context) error {
				return show(c, s, protocol.ConnectionTest, protocol.Named{Name: c.Args().First()}, testedPage)
			},
		}),
		s.leaf("connection", leaf{
			name: "share", args: "NAME", usage: "set who may make exports on a connection",
			detail:  "Contributors see only the name and kind of a connection.",
			example: "starter connection share \"Spring shop\" --with admins-and-contributors",
			flags:   []cli.Flag{&cli.StringFlag{Name: "with", Usage: "`WHO`: admins, or admins-and-contributors"}},
			do:      s.connectionShare,
		}),
		s.leaf("connection", leaf{
			name: "stop", args: "NAME", usage: "cancel the runs of a connection and block new ones",
			detail:  "Calls in flight are finished and their verdicts collected. Everything is kept. connection start allows runs again.",
			example: "starter connection stop \"Spring shop\"",
			flags:   []cli.Flag{yesFlag("do not ask")},
			do:      s.connectionStop,
		}),
		s.leaf("connection", leaf{
			name: "start", args: "NAME", usage: "allow runs on a stopped connection again",
			example: "starter connection start \"Spring shop\"",
			do: func(c *cli.Context) error {
				return show(c, s, protocol.ConnectionStart, protocol.Named{Name: c.Args().First()}, connectionPage)
			},
		}),
		s.leaf("connection", leaf{
			name: "resume", args: "NAME", usage: "end the pause that Omnisend's limit put on a connection's calls",
			detail:  "After a 429 all calls to the brand wait as long as Omnisend says, 5 minutes at most. This ends the wait\nat once, for every connection to the same brand.",
			example: "starter connection resume \"Spring shop\"",
			do: func(c *cli.Context) error {
				return show(c, s, protocol.ConnectionResume, protocol.Named{Name: c.Args().First()}, resumedPage)
			},
		}),
		s.leaf("connection", leaf{
			name: "rotate-key", args: "NAME", usage: "replace the API key with another one of the same brand",
			detail:  keyDetail,
			example: "starter connection rotate-key \"Spring shop\" --api-key-file new-key.txt",
			flags:   []cli.Flag{keyFlag(), keyRefFlag()},
			do:      s.connectionRotate,
		}),
		s.leaf("connection", leaf{
			name: "remove", args: "NAME", usage: "remove a connection and its key",
			detail:  "A connection that exports use is refused, unless the exports are detached (inactive until attached to another\nconnection) or removed too.",
			example: "starter connection remove \"Spring shop\" --detach",
			flags: []cli.Flag{
				&cli.BoolFlag{Name: "detach", Usage: "keep the exports that use it, without a connection", DisableDefaultText: true},
				&cli.BoolFlag{Name: "remove-exports", Usage: "remove the exports that use it, and what is remembered about their contacts", DisableDefaultText: true},
				yesFlag("do not ask"),
			},
			do: s.connectionRemove,
		}),
	)
}

func yesFlag(usage string) cli.Flag {
	return &cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: usage, DisableDefaultText: true}
}

func versionFlag() cli.Flag {
	return &cli.Int64Flag{Name: "version", Usage: "refuse if it no longer has version `N`", DefaultText: "the version when it was read"}
}

// settings reads the options of a connection; what is not said is nil.
func settings(c *cli.Context) protocol.ConnectionSettings {
	var s protocol.ConnectionSettings
	if c.IsSet("who-can-use") {
		s.Shared = new(catalogue.Sharing(c.String("who-can-use")))
	}
	if c.IsSet("share") {
		s.Share = new(c.Float64("share"))
	}
	if c.IsSet("calls-per-minute") {
		s.CallsPerMinute = new(c.Int("calls-per-minute"))
	}
	if c.IsSet("max-contacts") {
		s.MaxContacts = new(c.Int("max-contacts"))
	}
	return s
}

func (s *session) connectionAdd(c *cli.Context) error {
	args := protocol.ConnectionAddArgs{Name: c.Args().First(), Brand: c.String("brand"), ConnectionSettings: settings(c)}
	if !c.Bool("agree") && !s.o.InTerminal {
		return usage("a connection transfers personal data to Omnisend. Read the statement, then agree with --agree.\n\n%s", catalogue.TransferStatement)
	}
	if err := s.ready(c.Context); err != nil {
		return err
	}
	if args.Agree = c.Bool("agree"); !args.Agree {
		if err := s.askConsent(c.Context, "the connection was not made"); err != nil {
			return err
		}
		args.Agree = true
	}
	args.APIKey = c.String("api-key-ref")
	do := order{name: protocol.ConnectionAdd, args: args, object: args.Name}
	if err := s.keyFor(c, &do); err != nil {
		return err
	}
	return carryOut(c, s, do, func(p *page, a protocol.ConnectionAnswer) {
		p.line("Added:")
		connectionPage(p, a)
	})
}

// askConsent shows the statement and asks on the terminal; anything but yes is
// a failure that says what was not done.
func (s *session) askConsent(ctx context.Context, otherwise string) error {
	s.say("%s\n", catalogue.TransferStatement)
	agreed, err := s.ask(ctx, "Do you agree?")
	if err == nil && !agreed {
		err = usage("not agreed: %s", otherwise)
	}
	return err
}

func (s *session) connectionEdit(c *cli.Context) error {
	args := protocol.ConnectionEditArgs{Name: c.Args().First(), Rename: c.String("name"), ConnectionSettings: settings(c),
		Agree: c.Bool("agree"), Withdraw: c.Bool("withdraw-consent"), Running: c.String("running"), Version: c.Int64("version")}
	switch {
	case args == (protocol.ConnectionEditArgs{Name: args.Name, Version: args.Version, Running: args.Running}):
		return usage("nothing to change: give --name, --who-can-use, --share, --calls-per-minute, --max-contacts, --agree or --withdraw-consent")
	case args.Running != "" && !args.Withdraw:
		return usage("--running goes with --withdraw-consent")
	}
	if args.Withdraw {
		err := s.confirmed(c, fmt.Sprintf("Withdraw the agreement to transfer personal data over the connection %s? No run of its exports starts until an administrator agrees again.", args.Name),
			"the agreement was not withdrawn")
		if err != nil {
			return err
		}
	}
	if args.Withdraw && args.Running == "" && s.o.InTerminal {
		running, err := s.askRunning(c.Context, args.Name)
		if err != nil {
			return err
		}
		args.Running = running
	}
	return carryOut(c, s, order{name: protocol.ConnectionEdit, args: args, object: args.Name}, connectionPage)
}

// askRunning asks what to do with open runs, if there are any.
func (s *session) askRunning(ctx context.Context, name string) (string, error) {
	a, err := answer[protocol.ConnectionAnswer](ctx, s, order{name: protocol.ConnectionShow, args: protocol.Named{Name: name}, object: name})
	if err != nil || len(a.Running) == 0 {
		return "", err
	}
	cancel, err := s.ask(ctx, plural(len(a.Running), "run is", "runs are")+" open. Cancel? (No lets them finish.)")
	if err != nil {
		return "", err
	}
	if cancel {
		return protocol.RunningCancel, nil
	}
	return protocol.RunningFinish, nil
}

// confirmed asks on a terminal, unless --yes is given; a script is not asked.
func (s *session) confirmed(c *cli.Context, question, otherwise string) error {
	if c.Bool("yes") || !s.o.InTerminal {
		return nil
	}
	if err := s.ready(c.Context); err != nil {
		return err
	}
	yes, err := s.ask(c.Context, question)
	if err == nil && !yes {
		err = usage("%s", otherwise)
	}
	return err
}

func (s *session) connectionStop(c *cli.Context) error {
	args := protocol.Named{Name: c.Args().First()}
	err := s.confirmed(c, fmt.Sprintf("Stop the connection %s? Its runs are canceled, and none starts until: starter connection start %q.", args.Name, args.Name),
		"the connection was not stopped")
	if err != nil {
		return err
	}
	return show(c, s, protocol.ConnectionStop, args, connectionPage)
}

func (s *session) connectionShare(c *cli.Context) error {
	if err := required(c, "with"); err != nil {
		return err
	}
	args := protocol.ConnectionShareArgs{Name: c.Args().First(), With: catalogue.Sharing(c.String("with"))}
	return carryOut(c, s, order{name: protocol.ConnectionShare, args: args, object: args.Name}, connectionPage)
}

// keyFor puts the API key beside a command, unless the worker finds it itself.
func (s *session) keyFor(c *cli.Context, do *order) error {
	if c.IsSet("api-key-ref") {
		if c.IsSet("api-key-file") {
			return usage("--api-key-ref or --api-key-file, not both")
		}
		return nil
	}
	key, err := s.apiKey(c.Context, c.String("api-key-file"))
	do.secret = protocol.ConnectionSecret{Key: key}
	return err
}

func (s *session) connectionRotate(c *cli.Context) error {
	if err := s.ready(c.Context); err != nil {
		return err
	}
	args := protocol.ConnectionRotateArgs{Name: c.Args().First(), APIKey: c.String("api-key-ref")}
	do := order{name: protocol.ConnectionRotate, args: args, object: args.Name}
	if err := s.keyFor(c, &do); err != nil {
		return err
	}
	return carryOut(c, s, do, func(p *page, a protocol.ConnectionAnswer) {
		p.line("The connection %s uses the new key from now on; resume parked runs with: starter runs resume", a.Name)
	})
}

func (s *session) connectionRemove(c *cli.Context) error {
	args := protocol.ConnectionRemoveArgs{Name: c.Args().First()}
	what := "detached"
	switch {
	case c.Bool("detach") && c.Bool("remove-exports"):
		return usage("--detach or --remove-exports, not both")
	case c.Bool("detach"):
		args.Exports = protocol.ExportsDetach
	case c.Bool("remove-exports"):
		args.Exports, what = protocol.ExportsRemove, "removed, with what is remembered about their contacts"
	}
	if args.Exports != "" && !c.Bool("yes") {
		if !s.o.InTerminal {
			return usage("it is asked before exports are %s: give --yes, or call it on a terminal", what)
		}
		a, err := answer[protocol.ConnectionAnswer](c.Context, s, order{name: protocol.ConnectionShow, args: protocol.Named{Name: args.Name}, object: args.Name})
		if err != nil {
			return err
		}
		yes, err := s.ask(c.Context, fmt.Sprintf("Remove the connection %s? %s (%s) will be %s.", a.Name, plural(len(a.Exports), "export", "exports"), strings.Join(a.Exports, ", "), what))
		if err != nil {
			return err
		}
		if !yes {
			return usage("nothing was removed")
		}
	}
	return carryOut(c, s, order{name: protocol.ConnectionRemove, args: args, object: args.Name}, func(p *page, a protocol.ConnectionAnswer) {
		p.line("Removed the connection %s", a.Name)
		if len(a.Exports) > 0 {
			p.line("%s: %s", strings.ToUpper(what[:1])+what[1:], strings.Join(a.Exports, ", "))
		}
		notes(p, a.Notes)
	})
}
