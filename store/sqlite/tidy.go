package sqlite

import (
	"context"
	"os"
)

// tidy folds the log back into the file when there is little to do, so that
// the log does not stay as long as the busiest hour made it. Expire calls it,
// because an engine expires every few seconds; a goroutine of our own would
// only be one more thing to stop. It is a courtesy: it waits for nobody, and
// its failure changes nothing.
func (s *Store) tidy(ctx context.Context) {
	if s.enter(ctx) != nil {
		return
	}
	defer s.unlock()
	idle := s.written < idleCommits
	s.written = 0
	if !idle || s.writer == nil {
		return
	}
	if info, err := os.Stat(s.path + "-wal"); err != nil || info.Size() < tidyAt {
		return
	}
	_, _ = s.writer.one("PRAGMA wal_checkpoint(TRUNCATE)", func(row) {})
}
