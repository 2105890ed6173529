package embedded

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.temporal.io/server/common/headers"
	"go.temporal.io/server/schema"
	"go.temporal.io/server/schema/sqlite"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// ErrNewerFile says that a newer program wrote the file; an older server would misread it.
var ErrNewerFile = errors.New("written by a newer version of this program")

// The server neither records nor migrates the schema of its SQLite file, so a table of our own in the same file says
// what is in it. It is changed in the same transaction as the schema.
const recordTable = `CREATE TABLE IF NOT EXISTS embedded_schema (
	part    TEXT PRIMARY KEY, -- main, visibility
	version TEXT NOT NULL,    -- of the schema
	digest  TEXT NOT NULL,    -- of the module's schema.sql
	server  TEXT NOT NULL     -- version of the server module
)`

const (
	mainPart       = "main"
	visibilityPart = "visibility"
)

// part is one of the two schemas of the file, as this program's server module has it.
type part struct{ name, dir, version, server, digest, ddl string }

func moduleParts() ([]part, error) {
	parts := []part{
		{name: mainPart, dir: "sqlite/v3/temporal", version: sqlite.Version, server: headers.ServerVersion},
		{name: visibilityPart, dir: "sqlite/v3/visibility", version: sqlite.VisibilityVersion, server: headers.ServerVersion},
	}
	for i, p := range parts {
		ddl, err := fs.ReadFile(schema.Assets(), path.Join(p.dir, "schema.sql"))
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(ddl)
		parts[i].ddl, parts[i].digest = string(ddl), hex.EncodeToString(sum[:])
	}
	return parts, nil
}

// migrate makes the file when it is missing and brings an older one to this program's schema. A process killed on the
// way leaves the file as it was.
func migrate(ctx context.Context, database string) error {
	parts, err := moduleParts()
	if err != nil {
		return err
	}
	// SQLite would make the file readable by everyone; it gives the files beside it the mode of this one.
	f, err := os.OpenFile(database, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+uriPath(database)+"?mode=rw&_txlock=immediate&_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if err := migrateParts(ctx, tx, parts); err != nil {
		return err
	}
	return tx.Commit()
}

func migrateParts(ctx context.Context, tx *sql.Tx, parts []part) error {
	var tables, recorded int
	err := tx.QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE name = 'embedded_schema') FROM sqlite_master WHERE type = 'table'`).
		Scan(&tables, &recorded)
	if err != nil {
		return err
	}
	if tables > 0 && recorded == 0 {
		return errors.New("not made by this program: it has tables, but no record of their schema")
	}
	if _, err := tx.ExecContext(ctx, recordTable); err != nil {
		return err
	}
	for _, p := range parts {
		if err := p.migrate(ctx, tx, tables == 0); err != nil {
			return fmt.Errorf("%s schema: %w", p.name, err)
		}
	}
	return nil
}

func (p part) migrate(ctx context.Context, tx *sql.Tx, empty bool) error {
	if empty {
		if _, err := tx.ExecContext(ctx, p.ddl); err != nil {
			return err
		}
		return p.record(ctx, tx)
	}

	var file part
	err := tx.QueryRowContext(ctx, `SELECT version, digest, server FROM embedded_schema WHERE part = ?`, p.name).
		Scan(&file.version, &file.digest, &file.server)
	if err != nil {
		return fmt.Errorf("reading its record: %w", err)
	}
	if file.version == p.version && file.digest == p.digest {
		return nil
	}
	// The visibility schema has changed under one version number, so then the server's version tells the older.
	if newer := compareVersions(file.version, p.version); newer > 0 || newer == 0 && compareVersions(file.server, p.server) > 0 {
		return fmt.Errorf("%w: schema %s of server %s, this program has %s of %s",
			ErrNewerFile, file.version, file.server, p.version, p.server)
	}
	if p.name == visibilityPart {
		err = p.rebuildVisibility(ctx, tx)
	} else {
		err = p.upgrade(ctx, tx, file.version)
	}
	if err != nil {
		return err
	}
	return p.record(ctx, tx)
}

func (p part) record(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO embedded_schema (part, version, digest, server) VALUES (?, ?, ?, ?)`,
		p.name, p.version, p.digest, p.server)
	return err
}

// upgrade applies the module's files from one version to this program's.
func (p part) upgrade(ctx context.Context, tx *sql.Tx, from string) error {
	manifests, err := fs.Glob(schema.Assets(), path.Join(p.dir, "versioned", "*", "manifest.json"))
	if err != nil {
		return err
	}
	version := func(manifest string) string { return strings.TrimPrefix(path.Base(path.Dir(manifest)), "v") }
	slices.SortFunc(manifests, func(a, b string) int { return compareVersions(version(a), version(b)) })
	for _, name := range manifests {
		if compareVersions(version(name), from) <= 0 || compareVersions(version(name), p.version) > 0 {
			continue
		}
		raw, err := fs.ReadFile(schema.Assets(), name)
		if err != nil {
			return err
		}
		var manifest struct{ SchemaUpdateCqlFiles []string }
		if err := json.Unmarshal(raw, &manifest); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, file := range manifest.SchemaUpdateCqlFiles {
			ddl, err := fs.ReadFile(schema.Assets(), path.Join(path.Dir(name), file))
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, string(ddl)); err != nil {
				return fmt.Errorf("%s of %s: %w", file, version(name), err)
			}
		}
	}
	return nil
}

// rebuildVisibility makes the tables behind the list of workflows again with this program's schema. The module has no
// files to upgrade them, and it adds stored generated columns, which SQLite can't add to a table. All but the plain
// columns is derived: generated columns by SQLite, the full text indexes by triggers.
func (p part) rebuildVisibility(ctx context.Context, tx *sql.Tx) error {
	const plainColumns = `SELECT name FROM pragma_table_xinfo('executions_visibility') WHERE hidden = 0`
	before, err := names(ctx, tx, plainColumns)
	if err != nil {
		return err
	}
	indexes, err := names(ctx, tx, `SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'`)
	if err != nil {
		return err
	}
	steps := []string{`CREATE TABLE visibility_old AS SELECT ` + strings.Join(before, ", ") + ` FROM executions_visibility`}
	for _, index := range indexes {
		steps = append(steps, `DROP TABLE `+index)
	}
	if err := execAll(ctx, tx, append(steps, `DROP TABLE executions_visibility`, p.ddl)); err != nil {
		return err
	}

	after, err := names(ctx, tx, plainColumns)
	if err != nil {
		return err
	}
	both := strings.Join(slices.DeleteFunc(after, func(c string) bool { return !slices.Contains(before, c) }), ", ")
	return execAll(ctx, tx, []string{
		`INSERT INTO executions_visibility (` + both + `) SELECT ` + both + ` FROM visibility_old`,
		`DROP TABLE visibility_old`,
	})
}

func execAll(ctx context.Context, tx *sql.Tx, statements []string) error {
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// names returns the first column of the answer.
func names(ctx context.Context, tx *sql.Tx, query string) ([]string, error) {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		out = append(out, name)
	}
	return out, rows.Err()
}

// compareVersions compares dotted numbers: 0.9 is less than 0.11. What isn't a number counts as 0.
func compareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		var x, y int
		if i < len(as) {
			x, _ = strconv.Atoi(as[i])
		}
		if i < len(bs) {
			y, _ = strconv.Atoi(bs[i])
		}
		if c := cmp.Compare(x, y); c != 0 {
			return c
		}
	}
	return 0
}
