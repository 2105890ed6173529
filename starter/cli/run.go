package cli

import (
	"bytes"
	"encoding/json"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

func (s *session) runCommand() *cli.Command {
	return s.leaf("", leaf{
		name: "run", args: "[EXPORT]", usage: "run an export and wait for it",
		detail: `Reads, checks and compares everything first, then sends what changed. If a guard asks, the run parks before its
first call; on a terminal the command itself asks the question of a first run. Ctrl-C detaches: the run continues.
With --all it runs every export that runs automatically: with a schedule that is on, or with the system refresh
while that is on.

` + failOnHelp + "\n\n" + jsonlHelp + "\n\n" + exitHelp,
		example: "starter run spring\nstarter run spring --only-email me@shop.example\nstarter run spring --limit 10 --yes\nstarter run spring --yes --output json\nstarter run --all",
		flags: []cli.Flag{
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "approve the guard first-run, and no other guard", DisableDefaultText: true},
			&cli.BoolFlag{Name: "full", Usage: "also send unchanged contacts", DisableDefaultText: true},
			&cli.IntFlag{Name: "limit", Usage: "test run: send at most `N` contacts; leavers keep their markers", DefaultText: "no limit"},
			&cli.StringFlag{Name: "only-email", Usage: "test run: send only this `ADDRESS`, which travels encrypted; - reads it from standard input"},
			&cli.BoolFlag{Name: "adopt", Usage: "send nothing: record contacts that already have the markers at Omnisend as confirmed, after comparing 200 of them", DisableDefaultText: true},
			&cli.BoolFlag{Name: "all", Usage: "run every export with an active schedule, instead of one", DisableDefaultText: true},
			&cli.BoolFlag{Name: "detach", Usage: "return at once; the run continues", DisableDefaultText: true},
			failOnFlag(),
		},
		follows: true,
		do:      s.runExport,
	})
}

func (s *session) planCommand() *cli.Command {
	return s.leaf("", leaf{
		name: "plan", args: "EXPORT", usage: "show what a run would do, without sending anything",
		detail:  "Shows counts, the guards that would ask, calls and minutes, in which parts changed contacts differ, samples of\ncontacts as they would be sent, and why rows are invalid. The samples hold personal data.",
		example: "starter plan spring",
		flags: []cli.Flag{
			&cli.BoolFlag{Name: "full", Usage: "plan a run that also sends unchanged contacts", DisableDefaultText: true},
		},
		follows: true,
		do:      s.planExport,
	})
}

func (s *session) runExport(c *cli.Context) error {
	if c.Bool("all") {
		return s.runAll(c)
	}
	if c.Args().First() == "" {
		return usage("EXPORT is %s; usage: starter run EXPORT, or starter run --all", map[bool]string{true: "empty", false: "missing"}[c.NArg() > 0])
	}
	args := protocol.RunArgs{Export: c.Args().First(), Yes: c.Bool("yes"), Full: c.Bool("full"), Adopt: c.Bool("adopt"), Limit: c.Int("limit")}
	if c.IsSet("limit") && args.Limit < 1 {
		return usage("--limit %d must be at least 1", args.Limit)
	}
	do := order{name: protocol.Run, args: args, object: args.Export}
	if c.IsSet("only-email") {
		address, err := s.address(c.String("only-email"))
		if err != nil {
			return err
		}
		args.Only = true
		do.args, do.secret = args, address
	}
	return s.beginRun(c, do)
}

// beginRun gives a command that starts a run, and waits for the run unless
// --detach is set.
func (s *session) beginRun(c *cli.Context, do order) error {
	if _, err := s.failOn(c); err != nil {
		return err
	}
	raw, err := s.call(c.Context, do)
	if err != nil {
		return err
	}
	var started protocol.RunStarted
	if err := decode(raw, &started); err != nil {
		return err
	}
	if c.Bool("detach") && s.format != formatJSONL {
		return s.print(raw, func(p *page) {
			p.line("Run %s has started (workflow %s); watch it: starter runs watch %s", started.RunID, started.WorkflowID, started.RunID)
		})
	}
	s.sayBegun("run", started)
	if c.Bool("detach") {
		return nil
	}
	return s.waitAndReport(c, started)
}

func (s *session) sayBegun(what string, started protocol.RunStarted) {
	if s.format == formatJSONL {
		_ = s.emit(event{Event: eventStarted, Started: &started}) // a closed pipe shows at the report
	} else if !s.quiet {
		s.say("%s %s has started (workflow %s)", what, started.RunID, started.WorkflowID)
	}
}

// waitAndReport waits for a run and prints its report; the exit code says how
// it went.
func (s *session) waitAndReport(c *cli.Context, started protocol.RunStarted) error {
	raw, a, err := s.follow(c.Context, started)
	if err != nil {
		return err
	}
	return s.printEnd(c, raw, a)
}

// printEnd prints the report of a run that was waited for; the exit code says
// how it went.
func (s *session) printEnd(c *cli.Context, raw json.RawMessage, a *protocol.RunAnswer) error {
	fails, err := s.failOn(c)
	if err != nil {
		return err
	}
	if err := s.printRun(raw, a, nil); err != nil {
		return err
	}
	return exitWith(s.runCode(c.Context, a, fails))
}

func (s *session) printRun(raw json.RawMessage, a *protocol.RunAnswer, more func(*page)) error {
	err := s.print(raw, func(p *page) {
		report(p, a)
		if more != nil {
			more(p)
		}
	})
	if err != nil {
		return err
	}
	if !a.Status.Ended() && a.Status != run.Parked {
		s.say("the workflow of run %s has ended without a final report: it was terminated in Temporal, or is just finishing; see: starter runs show %s", a.RunID, a.RunID)
	}
	return nil
}

func (s *session) planExport(c *cli.Context) error {
	args := protocol.RunArgs{Export: c.Args().First(), Full: c.Bool("full")}
	started, err := answer[protocol.RunStarted](c.Context, s, order{name: protocol.Plan, args: args, object: args.Export})
	if err != nil {
		return err
	}
	s.sayBegun("plan", started)
	raw, a, err := s.follow(c.Context, started)
	if err != nil {
		return err
	}
	var found protocol.SamplesAnswer
	if a.Status.Complete() {
		sealed, err := s.call(c.Context, order{name: protocol.Samples, args: protocol.RunRef{Run: started.RunID}, personal: true})
		switch {
		case isClass(err, protocol.ErrNotFound):
			sealed = json.RawMessage("{}") // nothing would be sent
		case err != nil:
			return err
		}
		if err := decode(sealed, &found); err != nil {
			return err
		}
		raw = withField(raw, "samples", sealed)
	}
	if err := s.printRun(raw, a, func(p *page) { samples(p, &found) }); err != nil {
		return err
	}
	return exitWith(statusCode(a.Status))
}

// withField adds a field to the end of a JSON object.
func withField(object json.RawMessage, name string, value json.RawMessage) json.RawMessage {
	body, ok := bytes.CutSuffix(bytes.TrimSpace(object), []byte("}"))
	if !ok {
		return object
	}
	comma := ","
	if bytes.Equal(bytes.TrimSpace(body), []byte("{")) {
		comma = ""
	}
	return json.RawMessage(string(body) + comma + `"` + name + `":` + string(value) + "}")
}
