package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
	"github.com/segment-export/segment-export/internal/store/postgrestest"
)

const (
	waitLong = 10 * time.Second
	waitStep = 20 * time.Millisecond
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// place is a database of a test, with the tables in it as segments.
type place struct {
	config Config
	admin  *pgx.Conn
}

// Pages does nothing: rows come one by one.
func (p *place) Pages(int) {}

// Break reads over a relay that carries a part of the rows.
func (p *place) Break(t *testing.T, _ string, how segmenttest.Fault) (begin, mend func()) {
	t.Helper()
	direct := p.config
	relay := postgrestest.NewRelay(t, p.admin.Config().ConnString())
	p.config.Host, p.config.Port = relay.Host, relay.Port
	then := postgrestest.Reset
	if how == segmenttest.Silent {
		then = postgrestest.Silent
	}
	relay.Through(100_000, then)
	return func() {}, func() { p.config = direct }
}

func newPlace(t testing.TB) *place {
	t.Helper()
	admin, err := pgx.Connect(t.Context(), postgrestest.Database(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = admin.Close(context.Background()) })
	c := admin.Config()
	p := &place{admin: admin, config: Config{Host: c.Host, Database: c.Database, User: "reader_" + c.Database, ID: "CustomerId"}}
	p.exec(t, "CREATE ROLE "+p.config.User+" LOGIN")
	p.exec(t, "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO "+p.config.User)
	return p
}

func (p *place) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := p.admin.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// Put fills a table, in place of what a table of that name held: in one
// transaction, as a warehouse does, for a table that is read cannot be dropped.
// It is not filled in the order of its ids.
func (p *place) Put(t *testing.T, name string, table segmenttest.Table) {
	t.Helper()
	p.config.ID = table.Fields[0]
	var columns []string
	for _, f := range table.Fields {
		columns = append(columns, identifier(f)+" text")
	}
	p.exec(t, "CREATE TABLE IF NOT EXISTS "+identifier(name)+" ("+strings.Join(columns, ", ")+")")
	p.exec(t, "BEGIN")
	p.exec(t, "DELETE FROM "+identifier(name))
	n := len(table.Rows)
	_, err := p.admin.CopyFrom(t.Context(), pgx.Identifier{name}, table.Fields, pgx.CopyFromSlice(n, func(i int) ([]any, error) {
		var row []any
		for _, v := range table.Rows[n-1-i] {
			if v == "" && i%2 == 0 {
				row = append(row, nil)
				continue
			}
			row = append(row, v)
		}
		return row, nil
	}))
	require.NoError(t, err)
	p.exec(t, "COMMIT")
}

func (p *place) Source() segment.Source {
	s, err := New(p.config, nil)
	if err != nil {
		panic(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	t.Run("table", func(t *testing.T) {
		segmenttest.Run(t, func(t *testing.T) segmenttest.Place { return newPlace(t) }, segmenttest.Options{NoResume: true})
	})
}

func (p *place) read(t *testing.T, name string, fields ...string) []string {
	t.Helper()
	var all []string
	for _, row := range segmenttest.ReadAll(t, p.Source(), name, fields, nil) {
		require.Empty(t, row.Problem)
		all = append(all, strings.Join(row.Values, "|"))
	}
	return all
}

func TestValuesAreAsACSVFileHasThem(t *testing.T) {
	p := newPlace(t)
	p.config.ID = "id"
	p.exec(t, "SET TimeZone = 'America/New_York'")
	for i, test := range []struct{ sql, want string }{
		{"true", "true"}, {"false", "false"}, {"NULL::boolean", ""}, {"NULL::text", ""}, {"''", ""},
		{"1::smallint", "1"}, {"-7000000000::bigint", "-7000000000"}, {"12.50::numeric(10,2)", "12.50"}, {"0.1::float8", "0.1"}, {"1e20::float8", "1e+20"},
		{"'2026-01-02'::date", "2026-01-02"}, {"'2026-01-02 03:04:05'::timestamp", "2026-01-02T03:04:05"},
		{"'2026-01-02 03:04:05.123+02'::timestamptz", "2026-01-02T01:04:05.123Z"}, {"'infinity'::timestamp", "infinity"},
		{"'03:04:05'::time", "03:04:05"}, {"'1 day 2 hours'::interval", "P1DT2H"},
		{"'DE'::char(4)", "DE"}, {"' x '::varchar", " x "}, {"'{\"a\": 1}'::jsonb", `{"a": 1}`},
		{"'6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
		{"ARRAY['red', 'a,b', NULL, '<\"q\">']", `["red","a,b","<\"q\">"]`}, {"ARRAY[]::text[]", ""}, {"ARRAY[1,2]", `["1","2"]`},
		{"1.5::money", "$1.50"},
	} {
		p.config.Queries = map[string]Query{"q": {SQL: fmt.Sprintf("SELECT 1 AS id, %s AS v -- case %d", test.sql, i)}}
		require.Equal(t, []string{test.want}, p.read(t, "q", "v"), test.sql)
	}
}

// A read is one view of the data, and can write nothing.
// A value of hundreds of megabytes is one row's problem: no more of it crosses
// the wire than shows that it is too long.
func TestFatValuesTakeNoMemory(t *testing.T) {
	p := newPlace(t)
	p.config.ID = "id"
	p.exec(t, `CREATE VIEW people AS SELECT 1 AS id, 'ann@example.com' AS email, repeat('x', 300000000) AS name, ARRAY['a'] AS list
		UNION ALL SELECT 2, 'bob@example.com', 'Bob', ARRAY[repeat('y', 20000000), 'b']
		UNION ALL SELECT 3, 'cy@example.com', repeat('ł', 16384), ARRAY['c']
		UNION ALL SELECT 4, 'di@example.com', repeat('d', 16384), ARRAY['c']`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rows := segmenttest.ReadAll(t, p.Source(), "people", []string{"id", "email", "name", "list"}, nil)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
	require.Len(t, rows, 4)
	for _, row := range rows[:3] {
		require.Equal(t, segment.ProblemLongField, row.Problem)
	}
	require.Empty(t, rows[3].Problem)
	require.Equal(t, `["c"]`, rows[3].Values[3])
}

func TestAReadIsARepeatableReadOnlyTransaction(t *testing.T) {
	p := newPlace(t)
	p.config.ID = "id"
	p.config.Queries = map[string]Query{"settings": {SQL: "SELECT 1 AS id, current_setting('transaction_isolation') AS isolation, current_setting('transaction_read_only') AS read_only"}}
	require.Equal(t, []string{"repeatable read|on"}, p.read(t, "settings", "isolation", "read_only"))
}

func TestTablesViewsAndQueries(t *testing.T) {
	p := newPlace(t)
	p.config.ID, p.config.Schema = "id", "crm"
	p.exec(t, "CREATE SCHEMA crm")
	p.exec(t, "GRANT USAGE ON SCHEMA crm TO "+p.config.User)
	p.exec(t, `CREATE TABLE crm."Buyers" (id int, email text, gone int)`)
	p.exec(t, `ALTER TABLE crm."Buyers" DROP COLUMN gone`)
	p.exec(t, `INSERT INTO crm."Buyers" SELECT i, 'p' || i || '@example.com' FROM generate_series(1, 3) i`)
	p.exec(t, `CREATE VIEW crm.late AS SELECT id, email FROM crm."Buyers" WHERE id > 1`)
	p.exec(t, "CREATE TABLE crm.other (name text)") // without the id column: no segment
	p.exec(t, "CREATE TABLE crm.closed (id int)")
	p.exec(t, "REVOKE SELECT ON crm.closed FROM "+p.config.User)
	p.config.Queries = map[string]Query{"vip": {SQL: `SELECT id AS "no", email AS e FROM crm."Buyers" WHERE id = 3;`, ID: "no"}}

	infos, err := p.Source().Segments(t.Context())
	require.NoError(t, err)
	var got []string
	for _, i := range infos {
		got = append(got, fmt.Sprintf("%s %v %d", i.Name, i.Fields, *i.Members))
	}
	require.Equal(t, []string{"Buyers [id email] 3", "late [id email] 2", "vip [] 1"}, got)
	info, err := p.Source().Describe(t.Context(), "vip")
	require.NoError(t, err)
	require.Equal(t, []string{"no", "e"}, info.Fields)
	require.Equal(t, []string{"p3@example.com"}, p.read(t, "vip", "e"))
	require.Equal(t, []string{"2|p2@example.com", "3|p3@example.com"}, p.read(t, "late", "id", "email"))

	checks, err := p.Source().(segment.Tester).Test(t.Context())
	require.NoError(t, err)
	text := fmt.Sprint(checks)
	for _, want := range []string{"as reader_", "the role reads only", `tables and views with the column "id", 1 queries; not to be read: closed`,
		`GRANT SELECT ON "crm"."closed" TO "reader_`, "{first page of vip true 1 rows }", "{first page of Buyers true 3 rows }"} {
		require.Contains(t, text, want)
	}
	_, err = p.Source().Open(t.Context(), "closed", nil, nil)
	var refused *segment.AccessError
	require.ErrorAs(t, err, &refused)
	require.Contains(t, refused.Message, `may not read the table or view "closed"`)
	require.Contains(t, refused.Action, `GRANT SELECT ON "crm"."closed" TO`)
	p.exec(t, "CREATE VIEW crm.through WITH (security_invoker) AS SELECT id FROM crm.closed")
	p.exec(t, "GRANT SELECT ON crm.through TO "+p.config.User)
	_, err = p.Source().Open(t.Context(), "through", nil, nil)
	require.ErrorAs(t, err, &refused)
	require.Equal(t, `the view "through" reads tables that may not be read through it`, refused.Message)
	require.Contains(t, refused.Action, `granted to the view's owner; if the view is made with security_invoker, to "reader_`)
	_, err = p.Source().Open(t.Context(), "buyers", nil, nil)
	require.ErrorIs(t, err, segment.ErrNotFound)
	require.ErrorContains(t, err, `did you mean "Buyers"?`)
}

// Nothing that the server says of an error is passed on: it may quote customers.
func TestFaultsSayWhatToDo(t *testing.T) {
	p := newPlace(t)
	p.config.ID = "id"
	p.exec(t, "CREATE TABLE people (id int, email text)")
	p.exec(t, "INSERT INTO people VALUES (1, 'ann@example.com')")
	for name, test := range map[string]struct {
		sql, says string
		is        error
	}{
		"a value":   {"SELECT id, email::int AS n FROM people", "meets a value that it cannot work with (SQLSTATE 22P02)", segment.ErrMalformed},
		"a table":   {"SELECT 1 AS id FROM nowhere", "names a table or schema that is not there", segment.ErrMalformed},
		"a column":  {"SELECT id, phone FROM people", "names a column that is not there", segment.ErrMalformed},
		"syntax":    {"SELEKT 1", "is not SQL that PostgreSQL understands", segment.ErrMalformed},
		"two":       {"SELECT 1 AS id) AS x; SELECT (1", "is not SQL that PostgreSQL understands", segment.ErrMalformed},
		"a comment": {"SELECT id FROM people; -- all of them", "with nothing after its semicolon, not even a comment", segment.ErrMalformed},
		"a change":  {"SELECT 1 AS id FROM setval('counter', 5)", "wants to change data", segment.ErrMalformed},
		"a delete":  {"DELETE FROM people RETURNING id", "is not SQL", segment.ErrMalformed},
		"no id":     {"SELECT email FROM people", `has no column "id"`, nil},
		"two names": {"SELECT id, email, email FROM people", `its columns 2 and 3 have one name`, segment.ErrMalformed},
		"denied":    {"SELECT usesysid AS id FROM pg_shadow", `may not read the query "denied"; have SELECT on its tables granted`, segment.ErrAccess},
	} {
		if name == "a change" {
			p.exec(t, "CREATE SEQUENCE counter")
			p.exec(t, "GRANT ALL ON SEQUENCE counter TO "+p.config.User)
		}
		p.config.Queries = map[string]Query{name: {SQL: test.sql}}
		_, err := p.Source().Describe(t.Context(), name)
		if err == nil {
			var r segment.Reader
			r, err = p.Source().Open(t.Context(), name, []string{"id"}, nil)
			require.NoError(t, err, name)
			if name == "a value" {
				require.NoError(t, r.Close())
				r, err = p.Source().Open(t.Context(), name, []string{"n"}, nil)
				require.NoError(t, err)
			}
			_, err = segmenttest.Drain(r)
			require.NoError(t, r.Close())
		}
		require.ErrorContains(t, err, test.says, name)
		if test.is != nil {
			require.ErrorIs(t, err, test.is, name)
		}
		require.NotContains(t, err.Error(), "ann@example.com")
	}
}

func TestLoginFaults(t *testing.T) {
	p := newPlace(t)
	p.exec(t, "DROP ROLE IF EXISTS sealed")
	p.exec(t, "CREATE ROLE sealed LOGIN PASSWORD 'sesame'")
	hba := filepath.Join(p.config.Host, "data", "pg_hba.conf")
	before, err := os.ReadFile(hba)
	require.NoError(t, err)
	rules := "local " + p.config.Database + " sealed scram-sha-256\nlocal " + p.config.Database + " barred reject\n"
	require.NoError(t, os.WriteFile(hba, append([]byte(rules), before...), 0o600))
	p.exec(t, "SELECT pg_reload_conf()")
	open := func(change func(*Config), password string) error {
		c := p.config
		change(&c)
		s, err := New(c, []byte(password))
		require.NoError(t, err)
		_, err = s.Segments(t.Context())
		return err
	}
	require.Eventually(t, func() bool { return open(func(c *Config) { c.User = "sealed" }, "wrong") != nil }, waitLong, waitStep)
	require.NoError(t, open(func(c *Config) { c.User = "sealed" }, "sesame"))
	for says, err := range map[string]error{
		`does not accept the password of the role "sealed"; give the role's password`: open(func(c *Config) { c.User = "sealed" }, "wrong"),
		`does not let the role "barred" in`:                                           open(func(c *Config) { c.User = "barred" }, "x"),
		`has no database "nowhere"`:                                                   open(func(c *Config) { c.Database = "nowhere" }, ""),
	} {
		require.ErrorContains(t, err, says)
		require.ErrorIs(t, err, segment.ErrAccess)
		require.NotContains(t, err.Error(), "sesame")
	}
	err = open(func(c *Config) { c.Host, c.Port = "127.0.0.1", 1 }, "")
	require.ErrorContains(t, err, "no connection to PostgreSQL at 127.0.0.1:1: dial")
	require.False(t, errors.Is(err, segment.ErrAccess), "it may pass")
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Host: "db.example.com", Database: "crm", User: "reader", ID: "id"}
	require.NoError(t, good.Check())
	require.Equal(t, TLSVerifyFull, good.mode())
	require.Equal(t, TLSDisable, Config{Host: "127.0.0.1"}.mode())
	require.Equal(t, TLSDisable, Config{Host: "/run/postgresql"}.mode())
	for says, change := range map[string]func(*Config){
		"the host is missing":               func(c *Config) { c.Host = "" },
		"the name of the database is":       func(c *Config) { c.Database = "" },
		"the user is missing":               func(c *Config) { c.User = "" },
		"70000 is not a port":               func(c *Config) { c.Port = 70000 },
		"which column has the customer id":  func(c *Config) { c.ID = "" },
		"did you mean verify-full?":         func(c *Config) { c.TLS = "verify_full" },
		"would travel to db.example.com":    func(c *Config) { c.TLS = TLSDisable },
		"are not in PEM":                    func(c *Config) { c.CA = "x" },
		`the query "q" is empty`:            func(c *Config) { c.Queries = map[string]Query{"q": {}} },
		`which column of the query "q" has`: func(c *Config) { c.ID, c.Queries = "", map[string]Query{"q": {SQL: "SELECT 1"}} },
		"cannot be the name of a query":     func(c *Config) { c.Queries = map[string]Query{" ": {SQL: "SELECT 1"}} },
		"hold a character that no name has": func(c *Config) { c.Schema = "a\x00" },
	} {
		c := good
		change(&c)
		require.ErrorContains(t, c.Check(), says)
		_, err := New(c, nil)
		require.Error(t, err)
	}
}

func BenchmarkRead(b *testing.B) {
	p := newPlace(b)
	p.config.ID = "id"
	const rows = 200_000
	p.exec(b, `CREATE TABLE s AS SELECT lpad(i::text, 8, '0') AS id, 'p' || i || '@example.com' AS email, 'Ann' AS first, 'Lee' AS last, 'Long Street ' || i AS street,
		'Riga' AS city, 'LV-1001' AS zip, 'LV' AS country, true AS consent, now() AS consent_date FROM generate_series(1, 200000) i`)
	p.exec(b, "CREATE INDEX ON s (id)")
	p.exec(b, "ANALYZE s")
	fields := []string{"id", "email", "first", "last", "street", "city", "zip", "country", "consent", "consent_date"}
	b.ReportAllocs()
	for b.Loop() {
		r, err := p.Source().Open(b.Context(), "s", fields, nil)
		require.NoError(b, err)
		n := 0
		for ; err == nil; n++ {
			_, err = r.Next()
		}
		require.Equal(b, rows+1, n)
		require.NoError(b, r.Close())
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
