package main

import (
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/sqlite"
)

type large struct {
	Content string
	N       int
}

// largeState is the size of the state's content: random, so that nothing can
// compress it to less than three quarters.
const largeState = 256 << 10

func tenChanges() *durable.Workflow[large] {
	nodes := make([]durable.Node[large], 10)
	for i := range nodes {
		nodes[i] = durable.Step(fmt.Sprintf("s%d", i), func(_ context.Context, l *large) error {
			l.N++
			return nil
		})
	}
	return durable.Define("large", nodes...)
}

// bytesWritten is what ten small changes to a large state cost in bytes
// written, as a share of the state.
func bytesWritten(ctx context.Context, b *bench, s *section) error {
	warm := s.metric("wal", "WAL for each run, the pages in WAL already", "× state").must(atMost(1.5))
	cold := s.metric("wal.cold", "WAL for each run right after a checkpoint, with full page images", "× state")
	images := s.metric("images", "full page images for each run right after a checkpoint", "images")
	file := s.metric("file", "file growth for each run on SQLite", "× state").goal(atMost(1.3))
	s.note("WAL is counted for the whole server; anything else that writes to it is counted too.")
	runs := pick(b.quick, 10, 40)
	return b.round(
		ctx,
		func(ctx context.Context) error {
			return b.onPostgres(ctx, func(o store.Opener) error {
				if _, err := b.walOf(ctx, o, 5); err != nil { // the first pages are new
					return err
				}
				if err := b.pg.checkpoint(ctx); err != nil {
					return err
				}
				for _, m := range []*metric{cold, warm} {
					wrote, err := b.walOf(ctx, o, runs)
					if err != nil {
						return err
					}
					m.add(float64(wrote.bytes) / float64(runs) / largeState)
					if m == cold {
						images.add(float64(wrote.images) / float64(runs))
					}
				}
				return nil
			})
		},
		func(ctx context.Context) error {
			return b.file(func(dir string) error {
				path := filepath.Join(dir, "bench.db")
				var sizes [2]int64
				for i, n := range []int{1, runs} {
					w := tenChanges()
					err := withEngine(sqlite.Open(path), 4, func(e *durable.Engine) error { return runLarge(ctx, e, w, n) }, w)
					if err != nil {
						return err
					}
					if sizes[i], err = checkpointed(path); err != nil {
						return err
					}
				}
				file.add(float64(sizes[1]-sizes[0]) / float64(runs) / largeState)
				return nil
			})
		},
	)
}

// walOf is what an engine writes that opens, executes so many runs and closes.
// Only when its connections end has the server counted all of their images.
func (b *bench) walOf(ctx context.Context, o store.Opener, runs int) (walPosition, error) {
	before, err := b.pg.wal(ctx)
	if err != nil {
		return before, err
	}
	w := tenChanges()
	if err := withEngine(o, 4, func(e *durable.Engine) error { return runLarge(ctx, e, w, runs) }, w); err != nil {
		return before, err
	}
	err = until(ctx, func() (alone bool, err error) {
		err = b.pg.pool.QueryRow(ctx, `
			SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'durable')`).Scan(&alone)
		return alone, err
	})
	if err != nil {
		return before, err
	}
	after, err := b.pg.wal(ctx)
	return walPosition{after.bytes - before.bytes, after.images - before.images}, err
}

func runLarge(ctx context.Context, e *durable.Engine, w *durable.Workflow[large], n int) error {
	for range n {
		r, err := w.Start(ctx, e, large{Content: base64.StdEncoding.EncodeToString(random(largeState / 4 * 3))})
		if err != nil {
			return err
		}
		if l, err := r.Wait(ctx); err != nil || l.N != 10 {
			return fmt.Errorf("run %s: %d steps counted: %w", r.ID, l.N, err)
		}
	}
	return nil
}

// walPosition is how far the server's write-ahead log has come.
type walPosition struct{ bytes, images int64 }

func (s *server) wal(ctx context.Context) (w walPosition, err error) {
	err = s.pool.QueryRow(ctx, `
		SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint, (SELECT wal_fpi FROM pg_stat_wal)`).Scan(&w.bytes, &w.images)
	return w, err
}

// checkpointed is the size of a closed SQLite file after a checkpoint.
func checkpointed(path string) (int64, error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return 0, err
	}
	if _, err := db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return 0, err
	}
	if err := db.Close(); err != nil {
		return 0, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
