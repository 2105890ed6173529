package cli

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/protocol"
)

func (s *session) refreshCommands() *cli.Command {
	return group("refresh", "control the system refresh, which runs every export without its own schedule",
		s.leaf("refresh", leaf{
			name: "set", usage: "set the times of the system refresh and turn it on",
			detail: zoneDetail + "\nWith --follow the system refresh starts when that source has finished its own refresh; workers check every 5 minutes.",
			example: "starter refresh set --every day --at 06:00,18:00 --tz Europe/Warsaw\n" +
				"starter refresh set --follow crm",
			flags: append(timeFlags(), &cli.StringFlag{Name: "follow", Usage: "`SOURCE` whose refresh to follow, instead of times"}),
			do:    s.refreshSet,
		}),
		s.leaf("refresh", leaf{
			name: "on", usage: "turn the system refresh on again", example: "starter refresh on",
			do: func(c *cli.Context) error { return show(c, s, protocol.RefreshOn, nil, refreshPage) },
		}),
		s.leaf("refresh", leaf{
			name: "off", usage: "turn the system refresh off and keep its times", example: "starter refresh off",
			do: func(c *cli.Context) error { return show(c, s, protocol.RefreshOff, nil, refreshPage) },
		}),
		s.leaf("refresh", leaf{
			name: "show", usage: "show the times of the system refresh and the exports that run with it", example: "starter refresh show",
			do: func(c *cli.Context) error { return show(c, s, protocol.RefreshShow, nil, refreshPage) },
		}),
		s.leaf("refresh", leaf{
			name: "now", usage: "run the exports of the system refresh now, even if it is off",
			detail: "Call it after the data platform's own job. It does not wait for the runs; list them with: starter runs list.",
			example: "starter refresh now\n" +
				"starter refresh now --after-source --limit 1h",
			flags: []cli.Flag{
				&cli.BoolFlag{Name: "after-source", Usage: "start each export when its source reports that no refresh is running", DisableDefaultText: true},
				&cli.DurationFlag{Name: "limit", Usage: "wait at most `DURATION` for a source, then skip its exports", DefaultText: "2h"},
			},
			do: s.refreshNow,
		}),
	)
}

func (s *session) refreshSet(c *cli.Context) error {
	var args protocol.RefreshSetArgs
	if args.Follow = c.String("follow"); args.Follow != "" {
		for _, other := range []string{"every", "at", "tz"} {
			if c.IsSet(other) {
				return usage("--follow takes the times from the source: remove --%s", other)
			}
		}
	} else {
		cal, err := s.calendar(c)
		if err != nil {
			return err
		}
		args.Calendar = &cal
	}
	return carryOut(c, s, order{name: protocol.RefreshSet, args: args, object: args.Follow}, refreshPage)
}

func (s *session) refreshNow(c *cli.Context) error {
	args := protocol.RefreshNowArgs{AfterSource: c.Bool("after-source"), Limit: c.Duration("limit")}
	if c.IsSet("limit") && (args.Limit <= 0 || !args.AfterSource) {
		return usage("--limit is a duration such as 1h, and needs --after-source")
	}
	return show(c, s, protocol.RefreshNow, args, func(p *page, a protocol.RefreshNowAnswer) {
		when := "now"
		if args.AfterSource {
			when = "when their sources are ready, at the latest at " + p.time(a.Until)
		}
		p.line("%s run %s: %s", plural(len(a.Exports), "export", "exports"), when, strings.Join(a.Exports, ", "))
		p.line("See: starter runs list (workflow %s)", a.WorkflowID)
	})
}

func refreshPage(p *page, a protocol.RefreshAnswer) {
	state := "off"
	if a.On {
		state = "on"
	}
	p.line("The system refresh is %s: %s", state, a.Starts)
	nextTimes(p, a.Next, a.Zone)
	if len(a.Exports) == 0 {
		p.line("No export runs with it.")
		return
	}
	p.line("Exports that run with it: %s", strings.Join(a.Exports, ", "))
}
