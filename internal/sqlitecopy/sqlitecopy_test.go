package sqlitecopy_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/sqlitecopy"
)

// A copy that is made during writes is of one moment: two rows that
// are always written together are both in it.
func TestCopyIsOfOneMoment(t *testing.T) {
	from := filepath.Join(t.TempDir(), "odd ?#% name.db")
	db, err := sql.Open("sqlite", "file:"+filepath.Dir(from)+"/odd%20%3F%23%25%20name.db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`CREATE TABLE a (n INTEGER, fill BLOB); CREATE TABLE b (n INTEGER, fill BLOB)`)
	require.NoError(t, err)
	write := func(n int) {
		_, err := db.Exec(`BEGIN; INSERT INTO a VALUES (?1, randomblob(20000)); INSERT INTO b VALUES (?1, randomblob(20000)); COMMIT`, n)
		require.NoError(t, err)
	}
	for n := range 300 { // more than the pages of one step
		write(n)
	}
	stop, written := make(chan struct{}), sync.WaitGroup{}
	written.Go(func() {
		for n := 300; ; n++ {
			select {
			case <-stop:
				return
			default:
				_, _ = db.Exec(`BEGIN; INSERT INTO a VALUES (?1, randomblob(20000)); INSERT INTO b VALUES (?1, randomblob(20000)); COMMIT`, n)
			}
		}
	})
	to := filepath.Join(t.TempDir(), "copy.db")
	require.NoError(t, sqlitecopy.Copy(t.Context(), from, to))
	close(stop)
	written.Wait()
	require.NoError(t, db.Close())

	info, err := os.Stat(to)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	copied, err := sql.Open("sqlite", "file:"+to)
	require.NoError(t, err)
	defer func() { require.NoError(t, copied.Close()) }()
	var a, b int
	var sound string
	require.NoError(t, copied.QueryRow(`SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)`).Scan(&a, &b))
	require.NoError(t, copied.QueryRow(`PRAGMA integrity_check`).Scan(&sound))
	require.Equal(t, "ok", sound)
	require.Equal(t, a, b)
	require.GreaterOrEqual(t, a, 300)

	require.ErrorIs(t, sqlitecopy.Copy(t.Context(), from, to), os.ErrExist)
	require.ErrorIs(t, sqlitecopy.Copy(t.Context(), from+".none", to+".2"), os.ErrNotExist)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, sqlitecopy.Copy(ended, from, to+".3"), context.Canceled)
}
