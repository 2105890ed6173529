package cli

import (
	"encoding/json"
	"slices"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

// oneOfAll is the outcome of one export of run --all.
type oneOfAll struct {
	Export string              `json:"export"`
	Run    *protocol.RunAnswer `json:"run,omitempty"`
	Class  string              `json:"class,omitempty"`
	Reason string              `json:"reason,omitempty"` // why it did not start
}

// runAll starts all runs at once, waits for one after the other, and reports
// each.
func (s *session) runAll(c *cli.Context) error {
	for _, other := range []string{"adopt", "limit", "only-email"} {
		if c.IsSet(other) {
			return usage("--%s is for one export, not for --all", other)
		}
	}
	if c.NArg() > 0 {
		return usage("--all runs every export with an active schedule: use either %q or --all", c.Args().First())
	}
	fails, err := s.failOn(c)
	if err != nil {
		return err
	}
	raw, err := s.call(c.Context, order{name: protocol.RunAll, args: protocol.RunAllArgs{Yes: c.Bool("yes"), Full: c.Bool("full")}})
	if err != nil {
		return err
	}
	var starts protocol.RunAllAnswer
	if err := decode(raw, &starts); err != nil {
		return err
	}
	if c.Bool("detach") && s.format != formatJSONL {
		return s.print(raw, func(p *page) { startTable(p, starts.Exports) })
	}
	var all []oneOfAll
	var codes []int
	for _, start := range starts.Exports {
		one := oneOfAll{Export: start.Export, Class: start.Class, Reason: start.Reason}
		code := exitSkipped
		if start.Class == protocol.ErrNotAllowed {
			code = exitNotAllowed
		}
		if start.Run != nil {
			s.sayBegun("run of "+start.Export+":", *start.Run)
			if c.Bool("detach") {
				continue
			}
			var report json.RawMessage
			if report, one.Run, err = s.follow(c.Context, *start.Run); err != nil {
				return err
			}
			code = s.runCode(c.Context, one.Run, fails)
			if s.format == formatJSONL {
				err = s.emit(event{Event: eventReport, Report: report})
			}
		} else if s.format == formatJSONL {
			err = s.emit(event{Event: eventNotStarted, NotStarted: &one})
		}
		if err != nil {
			return err
		}
		all, codes = append(all, one), append(codes, code)
	}
	switch {
	case c.Bool("detach"):
		return nil
	case s.format == formatJSONL:
		return exitWith(worst(codes))
	}
	if raw, err = json.Marshal(all); err != nil {
		return err
	}
	if err := s.print(raw, func(p *page) { allTable(p, all) }); err != nil {
		return err
	}
	return exitWith(worst(codes))
}

// worst is the exit code that asks for the most attention.
func worst(codes []int) int {
	for _, code := range []int{exitFailed, exitNotAllowed, exitParked, exitSkipped, exitRejects} {
		if slices.Contains(codes, code) {
			return code
		}
	}
	return exitDone
}

func startTable(p *page, all []protocol.RunAllStart) {
	var rows [][]any
	for _, a := range all {
		id := ""
		if a.Run != nil {
			id = a.Run.RunID
		}
		rows = append(rows, []any{a.Export, shortID(id), a.Reason})
	}
	p.table([]string{"export", "run", "not started because"}, rows)
}

func allTable(p *page, all []oneOfAll) {
	var rows [][]any
	for _, a := range all {
		if a.Run == nil {
			rows = append(rows, []any{a.Export, "", "not started", 0, 0, a.Reason})
			continue
		}
		r := a.Run
		said := r.Reason
		if r.Status == run.Parked && r.Action != "" {
			said = reason.Format("%s. %s", r.Reason, r.Action)
		}
		rows = append(rows, []any{a.Export, shortID(r.RunID), r.Status, r.Delivered, r.Invalid + r.Refused, said})
	}
	p.table([]string{"export", "run", "status", "delivered", "rejects", "reason"}, rows)
}
