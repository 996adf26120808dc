package sqlite

import (
	"context"
	"time"
)

// Watch implements store.Store. It asks SQLite from time to time whether
// another connection has committed anything. It asks on the writing
// connection, to which our own commits are not another's.
func (s *Store) Watch(ctx context.Context) <-chan struct{} {
	if s.options.watch < 0 {
		return nil
	}
	hints := make(chan struct{}, 1)
	if s.enter(ctx) != nil {
		close(hints)
		return hints
	}
	last, _ := s.dataVersion()
	s.wg.Add(1) // with the token, so that Close cannot have begun to wait
	s.unlock()
	go func() {
		defer s.wg.Done()
		defer close(hints)
		tick := time.NewTicker(s.options.watch)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.done:
				return
			case <-tick.C:
			}
			if s.enter(ctx) != nil {
				return
			}
			now, known := s.dataVersion()
			s.unlock()
			if known && now == last {
				continue
			}
			last = now
			select {
			case hints <- struct{}{}:
			default:
			}
		}
	}()
	return hints
}

// dataVersion changes when another connection commits. It is not known while
// the writer must be opened anew.
func (s *Store) dataVersion() (version int64, known bool) {
	if s.writer == nil {
		return 0, false
	}
	_, err := s.writer.one("PRAGMA data_version", func(r row) { version = r.int(0) })
	return version, err == nil
}
