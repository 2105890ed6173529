package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Connections of one worker to PostgreSQL: at most this many, and idle ones are
// closed after a while.
const (
	postgresConnections = 16
	postgresIdle        = 5 * time.Minute
)

// OpenPostgres opens the store in that database, given as a URL or as
// key=value settings. A schema that is too old for this program, or too new, is
// refused with a *SchemaError; MigratePostgres brings it up to date.
func OpenPostgres(ctx context.Context, dsn string, opts Options) (*Store, error) {
	db, err := openPostgres(dsn)
	if err != nil {
		return nil, err
	}
	s, err := newStore(postgresDialect, db, db, opts)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := s.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the store: %w", err), s.Close())
	}
	return s, nil
}

// MigratePostgres brings the database's schema up to this program's version.
// Several processes may call it at once: one migrates and the others wait.
func MigratePostgres(ctx context.Context, dsn string) error {
	db, err := openPostgres(dsn)
	if err != nil {
		return err
	}
	return errors.Join(postgresDialect.migrate(ctx, db), db.Close())
}

func openPostgres(dsn string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		// pgx keeps the password out of its error, not the rest of the setting.
		return nil, fmt.Errorf("reading the store's address: %w", err)
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "segment-export"
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(postgresConnections)
	db.SetMaxIdleConns(postgresConnections)
	db.SetConnMaxIdleTime(postgresIdle)
	return db, nil
}
