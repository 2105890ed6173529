package cli

import (
	"context"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

// completeWord is the hidden command that the scripts of shells call with the
// words of a command line. The last word is the one being completed.
const completeWord = "__complete"

// completionTime bounds how long a completion waits for the worker.
const completionTime = 1500 * time.Millisecond

//go:embed completion/starter.bash
var completionBash string

//go:embed completion/starter.zsh
var completionZsh string

//go:embed completion/starter.fish
var completionFish string

//go:embed completion/starter.ps1
var completionPowerShell string

var completionScripts = map[string]string{
	"bash": completionBash, "zsh": completionZsh, "fish": completionFish, "powershell": completionPowerShell,
}

func (s *session) completionCommand() *cli.Command {
	return s.leaf("", leaf{
		name: "completion", args: "SHELL", usage: "print the completion script for bash, zsh, fish or powershell",
		detail: `The script completes commands, options and their values, and asks the worker for the names of exports, sources,
connections, alerts and runs. Without a worker it completes the rest.

   bash        source <(starter completion bash)
   zsh         starter completion zsh > "${fpath[1]}/_starter"
   fish        starter completion fish > ~/.config/fish/completions/starter.fish
   powershell  starter completion powershell | Out-String | Invoke-Expression`,
		example: "source <(starter completion bash)",
		do: func(c *cli.Context) error {
			script, ok := completionScripts[c.Args().First()]
			if !ok {
				return usage("there is no completion for %q; the shells are %s", c.Args().First(), strings.Join(slices.Sorted(maps.Keys(completionScripts)), ", "))
			}
			_, err := fmt.Fprint(s.o.Out, script)
			return err
		},
	})
}

// candidate is one way to complete a word.
type candidate struct{ value, about string }

// complete prints the candidates for the last word, one on a line, with a tab
// before the description. The shell keeps those that begin with the word. It
// prints no failure: a message would end up in the command line.
func (s *session) complete(ctx context.Context, words []string) error {
	if len(words) == 0 {
		words = []string{""}
	}
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	s.file = s.o.env(tokenFileVariable)
	for _, one := range s.candidates(ctx, joinEquals(words)) {
		if strings.ContainsAny(one.value, "\n\t") || clean(one.value) != one.value {
			continue
		}
		fmt.Fprintf(s.o.Out, "%s\t%s\n", one.value, strings.Join(strings.Fields(clean(one.about)), " "))
	}
	return nil
}

// joinEquals undoes that bash makes three words of --name=value. The value
// stays the word to complete.
func joinEquals(words []string) []string {
	last := len(words) - 1
	var joined []string
	for i, word := range words {
		switch {
		case word == "=" && i == last:
			return append(joined, "")
		case word != "=":
			joined = append(joined, word)
		}
	}
	return joined
}

func (s *session) candidates(ctx context.Context, words []string) []candidate {
	app := s.app()
	at := arranger{app: app, commands: app.Commands, flags: app.Flags}
	last := words[len(words)-1]
	before := words[:len(words)-1]
	for i := 0; i < len(before); i++ {
		used, err := at.take(before[i], before[i+1:])
		if err != nil && i == len(before)-1 { // an option without its value
			return s.optionValues(ctx, at.path, strings.TrimLeft(before[i], "-"))
		}
		if err != nil {
			return nil
		}
		i += used
	}
	name, _, joined := strings.Cut(last, "=")
	switch {
	case strings.HasPrefix(last, "-") && joined && !at.literal:
		values := s.optionValues(ctx, at.path, strings.TrimLeft(name, "-"))
		for i := range values {
			values[i].value = name + "=" + values[i].value
		}
		return values
	case strings.HasPrefix(last, "-") && !at.literal:
		return optionNames(at.flags)
	case len(at.commands) > 0:
		return commandNames(at.commands)
	case len(at.positional) == 0:
		return s.argumentValues(ctx, app, at.path)
	}
	return nil
}

func commandNames(commands []*cli.Command) (all []candidate) {
	for _, c := range commands {
		if !c.Hidden {
			all = append(all, candidate{c.Name, c.Usage})
		}
	}
	return all
}

func optionNames(flags []cli.Flag) (all []candidate) {
	seen := map[string]bool{}
	for _, f := range flags {
		name := f.Names()[0]
		documented, ok := f.(cli.DocGenerationFlag)
		if !ok || seen[name] {
			continue
		}
		seen[name] = true
		all = append(all, candidate{"--" + name, strings.ReplaceAll(documented.GetUsage(), "`", "")})
	}
	return append(all, candidate{"--help", "show help"})
}

// fixedValues are the values of options that take one of a few.
var fixedValues = map[string][]string{
	"output":           {formatText, formatJSON, formatYAML, formatJSONL},
	"kind":             catalogue.SourceTypes,
	"leavers":          {string(catalogue.LeaversUnmark), string(catalogue.LeaversKeep)},
	"who-can-use":      {string(catalogue.SharedAdmins), string(catalogue.SharedContributors)},
	"with":             {string(catalogue.SharedAdmins), string(catalogue.SharedContributors)},
	"markers":          {protocol.MarkersKeep, protocol.MarkersClear},
	"running":          {protocol.RunningCancel, protocol.RunningFinish},
	"fail-on":          {failOnNew, failOnRejects, failOnNever},
	"empty":            {"keep", "clear"},
	"undated-opt-outs": {"first-seen", "ignore"},
	"refusals":         {"opt-out", "none"},
}

func (s *session) optionValues(ctx context.Context, path []string, option string) (all []candidate) {
	command := strings.Join(path, " ")
	switch option {
	case "o":
		option = "output"
	case "connection":
		return s.names(ctx, protocol.ConnectionList)
	case "source", "follow":
		return s.names(ctx, protocol.SourceList)
	case "export":
		return s.names(ctx, protocol.ExportList)
	case "status":
		for _, status := range run.Statuses {
			all = append(all, candidate{string(status), ""})
		}
		return all
	case "guard":
		if command != protocol.RunsApprove {
			return nil
		}
		for _, guard := range catalogue.Guards {
			all = append(all, candidate{string(guard), ""})
		}
		return all
	case "on":
		for _, condition := range catalogue.Conditions {
			all = append(all, candidate{string(condition), ""})
		}
		return all
	}
	for _, value := range fixedValues[option] {
		all = append(all, candidate{value, ""})
	}
	return all
}

// argumentValues are the values of a command's argument.
func (s *session) argumentValues(ctx context.Context, app *cli.App, path []string) (all []candidate) {
	command := app.Command(path[0])
	if len(path) > 1 {
		command = command.Command(path[1])
	}
	switch takes := command.ArgsUsage; {
	case takes == "SHELL":
		for _, shell := range slices.Sorted(maps.Keys(completionScripts)) {
			all = append(all, candidate{shell, ""})
		}
	case strings.Contains(takes, "RUN"):
		all = append(s.names(ctx, protocol.ExportList), s.runs(ctx)...)
	case strings.Contains(takes, "EXPORT"):
		return s.names(ctx, protocol.ExportList)
	case takes == "NAME" && command.Name != "add":
		list := path[0] + " list"
		if slices.Contains([]string{protocol.SourceList, protocol.ConnectionList, protocol.ExportList, protocol.AlertList}, list) {
			return s.names(ctx, list)
		}
	}
	return all
}

// names asks the worker for the names of all objects of a kind; none when it
// does not answer.
func (s *session) names(ctx context.Context, list string) (all []candidate) {
	found, err := answer[[]struct {
		Name string `json:"name"`
	}](ctx, s, order{name: list})
	if err != nil {
		return nil
	}
	for _, one := range found {
		all = append(all, candidate{one.Name, ""})
	}
	return all
}

// runsOffered is how many of the newest runs a completion offers.
const runsOffered = 20

func (s *session) runs(ctx context.Context) (all []candidate) {
	page, err := answer[protocol.RunsPage](ctx, s, order{name: protocol.RunsList, args: protocol.RunsListArgs{Limit: runsOffered}})
	if err != nil {
		return nil
	}
	for _, r := range page.Runs {
		all = append(all, candidate{shortID(r.RunID), fmt.Sprintf("%s, %s", r.Export, r.Status)})
	}
	return all
}
