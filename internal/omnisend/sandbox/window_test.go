package sandbox

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWindow(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	var w window
	require.Zero(t, w.count(start))
	require.Equal(t, 1, w.add(start))
	require.Equal(t, 2, w.add(start.Add(30*time.Second)))
	require.Equal(t, start.Add(minute), w.freeAt(start.Add(30*time.Second), 2))
	require.Equal(t, start.Add(90*time.Second), w.freeAt(start.Add(30*time.Second), 1))
	require.Equal(t, 2, w.count(start.Add(minute-1)))
	require.Equal(t, 1, w.count(start.Add(minute)), "an event a minute old is out")
	require.Equal(t, start.Add(minute), w.freeAt(start.Add(minute), 2))
	require.Zero(t, w.count(start.Add(2*minute)))

	// Against a count of all events.
	random := rand.New(rand.NewPCG(1, 1))
	var all []time.Time
	now := start
	for range 2000 {
		now = now.Add(time.Duration(random.IntN(300)) * time.Millisecond)
		all = append(all, now)
		n := 0
		for _, at := range all {
			if now.Sub(at) < minute {
				n++
			}
		}
		require.Equal(t, n, w.add(now))
	}
	require.Less(t, cap(w.at), 1800, "what is out of the window is let go")
}
