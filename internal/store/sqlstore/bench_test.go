package sqlstore_test

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/store"
	"github.com/segment-export/segment-export/internal/store/postgrestest"
	"github.com/segment-export/segment-export/internal/store/sqlstore"
)

// onBoth runs a benchmark on SQLite and on PostgreSQL.
func onBoth(b *testing.B, bench func(b *testing.B, s store.Store)) {
	b.Run("SQLite", func(b *testing.B) {
		s, err := sqlstore.OpenSQLite(b.Context(), filepath.Join(b.TempDir(), "store.db"), sqlstore.Options{})
		require.NoError(b, err)
		bench(b, s)
		require.NoError(b, s.Close())
	})
	b.Run("Postgres", func(b *testing.B) {
		dsn := postgrestest.Database(b)
		require.NoError(b, sqlstore.MigratePostgres(b.Context(), dsn))
		s, err := sqlstore.OpenPostgres(b.Context(), dsn, sqlstore.Options{})
		require.NoError(b, err)
		bench(b, s)
		require.NoError(b, s.Close())
	})
}

func benchCall(i int) store.Call {
	return store.Call{
		Origin: fmt.Sprintf("0190a6f0-7b1c-7def-8000-%012d", i), Run: "run", Export: "spring", Brand: "brand",
		Batch: i / 10, First: i % 10 * 100, Count: 100, New: 100,
	}
}

// BenchmarkIntendCalls is the answer of one call and the intent of the next.
func BenchmarkIntendCalls(b *testing.B) {
	onBoth(b, func(b *testing.B, s store.Store) {
		lease, err := s.AcquireLease(b.Context(), "lease", store.MaxLease)
		require.NoError(b, err)
		var answered *store.Call
		i := 0
		for b.Loop() {
			next := benchCall(i)
			require.NoError(b, s.IntendCalls(b.Context(), lease, answered, next))
			answered = &store.Call{Origin: next.Origin, BatchID: "b" + next.Origin}
			i++
		}
	})
}

func intendAll(b *testing.B, s store.Store, n int) {
	b.Helper()
	lease, err := s.AcquireLease(b.Context(), "lease", store.MaxLease)
	require.NoError(b, err)
	calls := make([]store.Call, n)
	for i := range calls {
		calls[i] = benchCall(i)
	}
	require.NoError(b, s.IntendCalls(b.Context(), lease, nil, calls...))
}

// BenchmarkSettleCalls settles 250 of a million contacts' 10,000 calls at once.
func BenchmarkSettleCalls(b *testing.B) {
	const at, all = 250, 10_000
	onBoth(b, func(b *testing.B, s store.Store) {
		i := all
		settlements := make([]store.Settlement, at)
		round := 0
		for b.Loop() {
			if i == all { // everything is settled: another run
				b.StopTimer()
				lease, err := s.AcquireLease(b.Context(), fmt.Sprint(round), store.MaxLease)
				require.NoError(b, err)
				calls := make([]store.Call, all)
				for j := range calls {
					calls[j] = benchCall(round*all + j)
				}
				require.NoError(b, s.IntendCalls(b.Context(), lease, nil, calls...))
				i, round = 0, round+1
				b.StartTimer()
			}
			for j := range settlements {
				settlements[j] = store.Settlement{
					Origin: benchCall((round-1)*all + i + j).Origin, State: store.CallSettled, Verdict: store.Verdict{New: 100},
				}
			}
			require.NoError(b, s.SettleCalls(b.Context(), "run", settlements))
			i += at
		}
	})
}

// BenchmarkTotals sums up the calls of a million contacts.
func BenchmarkTotals(b *testing.B) {
	onBoth(b, func(b *testing.B, s store.Store) {
		intendAll(b, s, 10_000)
		for b.Loop() {
			_, err := s.Totals(b.Context(), "run")
			require.NoError(b, err)
		}
	})
}

// BenchmarkUnsettled asks for a sweep's worth of calls.
func BenchmarkUnsettled(b *testing.B) {
	onBoth(b, func(b *testing.B, s store.Store) {
		intendAll(b, s, 10_000)
		for b.Loop() {
			calls, err := s.Unsettled(b.Context(), "brand", "run", 250)
			require.NoError(b, err)
			require.Len(b, calls, 250)
		}
	})
}

// BenchmarkUnfoldedRuns looks for runs that ended, as each batch does, beside the
// calls of a million contacts of an open one.
func BenchmarkUnfoldedRuns(b *testing.B) {
	onBoth(b, func(b *testing.B, s store.Store) {
		intendAll(b, s, 10_000)
		for b.Loop() {
			runs, err := s.UnfoldedRuns(b.Context(), "brand")
			require.NoError(b, err)
			require.Empty(b, runs)
		}
	})
}

// BenchmarkTakeSlot takes and frees a slot among 300 in the window.
func BenchmarkTakeSlot(b *testing.B) {
	onBoth(b, func(b *testing.B, s store.Store) {
		limit := store.Limit{Calls: 1_000_000_000} // never waits
		for range 300 {
			_, err := s.TakeSlot(b.Context(), "brand", limit)
			require.NoError(b, err)
		}
		// Those taken while measuring go to new brands, so that the
		// window does not grow with the measurement.
		i := 0
		for b.Loop() {
			grant, err := s.TakeSlot(b.Context(), fmt.Sprint("brand", i/300), limit)
			require.NoError(b, err)
			require.NoError(b, s.FreeSlot(b.Context(), fmt.Sprint("brand", i/300), grant.Slot))
			i++
		}
	})
}

// BenchmarkCommitStep stores 64 blobs of 100 KB.
func BenchmarkCommitStep(b *testing.B) {
	const blobs, size, steps = 64, 100_000, 20
	onBoth(b, func(b *testing.B, s store.Store) {
		step := store.Step{Name: "collect/0", State: []byte("cursor")}
		for i := range blobs {
			data := make([]byte, size)
			_, err := rand.Read(data)
			require.NoError(b, err)
			step.Blobs = append(step.Blobs, store.Blob{Kind: store.BlobPart, Group: i, Data: data})
		}
		b.SetBytes(blobs * size)
		i := 0
		for b.Loop() {
			step.Run = fmt.Sprint(i / steps)
			for j := range step.Blobs {
				step.Blobs[j].Seq = i % steps
			}
			if i > 0 && i%steps == 0 { // as a run that ends: the file does not grow for ever
				b.StopTimer()
				require.NoError(b, s.DropSpool(b.Context(), fmt.Sprint(i/steps-1)))
				b.StartTimer()
			}
			require.NoError(b, s.CommitStep(b.Context(), step))
			i++
		}
	})
}
