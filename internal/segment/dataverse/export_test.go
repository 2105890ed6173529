package dataverse

// Apart makes a source hold its requests back by itself, as one in another
// process does.
func (s *Source) Apart() *Source {
	s.client.gate = &gate{allowed: mostParallel, freed: make(chan struct{})}
	return s
}
