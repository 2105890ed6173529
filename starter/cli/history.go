package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

func (s *session) listRunsCommand() *cli.Command {
	const times = "a day (2026-11-01), a time (2026-11-01T06:00), or how long ago (90m, 12h, 7d)"
	return s.leaf("runs", leaf{
		name: "list", usage: "list runs, newest first",
		detail:  "TIME is " + times + ".\nIf there are more runs than the limit, the last line has the token of the next page.",
		example: "starter runs list --export spring --since 7d\nstarter runs list --status failed --limit 100",
		flags: []cli.Flag{
			&cli.StringFlag{Name: "export", Usage: "only runs of this export (`NAME`)"},
			&cli.StringFlag{Name: "status", Usage: "only runs with this `STATUS`, such as failed or \"completed with rejects\""},
			&cli.BoolFlag{Name: "plans", Usage: "plans too", DisableDefaultText: true},
			&cli.StringFlag{Name: "since", Usage: "only runs started at this `TIME` or later"},
			&cli.StringFlag{Name: "before", Usage: "only runs started before this `TIME`"},
			&cli.IntFlag{Name: "limit", Value: 20, Usage: "at most `N` runs"},
			&cli.StringFlag{Name: "page", Usage: "continue with the page of this `TOKEN`"},
		},
		do: s.runsList,
	})
}

func (s *session) runsList(c *cli.Context) error {
	left := c.Int("limit")
	if left < 1 {
		return usage("--limit %d must be at least 1", left)
	}
	args := protocol.RunsListArgs{Export: c.String("export"), Status: c.String("status"), Plans: c.Bool("plans"), Page: c.String("page")}
	var err error
	if args.Status != "" {
		status, err := run.ParseStatus(args.Status)
		if err != nil {
			return usage("--status: %v", err)
		}
		args.Status = string(status)
	}
	if args.Since, err = s.timeOption(c, "since"); err != nil {
		return err
	}
	if args.Before, err = s.timeOption(c, "before"); err != nil {
		return err
	}
	all := protocol.RunsPage{Runs: []*protocol.RunAnswer{}}
	for {
		args.Limit = min(left, protocol.RunsPerPage)
		page, err := answer[protocol.RunsPage](c.Context, s, order{name: protocol.RunsList, args: args})
		if err != nil {
			return err
		}
		all.Runs, all.Next = append(all.Runs, page.Runs...), page.Next
		left -= len(page.Runs)
		if left <= 0 || page.Next == "" {
			break
		}
		args.Page = page.Next
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return s.print(raw, func(p *page) { runsTable(p, &all) })
}

func runsTable(p *page, all *protocol.RunsPage) {
	if len(all.Runs) == 0 {
		p.line("No runs")
		return
	}
	var rows [][]any
	for _, a := range all.Runs {
		rows = append(rows, []any{shortID(a.RunID), a.Export, runStatus(a), p.minute(a.StartedAt), took(a), a.Delivered, a.Invalid + a.Refused})
	}
	p.table([]string{"run", "export", "status", "started", "took", "delivered", "rejects"}, rows)
	if all.Next != "" {
		p.line("There may be more; continue with: --page %s", all.Next)
	}
}

// runStatus is a run's status in a list, with what makes it unlike others.
func runStatus(a *protocol.RunAnswer) string {
	kind := ""
	switch {
	case a.Plan:
		kind = "plan"
	case a.Canary != nil:
		kind = "canary"
	case a.Adopted > 0:
		kind = "adopted"
	case a.Removes:
		kind = "removal"
	}
	if kind == "" {
		return string(a.Status)
	}
	return string(a.Status) + " (" + kind + ")"
}

// timeOption reads a time that people give: by the calendar of the zone that
// they see times in, or backwards from now.
func (s *session) timeOption(c *cli.Context, name string) (time.Time, error) {
	text := strings.TrimSpace(c.String(name))
	if text == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 {
			return s.o.Now().AddDate(0, 0, -n).UTC(), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return s.o.Now().Add(-ago).UTC(), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, s.o.Zone); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, usage("invalid --%s %q: give a day (2026-11-01), a time (2026-11-01T06:00), or how long ago (90m, 12h, 7d)", name, text)
}

// changes writes what has changed since the run before.
func changes(p *page, a *protocol.RunAnswer) {
	d := a.Difference
	if d == nil {
		return
	}
	var parts []string
	for _, name := range []string{"read", "invalid", "contacts", "delivered", "unchanged", "refused", "leavers", "calls"} {
		if n := d.Numbers[name]; n != 0 {
			parts = append(parts, fmt.Sprintf("%s %s", name, signed(n)))
		}
	}
	p.line("Since run %s (%s): %s", d.Run, p.time(d.StartedAt), cmp.Or(strings.Join(parts, ", "), "the same numbers"))
	for _, seg := range a.Segments {
		if n := d.Members[seg.Segment]; n != 0 && len(a.Segments) > 1 {
			p.line("  members of %s %s", seg.Segment, signed(n))
		}
	}
}

func signed(n int) string {
	if n > 0 {
		return "+" + count(n)
	}
	return count(n)
}
