package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/protocol"
)

func (s *session) auditCommand() *cli.Command {
	return s.leaf("", leaf{
		name: "audit", usage: "show who changed what, with the values before and after",
		detail: "Newest first, with refused attempts. Commands that only read are in it when they showed personal data.\n" +
			"--since takes a date, a time, or how long ago: 2026-11-01, 2026-11-01T09:00:00Z, 12h, 7d.",
		example: "starter audit --object spring --since 7d\nstarter audit --actor anna --command connection --output json",
		flags: []cli.Flag{
			&cli.StringFlag{Name: "object", Usage: "only commands that name or changed the object with this `NAME`"},
			&cli.StringFlag{Name: "actor", Usage: "only commands of this `USER`"},
			&cli.StringFlag{Name: "command", Usage: "only this `COMMAND`, or all of a group: connection"},
			&cli.StringFlag{Name: "since", Usage: "only commands since this `TIME`"},
			&cli.StringFlag{Name: "past", Usage: "only entries older than the one with this `ID`: the next page"},
			&cli.IntFlag{Name: "limit", Value: 50, Usage: "at most `N` entries"},
		},
		do: s.audit,
	})
}

func (s *session) audit(c *cli.Context) error {
	args := protocol.AuditArgs{Actor: c.String("actor"), Object: c.String("object"), Command: c.String("command"), Past: c.String("past"), Limit: c.Int("limit")}
	if args.Limit < 1 {
		return usage("--limit %d must be at least 1", args.Limit)
	}
	var err error
	if args.Since, err = since(c.String("since"), s.o.Now(), s.o.Zone); err != nil {
		return err
	}
	all, more := []protocol.AuditAnswer{}, false
	for wanted := args.Limit; wanted > 0; wanted = args.Limit - len(all) {
		next := args
		next.Limit = wanted
		page, err := answer[protocol.AuditPage](c.Context, s, order{name: protocol.Audit, secret: next, personal: true})
		if err != nil {
			return err
		}
		all, more = append(all, page.Entries...), page.More
		if !page.More || len(page.Entries) == 0 {
			break
		}
		args.Past = all[len(all)-1].ID
	}
	if more {
		s.say("there are older entries: --past %s", all[len(all)-1].ID)
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return s.print(raw, func(p *page) { auditText(p, all) })
}

// since reads a time: as such, as a day, or as how long ago.
func since(text string, now time.Time, zone *time.Location) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC(), nil
	}
	if at, err := time.ParseInLocation(time.DateOnly, text, zone); err == nil {
		return at.UTC(), nil
	}
	var days int
	if n, err := fmt.Sscanf(text, "%dd", &days); n == 1 && err == nil && days >= 0 && text == fmt.Sprintf("%dd", days) {
		return now.AddDate(0, 0, -days).UTC(), nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago).UTC(), nil
	}
	return time.Time{}, usage("invalid --since %q: give a day (2026-11-01), a time (2026-11-01T09:00:00Z), or how long ago (12h, 7d)", text)
}

func auditText(p *page, all []protocol.AuditAnswer) {
	if len(all) == 0 {
		p.line("No entries")
		return
	}
	for _, e := range all {
		who := e.Actor
		if who == "" {
			who = "unknown user"
		}
		p.line("%s  %s  %s: %s", p.time(e.At), who, strings.TrimSpace(e.Command+" "+e.Object), e.Outcome)
		for _, c := range e.Changes {
			what := c.What
			if c.Secret {
				what += ", with a new secret"
			}
			p.line("    %s %s %s", c.Kind, c.Name, what)
			for _, f := range c.Fields {
				p.line("      %s: %s -> %s", f.Field, short(f.Before), short(f.After))
			}
		}
	}
}

// short is a value as far as it fits a line.
func short(value json.RawMessage) string {
	const most = 100
	if value == nil {
		return "none"
	}
	text := []rune(string(value))
	if len(text) > most {
		return string(text[:most]) + "..."
	}
	return string(text)
}
