// Package sqlitecopy copies an SQLite file while other processes write to it.
package sqlitecopy

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
)

// pages are copied at once; in between the context is asked.
const pages = 1024

// Copy copies the file as it is at one moment to a new file with mode 0600,
// and brings that to the disk. Writers are not held up. The copy is one of
// pages, not VACUUM INTO: that renumbers rows, and full text indexes, as
// Temporal's file has them, refer to the numbers. A copy that failed is left
// for the caller to remove.
func Copy(ctx context.Context, from, to string) error {
	if err := copyFile(ctx, from, to); err != nil {
		return fmt.Errorf("copying %s to %s: %w", from, to, err)
	}
	return nil
}

func copyFile(ctx context.Context, from, to string) error {
	if _, err := os.Stat(from); err != nil {
		return err
	}
	// SQLite would make the file readable by everyone.
	file, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := copyPages(ctx, from, to); err != nil {
		return err
	}
	return Sync(to)
}

func copyPages(ctx context.Context, from, to string) (err error) {
	source, err := address(from, "mode=rw&_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	target, err := address(to, "mode=rw")
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// What this connection reads stays as it is until the transaction ends:
	// otherwise each write of another process would restart the copy.
	if _, err := conn.ExecContext(ctx, `BEGIN`); err != nil {
		return err
	}
	defer func() {
		_, end := conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
		err = errors.Join(err, end)
	}()
	var tables int
	if err := conn.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master`).Scan(&tables); err != nil {
		return err
	}
	if tables == 0 {
		return errors.New("it is empty")
	}
	return conn.Raw(func(driver any) error { return steps(ctx, driver, target) })
}

func steps(ctx context.Context, driver any, target string) error {
	source, ok := driver.(interface {
		NewBackup(uri string) (*sqlite.Backup, error)
	})
	if !ok {
		return fmt.Errorf("the driver %T makes no backups", driver)
	}
	backup, err := source.NewBackup(target)
	if err != nil {
		return err
	}
	for more := true; more && err == nil; {
		if err = ctx.Err(); err == nil {
			more, err = backup.Step(pages)
		}
	}
	end := backup.Finish()
	return cmp.Or(err, end) // the same error, where there is one
}

func address(path, query string) (string, error) {
	path, err := filepath.Abs(path)
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query}).String(), err
}

// Sync brings a file or directory to the disk.
func Sync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
