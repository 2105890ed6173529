package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/store"
	"github.com/segment-export/segment-export/internal/store/postgrestest"
	"github.com/segment-export/segment-export/internal/store/sqlstore"
)

func openSQLite(t *testing.T, path string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.OpenSQLite(t.Context(), path, sqlstore.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// atVersion makes a database believe that it has that schema, which bears
// programs that know the floor.
func atVersion(t *testing.T, driver, dsn string, version, floor int64) {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), fmt.Sprintf("UPDATE schema_version SET version_id = %d WHERE version_id > 0", version))
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), fmt.Sprintf("INSERT INTO schema_floor (version) VALUES (%d)", floor))
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

func requireSchemaError(t *testing.T, err error, text string) {
	t.Helper()
	var schema *sqlstore.SchemaError
	require.ErrorAs(t, err, &schema)
	require.ErrorContains(t, err, text)
}

func TestSQLiteKeepsItsDataPrivateAndForever(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data ż %20?#.db")
	require.NoError(t, os.WriteFile(path, nil, 0o644))
	s, err := sqlstore.OpenSQLite(t.Context(), path, sqlstore.Options{})
	require.NoError(t, err)
	require.NoError(t, s.CreateRun(t.Context(), store.Run{ID: "r1"}))
	files := 0
	require.NoError(t, filepath.WalkDir(filepath.Dir(path), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode() != 0o600 {
			err = fmt.Errorf("%s has mode %v", entry.Name(), info.Mode())
		}
		files++
		return err
	}))
	require.Greater(t, files, 1, "the log beside it counts too")
	require.NoError(t, s.Close())

	_, err = openSQLite(t, path).Run(t.Context(), "r1")
	require.NoError(t, err)
}

func TestSQLiteOpensOnlyWhatItKnows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := sqlstore.OpenSQLite(t.Context(), path, sqlstore.Options{})
	require.NoError(t, err)
	atVersion(t, "sqlite", path, 1000, 1)
	require.NoError(t, s.Ping(t.Context()), "a newer program only added something")
	require.NoError(t, openSQLite(t, path).CreateRun(t.Context(), store.Run{ID: "r1"}), "and this one continues, beside it or after it")
	atVersion(t, "sqlite", path, 1000, 1000)
	requireSchemaError(t, s.Ping(t.Context()), "run the newer one")
	require.NoError(t, s.Close())
	_, err = sqlstore.OpenSQLite(t.Context(), path, sqlstore.Options{})
	requireSchemaError(t, err, "run the newer one")
	require.ErrorContains(t, err, path)

	other := filepath.Join(t.TempDir(), "notes.txt")
	require.NoError(t, os.WriteFile(other, []byte("this is no database, and long enough to tell"), 0o600))
	_, err = sqlstore.OpenSQLite(t.Context(), other, sqlstore.Options{})
	require.ErrorContains(t, err, other)
	_, err = sqlstore.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "no", "such"), sqlstore.Options{})
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// Two processes may have the file open, such as a worker and a tool beside it.
func TestSQLiteIsShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	stores := []*sqlstore.Store{openSQLite(t, path), openSQLite(t, path)}
	requireShared(t, stores)
}

func TestPostgresIsShared(t *testing.T) {
	dsn := postgrestest.Database(t)
	_, err := sqlstore.OpenPostgres(t.Context(), dsn, sqlstore.Options{})
	requireSchemaError(t, err, "worker migrate")

	// Workers that start at once migrate at once.
	var group sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		group.Go(func() { errs[i] = sqlstore.MigratePostgres(t.Context(), dsn) })
	}
	group.Wait()
	require.NoError(t, errors.Join(errs...))

	stores := make([]*sqlstore.Store, 2)
	for i := range stores {
		stores[i], err = sqlstore.OpenPostgres(t.Context(), dsn, sqlstore.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, stores[i].Close()) })
	}
	requireShared(t, stores)

	atVersion(t, "pgx", dsn, 1000, 1)
	require.NoError(t, stores[0].Ping(t.Context()), "a newer program only added something")
	require.NoError(t, sqlstore.MigratePostgres(t.Context(), dsn), "there is nothing to do")
	atVersion(t, "pgx", dsn, 1000, 1000)
	requireSchemaError(t, stores[0].Ping(t.Context()), "run the newer one")
	requireSchemaError(t, sqlstore.MigratePostgres(t.Context(), dsn), "run the newer one")
	_, err = sqlstore.OpenPostgres(t.Context(), dsn, sqlstore.Options{})
	requireSchemaError(t, err, "run the newer one")
}

// requireShared uses two stores on the same data, by the clock that they have
// without a test's.
func requireShared(t *testing.T, stores []*sqlstore.Store) {
	t.Helper()
	before, err := stores[0].Now(t.Context())
	require.NoError(t, err)
	require.Equal(t, time.UTC, before.Location())
	var group sync.WaitGroup
	errs := make([]error, 8)
	slots := make([]int64, 8)
	for i := range errs {
		group.Go(func() {
			s := stores[i%len(stores)]
			grant, err := s.TakeSlot(t.Context(), "brand", store.Limit{Calls: 3})
			slots[i], errs[i] = grant.Slot, errors.Join(err, s.CreateRun(t.Context(), store.Run{ID: fmt.Sprint(i)}))
		})
	}
	group.Wait()
	require.NoError(t, errors.Join(errs...))
	taken := 0
	for _, slot := range slots {
		if slot != 0 {
			taken++
		}
	}
	require.Equal(t, 3, taken)
	runs, err := stores[1].ListRuns(t.Context(), store.RunFilter{})
	require.NoError(t, err)
	require.Len(t, runs, len(errs))
	after, err := stores[1].Now(t.Context())
	require.NoError(t, err)
	for _, r := range runs {
		require.False(t, r.CreatedAt.Before(before), "the run %s at %s", r.ID, r.CreatedAt)
		require.False(t, r.CreatedAt.After(after), "the run %s at %s", r.ID, r.CreatedAt)
	}
}

func TestACanceledCallChangesNothing(t *testing.T) {
	s := openSQLite(t, filepath.Join(t.TempDir(), "store.db"))
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, s.CreateRun(t.Context(), store.Run{ID: "r1"}))
	cancel()
	require.ErrorIs(t, s.CreateRun(ctx, store.Run{ID: "r2"}), context.Canceled)
	require.ErrorIs(t, s.SaveRun(ctx, "r1", "failed", nil, true), context.Canceled)
	runs, err := s.ListRuns(t.Context(), store.RunFilter{})
	require.NoError(t, err)
	require.Len(t, runs, 1)
	require.Empty(t, runs[0].Status)
}

func TestOptions(t *testing.T) {
	for timeout, valid := range map[time.Duration]bool{0: true, time.Second: true, 5 * time.Minute: true, 5*time.Minute + 1: false, -1: false} {
		s, err := sqlstore.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlstore.Options{RequestTimeout: timeout})
		if !valid {
			require.ErrorContains(t, err, "request timeout")
			continue
		}
		require.NoError(t, err)
		require.NoError(t, s.Close())
	}
}

func TestAnAddressIsNotShownWithItsPassword(t *testing.T) {
	for _, dsn := range []string{"postgres://me:hunter2@%zz/x", "postgres://me:hunter2@localhost:port/x", "host=x password=hunter2 sslmode=maybe"} {
		_, err := sqlstore.OpenPostgres(t.Context(), dsn, sqlstore.Options{})
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// A migration that takes something away, or changes its type, breaks the
// workers of the release before, which are still at work while it is applied.
func TestMigrationsOnlyAdd(t *testing.T) {
	files, err := filepath.Glob("migrations/*.sql")
	require.NoError(t, err)
	require.Greater(t, len(files), 1)
	added := regexp.MustCompile(`(?i)^(CREATE (TABLE|INDEX) |INSERT INTO |ALTER TABLE \w+ ADD COLUMN \w+ .*(DEFAULT|NULL)|ALTER TABLE \w+ ALTER COLUMN \w+ SET STORAGE )`)
	comment := regexp.MustCompile(`(?m)--.*$|\{\{(if|end)[^}]*\}\}`)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, statement := range strings.Split(comment.ReplaceAllString(string(content), ""), ";") {
			statement = strings.Join(strings.Fields(statement), " ")
			if statement == "" || strings.HasPrefix(statement, "UPDATE schema_floor SET version") {
				continue
			}
			require.Regexp(t, added, statement, "%s: the release before cannot bear it; raise schema_floor in a migration of its own if there is no other way", file)
		}
	}
}
