package main

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
)

// list is a state whose items are runs of their own.
type list struct {
	Items int
	Done  int
}

type listItem struct{ N int }

// listOf makes a workflow of one spread Each with so many items at once.
func listOf(name string, atOnce int) *durable.Workflow[list] {
	items := func(l *list) []listItem {
		all := make([]listItem, l.Items)
		for i := range all {
			all[i].N = i
		}
		return all
	}
	one := durable.Step("one", func(_ context.Context, i *listItem) error {
		i.N++
		return nil
	})
	return durable.Define(name, durable.Each("items", items, one).Concurrency(atOnce).Spread().
		IntoSeq(func(l *list, items iter.Seq2[int, durable.Outcome[listItem]]) error {
			for n, o := range items {
				if o.Err != nil || o.Value.N != n+1 {
					return fmt.Errorf("item %d is %+v", n, o)
				}
				l.Done++
			}
			return nil
		}))
}

// spreadOut is how long an item of a spread Each takes, whatever their number, and whether
// many that end at once stand in each other's way.
func spreadOut(ctx context.Context, b *bench, s *section) error {
	few, many, fan := 1000, pick(b.quick, 5000, 100_000), pick(b.quick, 2000, 10_000)
	pgFew := s.metric("postgres-few", fmt.Sprintf("engine on PostgreSQL, an item of %s", thousands(int64(few))), "ms")
	pgMany := s.metric("postgres-many", fmt.Sprintf("engine on PostgreSQL, an item of %s", thousands(int64(many))), "ms")
	pgRatio := s.metric("postgres-ratio", "time of an item among many, of one among few", "%").must(atMost(120))
	liteFew := s.metric("sqlite-few", fmt.Sprintf("engine on SQLite, an item of %s", thousands(int64(few))), "ms")
	liteMany := s.metric("sqlite-many", fmt.Sprintf("engine on SQLite, an item of %s", thousands(int64(many))), "ms")
	liteRatio := s.metric("sqlite-ratio", "time of an item among many, of one among few", "%").must(atMost(120))
	heap := s.metric("heap", fmt.Sprintf("heap of the process while %s items run on PostgreSQL, at most", thousands(int64(many))), "MiB")
	fanIn := s.metric("fan-in", fmt.Sprintf("%s items begun at once on PostgreSQL, 2 workers, an item", thousands(int64(fan))), "ms")
	locks := s.metric("locks", "sessions seen waiting for a lock meanwhile, of those seen busy", "%")
	s.note("Items are one step that adds one, 100 at a time; 100 slots in one worker, which also has the run itself.")
	s.note("Waits for locks: pg_stat_activity is looked at every 5 ms; busy is what is active, waiting is what has the wait event type Lock.")
	measure := func(where place, n int, m *metric, watch bool) func(context.Context) error {
		return func(ctx context.Context) error {
			return where(ctx, func(o store.Opener) error {
				w := listOf("list", 100)
				return withEngine(o, 100, func(e *durable.Engine) error {
					var most uint64
					if watch {
						done := make(chan struct{})
						ended := make(chan struct{})
						go func() { most = heapUntil(done); close(ended) }()
						defer func() { close(done); <-ended; heap.add(float64(most) / (1 << 20)) }()
					}
					took, err := spreadRun(ctx, e, w, n)
					m.addMS(took / time.Duration(n))
					return err
				}, w)
			})
		}
	}
	err := b.round(
		ctx,
		measure(b.onPostgres, few, pgFew, false),
		measure(b.onPostgres, many, pgMany, true),
		measure(b.onSQLite, few, liteFew, false),
		measure(b.onSQLite, many, liteMany, false),
		func(ctx context.Context) error {
			return b.onPostgres(ctx, func(o store.Opener) error { return b.fanIn(ctx, o, fan, fanIn, locks) })
		},
	)
	if err != nil {
		return err
	}
	for i := range pgFew.Samples {
		pgRatio.add(100 * pgMany.Samples[i] / pgFew.Samples[i])
		liteRatio.add(100 * liteMany.Samples[i] / liteFew.Samples[i])
	}
	return nil
}

// spreadRun starts a run of so many items and waits for its end.
func spreadRun(ctx context.Context, e *durable.Engine, w *durable.Workflow[list], n int) (time.Duration, error) {
	began := time.Now()
	r, err := w.Start(ctx, e, list{Items: n})
	if err != nil {
		return 0, err
	}
	l, err := r.Wait(ctx)
	if err == nil && l.Done != n {
		err = fmt.Errorf("%d of %d items", l.Done, n)
	}
	return time.Since(began), err
}

// heapUntil is the largest heap that is seen until done is closed.
func heapUntil(done chan struct{}) (most uint64) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
		select {
		case <-done:
			return most
		case <-tick.C:
		}
	}
}

// fanIn has all items of a run begun at once, over two workers.
func (b *bench) fanIn(ctx context.Context, o store.Opener, n int, took, locks *metric) error {
	w := listOf("fan", n)
	return withEngine(o, 100, func(e *durable.Engine) error {
		return withEngine(o, 100, func(*durable.Engine) error {
			watching, stop := context.WithCancel(ctx)
			defer stop()
			var busy, waiting atomic.Int64
			ended := make(chan error, 1)
			go func() { ended <- b.pg.watchLocks(watching, &busy, &waiting) }()
			d, err := spreadRun(ctx, e, w, n)
			stop()
			if e := <-ended; err == nil {
				err = e
			}
			took.addMS(d / time.Duration(n))
			locks.add(100 * float64(waiting.Load()) / float64(max(busy.Load(), 1)))
			return err
		}, w)
	}, w)
}

// watchLocks counts sessions that are busy and those of them that wait for a lock, until
// ctx ends.
func (s *server) watchLocks(ctx context.Context, busy, waiting *atomic.Int64) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var all, locked int64
		err := s.pool.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE wait_event_type = 'Lock')
			FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()`).Scan(&all, &locked)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		busy.Add(all)
		waiting.Add(locked)
	}
}
