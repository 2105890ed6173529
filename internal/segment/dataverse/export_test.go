package dataverse

// Apart gives a source its own limits on requests, as one in another process has.
func (s *Source) Apart() *Source {
	s.client.gate = &gate{allowed: mostParallel, freed: make(chan struct{})}
	return s
}
