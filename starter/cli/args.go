package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/spelling"
)

// arrange puts a command line into the order that the parser wants: command,
// options, arguments. People write options before, between and after the
// arguments, and global ones before the command. It also finds what the parser
// would report less clearly: commands and options that do not exist.
func arrange(app *cli.App, args []string) ([]string, error) {
	a := arranger{app: app, commands: app.Commands, flags: app.Flags}
	for i := 0; i < len(args); i++ {
		used, err := a.take(args[i], args[i+1:])
		if err != nil {
			return nil, err
		}
		i += used
	}
	return a.result()
}

type arranger struct {
	app        *cli.App
	path       []string       // of the command
	commands   []*cli.Command // that may follow; empty when the command is known
	flags      []cli.Flag     // of the command
	options    []string
	positional []string
	help       bool
	version    bool
	literal    bool // after "--"
}

// take sorts in one word, and returns how many of the following it used.
func (a *arranger) take(word string, rest []string) (int, error) {
	switch {
	case a.literal:
		a.positional = append(a.positional, word)
	case word == "--":
		a.literal = true
	case strings.HasPrefix(word, "-") && word != "-":
		return a.option(word, rest)
	case len(a.commands) == 0:
		a.positional = append(a.positional, word)
	case word == "help" && len(a.path) == 0:
		a.help = true
	default:
		return 0, a.command(word)
	}
	return 0, nil
}

// command goes down to a command or group by its name.
func (a *arranger) command(word string) error {
	var names []string
	for _, c := range a.commands {
		if c.HasName(word) {
			a.path = append(a.path, c.Name)
			a.commands = c.Subcommands
			a.flags = slices.Concat(a.app.Flags, c.Flags)
			return nil
		}
		names = append(names, c.Name)
	}
	full := strings.Join(append(slices.Clone(a.path), word), " ")
	if near := spelling.Nearest(word, names); near != "" {
		return usage("there is no command %q; did you mean %q?", full, strings.Join(append(slices.Clone(a.path), near), " "))
	}
	return usage("there is no command %q; there are: %s", full, strings.Join(names, ", "))
}

func (a *arranger) option(word string, rest []string) (int, error) {
	name, value, joined := strings.Cut(strings.TrimLeft(word, "-"), "=")
	switch {
	case name == "help" || name == "h":
		a.help = true
		return 0, nil
	case (name == "version" || name == "v") && len(a.path) == 0:
		a.version = true
		return 0, nil
	}
	f := find(a.flags, name)
	if f == nil {
		return 0, a.unknownOption(name)
	}
	if _, ok := f.(*cli.BoolFlag); ok {
		if joined {
			word = "--" + name + "=" + value
		}
		a.options = append(a.options, word)
		return 0, nil
	}
	used := 0
	if !joined {
		if len(rest) == 0 || a.isOption(rest[0]) {
			return 0, usage("the option --%s needs a value", f.Names()[0])
		}
		value, used = rest[0], 1
	}
	a.options = append(a.options, "--"+f.Names()[0]+"="+value)
	return used, nil
}

// isOption says whether a word is an option of the command, and so not the
// value of the one before it.
func (a *arranger) isOption(word string) bool {
	name, ok := strings.CutPrefix(word, "--")
	name, _, _ = strings.Cut(name, "=")
	return ok && find(a.flags, name) != nil
}

func (a *arranger) unknownOption(name string) error {
	of := strings.Join(append([]string{a.app.Name}, a.path...), " ")
	if len(a.path) == 0 {
		return usage("there is no global option --%s; the options of a command follow its name (see: %s --help)", name, of)
	}
	var names []string
	for _, f := range a.flags {
		names = append(names, f.Names()[0])
	}
	if near := spelling.Nearest(name, names); near != "" {
		return usage("%s has no option --%s; did you mean --%s?", of, name, near)
	}
	return usage("%s has no option --%s (see: %s --help)", of, name, of)
}

func (a *arranger) result() ([]string, error) {
	out := append([]string{a.app.Name}, a.path...)
	switch {
	case a.help:
		return append(out, "--help"), nil
	case a.version:
		return append(out, "--version"), nil
	case len(a.path) == 0:
		return append(out, "--help"), nil
	case len(a.commands) > 0:
		var names []string
		for _, c := range a.commands {
			names = append(names, c.Name)
		}
		return nil, usage("%q needs one of: %s", strings.Join(a.path, " "), strings.Join(names, ", "))
	}
	out = append(out, a.options...)
	if len(a.positional) > 0 {
		out = append(append(out, "--"), a.positional...)
	}
	return out, nil
}

func find(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// wantedFormat finds the output format even on a command line that cannot be
// understood, so that its failure is reported in it.
func wantedFormat(args []string) string {
	for i, word := range args {
		name, value, joined := strings.Cut(word, "=")
		if name != "--output" && name != "-output" && name != "-o" {
			continue
		}
		if !joined && i+1 < len(args) {
			value = args[i+1]
		}
		return value
	}
	return formatText
}
