package cli

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
)

// whichRun is how the commands on runs choose one.
const (
	whichRun       = "[RUN|EXPORT]"
	whichRunDetail = "RUN is the id of a run, or its first 4 characters or more. EXPORT means its newest run. The default is the\nnewest run of all."
)

func (s *session) runsCommands() *cli.Command {
	return group("runs", "list, show and control runs",
		s.listRunsCommand(),
		s.leaf("runs", leaf{
			name: "show", args: whichRun, usage: "show the report of a run, and what changed since the run before", detail: whichRunDetail, example: "starter runs show spring",
			do: s.runsShow,
		}),
		s.leaf("runs", leaf{
			name: "watch", args: whichRun, usage: "wait for an open run and print its report",
			detail: whichRunDetail + "\n\n" + failOnHelp + "\n\n" + jsonlHelp + "\n\n" + exitHelp, example: "starter runs watch spring",
			flags:   []cli.Flag{failOnFlag()},
			follows: true,
			do:      s.runsWatch,
		}),
		s.leaf("runs", leaf{
			name: "pause", args: whichRun, usage: "pause a run: send nothing more until resume",
			detail: whichRunDetail, example: "starter runs pause spring",
			do: s.steer(protocol.RunsPause, "pauses when its calls in flight have finished; resume it with: starter runs resume"),
		}),
		s.leaf("runs", leaf{
			name: "resume", args: whichRun, usage: "resume a run that is paused or parked",
			detail: whichRunDetail, example: "starter runs resume spring",
			do: s.steer(protocol.RunsResume, "is resumed; watch it with: starter runs watch"),
		}),
		s.leaf("runs", leaf{
			name: "approve", args: "RUN|EXPORT", usage: "approve a guard, so that a parked run continues",
			detail:  "Guards: " + guardNames() + ".\nFirst look at what the guard found: starter runs show.",
			example: "starter runs approve spring --guard shrunk",
			flags: []cli.Flag{
				&cli.StringFlag{Name: "guard", Usage: "`NAME` of the guard"},
				&cli.BoolFlag{Name: "remember", Usage: "in later runs, do not ask again up to the current number", DisableDefaultText: true},
			},
			do: s.runsApprove,
		}),
		s.leaf("runs", leaf{
			name: "cancel", args: whichRun, usage: "cancel a run: calls in flight finish, nothing more is sent",
			detail: whichRunDetail, example: "starter runs cancel spring",
			do: s.steer(protocol.RunsCancel, "is being canceled; see the result with: starter runs show"),
		}),
		s.leaf("runs", leaf{
			name: "abandon", args: whichRun, usage: "give up a run that cannot end, or that the next run cannot reconcile",
			detail: "An open run ends as failed even without its workers, for example when no worker of its build is left. The next run\n" +
				"over the connection collects what Omnisend has confirmed. For a run that has ended, the calls without a stored verdict\n" +
				"are given up: the next run of its export sends their contacts again.\n" + whichRunDetail,
			example: "starter runs abandon spring",
			do:      s.steer(protocol.RunsAbandon, "is abandoned, and its export can run again; see what is known about the run with: starter runs show"),
		}),
		s.rejectsCommand(),
		s.retryCommand(),
	)
}

func guardNames() string {
	var names []string
	for _, g := range catalogue.Guards {
		names = append(names, string(g))
	}
	return strings.Join(names, ", ")
}

func ref(c *cli.Context) protocol.RunRef { return protocol.RunRef{Run: c.Args().First()} }

// took is the time that a run took; empty while it is open.
func took(a *protocol.RunAnswer) string {
	if a.EndedAt == nil || a.StartedAt.IsZero() {
		return ""
	}
	return a.EndedAt.Sub(a.StartedAt).Round(time.Second).String()
}

func (s *session) runsShow(c *cli.Context) error {
	raw, err := s.call(c.Context, order{name: protocol.RunsShow, args: ref(c)})
	if err != nil {
		return err
	}
	var a protocol.RunAnswer
	if err := decode(raw, &a); err != nil {
		return err
	}
	if !a.Status.Ended() {
		if raw, err = s.current(c.Context, raw, &a); err != nil {
			return err
		}
	}
	return s.print(raw, func(p *page) { report(p, &a) })
}

// current puts the present numbers into the report of an open run: the worker's
// answer has those of its last change of status. Without an answer from the run
// itself these are shown, with a message that says so.
func (s *session) current(ctx context.Context, raw json.RawMessage, a *protocol.RunAnswer) (json.RawMessage, error) {
	p, err := s.server.Progress(ctx, a.WorkflowID)
	if err != nil {
		if ctx.Err() == nil {
			s.say("the run does not answer: the numbers are those of its last change of status. If this lasts, see: starter status")
		}
		return raw, ctx.Err()
	}
	if p.RunID != a.RunID || p.Export != a.Export {
		return raw, nil
	}
	actor := a.Actor // which the run itself does not report
	a.Report = p.Report
	a.Actor = actor
	return json.Marshal(a)
}

func (s *session) runsWatch(c *cli.Context) error {
	if _, err := s.failOn(c); err != nil {
		return err
	}
	raw, err := s.call(c.Context, order{name: protocol.RunsShow, args: ref(c)})
	if err != nil {
		return err
	}
	var a protocol.RunAnswer
	if err := decode(raw, &a); err != nil {
		return err
	}
	if a.Status.Ended() {
		return s.printEnd(c, raw, &a)
	}
	return s.waitAndReport(c, protocol.RunStarted{RunID: a.RunID, WorkflowID: a.WorkflowID})
}

// steer gives a command that changes what a run does.
func (s *session) steer(name, done string) func(*cli.Context) error {
	return func(c *cli.Context) error {
		return show(c, s, name, ref(c), steered(done))
	}
}

func steered(done string) func(*page, protocol.RunAnswer) {
	return func(p *page, a protocol.RunAnswer) { p.line("Run %s of %s %s %s", a.RunID, a.Export, done, a.RunID) }
}

func (s *session) runsApprove(c *cli.Context) error {
	if err := required(c, "guard"); err != nil {
		return err
	}
	args := protocol.RunsApproveArgs{RunRef: ref(c), Guard: catalogue.Guard(c.String("guard")), Remember: c.Bool("remember")}
	if !slices.Contains(catalogue.Guards, args.Guard) {
		return usage("there is no guard %q; the guards are: %s", args.Guard, guardNames())
	}
	return show(c, s, protocol.RunsApprove, args, steered("is approved and continues unless another guard asks; watch it with: starter runs watch"))
}
