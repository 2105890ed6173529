package catalogue

import (
	"strconv"
	"strings"
)

// The kinds of sources.
const (
	TypeFiles     = "files"
	TypeDataverse = "dataverse"
	TypePostgres  = "postgres"
)

// SourceTypes lists the kinds of sources.
var SourceTypes = []string{TypeFiles, TypeDataverse, TypePostgres}

// Source is one place that segments are read from. It has the settings of its
// own kind and no others. What they mean, and which are possible, says the
// package that reads that kind; these are the same settings without the
// libraries that it takes to use them.
type Source struct {
	Meta
	Dates

	Type      string             `json:"kind"`             // one of SourceTypes
	Owner     string             `json:"owner,omitempty"`  // who answers for it, and may read from it whether it is shared or not
	Shared    Sharing            `json:"shared,omitempty"` // who besides administrators may read from it
	Files     *FilesSettings     `json:"files,omitempty"`
	Dataverse *DataverseSettings `json:"dataverse,omitempty"`
	Postgres  *PostgresSettings  `json:"postgres,omitempty"`
	// Credential says how the source logs in: CredentialStored, a reference that
	// the worker resolves (env:NAME, file:NAME), or nothing.
	Credential string `json:"credential,omitempty"`
}

// CredentialStored says that the credential is sealed in the store.
const CredentialStored = "stored"

// FilesSettings say where files are and how to read them.
type FilesSettings struct {
	Path      string `json:"path,omitempty"`      // folder below the worker's files root
	URL       string `json:"url,omitempty"`       // or a bucket
	Account   string `json:"account,omitempty"`   // storage account of an azblob URL
	Endpoint  string `json:"endpoint,omitempty"`  // of the storage service, where it is not the usual one
	Region    string `json:"region,omitempty"`    // of an S3 bucket
	Layout    string `json:"layout,omitempty"`    // auto, plain, customer-insights
	Delimiter string `json:"delimiter,omitempty"` // one character, or "tab"
	Encoding  string `json:"encoding,omitempty"`  // such as windows-1252

	Columns     []string `json:"columns,omitempty"`      // of CSV files without a header
	QuoteEscape string   `json:"quote_escape,omitempty"` // backslash, where quotes are not doubled
	Sheet       string   `json:"sheet,omitempty"`        // of a workbook, where it is not the first
}

// DataverseSettings say which environment of Customer Insights is read and how
// to log in there.
type DataverseSettings struct {
	URL           string `json:"url"`                      // such as https://contoso.crm4.dynamics.com
	Auth          string `json:"auth"`                     // secret, certificate, managed-identity, azure-cli
	Tenant        string `json:"tenant,omitempty"`         // id or domain
	ClientID      string `json:"client_id,omitempty"`      // of the app registration or managed identity
	Authority     string `json:"authority,omitempty"`      // where tokens come from, if not the public cloud
	OnChange      string `json:"on_change,omitempty"`      // reread, warn
	SettleSeconds int    `json:"settle_seconds,omitempty"` // how long tables must have been left alone; -1: not at all
}

// PostgresSettings say which database is read and what in it is a segment.
type PostgresSettings struct {
	Host     string                   `json:"host"` // name, address, or folder of a socket
	Port     int                      `json:"port,omitempty"`
	Database string                   `json:"database"`
	User     string                   `json:"user"`
	TLS      string                   `json:"tls,omitempty"`     // verify-full, verify-ca, require, disable
	CA       string                   `json:"ca,omitempty"`      // certificates that the server's is checked against, as PEM
	Schema   string                   `json:"schema,omitempty"`  // whose tables and views with the id column are segments
	ID       string                   `json:"id,omitempty"`      // the column with the customer id
	Queries  map[string]PostgresQuery `json:"queries,omitempty"` // segments by name that are queries
}

// PostgresQuery is a segment that a query gives.
type PostgresQuery struct {
	SQL string `json:"sql"`
	ID  string `json:"id,omitempty"` // its id column, where it is another one
}

// Check says whether the source has the settings of its kind and no others;
// whether they can be is for the worker to see.
func (s *Source) Check() error {
	given := map[string]bool{TypeFiles: s.Files != nil, TypeDataverse: s.Dataverse != nil, TypePostgres: s.Postgres != nil}
	if _, ok := given[s.Type]; !ok {
		return invalid("--kind %q is not a kind of source; there are: %s", s.Type, strings.Join(SourceTypes, ", "))
	}
	if err := s.Dates.Check(); err != nil {
		return err
	}
	for _, kind := range SourceTypes {
		switch {
		case kind == s.Type && !given[kind]:
			return invalid("the source %q is of the kind %s and has no settings of that kind", s.Name, s.Type)
		case kind != s.Type && given[kind]:
			return invalid("the source %q is of the kind %s and has settings of the kind %s", s.Name, s.Type, kind)
		}
	}
	return nil
}

// Settings are those of the source's kind.
func (s *Source) Settings() any {
	switch s.Type {
	case TypeDataverse:
		return s.Dataverse
	case TypePostgres:
		return s.Postgres
	}
	return s.Files
}

// Destination names where the credential is shown. A stored credential is bound
// to it: a change of the destination needs the credential again.
func (s *Source) Destination() string {
	switch {
	case s.Dataverse != nil:
		return strings.Join([]string{TypeDataverse, s.Dataverse.URL, s.Dataverse.Authority, s.Dataverse.Tenant, s.Dataverse.ClientID}, " ")
	case s.Postgres != nil:
		return strings.Join([]string{TypePostgres, s.Postgres.Host, strconv.Itoa(s.Postgres.Port), s.Postgres.User}, " ")
	case s.Files != nil:
		return strings.Join([]string{TypeFiles, s.Files.URL, s.Files.Account, s.Files.Endpoint}, " ")
	}
	return s.Type
}
