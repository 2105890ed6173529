package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"fmt"
	"strconv"
	"strings"
	"text/template"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// versionTable is where goose notes which migrations were applied.
const versionTable = "schema_version"

// migrationLock is the advisory lock that workers take before they migrate. It
// is a number of our own, so that other programs in the same PostgreSQL do not
// wait for us.
const migrationLock = 7305808114

// The migrations are one set for both databases, as templates over
// schemaTypes. A released one is never edited; the next number follows. Each
// one is borne by the release before: it only adds, or it raises schema_floor.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrations returns the migrations in the dialect's words, oldest first. They
// only go up: a store is taken back by restoring a copy of it.
func (d dialect) migrations() ([]*goose.Migration, error) {
	files, err := migrationFiles.ReadDir("migrations")
	if err != nil {
		return nil, err
	}
	var all []*goose.Migration
	for _, file := range files {
		number, _, _ := strings.Cut(file.Name(), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the migration %s has no number: %w", file.Name(), err)
		}
		tmpl, err := template.ParseFS(migrationFiles, "migrations/"+file.Name())
		if err != nil {
			return nil, err
		}
		var text bytes.Buffer
		if err := tmpl.Execute(&text, d.types); err != nil {
			return nil, err
		}
		up := func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, text.String())
			return err
		}
		all = append(all, goose.NewGoMigration(version, &goose.GoFunc{RunTx: up}, nil))
	}
	return all, nil
}

// knownSchema is the version that this program needs.
func knownSchema() (int64, error) {
	all, err := sqliteDialect.migrations()
	if err != nil {
		return 0, err
	}
	return all[len(all)-1].Version, nil
}

// SchemaError says that this program cannot use a store's schema.
type SchemaError struct {
	Have, Want int64
	Floor      int64 // of a newer schema: the version that a program must know at least
}

func (e *SchemaError) Error() string {
	if e.Have > e.Want {
		return fmt.Sprintf("the store's schema is version %d, made by a newer program, and for programs that know %d; this one knows %d: run the newer one",
			e.Have, e.Floor, e.Want)
	}
	return fmt.Sprintf("the store's schema is version %d, this program needs %d: run `worker migrate` first", e.Have, e.Want)
}

// migrate brings the schema up to this program's version.
func (d dialect) migrate(ctx context.Context, db *sql.DB) error {
	have, err := d.schemaVersion(ctx, db)
	if err != nil {
		return err
	}
	want, err := knownSchema()
	if err != nil {
		return err
	}
	if have > want {
		return bearable(ctx, db, have, want)
	}
	all, err := d.migrations()
	if err != nil {
		return err
	}
	options := []goose.ProviderOption{
		goose.WithGoMigrations(all...), goose.WithDisableGlobalRegistry(true),
		goose.WithTableName(versionTable), goose.WithLogger(goose.NopLogger()),
	}
	if d.types.IsPostgres {
		// Tried each second for five minutes, so that workers may start at once.
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrationLock), lock.WithLockTimeout(1, 300))
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(d.goose, db, nil, options...)
	if err != nil {
		return fmt.Errorf("preparing the store's migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrating the store's schema: %w", err)
	}
	return nil
}
