// Package sqlstore implements the store on SQL databases: SQLite for one
// machine, PostgreSQL for several. The SQL is shared; what differs is in
// dialect.go.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/segment-export/segment-export/internal/store"
)

var _ store.Store = (*Store)(nil)

// The bounds of Options.RequestTimeout. The upper one also tells a slot that
// is held long from one that was stored before the clock was put back.
const (
	defaultRequestTimeout = 30 * time.Second
	maxRequestTimeout     = 5 * time.Minute
)

// Options of a store; the zero value will do.
type Options struct {
	// RequestTimeout is the longest time that a request to a brand may take, 30
	// seconds unless set, 5 minutes at most. A budget slot whose holder died
	// frees 60 seconds after it.
	RequestTimeout time.Duration
	// Now replaces the store's clock in tests. Without it SQLite goes by this
	// machine's clock and PostgreSQL by the server's, so that workers with clocks
	// that differ agree on leases and budgets.
	Now func() time.Time
}

// Store is a store on a SQL database; made by OpenSQLite or OpenPostgres.
type Store struct {
	dialect dialect
	write   *sql.DB // SQLite: a single connection, since it has one writer
	read    *sql.DB // PostgreSQL: the same as write
	stmts   map[*query]*sql.Stmt
	texts   map[*query]string
	opts    Options
}

func newStore(d dialect, write, read *sql.DB, opts Options) (*Store, error) {
	if opts.RequestTimeout == 0 {
		opts.RequestTimeout = defaultRequestTimeout
	}
	if opts.RequestTimeout < 0 || opts.RequestTimeout > maxRequestTimeout {
		return nil, fmt.Errorf("the request timeout %s is not between 0 and %s", opts.RequestTimeout, maxRequestTimeout)
	}
	s := &Store{
		dialect: d, write: write, read: read, opts: opts,
		stmts: make(map[*query]*sql.Stmt), texts: make(map[*query]string, len(queries)),
	}
	for _, q := range queries {
		s.texts[q] = d.adapt(q.text)
	}
	return s, nil
}

// prepare compiles every statement once, on the pool that will run it. It must
// not be left to first use: inside a transaction the only connection for
// writing is taken, and preparing would wait for it for ever.
func (s *Store) prepare(ctx context.Context) error {
	for _, q := range queries {
		db := s.write
		if q.read {
			db = s.read
		}
		stmt, err := db.PrepareContext(ctx, s.texts[q]) //nolint:sqlclosecheck // closed with the store
		if err != nil {
			return fmt.Errorf("preparing %q: %w", s.texts[q], err)
		}
		s.stmts[q] = stmt
	}
	return nil
}

// Close closes the store's connections.
func (s *Store) Close() error {
	var errs []error
	for _, stmt := range s.stmts {
		errs = append(errs, stmt.Close())
	}
	errs = append(errs, s.write.Close())
	if s.read != s.write {
		errs = append(errs, s.read.Close())
	}
	return errors.Join(errs...)
}

// Now returns the store's clock.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	now, err := s.micros(ctx, s.read)
	return fromMicros(now), err
}

// Ping tells whether the store can be reached and has this program's schema.
func (s *Store) Ping(ctx context.Context) error {
	return s.dialect.checkSchema(ctx, s.read)
}

// querier is what a pool and a transaction have in common.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// micros reads the clock, in microseconds since 1970 UTC as the store keeps
// all times.
func (s *Store) micros(ctx context.Context, db querier) (int64, error) {
	switch {
	case s.opts.Now != nil:
		return s.opts.Now().UnixMicro(), nil
	case s.dialect.clock == "":
		return time.Now().UnixMicro(), nil
	}
	var now int64
	if err := db.QueryRowContext(ctx, s.dialect.clock).Scan(&now); err != nil {
		return 0, fmt.Errorf("reading the store's clock: %w", err)
	}
	return now, nil
}

// toMicros is how a time is stored; the zero time is 0.
func toMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
