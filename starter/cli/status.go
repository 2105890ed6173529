package cli

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/protocol"
)

func (s *session) statusCommand() *cli.Command {
	return s.leaf("", leaf{
		name: "status", usage: "show workers, backlog, budgets, last runs, next starts and what needs your attention",
		example: "starter status",
		do:      func(c *cli.Context) error { return show(c, s, protocol.Status, nil, statusPage) },
	})
}

func statusPage(p *page, a protocol.StatusAnswer) {
	p.line("%s running, %s", plural(len(a.Workers), "worker is", "workers are"), backlog(a.Backlog))
	for _, w := range a.Workers {
		build := ""
		if w.Build != "" {
			build = ", build " + w.Build
		}
		p.line("  %s, seen %s ago%s", w.Identity, duration(max(0, a.At.Sub(w.LastSeen))), build)
	}
	for _, problem := range a.Problems {
		p.line("Unknown: %s", problem)
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
			rows = append(rows, []any{e.Export, openRun(e.Open), lastEnded(p, e.Last), p.minute(e.LastSuccess)})
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
			rows = append(rows, []any{n.Schedule, p.minute(n.Next), late})
		}
		p.table([]string{"schedule", "next start", ""}, rows)
	}
	p.line("")
	if len(a.Attend) == 0 {
		p.line("Nothing needs your attention")
		return
	}
	p.line("%s your attention:", plural(len(a.Attend), "thing needs", "things need"))
	for _, w := range a.Attend {
		switch {
		case w.Connection != "":
			p.line("  Connection %s: %s", w.Connection, w.Reason)
		case w.Alert != "":
			p.line("  Alert %s: %s", w.Alert, w.Reason)
		default:
			p.line("  %s is %s: %s", w.Export, w.Status, w.Reason)
		}
		p.line("    %s", w.Action)
	}
}

func backlog(b protocol.BacklogStatus) string {
	if b.Tasks == 0 {
		return "no task is waiting"
	}
	return fmt.Sprintf("%s, the oldest for %s", plural(b.Tasks, "task is waiting", "tasks are waiting"), duration(b.Age))
}

func openRun(a *protocol.RunAnswer) string {
	if a == nil {
		return ""
	}
	return string(a.Status)
}

func lastEnded(p *page, a *protocol.RunAnswer) string {
	if a == nil {
		return "never"
	}
	at := ""
	if a.EndedAt != nil {
		at = ", " + p.minute(*a.EndedAt)
	}
	return string(a.Status) + at
}
