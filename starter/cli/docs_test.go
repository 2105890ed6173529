package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/access"
)

var (
	documentedCode = regexp.MustCompile("(?ms)^[ \t]*```.*?^[ \t]*```[ \t]*$|`[^`\n]*`")
	starterCommand = regexp.MustCompile(`(?:^|[\s/($:])starter ([a-z][a-z-]*(?: .*)?)$`)
	documentedFlag = regexp.MustCompile(`(?:^|[\s\[(|])--([a-z][a-z-]*)`)
	subcommandName = regexp.MustCompile(`^[a-z][a-z-]*$`)
)

// Commands and options that pages name exist.
func TestPagesNameCommandsThatExist(t *testing.T) {
	root := filepath.Join("..", "..")
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	app := (&session{o: &Options{}}).app()
	checked := 0
	for _, page := range append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "SECURITY.md")) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, line := range documentedCommands(app, string(text)) {
			checked++
			if _, ok := access.Specified(line); ok {
				continue // the worker's own name of a command, which an option may stand for
			}
			if bad := checkDocumented(app, line); bad != "" {
				t.Errorf("%s: starter %s: %s", filepath.Base(page), line, bad)
			}
		}
	}
	require.Greater(t, checked, 100)
}

func TestCheckDocumented(t *testing.T) {
	app := (&session{o: &Options{}}).app()
	for line, bad := range map[string]string{
		"runs list --status failed --utc": "",
		"runs list|show":                  "",
		"runs vanish":                     "there is no such command",
		"vanish":                          "there is no such command",
		"runs list --vanish":              "there is no option --vanish",
		`export add spring --map email=Email --id=X`: "",
	} {
		require.Equal(t, bad, checkDocumented(app, line), line)
	}
	require.Equal(t, []string{"run spring --yes", "runs show"}, documentedCommands(app, "`starter run spring --yes` or `runs show`, `other thing`"))
	require.Equal(t, []string{"plan a    --full"}, documentedCommands(app, "```\n$ bin/starter plan a \\\n  --full     # a comment\n```\n"))
}

// documentedCommands returns the command lines of a page, without the program:
// those of starter, and spans that begin with the name of a command.
func documentedCommands(app *cli.App, page string) (lines []string) {
	page = strings.ReplaceAll(page, "\\\n", " ")
	for _, code := range documentedCode.FindAllString(page, -1) {
		for line := range strings.Lines(code) {
			line, _, _ = strings.Cut(strings.Trim(line, "` \t\n"), " #")
			line = strings.TrimSpace(line)
			if m := starterCommand.FindStringSubmatch(line); m != nil {
				lines = append(lines, m[1])
				continue
			}
			if name, rest, _ := strings.Cut(line, " "); rest != "" && !strings.HasPrefix(code, "```") && app.Command(name) != nil {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// checkDocumented says what of a command line does not exist.
func checkDocumented(app *cli.App, line string) string {
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '|' })
	at := slices.IndexFunc(app.Commands, func(c *cli.Command) bool { return c.HasName(words[0]) })
	if at < 0 {
		return "there is no such command"
	}
	command := app.Commands[at]
	flags := command.Flags
	if len(command.Subcommands) > 0 && len(words) > 1 && subcommandName.MatchString(words[1]) {
		at := slices.IndexFunc(command.Subcommands, func(c *cli.Command) bool { return c.HasName(words[1]) })
		if at < 0 {
			return "there is no such command"
		}
		flags = command.Subcommands[at].Flags
		if strings.Contains(line, "|") { // of several commands
			for _, c := range command.Subcommands {
				flags = append(slices.Clone(flags), c.Flags...)
			}
		}
	}
	for _, m := range documentedFlag.FindAllStringSubmatch(line, -1) {
		if !slices.ContainsFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), m[1]) }) && m[1] != "help" {
			return "there is no option --" + m[1]
		}
	}
	return ""
}
