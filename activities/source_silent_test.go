package activities

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/postgres"
	"github.com/segment-export/segment-export/internal/store/postgrestest"
)

const relayedRows = 40_000

// relayed reads the export's segment from a PostgreSQL behind a relay: so many
// rows that a connection never holds them all.
func (s *steps) relayed() (*postgrestest.Relay, *pgx.Conn) {
	s.t.Helper()
	dsn := postgrestest.Database(s.t)
	admin, err := pgx.Connect(s.t.Context(), dsn)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, admin.Close(context.Background())) })
	_, err = admin.Exec(s.t.Context(), `CREATE TABLE buyers AS SELECT i AS "Id", 'p' || i || '@example.com' AS "Email", repeat('Ann ', 100) AS "Name" FROM generate_series(1, 40000) i`)
	require.NoError(s.t, err)
	relay := postgrestest.NewRelay(s.t, dsn)
	s.OpenSource = func(catalogue.Source, []byte) (segment.Source, error) {
		return postgres.New(postgres.Config{Host: relay.Host, Port: relay.Port, Database: admin.Config().Database, User: admin.Config().User, ID: "Id"}, nil)
	}
	s.Tuning.PartRows = 1_000
	return relay, admin
}

// Whatever ends a connection to PostgreSQL in mid-read, the run waits, says why,
// and reads it all again.
func TestAConnectionThatEndsInMidRead(t *testing.T) {
	const half = relayedRows * 400 / 2
	for name, end := range map[string]func(*postgrestest.Relay, *pgx.Conn){
		"cut":   func(r *postgrestest.Relay, _ *pgx.Conn) { r.Through(half, postgrestest.Cut) },
		"reset": func(r *postgrestest.Relay, _ *pgx.Conn) { r.Through(half, postgrestest.Reset) },
		"ended by the server": func(r *postgrestest.Relay, admin *pgx.Conn) {
			r.Through(half, func(client *net.TCPConn) {
				_, err := admin.Exec(context.Background(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'segment-export' AND datname = current_database()")
				if err != nil {
					panic(err)
				}
				postgrestest.Cut(client)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSteps(t, sandbox.Options{})
			relay, admin := s.relayed()
			id := s.taken()
			require.Nil(t, s.preflight(id).Halt)
			end(relay, admin)
			halted := s.collect(id)
			require.NotNil(t, halted.Halt)
			require.Equal(t, HaltWait, halted.Halt.Kind)
			require.Contains(t, halted.Halt.Reason, `source "crm": the connection to PostgreSQL at 127.0.0.1`)
			require.False(t, halted.Done)
			require.Less(t, halted.Read, relayedRows)
			relay.Through(-1, nil)
			require.Zero(t, s.collect(id).Read, "it finds that its view is gone")
			again := s.collect(id)
			require.True(t, again.Done)
			require.Equal(t, relayedRows, again.Read)
			require.Len(t, again.Notes, 1)
		})
	}
}

// A source that does not answer any more holds nothing: a read ends when it is
// not wanted, be it by a cancel, the end of the step's time or of the worker, and
// gives its lease up; the first look at the source ends by itself and says why.
func TestASourceThatFallsSilent(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	relay, _ := s.relayed()
	s.Tuning.SourceAnswer = 200 * time.Millisecond
	id := s.taken()
	for _, bytes := range []int64{0, 1_000} {
		relay.Through(bytes, postgrestest.Silent)
		h := s.preflight(id).Halt
		require.Equal(t, HaltWait, h.Kind)
		require.Equal(t, `source "crm": it did not answer within 200ms; it is tried again`, h.Reason)
	}
	s.storeNow.Advance(11 * time.Minute)
	require.Equal(t, HaltPark, s.preflight(id).Halt.Kind)
	s.Tuning.SourceAnswer = time.Minute
	relay.Through(-1, nil)
	require.Nil(t, s.preflight(id).Halt)

	for _, bytes := range []int64{0, 1_000, relayedRows * 400 / 2} {
		relay.Through(bytes, postgrestest.Silent)
		ctx, cancel := context.WithTimeoutCause(t.Context(), 500*time.Millisecond, errors.New("not wanted any more"))
		result, err := s.Collect(ctx, CollectInput{RunID: id})
		cancel()
		require.NoError(t, err)
		require.Nil(t, result.Halt, "it ended because it was not wanted, and not by itself")
		require.False(t, result.Done)
		require.Zero(t, result.Read%1_000, "only what is stored is told")
	}
	relay.Through(-1, nil)
	for done := false; !done; {
		result := s.collect(id)
		require.Nil(t, result.Halt)
		if done = result.Done; done {
			require.Equal(t, relayedRows, result.Read)
		}
	}
}
