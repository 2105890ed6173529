package intake_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/delivery/deliverytest"
	"github.com/segment-export/segment-export/internal/intake"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store/postgrestest"
)

// Whatever ends a connection to PostgreSQL in mid-read, the run waits, says why,
// and reads it all again.
func TestAConnectionThatEndsInMidRead(t *testing.T) {
	const half = deliverytest.RelayedRows * 400 / 2
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
			relay, admin := s.Relayed()
			id := s.Taken()
			require.Nil(t, s.Preflight(id).Halt)
			end(relay, admin)
			halted := s.Collect(id)
			require.NotNil(t, halted.Halt)
			require.Equal(t, run.HaltWait, halted.Halt.Kind)
			require.Contains(t, halted.Halt.Reason, `source "crm": the connection to PostgreSQL at 127.0.0.1`)
			require.False(t, halted.Done)
			require.Less(t, halted.Read, deliverytest.RelayedRows)
			relay.Through(-1, nil)
			require.Zero(t, s.Collect(id).Read, "it finds that its view is gone")
			again := s.Collect(id)
			require.True(t, again.Done)
			require.Equal(t, deliverytest.RelayedRows, again.Read)
			require.Len(t, again.Notes, 1)
		})
	}
}

// A source that stops answering blocks nothing: a read ends and gives up its
// lease on a cancel, at the end of the step's time, and when the worker stops. The
// first look at the source has a time limit and says why it ended.
func TestASourceThatFallsSilent(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	relay, _ := s.Relayed()
	s.Tuning.SourceAnswer = 200 * time.Millisecond
	id := s.Taken()
	for _, bytes := range []int64{0, 1_000} {
		relay.Through(bytes, postgrestest.Silent)
		h := s.Preflight(id).Halt
		require.Equal(t, run.HaltWait, h.Kind)
		require.EqualValues(t, `source "crm": it did not answer within 200ms; it is tried again`, h.Reason)
	}
	s.StoreNow.Advance(11 * time.Minute)
	require.Equal(t, run.HaltPark, s.Preflight(id).Halt.Kind)
	s.Tuning.SourceAnswer = time.Minute
	relay.Through(-1, nil)
	require.Nil(t, s.Preflight(id).Halt)

	for _, bytes := range []int64{0, 1_000, deliverytest.RelayedRows * 400 / 2} {
		relay.Through(bytes, postgrestest.Silent)
		ctx, cancel := context.WithTimeoutCause(t.Context(), 500*time.Millisecond, errors.New("not wanted any more"))
		result, err := s.Intake.Collect(ctx, intake.CollectInput{RunID: id})
		cancel()
		require.NoError(t, err)
		require.Nil(t, result.Halt, "the cancel ended it, not a fault")
		require.False(t, result.Done)
		require.Zero(t, result.Read%1_000, "only stored rows are reported")
	}
	relay.Through(-1, nil)
	for done := false; !done; {
		result := s.Collect(id)
		require.Nil(t, result.Halt)
		if done = result.Done; done {
			require.Equal(t, deliverytest.RelayedRows, result.Read)
		}
	}
}
