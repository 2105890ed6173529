package cli

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/protocol"
)

func (s *session) accessCommands() *cli.Command {
	return group("access", "manage who has access, for workers that identify people by tokens",
		s.leaf("access", leaf{
			name: "list", usage: "list the users that the worker has seen, with the role of their groups",
			example: "starter access list",
			do: func(c *cli.Context) error {
				return carryOut(c, s, order{name: protocol.AccessList, personal: true}, peopleTable)
			},
		}),
		s.leaf("access", leaf{
			name: "revoke", args: "NAME", usage: "revoke a user's access: their commands are refused, runs that act as them are skipped",
			detail:  "Also remove the role at the identity provider. A revoked user has no access, whatever\ntheir groups are, until: starter access restore.",
			example: "starter access revoke anna",
			do:      s.accessChange(protocol.AccessRevoke, "has no access any more"),
		}),
		s.leaf("access", leaf{
			name: "restore", args: "NAME", usage: "restore a user's access", example: "starter access restore anna",
			do: s.accessChange(protocol.AccessRestore, "has access again, with the role of their groups"),
		}),
	)
}

func (s *session) accessChange(name, done string) func(*cli.Context) error {
	return func(c *cli.Context) error {
		do := order{name: name, secret: protocol.PersonArgs{Name: c.Args().First()}, personal: true}
		return carryOut(c, s, do, func(p *page, a protocol.PersonAnswer) {
			p.line("%s %s", a.Name, done)
			if a.Revoked && len(a.RunsAs) > 0 {
				p.line("These exports run as %s and are skipped until another user edits them: %s", a.Name, strings.Join(a.RunsAs, ", "))
			}
		})
	}
}

func peopleTable(p *page, all []protocol.PersonAnswer) {
	if len(all) == 0 {
		p.line("No users yet: this worker identifies users by its identity file, or no user has come with a token")
		return
	}
	var rows [][]any
	for _, a := range all {
		role := a.Role
		if a.Revoked {
			role = "revoked"
		}
		rows = append(rows, []any{a.Name, role, strings.Join(a.Groups, ", "), p.minute(a.SeenAt), strings.Join(a.RunsAs, ", ")})
	}
	p.table([]string{"name", "role", "groups", "last seen", "exports run as them"}, rows)
}
