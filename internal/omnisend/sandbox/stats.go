package sandbox

import "maps"

// Stats is what a brand of the sandbox has seen since its start.
type Stats struct {
	// Calls counts requests by route ("POST /batches") and status; status 0 is
	// a connection closed without an answer.
	Calls map[string]map[int]int `json:"calls"`
	// Peak is the most requests that arrived within any 60 seconds, refused
	// ones included.
	Peak int `json:"peak"`
	// TooMany counts answers with 429, those of faults included.
	TooMany int `json:"too_many"`
	// Batches and Items count what POST /batches took; Bytes its bodies.
	Batches int   `json:"batches"`
	Items   int   `json:"items"`
	Bytes   int64 `json:"bytes"`
	// Welcomes counts writes of a contact that did not say
	// sendWelcomeMessage: false for its address. An export must leave it at 0.
	Welcomes int `json:"welcomes"`
	// TagsReplaced counts writes of an existing contact that carried tags.
	TagsReplaced int `json:"tags_replaced"`
	// Resubscribed counts contacts that were unsubscribed and no longer are.
	Resubscribed int `json:"resubscribed"`
	// UnknownFields counts members that Omnisend does not know and, by a third
	// party's account, ignores.
	UnknownFields int `json:"unknown_fields"`
	// Received, with TrackReceived, counts how often each address, in lower
	// case, arrived in a batch; Overlaps, how often while it was in another
	// batch not processed yet.
	Received map[string]int `json:"received,omitempty"`
	Overlaps int            `json:"overlaps,omitempty"`
}

func newStats() Stats {
	return Stats{Calls: map[string]map[int]int{}, Received: map[string]int{}}
}

func (s *Stats) count(route string, a answer) {
	status := a.status
	if a.broken {
		status = 0
	}
	byStatus := s.Calls[route]
	if byStatus == nil {
		byStatus = map[int]int{}
		s.Calls[route] = byStatus
	}
	byStatus[status]++
}

// Total is the number of requests, answered or not.
func (s Stats) Total() int {
	n := 0
	for route := range s.Calls {
		n += s.Route(route)
	}
	return n
}

// Route is the number of requests to a route, answered or not.
func (s Stats) Route(route string) int {
	n := 0
	for _, count := range s.Calls[route] {
		n += count
	}
	return n
}

// Stats returns a copy of what the brand has seen; of an unknown brand, nothing.
func (s *Sandbox) Stats(brandID string) Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.brands[brandID]
	if b == nil {
		return newStats()
	}
	s.advance(b, s.now())
	out := b.stats
	out.Peak = b.peak
	out.Received = maps.Clone(out.Received)
	out.Calls = map[string]map[int]int{}
	for route, byStatus := range b.stats.Calls {
		out.Calls[route] = maps.Clone(byStatus)
	}
	return out
}

// Unauthorized counts the requests with no key, or one that is not valid: they
// belong to no brand.
func (s *Sandbox) Unauthorized() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unauthorized
}
