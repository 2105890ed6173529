package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/segment"
)

// credential opens what the nth command brought sealed.
func credential(b *bench, n int) string {
	b.t.Helper()
	r := b.server.requests[n]
	plain, err := b.keyring.OpenEnvelope(r.Sealed, protocol.Context(r.ID))
	require.NoError(b.t, err)
	var secret protocol.SourceSecret
	require.NoError(b.t, json.Unmarshal(plain, &secret))
	return string(secret.Credential)
}

func TestSourcesOfEveryKindAreAdded(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	password, query := filepath.Join(dir, "password"), filepath.Join(dir, "vip.sql")
	require.NoError(t, os.WriteFile(password, []byte("s3cret\n"), 0o600))
	require.NoError(t, os.WriteFile(query, []byte("SELECT id, email FROM people"), 0o600))
	b.answers(protocol.SourceAnswer{}, protocol.SourceAnswer{}, protocol.SourceAnswer{})
	require.Equal(t, 0, b.run("source", "add", "warehouse", "--kind", "postgres", "--host", "db.example.com", "--port", "6432", "--database", "crm", "--user", "reader",
		"--id-column", "id", "--query", "vip=@"+query, "--query", "all=SELECT a, b FROM t", "--query-id", "all=a", "--credential-file", password, "--who-can-use", "admins-and-contributors"), b.err.String())
	got := args[protocol.SourceAddArgs](b, 0)
	require.Equal(t, &catalogue.PostgresSettings{Host: "db.example.com", Port: 6432, Database: "crm", User: "reader", ID: "id",
		Queries: map[string]catalogue.PostgresQuery{"vip": {SQL: "SELECT id, email FROM people"}, "all": {SQL: "SELECT a, b FROM t", ID: "a"}}}, got.Postgres)
	require.Equal(t, catalogue.SharedContributors, *got.Shared)
	require.Equal(t, "s3cret\n", credential(b, 0))
	require.NotContains(t, string(b.server.requests[0].Args), "s3cret")

	require.Equal(t, 0, b.run("source", "add", "insights", "--kind", "dataverse", "--url", "https://contoso.crm4.dynamics.com", "--auth", "secret",
		"--tenant", "contoso.onmicrosoft.com", "--client-id", "x", "--settle", "-1", "--credential-ref", "env:SOURCE_INSIGHTS"), b.err.String())
	got = args[protocol.SourceAddArgs](b, 1)
	require.Equal(t, "env:SOURCE_INSIGHTS", *got.Credential)
	require.Equal(t, -1, got.Dataverse.SettleSeconds)
	require.Empty(t, b.server.requests[1].Sealed)

	require.Equal(t, 0, b.run("source", "add", "lake", "--url", "s3://bucket/prefix", "--region", "eu-north-1"), b.err.String())
	require.Equal(t, &catalogue.FilesSettings{URL: "s3://bucket/prefix", Region: "eu-north-1"}, args[protocol.SourceAddArgs](b, 2).Files)
	require.Empty(t, b.server.requests[2].Sealed, "the worker's own identity")

	for says, line := range map[string]string{
		"--host does not apply to files sources":               "source add x --path p --host h",
		"--query does not apply to files sources":              "source add x --path p --query a=b",
		"--columns does not apply to postgres sources":         "source add x --kind postgres --host h --columns a",
		"--columns is not a list like A,B,C":                   "source add x --path p --columns a,\"b",
		"there are: files, dataverse, postgres":                "source add x --kind sftp",
		"there is no credential: use --credential-file":        "source add x --kind dataverse --url u --auth secret",
		"with the certificate and its private key":             "source add x --kind dataverse --url u --auth certificate",
		"is not NAME=SQL":                                      "source add x --kind postgres --query a",
		"nothing to change":                                    "source edit x --version 3",
		"use either --no-credential or a credential, not both": "source edit x --no-credential --credential-ref env:SOURCE_X",
		"the option --with is missing":                         "source share x",
		"the option --to is missing":                           "source owner x",
	} {
		require.Equal(t, 2, b.run(strings.Fields(line)...), line)
		require.Contains(t, b.err.String(), says, line)
	}
}

func TestSourceEditChangesWhatIsSaid(t *testing.T) {
	b := newBench(t)
	there := protocol.SourceAnswer{Source: catalogue.Source{Meta: catalogue.Meta{Name: "warehouse", Version: 4}, Type: "postgres",
		Postgres: &catalogue.PostgresSettings{Host: "a", Database: "crm", User: "reader", ID: "id", Queries: map[string]catalogue.PostgresQuery{"vip": {SQL: "SELECT 1"}}}}}
	secret := filepath.Join(t.TempDir(), "new")
	require.NoError(t, os.WriteFile(secret, []byte("renewed"), 0o600))
	b.answers(there, protocol.SourceAnswer{}, there, protocol.SourceAnswer{})
	require.Equal(t, 0, b.run("source", "edit", "warehouse", "--host", "b", "--query", "vip=", "--credential-file", secret), b.err.String())
	require.True(t, args[protocol.SourceShowArgs](b, 0).Stored, "the source is not asked")
	got := args[protocol.SourceEditArgs](b, 1)
	require.Equal(t, int64(4), got.Version, "another user's change in between is found")
	require.Equal(t, &catalogue.PostgresSettings{Host: "b", Database: "crm", User: "reader", ID: "id"}, got.Postgres)
	require.Equal(t, "renewed", credential(b, 1))
	require.Equal(t, 0, b.run("source", "edit", "warehouse", "--no-credential", "--version", "3"))
	got = args[protocol.SourceEditArgs](b, 3)
	require.Equal(t, int64(3), got.Version)
	require.Empty(t, *got.Credential)
}

func TestSourceTestSaysWhatIsMissing(t *testing.T) {
	b := newBench(t)
	good := segment.Check{Name: "login", OK: true, Detail: "as reader"}
	b.answers(protocol.SourceTested{Name: "crm", OK: true, Checks: []segment.Check{good}},
		protocol.SourceTested{Name: "crm", Checks: []segment.Check{good, {Name: "segments", Detail: "none", Action: "GRANT it"}}})
	require.Equal(t, 0, b.run("source", "test", "crm"))
	require.Equal(t, 1, b.run("source", "test", "crm"))
	require.Contains(t, b.out.String(), "segments  FAILED  none")
	require.Contains(t, b.out.String(), "segments: GRANT it")
}

func TestOptionsThatCannotBeReadSayWhatTheyTake(t *testing.T) {
	b := newBench(t)
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"source", "add", "crm", "--settle", "30h"}, `--settle "30h" cannot be read; it takes dataverse: SECONDS to wait after the last change of the tables`},
		{[]string{"source", "add", "crm", "--port", "five"}, `--port "five" cannot be read; it takes postgres: PORT`},
		{[]string{"run", "spring", "--yes=maybe"}, `--yes "maybe" cannot be read; it takes `},
	} {
		require.Equal(t, 2, b.run(test.args...))
		require.Contains(t, b.err.String(), test.says)
	}
}
