package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/protocol"
)

func (s *session) verifyCommand() *cli.Command {
	return s.leaf("", leaf{
		name: "verify", args: "EXPORT", usage: "compare a sample of the ledger with what Omnisend has now",
		detail: "Looks contacts up by address, with one request each from the connection's budget. It lists contacts that Omnisend no\n" +
			"longer has, that lack a marker, or whose status differs and is no newer decision in the account. It changes nothing.\n" +
			"To send what differs: starter run EXPORT --full. The output holds personal data. With differences the exit code is 3.\n\n" + exitHelp,
		example: "starter verify spring --sample 300",
		flags: []cli.Flag{
			&cli.IntFlag{Name: "sample", Value: protocol.VerifySample, Usage: "compare `N` contacts"},
		},
		do: s.verify,
	})
}

func (s *session) verify(c *cli.Context) error {
	args := protocol.VerifyArgs{Export: c.Args().First(), Sample: c.Int("sample")}
	if args.Sample < 1 || args.Sample > protocol.VerifyMost {
		return usage("--sample %d is not between 1 and %d", args.Sample, protocol.VerifyMost)
	}
	started, err := answer[protocol.VerifyStarted](c.Context, s, order{name: protocol.Verify, args: args, object: args.Export})
	if err != nil {
		return err
	}
	if !s.quiet {
		s.say("comparing %s (workflow %s)", plural(started.Sample, "contact", "contacts"), started.WorkflowID)
	}
	if err := s.server.Ended(c.Context, started.WorkflowID); err != nil {
		return err
	}
	raw, err := s.call(c.Context, order{name: protocol.VerifyResult, args: protocol.VerifyRef{Export: args.Export, ID: started.ID}, personal: true})
	if err != nil {
		return err
	}
	var found protocol.VerifyAnswer
	if err := decode(raw, &found); err != nil {
		return err
	}
	if err := s.print(raw, func(p *page) { verified(p, &found) }); err != nil {
		return err
	}
	switch {
	case found.Problem != "" || found.Checked < found.Sample && len(found.Differences) == 0:
		s.say("the comparison ended early: %s", or(found.Problem, "contacts left the ledger in the meantime, or the workflow was terminated"))
		return exitWith(exitFailed)
	case len(found.Differences) > 0:
		return exitWith(exitRejects)
	}
	return nil
}

func verified(p *page, a *protocol.VerifyAnswer) {
	p.line("%s of %s compared: %s", count(a.Checked), plural(a.Ledger, "contact", "contacts"), plural(len(a.Differences), "difference", "differences"))
	if len(a.Differences) == 0 {
		return
	}
	var rows [][]any
	for _, d := range a.Differences {
		for _, m := range d.Missing {
			problem := "has no marker"
			if d.Gone {
				problem = "is not at Omnisend"
			}
			rows = append(rows, []any{d.Email, problem, m, p.minute(d.ConfirmedAt)})
		}
	}
	for _, d := range a.Differences {
		for _, s := range d.Statuses {
			rows = append(rows, []any{d.Email, s, "", p.time(d.ConfirmedAt)})
		}
	}
	p.table([]string{"email", "difference", "marker", "confirmed"}, rows)
}
