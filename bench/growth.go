package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/sqlite"
)

type large struct {
	Content string
	N       int
}

// growth is by how much the file grows, after a checkpoint, for each byte of
// the state when ten steps each change one small field of a 256 KiB state.
func growth(dir string, runs int) (float64, error) {
	const size = 256 << 10
	nodes := make([]durable.Node[large], 10)
	for i := range nodes {
		nodes[i] = durable.Step(fmt.Sprintf("s%d", i), func(_ context.Context, l *large) error {
			l.N++
			return nil
		})
	}
	w := durable.Define("large", nodes...)
	path := filepath.Join(dir, "growth.db")
	measure := func(n int) (int64, error) {
		e, stop, err := engineOn(sqlite.Open(path), 4, w)
		if err != nil {
			return 0, err
		}
		ctx := context.Background()
		for range n {
			r, err := w.Start(ctx, e, large{Content: strings.Repeat("0123456789abcdef", size/16)})
			if err != nil {
				return 0, err
			}
			if l, err := r.Wait(ctx); err != nil || l.N != 10 {
				return 0, fmt.Errorf("run %s: %d steps counted: %w", r.ID, l.N, err)
			}
		}
		if err := stop(); err != nil {
			return 0, err
		}
		return checkpointed(path)
	}
	before, err := measure(1)
	if err != nil {
		return 0, err
	}
	after, err := measure(runs)
	return float64(after-before) / float64(runs) / size, err
}

// checkpointed is the size of a closed database file after a checkpoint.
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
