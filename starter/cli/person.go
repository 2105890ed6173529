package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/protocol"
)

// address gets the address of the person that a command is about: as given, or
// from standard input for -, so that it need not stand in the arguments, which
// other users of the machine see.
func (s *session) address(given string) (protocol.Address, error) {
	if given == "-" {
		text, err := readLimited(s.o.In)
		if err != nil {
			return protocol.Address{}, err
		}
		given = text
	}
	given = strings.TrimSpace(given)
	if !strings.Contains(given, "@") || strings.ContainsAny(given, "\r\n") {
		return protocol.Address{}, usage("ADDRESS must be one email address")
	}
	return protocol.Address{Email: given}, nil
}

const addressDetail = "ADDRESS can be - to read it from standard input. The address and the answer travel encrypted."

func (s *session) explainCommand() *cli.Command {
	return s.leaf("", leaf{
		name: "explain", args: "ADDRESS", usage: "show what is known about a person: in which exports, when sent, the verdict, why left out, what comes next",
		detail:  addressDetail,
		example: "starter explain ann@example.com",
		do: func(c *cli.Context) error {
			address, err := s.address(c.Args().First())
			if err != nil {
				return err
			}
			return carryOut(c, s, order{name: protocol.Explain, secret: address, personal: true}, explained)
		},
	})
}

func explained(p *page, a protocol.ExplainAnswer) {
	if a.Forgotten {
		p.line("The address is forgotten: runs leave it out")
	}
	if len(a.Exports) == 0 {
		p.line("You may use no export")
	}
	for _, e := range a.Exports {
		at, verdict := p.time(e.At), e.Verdict
		switch e.Verdict {
		case protocol.VerdictUnknown:
			verdict = "never sent, or no longer in the ledger"
		case protocol.VerdictAdopted:
			verdict = "taken over from Omnisend, never sent"
		case protocol.VerdictRefused:
			verdict = "refused by Omnisend: " + e.Reason
		}
		p.line("Export %s", e.Export)
		p.fields("  verdict", verdict, "  sent", at, "  markers", strings.Join(e.Markers, ", "),
			"  last complete run", strings.TrimSuffix(fmt.Sprintf("%s, %s", e.LastRun, p.time(e.LastAt)), ", "), "  next", e.Next,
			"  schedule", e.Starts, "  next start", p.time(e.NextStart))
		explainedStatus(p, "email", e.Mail)
		explainedStatus(p, "SMS", e.SMS)
		for _, r := range e.Rejects {
			p.line("  rejected in run %s (%s): %s", r.Run, p.time(r.At), strings.Join(where(r.Reject), ", "))
		}
		if e.HiddenRuns > 0 {
			p.line("  %s not searched: you may not use their connection or source", plural(e.HiddenRuns, "recent run", "recent runs"))
		}
		p.line("")
	}
	if a.Hidden > 0 {
		p.line("%s; an administrator sees all", plural(a.Hidden, "export that you may not use is not shown", "exports that you may not use are not shown"))
	}
}

// explainedStatus says how a channel stands, and why.
func explainedStatus(p *page, channel string, s *protocol.ExplainedStatus) {
	if s == nil {
		return
	}
	if s.Status != "" {
		p.line("  %s: sent as %s, dated %s: %s", channel, s.Status, p.time(s.Date), s.Why)
	}
	if !s.Consented.IsZero() && s.Status != "subscribed" {
		p.line("  %s: was sent as subscribed, with the consent of %s", channel, p.time(s.Consented))
	}
	if !s.FirstSeen.IsZero() {
		p.line("  %s: its opt-out was first seen %s", channel, p.time(s.FirstSeen))
	}
}

// where names the place of a reject and its reason.
func where(r protocol.Reject) []string {
	parts := []string{because(r)}
	if r.Segment != "" {
		parts = append(parts, "segment "+r.Segment)
	}
	if r.Row > 0 {
		parts = append(parts, "row "+row(r))
	}
	return append(parts, verdict(r))
}

func (s *session) forgetCommand() *cli.Command {
	return s.leaf("", leaf{
		name: "forget", args: "ADDRESS", usage: "erase a person from everything stored, and leave them out of later runs",
		detail: "Erases the address from ledgers, rejects, samples of plans, and contacts that wait for a verdict. A keyed digest stays,\n" +
			"so that later runs leave the address out and count it as forgotten. Nothing changes at Omnisend and at the source.\n" + addressDetail,
		example: "starter forget ann@example.com\nstarter forget ann@example.com --allow-again",
		flags: []cli.Flag{
			&cli.BoolFlag{Name: "allow-again", Usage: "undo it: later runs may send the address again", DisableDefaultText: true},
		},
		do: s.forget,
	})
}

func (s *session) forget(c *cli.Context) error {
	address, err := s.address(c.Args().First())
	if err != nil {
		return err
	}
	raw, err := s.call(c.Context, order{name: protocol.Forget, args: protocol.ForgetArgs{AllowAgain: c.Bool("allow-again")},
		secret: address, personal: true})
	if err != nil {
		return err
	}
	var a protocol.ForgetAnswer
	if err := decode(raw, &a); err != nil {
		return err
	}
	err = s.print(raw, func(p *page) {
		if a.Allowed {
			p.line("Later runs may send the address again")
			return
		}
		p.line("Erased from the ledgers of: %s", or(strings.Join(a.Ledgers, ", "), "none"))
		p.line("Also erased: %s, %s, %s", plural(a.Rejects, "reject", "rejects"), plural(a.Samples, "sample", "samples"),
			plural(a.Contacts, "waiting contact", "waiting contacts"))
		notes(p, a.Notes)
	})
	if err != nil || len(a.OpenRuns) == 0 {
		return err
	}
	s.say("not everything is erased yet: an open run may have read the address already. Repeat the command when it has ended: %s",
		strings.Join(a.OpenRuns, ", "))
	return exitWith(exitFailed)
}
