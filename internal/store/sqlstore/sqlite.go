package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// readers is how many statements may read an SQLite store at once, beside the
// one that writes.
const readers = 4

// OpenSQLite opens the store in that file, makes the file with mode 0600 when
// there is none, and brings its schema up to date. A file whose schema is newer
// than this program bears is refused with a *SchemaError.
//
// Commits outlast the process but, as is usual with a write-ahead log and
// synchronous=NORMAL, the last ones may be lost when the machine loses power;
// the file stays sound.
func OpenSQLite(ctx context.Context, path string, opts Options) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := private(path); err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	// Immediate transactions take the lock for writing when they begin: one that
	// read first and locked later could not wait for another writer.
	write, err := openSQLite(path, "_txlock=immediate", 1)
	if err != nil {
		return nil, err
	}
	read, err := openSQLite(path, "_pragma=query_only(1)", readers)
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	s, err := newStore(sqliteDialect, write, read, opts)
	if err != nil {
		return nil, errors.Join(err, write.Close(), read.Close())
	}
	err = sqliteDialect.migrate(ctx, write)
	if err == nil {
		err = s.prepare(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the store %s: %w", path, err), s.Close())
	}
	return s, nil
}

// private makes the file if need be and takes it from everyone but its owner.
// SQLite gives the files that it keeps beside it the same mode.
func private(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Chmod(0o600), file.Close())
}

func openSQLite(path, parameter string, connections int) (*sql.DB, error) {
	// Larger pages and rarer checkpoints than SQLite's own made no difference.
	// The cache, in KB, is for each connection.
	pragmas := "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=cache_size(-4000)"
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: pragmas + "&" + parameter}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("opening the store %s: %w", path, err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}
