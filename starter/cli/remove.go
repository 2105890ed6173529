package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/protocol"
)

func (s *session) removeExportCommand() *cli.Command {
	return s.leaf("export", leaf{
		name: "remove", args: "NAME", usage: "remove an export and its ledger",
		detail: "If contacts have the export's markers at Omnisend, the command asks what to do with them: keep leaves them there;\n" +
			"clear starts a run that clears them, which takes calls, and then removes the export.",
		example: "starter export remove spring --markers clear",
		flags: []cli.Flag{
			&cli.StringFlag{Name: "markers", Usage: "`WHAT` to do with the markers at Omnisend: keep or clear"},
			&cli.BoolFlag{Name: "detach", Usage: "do not wait for the run that clears them", DisableDefaultText: true},
		},
		do: s.removeExport,
	})
}

func (s *session) removeExport(c *cli.Context) error {
	args := protocol.ExportRemoveArgs{Named: protocol.Named{Name: c.Args().First()}, Markers: c.String("markers")}
	switch args.Markers {
	case "", protocol.MarkersKeep, protocol.MarkersClear:
	default:
		return usage("--markers %q is neither keep nor clear", args.Markers)
	}
	do := order{name: protocol.ExportRemove, args: args, object: args.Name}
	raw, err := s.call(c.Context, do)
	if args.Markers == "" && isClass(err, protocol.ErrMarkers) && s.o.InTerminal && s.o.ErrTerminal {
		if args.Markers, err = s.askMarkers(c, err); err != nil {
			return err
		}
		do.args = args
		raw, err = s.call(c.Context, do)
	}
	if err != nil {
		return err
	}
	var a protocol.ExportRemoved
	if err := decode(raw, &a); err != nil {
		return err
	}
	if a.Run == nil || c.Bool("detach") {
		return s.print(raw, func(p *page) {
			if a.Run == nil {
				p.line("Removed the export %s", a.Name)
			} else {
				p.line("Run %s has started (workflow %s); watch it: starter runs watch %s", a.Run.RunID, a.Run.WorkflowID, a.Run.RunID)
			}
			notes(p, a.Notes)
		})
	}
	s.sayBegun("run", *a.Run)
	return s.waitAndReport(c, *a.Run)
}

// askMarkers asks what to do with the markers; the question is the refusal with
// their number.
func (s *session) askMarkers(c *cli.Context, question error) (string, error) {
	s.say("%v", question)
	clearing, err := s.ask(c.Context, "Clear them?")
	if err != nil {
		return "", err
	}
	if clearing {
		return protocol.MarkersClear, nil
	}
	leave, err := s.ask(c.Context, "Leave them there and remove the export?")
	if err != nil {
		return "", err
	}
	if !leave {
		return "", fail(protocol.ErrMarkers, "nothing was removed")
	}
	return protocol.MarkersKeep, nil
}
