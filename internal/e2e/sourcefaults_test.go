package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/segment/dataverse/dataversetest"
	"github.com/segment-export/segment-export/internal/segment/files/azuritetest"
	"github.com/segment-export/segment-export/internal/store/postgrestest"
)

// mistake is a source that cannot be read, and what its administrator reads.
type mistake struct {
	name   string
	source []string // of source add
	secret string   // its credential; empty: none
	code   int      // of source add; 0: it is added, and told what is wrong
	says   []string // what is wrong, what to do
}

// A fault of a source is reported where it is added and where it is tested,
// by the real program reading the real source: a sentence of what was refused and
// one of what to do, no secret, no stack.
func TestSourcesThatCannotBeReadSayWhatToDo(t *testing.T) {
	t.Parallel()
	s := newShop(t, 10, sandbox.Options{Seed: 5})
	all := map[string][]mistake{"folder": s.wrongFolders(), "bucket": s.wrongBuckets(), "postgres": s.wrongDatabases(), "dataverse": s.wrongEnvironments()}
	kill := s.process()
	t.Cleanup(func() { kill() })
	for kind, mistakes := range all {
		for _, m := range mistakes {
			t.Run(kind+"/"+m.name, func(t *testing.T) { s.told(t, m) })
		}
	}
}

func (s *shop) told(t *testing.T, m mistake) {
	args := m.source
	if m.secret != "" {
		args = append(s.secret("credential", m.secret), args...)
	}
	code, out, errs := s.starter(append([]string{"source", "add", "wrong"}, args...)...)
	require.Equal(t, m.code, code, "%s%s", out, errs)
	s.plain(t, m, out+errs)
	if slices.Contains(args, "--path") {
		return // a folder has to be there, tested or not
	}
	if code != 0 {
		code, out, errs = s.starter(append([]string{"source", "add", "wrong", "--untested"}, args...)...)
		require.Zero(t, code, "%s%s", out, errs)
	}
	code, out, errs = s.starter("source", "test", "wrong")
	require.Equal(t, 1, code, "%s%s", out, errs)
	require.Contains(t, out, "FAILED")
	require.Contains(t, errs, "runs would stop at the checks marked FAILED")
	s.plain(t, m, out+errs)
	code, out, errs = s.starter("source", "remove", "wrong")
	require.Zero(t, code, "%s%s", out, errs)
}

// plain compares what was said with what should be said.
func (s *shop) plain(t *testing.T, m mistake, said string) {
	t.Helper()
	for _, want := range m.says {
		require.Contains(t, said, want)
	}
	for _, never := range []string{"goroutine", "panic", ".go:", "SQLSTATE", "Trace ID", "0x8", "sig="} {
		require.NotContains(t, said, never)
	}
	if m.secret != "" {
		require.NotContains(t, said, m.secret)
	}
}

func (s *shop) wrongFolders() []mistake {
	add := func(path string) []string { return []string{"--kind", "files", "--path", path} }
	return []mistake{
		{"missing folder", add("nowhere"), "", 1, []string{"nowhere does not exist below the files root", "put the path right"}},
		{"outside the root", add("../../etc"), "", 2, []string{"../../etc is not below the files root"}},
	}
}

func (s *shop) wrongBuckets() []mistake {
	s.t.Helper()
	c := azuritetest.New(s.t)
	c.Put(s.t, "exports/spring_buyers.csv", []byte("CustomerId,Email\n1,a@example.com\n"))
	add := func(container string) []string {
		return []string{"--kind", "files", "--url", "azblob://" + container + "/exports", "--account", azuritetest.Account, "--endpoint", c.Endpoint}
	}
	signed := func(p sas.ContainerPermissions, expires time.Time) string {
		link, err := c.GetSASURL(p, expires, nil)
		require.NoError(s.t, err)
		_, query, _ := strings.Cut(link, "?")
		return query
	}
	both := sas.ContainerPermissions{Read: true, List: true}
	return []mistake{
		{"missing container", add("elsewhere"), c.Key, 1, []string{`the storage account segments has no container "elsewhere"`, "put the container's name right, or make it"}},
		{"another key", add(c.Name), "b3RoZXIga2V5LCBub3QgdGhlIG9uZSB0aGF0IHRoZSBhY2NvdW50IGhhcw==", 1,
			[]string{"the storage account segments refuses the request", "check that the key is the account's"}},
		{"expired signature", add(c.Name), signed(both, time.Now().Add(-time.Hour)), 1, []string{"the shared access signature has expired on ", "make a new one, with the permissions read and list"}},
		{"may not list", add(c.Name), signed(sas.ContainerPermissions{Read: true}, time.Now().Add(time.Hour)), 1,
			[]string{"the login is accepted but may not read here", "Storage Blob Data Reader"}},
	}
}

func (s *shop) wrongDatabases() []mistake {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), postgrestest.Database(s.t))
	require.NoError(s.t, err)
	defer func() { require.NoError(s.t, conn.Close(context.Background())) }()
	c := conn.Config()
	role := "reader_" + c.Database
	hba := filepath.Join(c.Host, "data", "pg_hba.conf")
	before, err := os.ReadFile(hba)
	require.NoError(s.t, err)
	rules := "local " + c.Database + " sealed_" + role + " scram-sha-256\nlocal " + c.Database + " barred_" + role + " reject\n"
	require.NoError(s.t, os.WriteFile(hba, append([]byte(rules), before...), 0o600))
	for _, sql := range []string{"CREATE ROLE " + role + " LOGIN", "CREATE ROLE sealed_" + role + " LOGIN PASSWORD 'sesame'", "CREATE ROLE barred_" + role + " LOGIN",
		`CREATE TABLE spring_buyers ("CustomerId" text, "Email" text)`, "CREATE SCHEMA closed", `CREATE TABLE closed.people ("CustomerId" text)`, "SELECT pg_reload_conf()"} {
		_, err = conn.Exec(s.t.Context(), sql)
		require.NoError(s.t, err)
	}
	s.eventually("the server takes its new rules", func() bool {
		barred := c.Copy()
		barred.User = "barred_" + role
		other, err := pgx.ConnectConfig(s.t.Context(), barred)
		if err == nil {
			require.NoError(s.t, other.Close(s.t.Context()))
		}
		return err != nil
	})
	add := func(user, database string, more ...string) []string {
		return append([]string{"--kind", "postgres", "--host", c.Host, "--database", database, "--user", user, "--id-column", "CustomerId"}, more...)
	}
	return []mistake{
		{"wrong password", add("sealed_"+role, c.Database), "open-sesame-wrong", 1,
			[]string{`does not accept the password of the role "sealed_` + role + `"`, "give the role's password: starter source edit"}},
		{"role that is kept out", add("barred_"+role, c.Database), "", 1, []string{`does not let the role "barred_` + role + `" in`, "pg_hba.conf"}},
		{"missing database", add(role, "nowhere"), "", 1, []string{`has no database "nowhere"`, "put the database's name right"}},
		{"missing grant", add(role, c.Database), "", 0, []string{"spring_buyers", `GRANT SELECT ON "public"."spring_buyers" TO "` + role + `"`}},
		{"missing schema", add(role, c.Database, "--schema", "nowhere"), "", 0, []string{`"nowhere"`, "--schema SCHEMA"}},
		{"closed schema", add(role, c.Database, "--schema", "closed"), "", 0, []string{`GRANT USAGE ON SCHEMA "closed" TO "` + role + `"`}},
		{"missing id column", add("postgres", c.Database, "--id-column", "Number"), "", 0, []string{`the column "Number"`, "--id-column"}},
		{"query of a missing table", add(role, c.Database, "--query", `vip=SELECT "CustomerId" FROM nowhere`), "", 0, []string{`the query "vip" names a table or schema that is not there`}},
	}
}

func (s *shop) wrongEnvironments() []mistake {
	s.t.Helper()
	server, _ := s.insights()
	bare, _ := s.insights()
	bare.Drop(dataversetest.Profiles)
	client := func(n string) string { return "aaaaaaaa-bbbb-cccc-dddd-00000000000" + n }
	for n, change := range map[string]func(*dataversetest.App){
		"1": func(a *dataversetest.App) { a.SecretExpires = time.Now().Add(-time.Hour) },
		"2": func(a *dataversetest.App) { a.User = dataversetest.NoUser },
		"3": func(a *dataversetest.App) { a.User = dataversetest.BasicUser },
	} {
		a := app
		a.Client = client(n)
		change(&a)
		server.Register(a)
	}
	add := func(url, tenant, client string) []string {
		return []string{"--kind", "dataverse", "--url", url, "--authority", url, "--auth", "secret", "--tenant", tenant, "--client-id", client}
	}
	return []mistake{
		{"wrong tenant", add(server.URL, "contoso.onmicrosoft.com", app.Client), app.Secret, 1, []string{`there is no Microsoft Entra tenant "contoso.onmicrosoft.com"`, "put the directory (tenant) id"}},
		{"wrong client", add(server.URL, app.Tenant, client("9")), app.Secret, 1, []string{"does not know the app registration", "check that tenant and client id are from the same app registration"}},
		{"wrong secret", add(server.URL, app.Tenant, app.Client), "the-secrets-id", 1, []string{"is not valid", "store the secret's value (not its id)"}},
		{"expired secret", add(server.URL, app.Tenant, client("1")), app.Secret, 1, []string{"has expired", "make a new secret under Certificates & secrets"}},
		{"no user", add(server.URL, app.Tenant, client("2")), app.Secret, 1, []string{"is not a user of the environment", "add the app as a user with the role Viewer"}},
		{"missing role", add(server.URL, app.Tenant, client("3")), app.Secret, 1, []string{"the login may not read the table", "give the app the role Viewer"}},
		{"missing table", add(bare.URL, app.Tenant, app.Client), app.Secret, 0, []string{"has no table msdynci_customerprofile", "check that this is the Dataverse environment of Customer Insights"}},
	}
}

// A login that is lost between two runs parks the run, with what to do; when that
// is done it continues. A segment that is not there is named where it is asked for.
func TestALostLoginParksTheRunUntilItIsMended(t *testing.T) {
	t.Parallel()
	s := newShop(t, 200, sandbox.Options{Seed: 5})
	o := s.environment()
	kill := s.process()
	t.Cleanup(func() { kill() })
	s.defineFrom(o)
	code, out, errs := s.starter(append([]string{"export", "add", "other", "--connection", "Spring shop", "--source", "crm", "--segment", "Spring buyers"}, o.mapping...)...)
	require.Equal(t, 1, code, "%s%s", out, errs)
	require.Contains(t, errs, `"Spring buyers" is how a segment is shown: no such segment; give the name of its output table, "spring_buyers"`)

	expired := app
	expired.SecretExpires = time.Now().Add(-time.Minute)
	o.standin.Register(expired)
	o.standin.RevokeTokens()
	code, out, errs = s.starter("run", "spring", "--yes", "--output", "json")
	require.Equal(t, 4, code, "%s%s", out, errs)
	var r run.Report
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Equal(t, run.Parked, r.Status)
	require.Contains(t, r.Reason, "has expired")
	require.Contains(t, r.Action, "make a new secret under Certificates & secrets of the app registration and store it in the source")
	require.NotContains(t, out+errs, app.Secret)
	require.Zero(t, s.uploads())

	renewed := app
	renewed.Secret = "another-secrets-value"
	o.standin.Register(renewed)
	var changed protocol.SourceAnswer
	s.decode(&changed, append([]string{"source", "edit", "crm", "--output", "json"}, s.secret("renewed", renewed.Secret)...)...)
	s.must("runs", "resume", "spring")
	code, out, errs = s.starter("runs", "watch", "spring")
	require.Equal(t, 3, code, "%s%s", out, errs)
	require.Zero(t, again(s.arrived(s.show())))
}
