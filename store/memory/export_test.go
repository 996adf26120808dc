package memory

// Bodies is how many bodies of blobs are kept.
func (s *Store) Bodies() int {
	s.data.mu.Lock()
	defer s.data.mu.Unlock()
	return len(s.data.blobs.bodies)
}
