package postgres

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
	"github.com/segment-export/segment-export/internal/store/postgrestest"
)

// manyRows is what "many" has: more than all buffers on the way hold.
const manyRows = 100_000

// relayed is a database behind a relay, with a segment of many rows.
func relayed(t *testing.T) (*postgrestest.Relay, *Source, *place) {
	t.Helper()
	p := newPlace(t)
	relay := postgrestest.NewRelay(t, p.admin.Config().ConnString())
	c := p.config
	c.Host, c.Port, c.ID = relay.Host, relay.Port, "id"
	c.Queries = map[string]Query{"many": {SQL: "SELECT i AS id, repeat('x', 200) AS text FROM generate_series(1, 100000) i"},
		"slow": {SQL: "SELECT 1 AS id, 'x' AS text FROM pg_sleep(100)"}}
	s, err := New(c, nil)
	require.NoError(t, err)
	s.silences = silences{metadata: 5 * time.Second, first: 5 * time.Second, next: 5 * time.Second}
	return relay, s, p
}

// A connection that breaks in mid-read is an error that says so, and never looks
// like the end; one that falls silent is no different, in bounded time.
func TestAConnectionThatBreaksOff(t *testing.T) {
	const short = 300 * time.Millisecond
	for name, test := range map[string]struct {
		through int64
		then    func(*net.TCPConn)
		wait    func(*silences)
		says    string
	}{
		"cut":                 {5_000_000, postgrestest.Cut, nil, "was lost: the connection was cut"},
		"reset":               {5_000_000, postgrestest.Reset, nil, "was lost: connection reset by peer"},
		"silent between rows": {5_000_000, postgrestest.Silent, func(s *silences) { s.next = short }, `sent nothing for 300ms while the query "many" was read`},
		"silent from the start": {1_000, postgrestest.Silent, func(s *silences) { s.metadata = short },
			"sent nothing for 300ms while the database was read: the server hangs, or something on the way to it does"},
		"silent at the login": {0, postgrestest.Silent, func(s *silences) { s.metadata = short }, "no connection to PostgreSQL at 127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			relay, s, _ := relayed(t)
			if test.wait != nil {
				test.wait(&s.silences)
			}
			relay.Through(test.through, test.then)
			r, err := s.Open(t.Context(), "many", []string{"id", "text"}, nil)
			var rows []segmenttest.Row
			if err == nil {
				rows, err = segmenttest.Drain(r)
				require.NoError(t, r.Close())
			}
			require.ErrorContains(t, err, test.says)
			require.NotErrorIs(t, err, segment.ErrAccess, "it may pass")
			require.NotErrorIs(t, err, segment.ErrMalformed)
			require.Less(t, len(rows), manyRows)
			require.Equal(t, test.through > 1_000_000, len(rows) > 0)
		})
	}
	_, s, _ := relayed(t)
	s.silences.first = short
	r, err := s.Open(t.Context(), "slow", []string{"id"}, nil)
	require.NoError(t, err)
	_, err = r.Next()
	require.ErrorContains(t, err, `sent nothing for 300ms while the query "slow" was read`)
	require.NoError(t, r.Close())
}

// The server ends the connection of a read itself, as an administrator or a
// restart does.
func TestAServerThatEndsTheConnection(t *testing.T) {
	_, s, p := relayed(t)
	r, err := s.Open(t.Context(), "many", []string{"id", "text"}, nil)
	require.NoError(t, err)
	for range 1_000 {
		_, err := r.Next()
		require.NoError(t, err)
	}
	p.exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", p.config.User)
	rows, err := segmenttest.Drain(r)
	require.Regexp(t, "was lost|stopped the read", err.Error())
	require.Less(t, len(rows), manyRows-1_000)
	require.NoError(t, r.Close())
}

// A read that waits for a silent server ends as soon as nobody wants it.
func TestCancellationOfASilentRead(t *testing.T) {
	for _, through := range []int64{0, 1_000, 5_000_000} {
		relay, s, _ := relayed(t)
		relay.Through(through, postgrestest.Silent)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		began := time.Now()
		r, err := s.Open(ctx, "many", []string{"id", "text"}, nil)
		if err == nil {
			_, err = segmenttest.Drain(r)
			require.NoError(t, r.Close())
		}
		require.ErrorIs(t, err, context.DeadlineExceeded)
		segmenttest.EndsSoon(t, began)
		cancel()
	}
}
