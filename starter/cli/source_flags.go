package cli

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
)

// credentialVariable holds the credential of a source for source add.
const credentialVariable = "SEGMENT_EXPORT_SOURCE_CREDENTIAL"

func sourceFlags() []cli.Flag {
	text := func(name, usage string) cli.Flag { return &cli.StringFlag{Name: name, Usage: usage} }
	return []cli.Flag{
		text("path", "files: `DIR` with the files, below the worker's files root"),
		text("url", "files: `URL` of a bucket; dataverse: of the environment, such as https://contoso.crm4.dynamics.com"),
		text("account", "files: storage `ACCOUNT` of an azblob URL"),
		text("endpoint", "files: `URL` of the storage service, if it is not the default one"),
		text("region", "files: `REGION` of an S3 bucket"),
		text("layout", "files: `LAYOUT`: auto, plain, or customer-insights"),
		text("delimiter", "files: `CHARACTER` between columns, or tab"),
		text("encoding", "files: `NAME` of the text encoding, such as windows-1252"),
		text("columns", "files: `A,B,C`, the columns of CSV files without a header, in their order"),
		text("quote-escape", "files: `HOW` a quote within quotes is written: backslash for \\\" (default: doubled)"),
		text("sheet", "files: `NAME` of the sheet of a workbook (default: the first visible one)"),
		text("auth", "dataverse: `HOW` to log in: secret, certificate, managed-identity, azure-cli"),
		text("tenant", "dataverse: `ID` or domain of the Microsoft Entra tenant"),
		text("client-id", "dataverse: `ID` of the app registration, or of a managed identity"),
		text("authority", "dataverse: `URL` that issues tokens, for another cloud than the public one"),
		text("on-change", "dataverse: `WHAT` to do when a refresh changes a segment that is being read: reread, or warn"),
		&cli.IntFlag{Name: "settle", Usage: "dataverse: `SECONDS` to wait after the last change of the tables; -1: do not wait", DefaultText: "120"},
		text("host", "postgres: `HOST`, or the directory of a Unix socket"),
		&cli.IntFlag{Name: "port", Usage: "postgres: `PORT`", DefaultText: "5432"},
		text("database", "postgres: `NAME` of the database"),
		text("user", "postgres: `ROLE` to log in as"),
		text("tls", "postgres: `MODE`: verify-full, verify-ca, require, or disable (only on the worker's machine)"),
		text("ca-file", "postgres: `FILE` with the certificates to verify the server's certificate with"),
		text("schema", "postgres: `SCHEMA` whose tables and views with the id column are segments"),
		text("id-column", "postgres: `COLUMN` with the customer id"),
		&cli.StringSliceFlag{Name: "query", Usage: "postgres: `NAME=SQL` or NAME=@FILE adds a query as a segment, NAME= removes it; can be repeated"},
		&cli.StringSliceFlag{Name: "query-id", Usage: "postgres: `NAME=COLUMN` sets the id column of a query, if it is another one"},
		timeZoneFlag(), dateFormatFlag(),
		text("credential-file", "`FILE` with the credential, - for standard input"),
		text("credential-ref", "where the worker finds the credential: `REF` is env:NAME, or file:NAME"),
		text("who-can-use", "`WHO` may create exports from it: admins, or admins-and-contributors"),
		text("owner", "`USER` who is responsible for it"),
		&cli.BoolFlag{Name: "untested", Usage: "store it without testing it", DisableDefaultText: true},
	}
}

// setSource sets what the options say of the settings of the source's kind. An
// option of another kind is refused.
func setSource(c *cli.Context, s *catalogue.Source) error {
	for name, setting := range map[string]*string{"time-zone": &s.TimeZone, "date-format": &s.DateFormat} {
		if c.IsSet(name) {
			*setting = c.String(name)
		}
	}
	var own map[string]*string
	var numbers map[string]*int
	switch s.Type {
	case catalogue.TypeFiles:
		f := valueOf(s.Files)
		own = map[string]*string{"path": &f.Path, "url": &f.URL, "account": &f.Account, "endpoint": &f.Endpoint, "region": &f.Region,
			"layout": &f.Layout, "delimiter": &f.Delimiter, "encoding": &f.Encoding, "quote-escape": &f.QuoteEscape, "sheet": &f.Sheet}
		if c.IsSet("columns") {
			var err error
			if f.Columns, err = columnNames(c.String("columns")); err != nil {
				return err
			}
		}
		s.Files = &f
	case catalogue.TypeDataverse:
		d := valueOf(s.Dataverse)
		s.Dataverse = &d
		own = map[string]*string{"url": &d.URL, "auth": &d.Auth, "tenant": &d.Tenant, "client-id": &d.ClientID, "authority": &d.Authority, "on-change": &d.OnChange}
		numbers = map[string]*int{"settle": &d.SettleSeconds}
	case catalogue.TypePostgres:
		p := valueOf(s.Postgres)
		s.Postgres = &p
		own = map[string]*string{"host": &p.Host, "database": &p.Database, "user": &p.User, "tls": &p.TLS, "schema": &p.Schema, "id-column": &p.ID}
		numbers = map[string]*int{"port": &p.Port}
		if err := setQueries(c, &p); err != nil {
			return err
		}
		if c.IsSet("ca-file") {
			data, err := os.ReadFile(c.String("ca-file"))
			if err != nil {
				return usage("--ca-file: %v", err)
			}
			p.CA = string(data)
		}
	default:
		return usage("--kind %q is not a kind of source; there are: %s", s.Type, strings.Join(catalogue.SourceTypes, ", "))
	}
	for _, name := range sourceSettingFlags {
		if !c.IsSet(name) {
			continue
		}
		text, isText := own[name]
		number, isNumber := numbers[name]
		switch {
		case isText:
			*text = c.String(name)
		case isNumber:
			*number = c.Int(name)
		default:
			return usage("--%s does not apply to %s sources", name, s.Type)
		}
	}
	for name, kind := range map[string]string{"ca-file": catalogue.TypePostgres, "query": catalogue.TypePostgres, "query-id": catalogue.TypePostgres, "columns": catalogue.TypeFiles} {
		if s.Type != kind && c.IsSet(name) {
			return usage("--%s does not apply to %s sources", name, s.Type)
		}
	}
	return nil
}

// columnNames reads a list of names, as a line of CSV: a name with a comma is in
// quotes. Nothing is no list.
func columnNames(list string) ([]string, error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	line := csv.NewReader(strings.NewReader(list))
	line.TrimLeadingSpace = true
	names, err := line.Read()
	if err != nil {
		return nil, usage("--columns is not a list like A,B,C; put a name that has a comma in double quotes")
	}
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	return names, nil
}

// sourceSettingFlags are the options that set one setting each.
var sourceSettingFlags = []string{"path", "url", "account", "endpoint", "region", "layout", "delimiter", "encoding", "quote-escape", "sheet",
	"auth", "tenant", "client-id", "authority", "on-change", "settle", "host", "port", "database", "user", "tls", "schema", "id-column"}

func valueOf[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func setQueries(c *cli.Context, p *catalogue.PostgresSettings) error {
	p.Queries = maps.Clone(p.Queries)
	for _, text := range c.StringSlice("query") {
		name, sql, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return usage("--query %q is not NAME=SQL", text)
		}
		if path, isFile := strings.CutPrefix(sql, "@"); isFile {
			data, err := os.ReadFile(path)
			if err != nil {
				return usage("--query %s: %v", name, err)
			}
			sql = string(data)
		}
		if strings.TrimSpace(sql) == "" {
			delete(p.Queries, name)
			continue
		}
		if p.Queries == nil {
			p.Queries = map[string]catalogue.PostgresQuery{}
		}
		p.Queries[name] = catalogue.PostgresQuery{SQL: sql, ID: p.Queries[name].ID}
	}
	for _, text := range c.StringSlice("query-id") {
		name, column, ok := strings.Cut(text, "=")
		q, there := p.Queries[name]
		if !ok || !there {
			return usage("--query-id %q must be NAME=COLUMN, with the name of a query", text)
		}
		q.ID = column
		p.Queries[name] = q
	}
	return nil
}

// settingsOf is what a command says of a source.
func settingsOf(c *cli.Context, s catalogue.Source) protocol.SourceSettings {
	said := protocol.SourceSettings{Files: s.Files, Dataverse: s.Dataverse, Postgres: s.Postgres, Untested: c.Bool("untested")}
	if c.IsSet("time-zone") || c.IsSet("date-format") {
		said.Dates = &s.Dates
	}
	if c.IsSet("credential-ref") {
		said.Credential = new(c.String("credential-ref"))
	}
	if c.IsSet("who-can-use") {
		said.Shared = new(catalogue.Sharing(c.String("who-can-use")))
	}
	if c.IsSet("owner") {
		said.Owner = new(c.String("owner"))
	}
	return said
}

// newCredential gets the credential of a new source, nothing where it can do
// without one.
func (s *session) newCredential(c *cli.Context, source catalogue.Source) ([]byte, error) {
	what, needed := "", false
	switch {
	case source.Dataverse != nil:
		what, needed = "Client secret", source.Dataverse.Auth == "secret" || source.Dataverse.Auth == "certificate"
		if source.Dataverse.Auth == "certificate" && !c.IsSet("credential-file") {
			return nil, usage("use --credential-file FILE, with the certificate and its private key")
		}
	case source.Postgres != nil:
		what, needed = "Password of "+source.Postgres.User, true
	case source.Files != nil && source.Files.URL != "":
		what = "Key of the bucket (empty: the worker's own identity)"
	}
	if !needed && (what == "" || source.Dataverse != nil) && !c.IsSet("credential-file") {
		return nil, nil
	}
	if c.String("credential-file") == "" && s.o.env(credentialVariable) == "" && !s.o.InTerminal {
		if source.Dataverse != nil {
			return nil, usage("there is no credential: use --credential-file FILE (- for standard input) or --credential-ref REF, set %s, or run the command on a terminal, where it asks", credentialVariable)
		}
		return nil, nil // PostgreSQL may know its clients without a password, a cloud its machines
	}
	return s.credentialFrom(c.Context, c.String("credential-file"), what)
}

// credentialFrom reads a credential from a file, the environment or the
// terminal, in this order.
func (s *session) credentialFrom(ctx context.Context, file, what string) ([]byte, error) {
	switch {
	case file == "-" && !s.o.InTerminal:
		return readCredential(s.o.In)
	case file != "" && file != "-":
		f, err := os.Open(file)
		if err != nil {
			return nil, usage("--credential-file: %v", err)
		}
		defer f.Close()
		return readCredential(f)
	case file == "" && s.o.env(credentialVariable) != "":
		return []byte(s.o.env(credentialVariable)), nil
	}
	if what == "" {
		what = "Credential"
	}
	fmt.Fprintf(s.o.Err, "%s (not shown): ", clean(what))
	secret, err := s.o.ReadSecret(ctx)
	fmt.Fprintln(s.o.Err)
	if err != nil && !errors.Is(err, io.EOF) {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, fail(protocol.ErrFailed, "read the credential from the terminal: %v", err)
	}
	return []byte(secret), nil
}

func readCredential(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxKey+1))
	switch {
	case err != nil:
		return nil, usage("read the credential: %v", err)
	case len(data) > maxKey:
		return nil, usage("the file is too large to be a credential")
	case strings.TrimSpace(string(data)) == "":
		return nil, usage("the credential is empty")
	}
	return data, nil
}

// settingFields are the settings of a source for people.
func settingFields(a catalogue.Source) []string {
	switch {
	case a.Files != nil:
		f := a.Files
		return []string{"path", f.Path, "url", f.URL, "account", f.Account, "endpoint", f.Endpoint, "region", f.Region,
			"layout", f.Layout, "delimiter", f.Delimiter, "encoding", f.Encoding, "columns", strings.Join(f.Columns, ", "),
			"quote escape", f.QuoteEscape, "sheet", f.Sheet}
	case a.Dataverse != nil:
		d := a.Dataverse
		return []string{"url", d.URL, "login", d.Auth, "tenant", d.Tenant, "client id", d.ClientID, "authority", d.Authority,
			"on change", d.OnChange, "settle", number(d.SettleSeconds)}
	case a.Postgres != nil:
		p := a.Postgres
		fields := []string{"host", p.Host, "port", number(p.Port), "database", p.Database, "user", p.User, "tls", p.TLS,
			"schema", p.Schema, "id column", p.ID}
		for _, name := range slices.Sorted(maps.Keys(p.Queries)) {
			fields = append(fields, "query "+name, strings.Join(strings.Fields(p.Queries[name].SQL), " "))
		}
		return fields
	}
	return nil
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
