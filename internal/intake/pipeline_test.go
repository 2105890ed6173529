package intake

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/run"
)

func TestWhatIsDoneBehindIsDoneInOrder(t *testing.T) {
	var b behind
	require.NoError(t, b.wait(), "nothing was started")
	var done []int
	for i := range 100 {
		require.NoError(t, b.do(func() error { done = append(done, i); return nil }))
	}
	require.NoError(t, b.wait())
	require.Len(t, done, 100)
	require.IsIncreasing(t, done)
}

func TestNothingIsBegunBehindWhatFailed(t *testing.T) {
	full := errors.New("the disk is full")
	var b behind
	require.NoError(t, b.do(func() error { return full }))
	began := false
	require.ErrorIs(t, b.do(func() error { began = true; return nil }), full)
	require.NoError(t, b.wait(), "it is reported once")
	require.False(t, began)

	require.NoError(t, b.do(func() error { panic("a fault") }))
	_, isFault := errors.AsType[*fault.Error](b.wait())
	require.True(t, isFault, "a panic does not end the process")
}

func TestBatchesGrowWithTheRun(t *testing.T) {
	for read, want := range map[int]int{0: 1000, 5_000: 1000, 200_000: 1000, 300_000: 1500, 1_000_000: 4000, 10_000_000: 4000} {
		d := decider{Steps: &Steps{&job.Runs{Dependencies: job.Dependencies{Tuning: job.Tuning{BatchSize: 1000}}}}, read: &run.Report{Read: read}}
		require.Equal(t, want, d.batchSize(), "%d rows", read)
	}
}
