// Package cli is the command line: a function of arguments, environment and
// streams that returns an exit code. It is a client of Temporal only: a worker
// carries out each command.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/build"
	"github.com/segment-export/segment-export/internal/protocol"
)

// Run carries out one command line and returns its exit code. When ctx ends it
// returns soon; a run that has started continues without it. Several goroutines may
// call it at once.
func Run(ctx context.Context, o Options) int {
	s := &session{o: &o, format: wantedFormat(o.Args)}
	defer s.close()
	err := s.run(ctx)
	if err == nil {
		return exitDone
	}
	if code, ok := errors.AsType[ended](err); ok {
		return int(code)
	}
	f := asFailure(err)
	if ctx.Err() != nil && f.class != classInterrupted {
		// Whatever stopped, stopped because of the signal.
		f = &failure{class: classInterrupted, message: "interrupted"}
	}
	s.report(f)
	return f.code()
}

func (s *session) run(ctx context.Context) error {
	if len(s.o.Args) > 0 && s.o.Args[0] == completeWord {
		return s.complete(ctx, s.o.Args[1:])
	}
	if err := s.parse(ctx); err != nil || s.do == nil { // help and version are shown by the parser
		return err
	}
	return s.do()
}

// parsing lets one command line at a time through the parser, which keeps state
// in its package. What a command does is done after it, beside others.
var parsing sync.Mutex

// parse finds out what to do.
func (s *session) parse(ctx context.Context) error {
	parsing.Lock()
	defer parsing.Unlock()
	app := s.app()
	args, err := arrange(app, s.o.Args)
	if err != nil {
		return err
	}
	return app.RunContext(ctx, args)
}

// report tells a failure to people, and to scripts in their format.
func (s *session) report(f *failure) {
	fmt.Fprintf(s.o.Err, "starter: %s\n", clean(f.message))
	content := errorContent{f.class, f.message}
	switch s.format {
	case formatJSONL:
		_ = s.emit(event{Event: eventError, Error: &content})
	case formatJSON, formatYAML:
		raw, err := json.Marshal(map[string]errorContent{"error": content})
		if err == nil {
			_ = s.print(raw, nil)
		}
	}
}

// errorContent is a failure as scripts read it.
type errorContent struct {
	Class   string `json:"class"`
	Message string `json:"message"`
}

func (s *session) app() *cli.App {
	app := &cli.App{
		Name:      "starter",
		Usage:     "export customer segments to Omnisend",
		UsageText: "starter COMMAND [ARGUMENTS] [OPTIONS]",
		Description: `Plans, starts, watches and repairs exports. It asks a worker through Temporal and stores nothing.

The server is set as for all Temporal clients: TEMPORAL_ADDRESS (default: 127.0.0.1:7233), TEMPORAL_NAMESPACE,
TEMPORAL_API_KEY, TEMPORAL_TLS_*, TEMPORAL_PROFILE, temporal.toml.
Who you are is the file identity.json in SEGMENT_EXPORT_DATA_DIR, else in ~/.local/share/segment-export; or,
to a worker that knows people by tokens, the login of starter login, or a token in SEGMENT_EXPORT_TOKEN, SEGMENT_EXPORT_TOKEN_FILE or --token-file.
SEGMENT_EXPORT_WORKER_FINGERPRINT pins the worker's key that secrets are sealed to.

First steps:
   starter source add crm --kind files --path ./segments
   starter connection add "Spring shop" --agree
   starter export add spring --connection "Spring shop" --source crm --segment spring_buyers --id CustomerId --map email=Email
   starter plan spring
   starter run spring

` + exitHelp,
		Version:                   build.Version(),
		Flags:                     s.commonFlags(),
		Writer:                    s.o.Out,
		ErrWriter:                 s.o.Err,
		Reader:                    s.o.In,
		ExitErrHandler:            func(*cli.Context, error) {}, // Run decides how to exit
		OnUsageError:              usageError,
		HideHelpCommand:           true, // arrange makes --help of it
		DisableSliceFlagSeparator: true, // names may contain commas
		Commands: []*cli.Command{
			s.initCommand(),
			s.sourceCommands(),
			s.connectionCommands(),
			s.exportCommands(),
			s.planCommand(),
			s.runCommand(),
			s.runsCommands(),
			s.verifyCommand(),
			s.scheduleCommands(),
			s.refreshCommands(),
			s.explainCommand(),
			s.forgetCommand(),
			s.alertCommands(),
			s.statusCommand(),
			s.doctorCommand(),
			s.configCommand(),
			s.applyCommand(),
			s.diffCommand(),
			s.accessCommands(),
			s.auditCommand(),
			s.whoAmICommand(),
			s.loginCommand(),
			s.logoutCommand(),
			s.consoleCommand(),
			s.completionCommand(),
			s.manCommand(),
		},
	}
	return app
}

// commonFlags are taken by every command, before and after its name.
func (s *session) commonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: formatText, Usage: "`FORMAT` of the answer: text, json or yaml; jsonl for commands that wait for a run"},
		&cli.StringFlag{Name: "token-file", Usage: "`FILE` with the token of who you are"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress, only the answer and failures", DisableDefaultText: true},
		&cli.BoolFlag{Name: "utc", Usage: "times in UTC, not in this machine's zone", DisableDefaultText: true},
		&cli.BoolFlag{Name: "verbose", Usage: "show the Temporal client's own warnings", DisableDefaultText: true},
	}
}

func usageError(c *cli.Context, err error, _ bool) error {
	bad := notParsed.FindStringSubmatch(err.Error())
	if bad == nil || c == nil || c.Command == nil {
		return usage("%v", err)
	}
	takes := "see --help"
	for _, flag := range c.Command.Flags {
		if documented, ok := flag.(cli.DocGenerationFlag); ok && slices.Contains(flag.Names(), bad[2]) {
			takes = "it takes " + strings.ReplaceAll(documented.GetUsage(), "`", "")
		}
	}
	return usage("--%s %s cannot be read; %s", bad[2], bad[1], takes)
}

// notParsed is how the library says that an option has not the value it takes.
var notParsed = regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-([a-z-]+): `)

// leaf is a command that does something.
type leaf struct {
	name    string
	args    string // "NAME", "[RUN|EXPORT]", or none
	usage   string
	detail  string // one paragraph or more
	example string
	flags   []cli.Flag
	follows bool // waits for a run, and takes --output jsonl
	do      func(c *cli.Context) error
}

func (s *session) leaf(path string, l leaf) *cli.Command {
	full := strings.Join(strings.Fields("starter "+path+" "+l.name), " ")
	text := strings.TrimSpace(full + " " + l.args)
	if len(l.flags) > 0 {
		text += " [OPTIONS]"
	}
	description := "Example:\n   " + strings.ReplaceAll(l.example, "\n", "\n   ")
	if l.detail != "" {
		description = l.detail + "\n\n" + description
	}
	return &cli.Command{
		Name: l.name, Usage: l.usage, UsageText: text, Description: description,
		ArgsUsage:       l.args, // for completion; help shows UsageText
		Flags:           append(l.flags, s.commonFlags()...),
		HideHelpCommand: true, // "help" may be the name of something
		OnUsageError:    usageError,
		Action: func(c *cli.Context) error {
			if err := s.begin(c); err != nil {
				return err
			}
			if s.format == formatJSONL && !l.follows {
				return usage("--output jsonl is for commands that wait for a run: run, plan, runs watch, runs retry-rejects")
			}
			if err := checkArgs(c, l.args, text); err != nil {
				return err
			}
			s.do = func() error { return l.do(c) }
			return nil
		},
	}
}

func group(name, usage string, commands ...*cli.Command) *cli.Command {
	return &cli.Command{Name: name, Usage: usage, UsageText: "starter " + name + " COMMAND [ARGUMENTS] [OPTIONS]",
		Subcommands: commands, HideHelpCommand: true, OnUsageError: usageError}
}

// checkArgs sees to it that a command gets as many arguments as it takes; none
// takes more than one.
func checkArgs(c *cli.Context, args, text string) error {
	most := 1
	if args == "" {
		most = 0
	}
	switch n := c.NArg(); {
	case n > most:
		return usage("unexpected argument %q (names with spaces need quotes); usage: %s", c.Args().Get(most), text)
	case n == 0 && args != "" && !strings.HasPrefix(args, "["):
		return usage("%s is missing; usage: %s", args, text)
	case n == 1 && c.Args().First() == "" && !strings.HasPrefix(args, "["):
		return usage("%s is empty; usage: %s", args, text)
	}
	return nil
}

// required refuses a command line without the options.
func required(c *cli.Context, names ...string) error {
	for _, n := range names {
		if !c.IsSet(n) {
			return usage("the option --%s is missing (see: %s --help)", n, strings.TrimPrefix(c.Command.HelpName, " "))
		}
	}
	return nil
}

func (s *session) whoAmICommand() *cli.Command {
	return s.leaf("", leaf{
		name: "whoami", usage: "show who the worker thinks you are",
		example: "starter whoami",
		do: func(c *cli.Context) error {
			return show(c, s, protocol.WhoAmI, nil, func(p *page, a protocol.WhoAmIAnswer) {
				p.line("%s, %s", a.Name, a.Role)
			})
		},
	})
}
