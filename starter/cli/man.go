package cli

import (
	"fmt"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/urfave/cli/v2"
)

func (s *session) manCommand() *cli.Command {
	return s.leaf("", leaf{
		name: "man", usage: "print the manual page",
		example: "starter man | man -l -\nstarter man > /usr/local/share/man/man1/starter.1",
		do: func(*cli.Context) error {
			_, err := s.o.Out.Write(md2man.Render([]byte(manual(s.app()))))
			return err
		},
	})
}

// manual is the manual page in Markdown: all that --help of every command says.
// The library's own page leaves out the descriptions of commands.
func manual(app *cli.App) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%% %s 1\n\n# NAME\n%s - %s\n\n# SYNOPSIS\n%s\n\n# DESCRIPTION\n", app.Name, app.Name, app.Usage, app.UsageText)
	verbatim(&b, app.Description)
	b.WriteString("# GLOBAL OPTIONS\n")
	manualOptions(&b, app.Flags)
	b.WriteString("# COMMANDS\n")
	manualCommands(&b, app.Name, app.Commands, app.Flags)
	return b.String()
}

func manualCommands(b *strings.Builder, path string, commands []*cli.Command, common []cli.Flag) {
	for _, c := range commands {
		if c.Hidden {
			continue
		}
		name := path + " " + c.Name
		if len(c.Subcommands) > 0 {
			manualCommands(b, name, c.Subcommands, common)
			continue
		}
		fmt.Fprintf(b, "### %s\n%s\n\n", name, escapeMarkdown(c.Usage))
		verbatim(b, c.UsageText)
		if c.Description != "" {
			verbatim(b, c.Description)
		}
		manualOptions(b, c.Flags[:len(c.Flags)-len(common)])
	}
}

// manualOptions describes options.
func manualOptions(b *strings.Builder, flags []cli.Flag) {
	for _, f := range flags {
		about := strings.SplitN(cli.FlagStringer(f), "\t", 2)
		fmt.Fprintf(b, "**%s**\n: %s\n\n", escapeMarkdown(strings.TrimSpace(about[0])), escapeMarkdown(strings.TrimSpace(about[len(about)-1])))
	}
}

func verbatim(b *strings.Builder, text string) {
	fmt.Fprintf(b, "```\n%s\n```\n\n", text)
}

// escapeMarkdown keeps text as it is written.
func escapeMarkdown(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "`", "\\`", "<", `\<`, "[", `\[`).Replace(text)
}
