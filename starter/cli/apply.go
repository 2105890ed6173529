package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/manifest"
)

const manifestDetail = `The file has documents of kind, name and spec: sources, connections without their keys, exports, schedules (with the
name of their export), the system refresh and alerts. "starter config" prints the whole configuration as such a file, "show
NAME --output yaml" a part of it. Objects that are not in the file stay as they are; nothing is removed. Of a
connection or a source, only the fields in the spec are changed. Any other object matches its spec in full; fields
that are left out get their defaults.`

func fileFlag() cli.Flag {
	return &cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "`FILE` with the configuration, - for standard input"}
}

func (s *session) applyCommand() *cli.Command {
	return s.leaf("", leaf{
		name: "apply", usage: "apply a configuration file",
		detail:  manifestDetail + "\nIt shows the differences and asks before it changes anything. Applied again it changes nothing.",
		example: "starter apply -f exports.yaml --dry-run\nstarter apply -f exports.yaml --yes",
		flags: []cli.Flag{
			fileFlag(),
			&cli.BoolFlag{Name: "dry-run", Usage: "show the changes and make none", DisableDefaultText: true},
			&cli.BoolFlag{Name: "agree", Usage: "agree to the transfer of personal data over new connections", DisableDefaultText: true},
			yesFlag("do not ask"),
		},
		do: s.apply,
	})
}

func (s *session) diffCommand() *cli.Command {
	return s.leaf("", leaf{
		name: "diff", usage: "show how a configuration file differs from what is stored",
		detail:  manifestDetail,
		example: "starter diff -f exports.yaml",
		flags: []cli.Flag{
			fileFlag(),
			&cli.BoolFlag{Name: "exit-code", Usage: "exit with 1 when there are differences", DisableDefaultText: true},
		},
		do: s.diff,
	})
}

// planned is what applying a file changes.
type planned struct {
	Steps   []*step `json:"steps"`
	Changes int     `json:"changes"` // of Steps, those that change something
	Applied bool    `json:"applied"`
}

// The actions of a step.
const (
	actionNone   = "none"
	actionAdd    = "add"
	actionChange = "change"
)

// step is the change for one document.
type step struct {
	Kind        catalogue.Kind        `json:"kind"`
	Name        string                `json:"name"`
	Action      string                `json:"action"`
	Differences []manifest.Difference `json:"differences,omitempty"`
	Done        bool                  `json:"done,omitempty"`

	doc     manifest.Document
	version int64 // of the object that is changed
	problem string
}

// readManifest reads the file of the option; its problems have their places.
func (s *session) readManifest(c *cli.Context) ([]manifest.Document, error) {
	name := c.String("file")
	var data []byte
	var err error
	switch name {
	case "":
		return nil, required(c, "file")
	case "-":
		data, err = io.ReadAll(s.o.In)
		name = "standard input"
	default:
		data, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, usage("--file: %v", err)
	}
	docs, err := manifest.Read(data)
	if problems, ok := errors.AsType[manifest.PlaceErrors](err); ok {
		text := ""
		for _, p := range problems {
			text += fmt.Sprintf("\n%s:%v", name, p)
		}
		return nil, usage("the file cannot be applied:%s", text)
	}
	if err == nil && len(docs) == 0 {
		err = usage("%s holds no documents", name)
	}
	return docs, err
}

// problem says what keeps the file from being applied, each with its line.
func (p *planned) problem() error {
	var all []string
	for _, st := range p.Steps {
		if st.problem != "" {
			all = append(all, fmt.Sprintf("%s, line %d: %s", st.doc, st.doc.Line, st.problem))
		}
	}
	if len(all) == 0 {
		return nil
	}
	return usage("%s", strings.Join(all, "\n"))
}

func (s *session) diff(c *cli.Context) error {
	docs, err := s.readManifest(c)
	if err != nil {
		return err
	}
	plan, err := s.compare(c.Context, docs)
	if err != nil {
		return err
	}
	if err := s.printPlan(plan); err != nil {
		return err
	}
	if err := plan.problem(); err != nil {
		return err
	}
	if plan.Changes > 0 && c.Bool("exit-code") {
		return ended(exitFailed)
	}
	return nil
}

func (s *session) apply(c *cli.Context) error {
	docs, err := s.readManifest(c)
	if err != nil {
		return err
	}
	plan, err := s.compare(c.Context, docs)
	if err != nil {
		return err
	}
	if err := plan.problem(); err != nil {
		return err
	}
	if c.Bool("dry-run") || plan.Changes == 0 {
		return s.printPlan(plan)
	}
	agree, err := s.consent(c, plan)
	if err != nil {
		return err
	}
	if !c.Bool("yes") {
		if !s.o.InTerminal {
			return usage("%s would be changed, and it is asked before: give --yes, or look with --dry-run", plural(plan.Changes, "object", "objects"))
		}
		planPage(&page{out: s.o.Err, zone: s.o.Zone}, plan)
		yes, err := s.ask(c.Context, "Apply?")
		if err != nil {
			return err
		}
		if !yes {
			return usage("nothing was changed")
		}
	}
	for i, st := range plan.Steps {
		if st.Action == actionNone {
			continue
		}
		if err := s.carryOutStep(c.Context, st, agree); err != nil {
			return s.broken(plan, i, err)
		}
		st.Done = true
	}
	plan.Applied = true
	return s.printPlan(plan)
}

// broken says what was done before a step failed.
func (s *session) broken(plan *planned, at int, err error) error {
	done := 0
	for _, st := range plan.Steps {
		if st.Done {
			done++
		}
	}
	f := asFailure(err)
	return &failure{class: f.class, message: fmt.Sprintf("%s: %s (%d of %d changes were made before; applied again, the rest is made)",
		plan.Steps[at].doc, f.message, done, plan.Changes)}
}

// consent gets the agreement that new connections need.
func (s *session) consent(c *cli.Context, plan *planned) (bool, error) {
	for _, st := range plan.Steps {
		if st.Kind != catalogue.KindConnection || st.Action != actionAdd || c.Bool("agree") {
			continue
		}
		if !s.o.InTerminal {
			return false, usage("%s is new and transfers personal data to Omnisend. Read the statement, then agree with --agree.\n\n%s",
				st.doc, catalogue.TransferStatement)
		}
		return true, s.askConsent(c.Context, "nothing was changed")
	}
	return true, nil
}

func (s *session) printPlan(plan *planned) error {
	raw, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	return s.print(raw, func(p *page) { planPage(p, plan) })
}

func planPage(p *page, plan *planned) {
	signs := map[string]string{actionNone: "=", actionAdd: "+", actionChange: "~"}
	for _, st := range plan.Steps {
		p.line("%s %s", signs[st.Action], st.doc)
		for _, d := range st.Differences {
			p.line("    %s", d)
		}
		if st.problem != "" {
			p.line("    ! %s", st.problem)
		}
	}
	switch {
	case plan.Changes == 0:
		p.line("Everything is as the file says")
	case plan.Applied:
		p.line("Applied: %s", plural(plan.Changes, "change", "changes"))
	default:
		p.line("%s not as the file says; nothing was changed", plural(plan.Changes, "object is", "objects are"))
	}
}

// carryOutStep gives the commands that make an object match its document.
func (s *session) carryOutStep(ctx context.Context, st *step, agree bool) error {
	switch st.Kind {
	case catalogue.KindSchedule:
		return s.applySchedule(ctx, st)
	case catalogue.KindRefresh:
		return s.applyRefresh(ctx, st)
	case catalogue.KindAlert:
		return s.applyAlert(ctx, st)
	}
	do, err := st.order(agree)
	if err == nil {
		_, err = s.call(ctx, do)
	}
	return err
}
