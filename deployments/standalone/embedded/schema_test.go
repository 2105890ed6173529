package embedded

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func open(t *testing.T, database string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+uriPath(database))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func alter(t *testing.T, database string, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		_, err := open(t, database).ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
}

// shape returns everything that is defined in the file.
func shape(t *testing.T, database string) map[string]string {
	t.Helper()
	rows, err := open(t, database).QueryContext(t.Context(), `SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_master`)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	out := map[string]string{}
	for rows.Next() {
		var name, ddl string
		require.NoError(t, rows.Scan(&name, &ddl))
		out[name] = ddl
	}
	require.NoError(t, rows.Err())
	return out
}

func TestUpgradesOlderFile(t *testing.T) {
	database := filepath.Join(t.TempDir(), databaseFile)
	require.NoError(t, migrate(t.Context(), database))
	want := shape(t, database)

	// As an older server would have left it: a table, a column and an index fewer, and a workflow in the list.
	alter(t, database,
		`DROP TABLE current_chasm_executions`,
		`DROP INDEX by_keyword_10`,
		`ALTER TABLE executions_visibility DROP COLUMN Keyword10`,
		`INSERT INTO executions_visibility (namespace_id, run_id, start_time, execution_time, workflow_id, workflow_type_name, status, encoding, search_attributes)
			VALUES ('n', 'r', '2026-01-01', '2026-01-01', 'kept', 'w', 2, '', '{"Keyword10": "spring", "KeywordList01": "a♡b"}')`,
		`UPDATE embedded_schema SET version = '0.10' WHERE part = 'main'`,
		`UPDATE embedded_schema SET digest = '', server = '1.9.0' WHERE part = 'visibility'`,
	)
	require.NotEqual(t, want, shape(t, database))

	require.NoError(t, migrate(t.Context(), database))
	require.Equal(t, want, shape(t, database))
	var id string
	require.NoError(t, open(t, database).QueryRowContext(t.Context(), `SELECT workflow_id FROM executions_visibility
		JOIN executions_visibility_fts_keyword_list f ON f.rowid = executions_visibility.rowid
		WHERE Keyword10 = 'spring' AND f.KeywordList01 MATCH 'b'`).Scan(&id))
	require.Equal(t, "kept", id)
}

func TestAppliesEveryVersionedFile(t *testing.T) {
	parts, err := moduleParts()
	require.NoError(t, err)
	database := filepath.Join(t.TempDir(), databaseFile)
	// The part of version 0.1 that later files change.
	alter(t, database, `CREATE TABLE current_executions (shard_id INT)`)
	tx, err := open(t, database).Begin()
	require.NoError(t, err)
	require.NoError(t, parts[0].upgrade(t.Context(), tx, "0.1"))
	require.NoError(t, tx.Commit())

	require.NoError(t, migrate(t.Context(), filepath.Join(t.TempDir(), databaseFile)))
	upgraded := shape(t, database)
	for _, table := range []string{"task_queue_user_data", "queues", "nexus_endpoints", "chasm_node_maps", "tasks_v2", "current_chasm_executions"} {
		require.Contains(t, upgraded, "table "+table)
	}
}

func TestRefusesFilesItDoesNotKnow(t *testing.T) {
	for name, statement := range map[string]string{
		"newer schema":                       `UPDATE embedded_schema SET version = '0.100' WHERE part = 'main'`,
		"newer server with other visibility": `UPDATE embedded_schema SET digest = '', server = '1.100.0' WHERE part = 'visibility'`,
	} {
		t.Run(name, func(t *testing.T) {
			database := filepath.Join(t.TempDir(), databaseFile)
			require.NoError(t, migrate(t.Context(), database))
			alter(t, database, statement)
			before := shape(t, database)
			require.ErrorIs(t, migrate(t.Context(), database), ErrNewerFile)
			require.Equal(t, before, shape(t, database))
		})
	}

	t.Run("foreign", func(t *testing.T) {
		database := filepath.Join(t.TempDir(), databaseFile)
		alter(t, database, `CREATE TABLE executions (id INT)`)
		require.ErrorContains(t, migrate(t.Context(), database), "not made by this program")
	})
}

func TestCancelledMigrationLeavesNothing(t *testing.T) {
	database := filepath.Join(t.TempDir(), databaseFile)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, migrate(ctx, database), context.Canceled)
	require.NoError(t, migrate(t.Context(), database))
}

func TestComparesVersions(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"0.9", "0.11", -1}, {"0.11", "0.9", 1}, {"1.32.1", "1.32.1", 0}, {"1.32", "1.32.1", -1}, {"2", "1.99.9", 1},
	} {
		require.Equal(t, c.want, compareVersions(c.a, c.b), c)
	}
}
