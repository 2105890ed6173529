package cli

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/protocol"
)

func (s *session) refreshCommands() *cli.Command {
	return group("refresh", "the system refresh: a run of every export that has no schedule of its own",
		s.leaf("refresh", leaf{
			name: "set", usage: "say when the system refresh is, and turn it on",
			detail: zoneDetail + "\nWith --follow it begins whenever that source has finished its own refresh, which is looked for every 5 minutes.",
			example: "starter refresh set --every day --at 06:00,18:00 --tz Europe/Warsaw\n" +
				"starter refresh set --follow crm",
			flags: append(timeFlags(), &cli.StringFlag{Name: "follow", Usage: "`SOURCE` whose refresh to follow, in place of times"}),
			do:    s.refreshSet,
		}),
		s.leaf("refresh", leaf{
			name: "on", usage: "turn the system refresh on again", example: "starter refresh on",
			do: func(c *cli.Context) error { return show(c, s, protocol.RefreshOn, nil, refreshPage) },
		}),
		s.leaf("refresh", leaf{
			name: "off", usage: "turn the system refresh off; its times are kept", example: "starter refresh off",
			do: func(c *cli.Context) error { return show(c, s, protocol.RefreshOff, nil, refreshPage) },
		}),
		s.leaf("refresh", leaf{
			name: "show", usage: "when the system refresh is, and what runs with it", example: "starter refresh show",
			do: func(c *cli.Context) error { return show(c, s, protocol.RefreshShow, nil, refreshPage) },
		}),
		s.leaf("refresh", leaf{
			name: "now", usage: "run what runs with the system refresh, be it on or off",
			detail: "For a hook after the data platform's own job. It does not wait for the runs; see: starter runs list.",
			example: "starter refresh now\n" +
				"starter refresh now --after-source --limit 1h",
			flags: []cli.Flag{
				&cli.BoolFlag{Name: "after-source", Usage: "begin an export when its source reports no refresh in progress", DisableDefaultText: true},
				&cli.DurationFlag{Name: "limit", Usage: "how long to wait for a source (`DURATION`); then its exports are skipped", DefaultText: "2h"},
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
				return usage("--follow takes the times from the source: leave --%s out", other)
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
		return usage("--limit is how long --after-source waits, such as 1h")
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
	p.line("With it run: %s", strings.Join(a.Exports, ", "))
}
