package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
)

// dialect is what differs between the databases.
type dialect struct {
	name  string
	goose goose.Dialect
	// clock reads the database's clock; empty: this machine's clock counts.
	clock string
	// versions counts the tables that hold the schema's version: 0 or 1.
	versions string
	// local says that the database is in this process, its statements short.
	local bool
	// adapt turns a statement written for PostgreSQL into the dialect's.
	adapt func(string) string
	// types are the words that migrations leave open.
	types schemaTypes
}

// schemaTypes fill in the migrations' templates.
type schemaTypes struct {
	Text       string // compared and sorted by bytes
	Blob       string
	Clustered  string // ends the definition of a small table that is its own index
	IsPostgres bool
}

var sqliteDialect = dialect{
	name:     "SQLite",
	goose:    goose.DialectSQLite3,
	local:    true,
	versions: `SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = '` + versionTable + `'`,
	adapt: func(text string) string {
		// Locks go, since a transaction that writes has the file to itself.
		text = rowLock.ReplaceAllString(text, "")
		return jsonRows.ReplaceAllString(text, "json_each($1)")
	},
	types: schemaTypes{Text: "TEXT", Blob: "BLOB", Clustered: " WITHOUT ROWID"},
}

var postgresDialect = dialect{
	name:     "PostgreSQL",
	goose:    goose.DialectPostgres,
	clock:    `SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`,
	versions: `SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass('` + versionTable + `')`,
	adapt:    func(text string) string { return text },
	// A database's own collation would sort names otherwise than SQLite does,
	// and differently on every machine.
	types: schemaTypes{Text: `TEXT COLLATE "C"`, Blob: "BYTEA", IsPostgres: true},
}

var (
	rowLock  = regexp.MustCompile(` FOR (?:UPDATE|SHARE)(?: SKIP LOCKED)?`)
	jsonRows = regexp.MustCompile(`jsonb_array_elements\(CAST\((\$\d+) AS jsonb\)\)`)
)

// query is one statement, written for PostgreSQL.
type query struct {
	text string
	read bool // runs outside transactions, on the pool for reading
}

// queries are all of them, so that SQLite can compile each one once.
var queries []*query

// inTx declares a statement that runs in a transaction.
func inTx(text string) *query { return declare(text, false) }

// reading declares a statement that runs alone and changes nothing.
func reading(text string) *query { return declare(text, true) }

func declare(text string, read bool) *query {
	q := &query{text: strings.Join(strings.Fields(text), " "), read: read}
	queries = append(queries, q)
	return q
}

// retryable tells whether a transaction failed only because of another one at
// the same time.
func retryable(err error) bool {
	const serialization, deadlock = "40001", "40P01"
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == serialization || pg.Code == deadlock)
}

// schemaVersion returns the version of the database's schema; 0 when it has
// none yet.
func (d dialect) schemaVersion(ctx context.Context, db *sql.DB) (int64, error) {
	var tables, version int64
	if err := db.QueryRowContext(ctx, d.versions).Scan(&tables); err != nil {
		return 0, fmt.Errorf("reaching the store: %w", err)
	}
	if tables == 0 {
		return 0, nil
	}
	err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM `+versionTable).Scan(&version)
	if err != nil {
		return 0, fmt.Errorf("reading the store's schema version: %w", err)
	}
	return version, nil
}

// checkSchema refuses a database whose schema this program cannot use.
func (d dialect) checkSchema(ctx context.Context, db *sql.DB) error {
	have, err := d.schemaVersion(ctx, db)
	if err != nil {
		return err
	}
	want, err := knownSchema()
	if err != nil {
		return err
	}
	switch {
	case have < want:
		return &SchemaError{Have: have, Want: want}
	case have > want:
		return bearable(ctx, db, have, want)
	}
	return nil
}

// bearable tells whether this program may use a schema that a newer one made:
// while both are at work during an upgrade, and after one was taken back.
func bearable(ctx context.Context, db *sql.DB, have, want int64) error {
	var floor int64
	if err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM schema_floor`).Scan(&floor); err != nil {
		return fmt.Errorf("reading how old a program the store's schema bears: %w", err)
	}
	if floor > want {
		return &SchemaError{Have: have, Want: want, Floor: floor}
	}
	return nil
}
