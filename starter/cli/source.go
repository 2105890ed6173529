package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
)

const sourceDetail = "Kinds:\n" +
	"  files      a folder below the worker's --files-root (--path), or a bucket (--url azblob://, abfss://, s3://, gs://)\n" +
	"  dataverse  an environment of Dynamics 365 Customer Insights - Data (--url, --auth, --tenant, --client-id)\n" +
	"  postgres   tables, views (--schema, --id-column) and queries (--query) of a PostgreSQL database\n\n" +
	"The credential (client secret, certificate, password, key) comes from --credential-file, from " + credentialVariable + "\n" +
	"or from a question on the terminal, never from an argument; it travels encrypted to the worker's key. With\n" +
	"--credential-ref the worker reads it before each use: env:NAME, or file:NAME in its folder of secrets.\n\n" +
	"The worker tests the source before it stores it, unless you use --untested."

func (s *session) sourceCommands() *cli.Command {
	return group("source", "manage the sources that segments are read from",
		s.leaf("source", leaf{
			name: "add", args: "NAME", usage: "add a source", detail: sourceDetail,
			example: "starter source add crm --path ./segments\n" +
				"starter source add insights --kind dataverse --url https://contoso.crm4.dynamics.com --auth secret \\\n" +
				"     --tenant contoso.onmicrosoft.com --client-id 00000000-0000-0000-0000-000000000000 --credential-file secret.txt\n" +
				"starter source add warehouse --kind postgres --host db.example.com --database crm --user segment_reader \\\n" +
				"     --schema segments --id-column customer_id --credential-ref env:SOURCE_WAREHOUSE_PASSWORD",
			flags: append([]cli.Flag{
				&cli.StringFlag{Name: "kind", Value: catalogue.TypeFiles, Usage: "`KIND` of the source: " + strings.Join(catalogue.SourceTypes, ", ")},
			}, sourceFlags()...),
			do: s.sourceAdd,
		}),
		s.leaf("source", leaf{
			name: "list", usage: "list sources", example: "starter source list",
			do: func(c *cli.Context) error { return show(c, s, protocol.SourceList, nil, sourceTable) },
		}),
		s.leaf("source", leaf{
			name: "show", args: "NAME", usage: "show a source with its segments, their fields and how each is read",
			detail:  "For files it shows what was detected: separator, encoding, header, parts. If you may export a segment, you also see\nits first three rows, and the audit records that; --stored shows neither.",
			example: "starter source show crm\nstarter source show crm --segment spring_buyers",
			flags: []cli.Flag{
				&cli.StringFlag{Name: "segment", Usage: "only the segment `NAME`"},
				&cli.BoolFlag{Name: "stored", Usage: "only what is stored, without asking the source", DisableDefaultText: true},
			},
			do: func(c *cli.Context) error {
				args := protocol.SourceShowArgs{Name: c.Args().First(), Segment: c.String("segment"), Stored: c.Bool("stored"), Rows: !c.Bool("stored")}
				if s.format == formatYAML && args.Segment == "" {
					return s.showDocument(c, catalogue.KindSource, protocol.SourceShowArgs{Name: args.Name, Stored: true})
				}
				return carryOut(c, s, order{name: protocol.SourceShow, args: args, object: args.Name, personal: args.Rows}, func(p *page, a protocol.SourceAnswer) {
					sourcePage(p, a.Source)
					if !args.Stored {
						segmentsPage(p, a)
					}
				})
			},
		}),
		s.leaf("source", leaf{
			name: "edit", args: "NAME", usage: "change a source, or replace a credential that has expired",
			detail:  "What you do not set stays. The worker tests the changed source before it stores it, unless you use --untested.\nIf you change where the source points, give its credential again.",
			example: "starter source edit insights --credential-file new-secret.txt\nstarter source edit warehouse --host db2.example.com --credential-file password.txt",
			flags: append(sourceFlags(),
				&cli.BoolFlag{Name: "no-credential", Usage: "remove the stored credential", DisableDefaultText: true},
				versionFlag()),
			do: s.sourceEdit,
		}),
		s.leaf("source", leaf{
			name: "test", args: "NAME", usage: "test login, permissions and a first page, and say what is missing",
			example: "starter source test insights",
			do:      s.sourceTest,
		}),
		s.leaf("source", leaf{
			name: "share", args: "NAME", usage: "set who may create exports from a source",
			example: "starter source share crm --with admins-and-contributors",
			flags:   []cli.Flag{&cli.StringFlag{Name: "with", Usage: "`WHO`: admins, or admins-and-contributors"}},
			do: func(c *cli.Context) error {
				if err := required(c, "with"); err != nil {
					return err
				}
				args := protocol.SourceShareArgs{Name: c.Args().First(), With: catalogue.Sharing(c.String("with"))}
				return carryOut(c, s, order{name: protocol.SourceShare, args: args, object: args.Name}, func(p *page, a catalogue.Source) {
					p.line("The source %s can be used by %s", a.Name, a.Shared)
				})
			},
		}),
		s.leaf("source", leaf{
			name: "owner", args: "NAME", usage: "set the owner of a source",
			detail:  "The owner may create exports from it whether or not it is shared.",
			example: "starter source owner crm --to ann@example.com",
			flags:   []cli.Flag{&cli.StringFlag{Name: "to", Usage: "`USER` as starter whoami shows it"}},
			do: func(c *cli.Context) error {
				if err := required(c, "to"); err != nil {
					return err
				}
				args := protocol.SourceOwnerArgs{Name: c.Args().First(), To: c.String("to")}
				return carryOut(c, s, order{name: protocol.SourceOwner, args: args, object: args.Name}, func(p *page, a catalogue.Source) {
					p.line("%s owns the source %s", a.Owner, a.Name)
				})
			},
		}),
		s.leaf("source", leaf{
			name: "remove", args: "NAME", usage: "remove a source that no export uses",
			example: "starter source remove crm",
			do: func(c *cli.Context) error {
				return show(c, s, protocol.SourceRemove, protocol.Named{Name: c.Args().First()}, func(p *page, a catalogue.Source) {
					p.line("Removed the source %s", a.Name)
				})
			},
		}),
	)
}

func (s *session) sourceAdd(c *cli.Context) error {
	source := catalogue.Source{Meta: catalogue.Meta{Name: c.Args().First()}, Type: c.String("kind")}
	if err := setSource(c, &source); err != nil {
		return err
	}
	if source.Files != nil && source.Files.URL == "" {
		if err := required(c, "path"); err != nil {
			return err
		}
	}
	args := protocol.SourceAddArgs{Name: source.Name, Kind: source.Type, SourceSettings: settingsOf(c, source)}
	do := order{name: protocol.SourceAdd, args: args, object: args.Name, personal: true}
	if args.Credential == nil {
		if err := s.ready(c.Context); err != nil {
			return err
		}
		secret, err := s.newCredential(c, source)
		if err != nil {
			return err
		}
		if len(secret) > 0 {
			do.secret = protocol.SourceSecret{Credential: secret}
		}
	}
	return carryOut(c, s, do, func(p *page, a protocol.SourceAnswer) {
		p.line("Added:")
		sourcePage(p, a.Source)
		segmentsPage(p, a)
	})
}

func (s *session) sourceEdit(c *cli.Context) error {
	name := c.Args().First()
	if c.Bool("no-credential") && (c.IsSet("credential-ref") || c.IsSet("credential-file")) {
		return usage("use either --no-credential or a credential, not both")
	}
	if !slices.ContainsFunc(c.Command.Flags, func(f cli.Flag) bool {
		return !slices.Contains([]string{"output", "quiet", "utc", "verbose", "version", "untested"}, f.Names()[0]) && c.IsSet(f.Names()[0])
	}) {
		return usage("nothing to change; see: starter source edit --help")
	}
	now, err := answer[protocol.SourceAnswer](c.Context, s, order{name: protocol.SourceShow,
		args: protocol.SourceShowArgs{Name: name, Stored: true}, object: name})
	if err != nil {
		return err
	}
	source := now.Source
	if err := setSource(c, &source); err != nil {
		return err
	}
	args := protocol.SourceEditArgs{Name: name, Version: source.Version, SourceSettings: settingsOf(c, source)}
	if c.IsSet("version") {
		args.Version = c.Int64("version")
	}
	if c.Bool("no-credential") {
		args.Credential = new("")
	}
	do := order{name: protocol.SourceEdit, args: args, object: name, personal: true}
	if c.IsSet("credential-file") {
		secret, err := s.credentialFrom(c.Context, c.String("credential-file"), "")
		if err != nil {
			return err
		}
		do.secret = protocol.SourceSecret{Credential: secret}
	}
	return carryOut(c, s, do, func(p *page, a protocol.SourceAnswer) {
		p.line("Changed:")
		sourcePage(p, a.Source)
		notes(p, a.Notes)
	})
}

func (s *session) sourceTest(c *cli.Context) error {
	args := protocol.Named{Name: c.Args().First()}
	raw, err := s.call(c.Context, order{name: protocol.SourceTest, args: args, object: args.Name, personal: true})
	if err != nil {
		return err
	}
	var tested protocol.SourceTested
	if err := decode(raw, &tested); err != nil {
		return err
	}
	err = s.print(raw, func(p *page) { checksPage(p, tested) })
	if err == nil && !tested.OK {
		return fail(protocol.ErrFailed, "runs would stop at the checks marked FAILED")
	}
	return err
}

func checksPage(p *page, a protocol.SourceTested) {
	var rows [][]any
	for _, check := range a.Checks {
		result := "ok"
		if !check.OK {
			result = "FAILED"
		}
		rows = append(rows, []any{check.Name, result, check.Detail})
	}
	p.table([]string{"check", "result", "found"}, rows)
	for _, check := range a.Checks {
		if check.Action != "" {
			p.line("")
			p.line("%s: %s", check.Name, check.Action)
		}
	}
}

func sourceTable(p *page, all []catalogue.Source) {
	if len(all) == 0 {
		p.line("No sources yet; add one with: starter source add NAME --path DIR")
		return
	}
	var rows [][]any
	for _, a := range all {
		rows = append(rows, []any{a.Name, a.Type, place(a), sharedWith(a.Shared, a.UpdatedBy), a.Owner})
	}
	p.table([]string{"name", "kind", "place", "who can use", "owner"}, rows)
}

// sharedWith says who may use a connection or a source. Users who may not hold it
// do not get to see that, nor who changed it last.
func sharedWith(s catalogue.Sharing, updatedBy string) string {
	if updatedBy == "" {
		return ""
	}
	return s.String()
}

// place is where a source is, in a word.
func place(a catalogue.Source) string {
	switch {
	case a.Files != nil:
		return a.Files.Path + a.Files.URL
	case a.Dataverse != nil:
		return a.Dataverse.URL
	case a.Postgres != nil:
		return a.Postgres.Host + "/" + a.Postgres.Database
	}
	return ""
}

func sourcePage(p *page, a catalogue.Source) {
	fields := []string{"name", a.Name, "kind", a.Type}
	fields = append(fields, settingFields(a)...)
	credential := a.Credential
	if credential == "" && a.UpdatedBy != "" {
		credential = "none"
	}
	p.fields(append(fields, "time zone", a.TimeZone, "date format", a.DateFormat, "credential", credential, "who can use", sharedWith(a.Shared, a.UpdatedBy), "owner", a.Owner,
		"created", by(p, a.CreatedAt, a.CreatedBy), "updated", by(p, a.UpdatedAt, a.UpdatedBy), "version", number(int(a.Version)))...)
}

func segmentsPage(p *page, a protocol.SourceAnswer) {
	p.line("")
	if len(a.SegmentList) == 0 {
		p.line("No segments can be read now. To see why: starter source test %q", a.Name)
		notes(p, a.Notes)
		return
	}
	// Most sources do not report everything.
	told := func(has func(protocol.SegmentAnswer) bool) bool { return slices.ContainsFunc(a.SegmentList, has) }
	columns := []struct {
		name string
		show bool
		cell func(protocol.SegmentAnswer) any
	}{
		{"segment", true, func(s protocol.SegmentAnswer) any { return s.Name }},
		{"title", told(func(s protocol.SegmentAnswer) bool { return s.Title != "" }), func(s protocol.SegmentAnswer) any { return s.Title }},
		{"members", told(func(s protocol.SegmentAnswer) bool { return s.Members != nil }), func(s protocol.SegmentAnswer) any { return known(s.Members) }},
		{"refreshed", told(func(s protocol.SegmentAnswer) bool { return !s.RefreshedAt.IsZero() }), func(s protocol.SegmentAnswer) any { return p.minute(s.RefreshedAt) }},
		{"bytes", told(func(s protocol.SegmentAnswer) bool { return s.Bytes > 0 }), func(s protocol.SegmentAnswer) any { return int(s.Bytes) }},
		{"fields", len(a.Fields) == 0, fieldsCell},
	}
	var header []string
	rows := make([][]any, len(a.SegmentList))
	for _, column := range columns {
		if !column.show {
			continue
		}
		header = append(header, column.name)
		for i, s := range a.SegmentList {
			rows[i] = append(rows[i], column.cell(s))
		}
	}
	p.table(header, rows)
	if len(a.Fields) > 0 {
		p.line("")
		p.line("Fields of each: %s", strings.Join(a.Fields, ", "))
	}
	for _, s := range a.SegmentList {
		howPage(p, s, a.Fields)
	}
	notes(p, a.Notes)
}

// howPage says how a segment is read, and shows its first rows.
func howPage(p *page, s protocol.SegmentAnswer, fields []string) {
	if len(s.How) == 0 {
		return
	}
	p.line("")
	p.line("%s is read as: %s", s.Name, strings.Join(s.How, ", "))
	looked := fmt.Sprintf("Rows looked at: %d", s.Looked)
	for _, problem := range slices.Sorted(maps.Keys(s.Problems)) {
		looked += fmt.Sprintf(", %s: %d", problem, s.Problems[problem])
	}
	p.line("%s", looked)
	reasons := map[string]int{}
	for problem, rows := range s.Problems {
		reasons[string(problem)] = rows
	}
	advice(p, reasons)
	if len(s.Rows) == 0 {
		return
	}
	if len(s.Fields) > 0 {
		fields = s.Fields
	}
	var header []string
	rows := make([][]any, len(s.Rows))
	for i, field := range fields[:min(len(fields), len(s.Rows[0]))] {
		header = append(header, field)
		for r, row := range s.Rows {
			rows[r] = append(rows[r], row[i])
		}
	}
	p.table(header, rows)
}

func fieldsCell(s protocol.SegmentAnswer) any {
	if s.Error != "" {
		return "cannot be read: " + s.Error
	}
	return strings.Join(s.Fields, ", ")
}

// known is a number that a source may not report.
func known(n *int64) any {
	if n == nil {
		return ""
	}
	return int(*n)
}
