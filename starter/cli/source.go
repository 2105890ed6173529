package cli

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
)

func (s *session) sourceCommands() *cli.Command {
	return group("source", "where segments are read from",
		s.leaf("source", leaf{
			name: "add", args: "NAME", usage: "define a source",
			detail:  "A source of the kind files is a directory of CSV files; each file SEGMENT.csv is a segment. The path\nis the worker's, below its --files-root.",
			example: "starter source add crm --kind files --path ./segments",
			flags: []cli.Flag{
				&cli.StringFlag{Name: "kind", Value: "files", Usage: "`KIND` of the source: files"},
				&cli.StringFlag{Name: "path", Usage: "`DIR` with the files, below the worker's files root"},
			},
			do: s.sourceAdd,
		}),
		s.leaf("source", leaf{
			name: "list", usage: "all sources", example: "starter source list",
			do: func(c *cli.Context) error { return show(c, s, command.SourceList, nil, sourceTable) },
		}),
		s.leaf("source", leaf{
			name: "show", args: "NAME", usage: "a source with its segments and their fields",
			example: "starter source show crm",
			do: func(c *cli.Context) error {
				return showObject(c, s, catalogue.KindSource, sourcePage)
			},
		}),
		s.leaf("source", leaf{
			name: "remove", args: "NAME", usage: "remove a source that no export uses",
			example: "starter source remove crm",
			do: func(c *cli.Context) error {
				return show(c, s, command.SourceRemove, command.Named{Name: c.Args().First()}, func(p *page, a catalogue.Source) {
					p.line("Removed the source %s", a.Name)
				})
			},
		}),
	)
}

func (s *session) sourceAdd(c *cli.Context) error {
	args := command.SourceAddArgs{Name: c.Args().First(), Kind: c.String("kind"), Path: c.String("path")}
	if args.Kind == "files" {
		if err := required(c, "path"); err != nil {
			return err
		}
	}
	return carryOut(c, s, order{name: command.SourceAdd, args: args, object: args.Name}, func(p *page, a command.SourceAnswer) {
		p.line("Added:")
		sourcePage(p, a)
	})
}

func sourceTable(p *page, all []catalogue.Source) {
	if len(all) == 0 {
		p.line("No sources yet; add one with: starter source add NAME --kind files --path DIR")
		return
	}
	var rows [][]any
	for _, a := range all {
		rows = append(rows, []any{a.Name, a.Type, a.Path, p.time(a.UpdatedAt), a.UpdatedBy})
	}
	p.table([]string{"name", "kind", "path", "updated", "by"}, rows)
}

func sourcePage(p *page, a command.SourceAnswer) {
	p.fields("name", a.Name, "kind", a.Type, "path", a.Path, "created", by(p, a.CreatedAt, a.CreatedBy), "updated", by(p, a.UpdatedAt, a.UpdatedBy))
	p.line("")
	if len(a.SegmentList) == 0 {
		p.line("It has no segments now")
		return
	}
	var rows [][]any
	for _, seg := range a.SegmentList {
		what := strings.Join(seg.Fields, ", ")
		if seg.Error != "" {
			what = "cannot be read: " + seg.Error
		}
		rows = append(rows, []any{seg.Name, int(seg.Bytes), what})
	}
	p.table([]string{"segment", "bytes", "fields"}, rows)
}
