package cli

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/command"
)

func (s *session) statusCommand() *cli.Command {
	return s.leaf("", leaf{
		name: "status", usage: "how everything stands: workers, backlog, budgets, last runs, next starts, what waits for you",
		example: "starter status",
		do:      func(c *cli.Context) error { return show(c, s, command.Status, nil, statusPage) },
	})
}

func statusPage(p *page, a command.StatusAnswer) {
	p.line("%s at work, %s", plural(len(a.Workers), "worker is", "workers are"), backlog(a.Backlog))
	for _, w := range a.Workers {
		build := ""
		if w.Build != "" {
			build = ", build " + w.Build
		}
		p.line("  %s, seen %s ago%s", w.Identity, duration(max(0, a.At.Sub(w.LastSeen))), build)
	}
	for _, problem := range a.Problems {
		p.line("Not known: %s", problem)
	}
	if len(a.Budgets) > 0 {
		p.line("")
		var rows [][]any
		for _, b := range a.Budgets {
			limit, paused := "none", ""
			if b.Limit > 0 {
				limit = count(b.Limit) + " a minute"
			}
			if b.Paused > 0 {
				paused = duration(b.Paused)
			}
			rows = append(rows, []any{b.Connection, b.Used, limit, paused})
		}
		p.table([]string{"connection", "calls in 60 s", "limit", "paused for"}, rows)
	}
	if len(a.Exports) > 0 {
		p.line("")
		var rows [][]any
		for _, e := range a.Exports {
			rows = append(rows, []any{e.Export, openRun(e.Open), lastEnded(p, e.Last), p.time(e.LastSuccess)})
		}
		p.table([]string{"export", "now", "last run", "last success"}, rows)
	}
	if len(a.Next) > 0 {
		p.line("")
		var rows [][]any
		for _, n := range a.Next {
			late := ""
			if n.Lag >= time.Minute {
				late = duration(n.Lag) + " late"
			}
			rows = append(rows, []any{n.Schedule, p.time(n.Next), late})
		}
		p.table([]string{"schedule", "next start", ""}, rows)
	}
	p.line("")
	if len(a.Attend) == 0 {
		p.line("Nothing waits for you")
		return
	}
	p.line("%s for you:", plural(len(a.Attend), "thing waits", "things wait"))
	for _, w := range a.Attend {
		p.line("  %s is %s: %s", w.Export, w.Status, w.Reason)
		p.line("    %s", w.Action)
	}
}

func backlog(b command.BacklogStatus) string {
	if b.Tasks == 0 {
		return "no work waits for one"
	}
	return fmt.Sprintf("%s for one, the oldest for %s", plural(b.Tasks, "task waits", "tasks wait"), duration(b.Age))
}

func openRun(a *command.RunAnswer) string {
	if a == nil {
		return ""
	}
	return string(a.Status)
}

func lastEnded(p *page, a *command.RunAnswer) string {
	if a == nil {
		return "never"
	}
	at := ""
	if a.EndedAt != nil {
		at = ", " + p.time(*a.EndedAt)
	}
	return string(a.Status) + at
}
