package cli

import (
	"context"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/manifest"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/schedule"
)

// zoneDetail is how the commands that set times explain them.
const zoneDetail = `On a terminal the command asks for the time zone; it never guesses. When clocks go forward, a time that does not exist
that day is moved by the same amount; when they go back, a time that comes twice counts once.`

func (s *session) scheduleCommands() *cli.Command {
	const export = "EXPORT"
	return group("schedule", "set when exports run automatically",
		s.leaf("schedule", leaf{
			name: "set", args: export, usage: "give an export its own schedule and turn it on",
			detail: zoneDetail,
			example: "starter schedule set spring --every mon,thu --at 06:00,18:00 --tz Europe/Warsaw\n" +
				"starter schedule set spring --every month:1,15 --at 06:00 --tz Europe/Warsaw\n" +
				"starter schedule set spring --cron \"30 6 * * mon-fri\" --tz UTC",
			flags: append(timeFlags(),
				&cli.StringFlag{Name: "cron", Usage: "`EXPRESSION` of five fields (minute, hour, day of month, month, day of week), instead of --every and --at"}),
			do: s.scheduleSet,
		}),
		s.leaf("schedule", leaf{
			name: "off", args: export, usage: "turn an export's schedule off and keep it: the export runs only on demand",
			example: "starter schedule off spring", do: s.scheduleCommand(protocol.ScheduleOff),
		}),
		s.leaf("schedule", leaf{
			name: "on", args: export, usage: "turn an export's schedule on again",
			example: "starter schedule on spring", do: s.scheduleCommand(protocol.ScheduleOn),
		}),
		s.leaf("schedule", leaf{
			name: "follow-refresh", args: export, usage: "run an export with the system refresh, and remove its own schedule",
			example: "starter schedule follow-refresh spring", do: s.scheduleCommand(protocol.ScheduleFollow),
		}),
		s.leaf("schedule", leaf{
			name: "show", args: "[EXPORT]", usage: "show when one export or all exports run automatically",
			example: "starter schedule show\nstarter schedule show spring", do: s.scheduleShow,
		}),
	)
}

// timeFlags are the options that say when.
func timeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "every", Usage: "`DAYS`: day, days of the week such as mon,thu, or days of the month such as month:1,15"},
		&cli.StringFlag{Name: "at", Usage: "`TIMES` of the day, such as 06:00 or 06:00,18:00"},
		&cli.StringFlag{Name: "tz", Usage: "time `ZONE` of the IANA database, such as Europe/Warsaw or UTC"},
	}
}

// calendar reads the options that say when. It asks for the zone where it can.
func (s *session) calendar(c *cli.Context) (schedule.Calendar, error) {
	cal := schedule.Calendar{Every: strings.ToLower(c.String("every")), Cron: c.String("cron"), Zone: c.String("tz")}
	for _, at := range strings.Split(c.String("at"), ",") {
		if at = strings.TrimSpace(at); at != "" {
			cal.At = append(cal.At, at)
		}
	}
	if cal.Zone == "" {
		// What is wrong besides is said before anything is asked.
		check := cal
		check.Zone = "UTC"
		if err := check.Check(s.o.Now()); err != nil {
			return cal, usage("%v", err)
		}
		if err := s.askZone(c.Context, &cal); err != nil {
			return cal, err
		}
	}
	if err := cal.Check(s.o.Now()); err != nil {
		return cal, usage("%v", err)
	}
	return cal, nil
}

func (s *session) askZone(ctx context.Context, cal *schedule.Calendar) error {
	if !s.o.InTerminal || !s.o.ErrTerminal {
		return nil // the check says that it is missing
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	var err error
	cal.Zone, err = s.askText(ctx, "Time zone (such as Europe/Warsaw)")
	return err
}

func (s *session) scheduleSet(c *cli.Context) error {
	cal, err := s.calendar(c)
	if err != nil {
		return err
	}
	args := protocol.ScheduleSetArgs{ScheduleRef: protocol.ScheduleRef{Export: c.Args().First()}, Calendar: cal}
	return carryOut(c, s, order{name: protocol.ScheduleSet, args: args, object: args.Export}, schedulePage)
}

func (s *session) scheduleCommand(name string) func(*cli.Context) error {
	return func(c *cli.Context) error {
		args := protocol.ScheduleRef{Export: c.Args().First()}
		return carryOut(c, s, order{name: name, args: args, object: args.Export}, schedulePage)
	}
}

func (s *session) scheduleShow(c *cli.Context) error {
	args := protocol.ScheduleShowArgs{Export: c.Args().First()}
	if s.format == formatYAML && args.Export != "" {
		return s.scheduleDocument(c, args)
	}
	return carryOut(c, s, order{name: protocol.ScheduleShow, args: args, object: args.Export}, func(p *page, all []protocol.ScheduleAnswer) {
		if args.Export != "" && len(all) == 1 {
			schedulePage(p, all[0])
			return
		}
		var rows [][]any
		for _, a := range all {
			next := ""
			if len(a.Next) > 0 {
				next = inZone(a.Next[0], a.Zone)
			}
			rows = append(rows, []any{a.Export, a.Starts, next})
		}
		p.table([]string{"export", "schedule", "next"}, rows)
	})
}

// scheduleDocument shows an export's own schedule as the document that apply takes.
func (s *session) scheduleDocument(c *cli.Context, args protocol.ScheduleShowArgs) error {
	all, err := answer[[]protocol.ScheduleAnswer](c.Context, s, order{name: protocol.ScheduleShow, args: args, object: args.Export})
	if err != nil {
		return err
	}
	if len(all) != 1 || all[0].Calendar == nil {
		return fail(protocol.ErrNotFound, "the export %q has no schedule of its own, so there is no document; see: starter schedule show %q", args.Export, args.Export)
	}
	raw, err := scheduleObject(all[0])
	if err != nil {
		return err
	}
	d, err := manifest.Of(catalogue.KindSchedule, raw)
	if err != nil {
		return err
	}
	return s.print(d.JSON(), nil)
}

func schedulePage(p *page, a protocol.ScheduleAnswer) {
	p.line("Schedule of %s: %s", a.Export, a.Starts)
	nextTimes(p, a.Next, a.Zone)
}

// nextTimes writes the starts to come, in the zone of the schedule.
func nextTimes(p *page, next []time.Time, zone string) {
	if len(next) == 0 {
		return
	}
	p.line("Next:")
	for _, at := range next {
		p.line("  %s", inZone(at, zone))
	}
}

// inZone writes a time as the clocks of the zone show it, with the distance
// from UTC, which tells summer from winter.
func inZone(at time.Time, zone string) string {
	if location, err := schedule.Zone(zone); err == nil {
		at = at.In(location)
	}
	return at.Format("Mon 2006-01-02 15:04 -0700 MST")
}
