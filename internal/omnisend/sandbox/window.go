package sandbox

import "time"

// minute is the width of Omnisend's sliding window.
const minute = time.Minute

// window counts the events of the last minute, exactly. Times must not go
// backwards. An event exactly a minute old is out of it.
type window struct {
	at   []int64 // nanoseconds, oldest first, from head on
	head int
}

func (w *window) count(now time.Time) int {
	for edge := now.Add(-minute).UnixNano(); w.head < len(w.at) && w.at[w.head] <= edge; {
		w.head++
	}
	if w.head > len(w.at)/2 {
		w.at = append(w.at[:0], w.at[w.head:]...)
		w.head = 0
	}
	return len(w.at) - w.head
}

// add adds an event and returns the count with it.
func (w *window) add(now time.Time) int {
	n := w.count(now)
	w.at = append(w.at, now.UnixNano())
	return n + 1
}

// freeAt tells when fewer than limit events will be left.
func (w *window) freeAt(now time.Time, limit int) time.Time {
	n := w.count(now)
	if n < limit {
		return now
	}
	return time.Unix(0, w.at[w.head+n-limit]).Add(minute)
}
