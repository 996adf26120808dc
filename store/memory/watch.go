package memory

import "context"

// watcher is one channel given out by Watch.
type watcher struct {
	of   *Store // changes through this handle are not news to it
	hint chan struct{}
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context) <-chan struct{} {
	w := &watcher{of: s, hint: make(chan struct{}, 1)}
	s.data.mu.Lock()
	s.data.watchers[w] = struct{}{}
	s.data.mu.Unlock()
	// The hint is closed under the lock, so changed never sends on a closed one.
	context.AfterFunc(ctx, func() {
		s.data.mu.Lock()
		defer s.data.mu.Unlock()
		delete(s.data.watchers, w)
		close(w.hint)
	})
	return w.hint
}

// changed tells all other handles that something changed. The caller has the lock.
func (s *Store) changed() {
	for w := range s.data.watchers {
		if w.of == s {
			continue
		}
		select {
		case w.hint <- struct{}{}:
		default: // one is under way already
		}
	}
}
