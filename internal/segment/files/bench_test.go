//go:build unix

package files

import (
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment/synthetic"
)

// Rows of 13 columns of which 11 are read, as an export reads them.
func BenchmarkRead(b *testing.B) {
	const rows = 200_000
	for form, write := range peopleFiles {
		b.Run(form, func(b *testing.B) {
			f := newFolder(b)
			write(b, f, rows)
			info, err := f.source.Describe(b.Context(), "s")
			require.NoError(b, err)
			b.SetBytes(info.Bytes)
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				r, err := f.source.Open(b.Context(), "s", synthetic.Header[:11], nil)
				require.NoError(b, err)
				for err == nil {
					_, err = r.Next()
				}
				require.ErrorIs(b, err, io.EOF)
				require.NoError(b, r.Close())
			}
			b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/rows/float64(b.N), "cpu-ns/row")
		})
	}
}

// cpuTime is what the process has used of processors, which other processes on
// the machine do not change.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var used syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
