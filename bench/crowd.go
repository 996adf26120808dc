package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
)

// template is a run that an engine made, to be copied under other ids: its
// header, its journal and its open waits.
type template struct {
	head  store.Execution
	rows  [][]byte
	waits []store.Wait
}

// capture reads a run that nobody owns.
func capture(ctx context.Context, o store.Opener, id durable.ID) (t template, err error) {
	s, err := o.OpenStore(ctx)
	if err != nil {
		return t, err
	}
	defer s.Close()
	rec, err := s.Load(ctx, id, true)
	if err != nil {
		return t, err
	}
	if rec.Owner != (store.Incarnation{}) || len(rec.Rows) < 2 {
		return t, fmt.Errorf("run %s is owned or has only %d rows: it cannot be copied", id, len(rec.Rows))
	}
	t.head = rec.Execution
	for _, row := range rec.Rows {
		t.rows = append(t.rows, row.Body)
	}
	page, err := s.Waits(ctx, store.WaitFilter{Execution: id})
	t.waits = page.Waits
	return t, err
}

// copies writes n copies through the contract of the stores, as an owner would:
// begun, advanced row by row, released with the last.
func (t *template) copies(ctx context.Context, s store.Store, n int) error {
	const batch, writers = 512, 2
	me := uuid.New()
	if _, err := s.Renew(ctx, store.Lease{Who: me, Name: "bench", Duration: time.Hour, New: true}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	work := make(chan int)
	for range writers {
		all.Go(func() {
			for n := range work {
				if err := t.batch(ctx, s, me, n); err != nil {
					cancel(err)
				}
			}
		})
	}
	for left := n; left > 0 && ctx.Err() == nil; left -= batch {
		work <- min(batch, left)
	}
	close(work)
	all.Wait()
	err := context.Cause(ctx)
	return errors.Join(err, s.Retire(context.WithoutCancel(ctx), me))
}

func (t *template) batch(ctx context.Context, s store.Store, me store.Incarnation, n int) error {
	ids := make([]store.ID, n)
	writes := make([]store.Write, n)
	for i := range ids {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		ids[i] = id
		writes[i].Begin = &store.Begin{ID: id, Workflow: t.head.Workflow, Version: t.head.Version, Queue: t.head.Queue, Row: t.rows[0], Owner: me}
	}
	if err := applied(s.Commit(ctx, writes)); err != nil {
		return err
	}
	for base := 1; base < len(t.rows); base++ {
		for i, id := range ids {
			a := &store.Advance{ID: id, Owner: me, Epoch: 1, Base: base, Row: t.rows[base], Seen: -1}
			if base == len(t.rows)-1 {
				a.Release = &store.Release{Status: t.head.Status, Due: t.head.Due}
				for _, w := range t.waits {
					w.ID, w.Execution = uuid.NewString(), id
					a.Open = append(a.Open, w)
				}
			}
			writes[i] = store.Write{Advance: a}
		}
		if err := applied(s.Commit(ctx, writes)); err != nil {
			return err
		}
	}
	return nil
}

func applied(r store.Result, err error) error {
	if err != nil {
		return err
	}
	for _, v := range r.Verdicts {
		if v.Code != store.Applied {
			return fmt.Errorf("the store refused a copy (verdict %d)", v.Code)
		}
	}
	return nil
}

// crowdOf fills a schema with copies of a run that fn makes there, and lets the
// server tidy up, as it would have long before there are so many.
func (b *bench) crowdOf(ctx context.Context, schema string, n int, fn func(o store.Opener) (durable.ID, error)) error {
	o := b.pg.store(schema)
	id, err := fn(o)
	if err != nil {
		return err
	}
	t, err := capture(ctx, o, id)
	if err != nil {
		return err
	}
	s, err := o.OpenStore(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	b.say("  writing %s copies of a run with %d rows", thousands(int64(n)), len(t.rows))
	if err := t.copies(ctx, s, n); err != nil {
		return err
	}
	b.say("  vacuum and analyze")
	if _, err := b.pg.pool.Exec(ctx, "VACUUM (ANALYZE)"); err != nil {
		return err
	}
	return b.pg.checkpoint(ctx)
}
