package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
)

// txAttempts is how often a transaction is tried that collided with another.
const txAttempts = 4

// tx is a transaction that writes.
type tx struct {
	s  *Store
	tx *sql.Tx
}

// update runs fn in a transaction; what says what it does, for errors. fn may
// run several times.
func (s *Store) update(ctx context.Context, what string, fn func(t tx) error) error {
	var err error
	for range txAttempts {
		if err = s.try(ctx, fn); !retryable(err) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (s *Store) try(ctx context.Context, fn func(t tx) error) error {
	// Read committed: each statement sees what was committed before it began,
	// and whatever is decided upon is locked first.
	started, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(tx{s: s, tx: started}); err != nil {
		rollback := started.Rollback()
		if errors.Is(rollback, sql.ErrTxDone) {
			rollback = nil
		}
		return errors.Join(err, rollback)
	}
	return started.Commit()
}

// unwatched is the context of a statement within a transaction. SQLite's driver
// watches a context that can end with a goroutine for each statement; one takes
// milliseconds, and the transaction itself
// ends with its context.
func (s *Store) unwatched(ctx context.Context) context.Context {
	if s.dialect.local {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// exec runs a statement and says how many rows it touched.
func (t tx) exec(ctx context.Context, q *query, args ...any) (int, error) {
	ctx = t.s.unwatched(ctx)
	var result sql.Result
	var err error
	if stmt := t.s.stmts[q]; stmt != nil {
		result, err = t.tx.StmtContext(ctx, stmt).ExecContext(ctx, args...) //nolint:sqlclosecheck // closed with the transaction
	} else {
		result, err = t.tx.ExecContext(ctx, t.s.texts[q], args...)
	}
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// row runs a statement that returns one row at most.
func (t tx) row(ctx context.Context, q *query, args ...any) *sql.Row {
	ctx = t.s.unwatched(ctx)
	if stmt := t.s.stmts[q]; stmt != nil {
		return t.tx.StmtContext(ctx, stmt).QueryRowContext(ctx, args...) //nolint:sqlclosecheck // closed with the transaction
	}
	return t.tx.QueryRowContext(ctx, t.s.texts[q], args...)
}

// now reads the store's clock. Where a lock orders what happens, it is read
// after the lock was had.
func (t tx) now(ctx context.Context) (int64, error) { return t.s.micros(ctx, t.tx) }

// exec runs a single statement as a transaction of its own.
func (s *Store) exec(ctx context.Context, what string, q *query, args ...any) (int, error) {
	var n int
	err := s.update(ctx, what, func(t tx) error {
		var err error
		n, err = t.exec(ctx, q, args...)
		return err
	})
	return n, err
}

// row reads one row at most, outside a transaction.
func (s *Store) row(ctx context.Context, q *query, args ...any) *sql.Row {
	if stmt := s.stmts[q]; stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return s.read.QueryRowContext(ctx, s.texts[q], args...)
}

// scanner is a row that can be read.
type scanner interface{ Scan(dest ...any) error }

// list reads all rows, each with scan.
func list[T any](ctx context.Context, s *Store, q *query, scan func(scanner) (T, error), args ...any) ([]T, error) {
	var rows *sql.Rows
	var err error
	if stmt := s.stmts[q]; stmt != nil {
		rows, err = stmt.QueryContext(ctx, args...)
	} else {
		rows, err = s.read.QueryContext(ctx, s.texts[q], args...)
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, item)
	}
	return all, rows.Err()
}

// nullable is bytes as an argument: nil is NULL and empty is empty.
func nullable(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// nullableText is JSON as an argument.
func nullableText(b json.RawMessage) any {
	if b == nil {
		return nil
	}
	return string(b)
}

// blob scans bytes, which are nil only when they are NULL; drivers return nil
// for empty ones too.
type blob []byte

// Scan takes the value over; it is the driver's only until the next row.
func (b *blob) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*b = nil
	case []byte:
		*b = append(make([]byte, 0, len(v)), v...)
	case string:
		*b = append(make([]byte, 0, len(v)), v...)
	default:
		return fmt.Errorf("a %T where bytes were expected", value)
	}
	return nil
}

// number is a truth value as the store keeps it.
func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
