package sqlstore_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/store"
	"github.com/segment-export/segment-export/internal/store/postgrestest"
	"github.com/segment-export/segment-export/internal/store/sqlstore"
	"github.com/segment-export/segment-export/internal/store/storetest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

func options(clock *storetest.Clock) sqlstore.Options {
	return sqlstore.Options{Now: clock.Now, RequestTimeout: storetest.RequestTimeout}
}

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T, clock *storetest.Clock) store.Store {
		t.Helper()
		s, err := sqlstore.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "store.db"), options(clock))
		require.NoError(t, err)
		return s
	})
}

func TestPostgres(t *testing.T) {
	storetest.Run(t, func(t *testing.T, clock *storetest.Clock) store.Store {
		t.Helper()
		dsn := postgrestest.Database(t)
		require.NoError(t, sqlstore.MigratePostgres(t.Context(), dsn))
		s, err := sqlstore.OpenPostgres(t.Context(), dsn, options(clock))
		require.NoError(t, err)
		return s
	})
}
