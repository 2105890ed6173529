package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/contact"
)

func (s *session) exportCommands() *cli.Command {
	return group("export", "what is carried from where to where",
		s.leaf("export", leaf{
			name: "add", args: "NAME", usage: "define an export",
			detail: "The attributes that fields can be mapped to: " + attributes() + ".\n" +
				"The e-mail is required. Without a mapped consent and its date nobody is subscribed.",
			example: "starter export add spring --connection \"Spring shop\" --source crm --segment spring_buyers --id CustomerId \\\n" +
				"   --map email=Email --map first-name=FirstName --map consent=EmailConsent --map consent-date=ConsentDate",
			flags: []cli.Flag{
				&cli.StringFlag{Name: "connection", Usage: "`NAME` of the connection to send through"},
				&cli.StringFlag{Name: "source", Usage: "`NAME` of the source to read from"},
				&cli.StringSliceFlag{Name: "segment", Usage: "`SEGMENT` of the source; may be given several times"},
				&cli.StringFlag{Name: "id", Usage: "`FIELD` with the customer's id"},
				&cli.StringSliceFlag{Name: "map", Usage: "`ATTRIBUTE=FIELD`: which field fills an attribute; may be given several times"},
				&cli.StringSliceFlag{Name: "marker", Usage: "`SEGMENT=PROPERTY`: the custom property that marks members, where the derived one does not suit"},
				&cli.StringSliceFlag{Name: "consent-value", Usage: "`VALUE` of the consent field that is consent, in place of true, 1, yes, subscribed; may be given several times"},
				&cli.StringSliceFlag{Name: "opt-out-value", Usage: "`VALUE` of the consent field that is an opt-out, in place of unsubscribed, opted-out; may be given several times"},
				&cli.StringFlag{Name: "leavers", Usage: "what happens to contacts that left: unmark or keep (`POLICY`)", DefaultText: "unmark"},
				&cli.IntFlag{Name: "full-every", Usage: "send all contacts, changed or not, every `DAYS`: the account changes on its own side too", DefaultText: "never"},
			},
			do: s.exportAdd,
		}),
		s.leaf("export", leaf{
			name: "list", usage: "all exports with their last runs", example: "starter export list",
			do: func(c *cli.Context) error { return show(c, s, command.ExportList, nil, exportTable) },
		}),
		s.leaf("export", leaf{
			name: "show", args: "NAME", usage: "an export with its last run", example: "starter export show spring",
			do: func(c *cli.Context) error {
				return show(c, s, command.ExportShow, command.Named{Name: c.Args().First()}, exportPage)
			},
		}),
		s.editExportCommand(),
		s.removeExportCommand(),
	)
}

func attributes() string {
	var names []string
	for _, a := range contact.Attributes {
		names = append(names, string(a))
	}
	return strings.Join(names, ", ") + ",\nand property:NAME or property:NAME:TYPE for a custom property (text, number, boolean, date, list)"
}

func (s *session) exportAdd(c *cli.Context) error {
	if err := required(c, "connection", "source", "segment", "map"); err != nil {
		return err
	}
	args := command.ExportAddArgs{
		Name: c.Args().First(), Connection: c.String("connection"), Source: c.String("source"),
		Segments: c.StringSlice("segment"), ID: c.String("id"), Mapping: contact.Mapping{},
		Consent: contact.ConsentRule{Consent: c.StringSlice("consent-value"), OptOut: c.StringSlice("opt-out-value")},
		Leavers: catalogue.LeaverPolicy(c.String("leavers")), FullEvery: c.Int("full-every"),
	}
	for _, m := range c.StringSlice("map") {
		name, field, ok := strings.Cut(m, "=")
		attribute := contact.Attribute(name)
		switch _, twice := args.Mapping[attribute]; {
		case !ok || name == "" || field == "":
			return usage("--map %q is not ATTRIBUTE=FIELD", m)
		case twice:
			return usage("--map: the attribute %q is mapped twice", name)
		}
		args.Mapping[attribute] = field
	}
	for _, m := range c.StringSlice("marker") {
		// The last equals sign: a property has none, a segment's name may.
		i := strings.LastIndex(m, "=")
		if i <= 0 || i == len(m)-1 {
			return usage("--marker %q is not SEGMENT=PROPERTY", m)
		}
		if args.Markers == nil {
			args.Markers = map[string]string{}
		}
		if _, twice := args.Markers[m[:i]]; twice {
			return usage("--marker: the segment %q has two markers", m[:i])
		}
		args.Markers[m[:i]] = m[i+1:]
	}
	do := order{name: command.ExportAdd, args: args, object: args.Name}
	return carryOut(c, s, do, func(p *page, a command.ExportAnswer) {
		p.line("Added:")
		exportPage(p, a)
	})
}

func exportTable(p *page, all []command.ExportAnswer) {
	if len(all) == 0 {
		p.line("No exports yet; add one with: starter export add NAME …")
		return
	}
	var rows [][]any
	for _, a := range all {
		var names []string
		for _, seg := range a.Segments {
			names = append(names, seg.Segment)
		}
		rows = append(rows, []any{a.Name, or(a.Connection, "No connection"), a.Source, strings.Join(names, ", "), lastRun(p, a.LastRun), a.UpdatedBy})
	}
	p.table([]string{"name", "connection", "source", "segments", "last run", "updated by"}, rows)
}

func lastRun(p *page, r *command.RunAnswer) string {
	if r == nil {
		return "never"
	}
	at := r.StartedAt
	if r.EndedAt != nil {
		at = *r.EndedAt
	}
	return fmt.Sprintf("%s, %s", r.Status, p.time(at))
}

func exportPage(p *page, a command.ExportAnswer) {
	p.fields("name", a.Name, "connection", or(a.Connection, "No connection"), "source", a.Source, "id", a.ID,
		"leavers", string(a.Leavers), "full run", fullEvery(a.FullEvery), "consent values", strings.Join(a.Consent.Consent, ", "), "opt-out values", strings.Join(a.Consent.OptOut, ", "),
		"created", by(p, a.CreatedAt, a.CreatedBy), "updated", by(p, a.UpdatedAt, a.UpdatedBy), "last run", lastRun(p, a.LastRun))
	p.line("")
	var rows [][]any
	for _, seg := range a.Segments {
		rows = append(rows, []any{seg.Segment, seg.Marker})
	}
	p.table([]string{"segment", "marker"}, rows)
	p.line("")
	rows = nil
	for _, attribute := range a.Mapping.Sorted() {
		rows = append(rows, []any{attribute, a.Mapping[attribute]})
	}
	p.table([]string{"attribute", "field"}, rows)
	for _, g := range sortedGuards(a.Export) {
		p.line("guard %s asks above %g %%", g, 100*float64(a.Guards[g]))
	}
	if len(a.Notes) > 0 {
		p.line("")
		notes(p, a.Notes)
	}
}

// fullEvery says how often all contacts are sent; empty for never.
func fullEvery(days int) string {
	if days == 0 {
		return ""
	}
	return "every " + plural(days, "day", "days")
}

func sortedGuards(e catalogue.Export) []catalogue.Guard {
	var names []catalogue.Guard
	for g := range e.Guards {
		names = append(names, g)
	}
	slices.Sort(names)
	return names
}

func notes(p *page, all []string) {
	for _, n := range all {
		p.line("- %s", n)
	}
}
