package dataversetest

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Limits are those of service protection, for each user.
type Limits struct {
	Requests    int           // in a sliding window of 300 s; 0: 6,000
	Execution   time.Duration // of server time in that window; 0: 1,200 s
	Concurrency int           // requests at once; 0: 52
	// Cost is the server time of a request; 0: 20 ms.
	Cost time.Duration
}

const window = 300 * time.Second

func (l *Limits) defaults() {
	if l.Requests == 0 {
		l.Requests = 6000
	}
	if l.Execution == 0 {
		l.Execution = 1200 * time.Second
	}
	if l.Concurrency == 0 {
		l.Concurrency = 52
	}
	if l.Cost == 0 {
		l.Cost = 20 * time.Millisecond
	}
}

// meter counts what one user asks for.
type meter struct {
	at      []time.Time // of the requests in the window
	until   time.Time   // of the penalty
	running int
	worst   int // most at once so far
	early   int // requests made in spite of a penalty
}

// Worst returns the most requests that a client made at once, and how many it
// made although the server had asked for a wait.
func (s *Server) Worst(client string) (atOnce, early int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.metered[client]; m != nil {
		return m.worst, m.early
	}
	return 0, 0
}

// penalty is how long a user waits at least once a limit was met; it grows by
// this much with each request that comes too early.
const penalty = 5 * time.Second

// admit counts a request of a user; when a limit is met it answers, and ok is
// false. Otherwise leave must be called at the end of the request.
func (s *Server) admit(w http.ResponseWriter, client string) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.metered[client]
	if m == nil {
		m = &meter{}
		s.metered[client] = m
	}
	l, now := s.options.Limits, s.options.Now()
	for len(m.at) > 0 && !m.at[0].Add(window).After(now) {
		m.at = m.at[1:]
	}
	code := ""
	switch {
	case now.Before(m.until):
		m.early++
		m.until = m.until.Add(penalty)
		code = "0x80072322"
	case m.running >= l.Concurrency:
		code, m.until = "0x80072326", now.Add(penalty)
	case len(m.at) >= l.Requests:
		code, m.until = "0x80072322", m.at[len(m.at)-l.Requests].Add(window)
	case time.Duration(len(m.at)+1)*l.Cost > l.Execution:
		code, m.until = "0x80072321", m.at[0].Add(window)
	}
	if code != "" {
		w.Header().Set("Retry-After", strconv.Itoa(int(m.until.Sub(now).Seconds())+1))
		refuse(w, http.StatusTooManyRequests, code, "Number of requests, their execution time or their concurrency exceeded the limit.")
		return nil, false
	}
	m.at = append(m.at, now)
	m.running++
	m.worst = max(m.worst, m.running)
	w.Header().Set("X-Ms-Ratelimit-Burst-Remaining-Xrm-Requests", fmt.Sprint(l.Requests-len(m.at)))
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		m.running--
	}, true
}
