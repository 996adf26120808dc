package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

// Who draws from a counter or settles on it takes its lock first, so what he reads of it
// holds until he is done. Executions come before counters: they must stay while something is drawn.
const (
	holdRuns = `SELECT id FROM durable.execution WHERE id = ANY($1) ORDER BY id FOR KEY SHARE`
	// By the time before that of the transaction, which is asked for after it: what ends in between counts.
	readCounts = `
		SELECT w.n, d.counts, d.open, d.there FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS w (run, counter, n)
		CROSS JOIN LATERAL (
			SELECT coalesce(sum(x.amount), 0)::bigint AS counts, coalesce(sum(x.amount) FILTER (WHERE NOT x.settled), 0)::bigint AS open,
				coalesce(bool_or(x.id = $3), FALSE) AS there
			FROM durable.draw x WHERE x.run = w.run AND x.counter = w.counter AND x.until > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
		) AS d ORDER BY w.n`
	drawFree = `
		SELECT until FROM (
			SELECT until, sum(amount) OVER (ORDER BY until, id) AS freed FROM durable.draw WHERE run = $1 AND counter = $2 AND until > $3
		) AS ahead WHERE freed >= $4 AND until < $5 ORDER BY until LIMIT 1`
	addDraws = `
		INSERT INTO durable.draw (run, counter, id, amount, until, span, settled)
		SELECT w.run, w.counter, $3, w.amount, w.until, w.span, FALSE
		FROM unnest($1::uuid[], $2::text[], $4::bigint[], $5::bigint[], $6::bigint[]) AS w (run, counter, amount, until, span)
		ON CONFLICT (run, counter, id) DO UPDATE SET amount = excluded.amount, until = excluded.until, span = excluded.span, settled = FALSE`
	readDraws = `
		SELECT w.n, d.until, d.span FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS w (run, counter, n)
		JOIN durable.draw d ON d.run = w.run AND d.counter = w.counter AND d.id = $3 AND NOT d.settled`
	settleDraws = `
		UPDATE durable.draw d SET amount = 0, settled = TRUE, until = $4 FROM unnest($1::uuid[], $2::text[]) AS w (run, counter)
		WHERE d.run = w.run AND d.counter = w.counter AND d.id = $3`
	addSettled = `
		INSERT INTO durable.draw AS d (run, counter, id, amount, until, span, settled)
		SELECT w.run, w.counter, w.id, w.amount, w.until, 0, TRUE
		FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) AS w (run, counter, id, amount, until) WHERE w.amount > 0
		ON CONFLICT (run, counter, id) DO UPDATE SET amount = d.amount + excluded.amount`
	// After all else: who waits for a row that this removes waits for the end of this transaction only. By their
	// places, which do not move while they are locked: a join would read the whole table.
	sweepDraws = `
		DELETE FROM durable.draw WHERE ctid = ANY (ARRAY(
			SELECT ctid FROM durable.draw WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED))`
	pruneDraws = `DELETE FROM durable.draw WHERE run = ANY($1)`
)

// drawAtOnce is how many drawings and settlings of a handle are on their way at once. They wait for each
// other's counters, and commits and claims must not wait for a connection meanwhile.
const drawAtOnce = 2

// counted runs fn in a transaction of its own, when it is its turn.
func (s *Store) counted(ctx context.Context, doing string, fn func(ctx context.Context, t *tx) error) error {
	select {
	case s.drawing <- struct{}{}:
		defer func() { <-s.drawing }()
		return s.update(ctx, doing, fn)
	case <-ctx.Done():
		return explain(doing, context.Cause(ctx))
	case <-s.done:
		return explain(doing, errClosed)
	}
}

// counters is counters as a statement takes them.
type counters struct {
	runs  [][16]byte
	names []string
}

func (c *counters) add(x store.Counter) {
	c.runs, c.names = append(c.runs, [16]byte(x.Of)), append(c.names, x.Name)
}

// owners is the executions that counters belong to.
func (c *counters) owners() (list ids) {
	for _, id := range c.runs {
		if id != uuid.Nil && !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}

// numbers is those of the locks of counters, each once.
func (c *counters) numbers(in schema) []int64 {
	numbers := make([]int64, len(c.names))
	for i, name := range c.names {
		numbers[i] = in.lock("counter " + uuid.UUID(c.runs[i]).String() + " " + name)
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// Draw implements store.Store.
func (s *Store) Draw(ctx context.Context, d store.Drawing) (res store.Drawn, err error) {
	if err := d.Check(); err != nil {
		return store.Drawn{}, explain("draw", err)
	}
	err = s.counted(ctx, "draw", func(ctx context.Context, t *tx) error {
		res = store.Drawn{}
		return t.drawFrom(ctx, &d, &res)
	})
	if err != nil {
		return store.Drawn{}, err
	}
	return res, nil
}

func (t *tx) drawFrom(ctx context.Context, d *store.Drawing, res *store.Drawn) error {
	var all counters
	for i := range d.Draws {
		all.add(d.Draws[i].Counter)
	}
	owners, found := all.owners(), 0
	if len(owners) > 0 {
		t.read(holdRuns, []any{[][16]byte(owners)}, func(pgx.CollectableRow) error {
			found++
			return nil
		})
	}
	t.exec(lockNumbers, all.numbers(t.s.schema))
	counts, there := make([]int64, len(d.Draws)), make([]bool, len(d.Draws))
	t.read(readCounts, []any{all.runs, all.names, "d" + d.ID}, func(r pgx.CollectableRow) error {
		var n, sum, open int64
		var is bool
		if err := r.Scan(&n, &sum, &open, &is); err != nil {
			return err
		}
		counts[n-1], there[n-1] = sum, is
		return nil
	})
	t.readClock()
	if err := t.flush(ctx); err != nil {
		return err
	}
	*res = store.Drawn{Now: t.now, Code: store.Landed}
	if found < len(owners) {
		res.Code = store.NotFound
		return nil
	}
	return t.drawn(ctx, d, counts, there, res)
}

// drawn takes what fits of counters that are locked.
func (t *tx) drawn(ctx context.Context, d *store.Drawing, counts []int64, there []bool, res *store.Drawn) error {
	var (
		took                  counters
		amounts, until, spans []int64
		full                  int
		frees                 []int64
	)
	now := t.now.UnixMicro()
	for i := range d.Draws {
		x := &d.Draws[i]
		if there[i] {
			continue
		}
		took.add(x.Counter)
		amounts, until, spans = append(amounts, x.Amount), append(until, x.Until(now)), append(spans, x.Span())
		if over := counts[i] + x.Amount - x.Limit; over > 0 {
			if full++; full == 1 {
				res.Code, res.Counter = store.Full, x.Counter
			}
			t.read(drawFree, []any{[16]byte(x.Of), x.Name, now, over, store.Never}, func(r pgx.CollectableRow) error {
				var at int64
				err := r.Scan(&at)
				frees = append(frees, at)
				return err
			})
		}
	}
	if full > 0 {
		err := t.flush(ctx)
		if len(frees) == full {
			res.At = time.UnixMicro(slices.Max(frees)).UTC()
		}
		return err
	}
	if len(amounts) > 0 {
		res.Code = store.Applied
		t.exec(addDraws, took.runs, took.names, "d"+d.ID, amounts, until, spans)
		t.exec(sweepDraws, now, store.SweepDraws)
	}
	return nil
}

// Settle implements store.Store.
func (s *Store) Settle(ctx context.Context, req store.Settling) error {
	if err := req.Check(); err != nil {
		return explain("settle", err)
	}
	return s.counted(ctx, "settle", func(ctx context.Context, t *tx) error { return t.settle(ctx, &req) })
}

func (t *tx) settle(ctx context.Context, req *store.Settling) error {
	var all, open counters
	for i := range req.Amounts {
		all.add(req.Amounts[i].Counter)
	}
	type row struct{ n, until, span int64 }
	var rows []row
	t.exec(lockNumbers, all.numbers(t.s.schema))
	t.readClock()
	t.read(readDraws, []any{all.runs, all.names, "d" + req.ID}, func(r pgx.CollectableRow) error {
		var x row
		err := r.Scan(&x.n, &x.until, &x.span)
		rows = append(rows, x)
		return err
	})
	if err := t.flush(ctx); err != nil {
		return err
	}
	now := t.now.UnixMicro()
	var names []string
	var amounts, until []int64
	for _, x := range rows {
		if x.until <= now {
			continue
		}
		a, end := req.Amounts[x.n-1], store.Grain(x.until, x.span)
		open.add(a.Counter)
		names, amounts, until = append(names, fmt.Sprint("s", end)), append(amounts, a.Amount), append(until, end)
	}
	if len(names) > 0 {
		t.exec(settleDraws, open.runs, open.names, "d"+req.ID, now+store.SettledFor.Microseconds())
		t.exec(addSettled, open.runs, open.names, names, amounts, until)
	}
	return nil
}

// Count implements store.Store.
func (s *Store) Count(ctx context.Context, c store.Counter) (n store.Count, err error) {
	var all counters
	all.add(c)
	found := false
	err = s.view(ctx, "count", func(b *pgx.Batch) {
		n, found = store.Count{}, false
		read(s.schema, b, readCounts, []any{all.runs, all.names, ""}, func(r pgx.CollectableRow) error {
			var number int64
			var there bool
			found = true
			return r.Scan(&number, &n.All, &n.Open, &there)
		})
		read(s.schema, b, readClock, nil, func(r pgx.CollectableRow) error { return r.Scan((*instant)(&n.Now)) })
	})
	if err == nil && !found {
		err = errors.New("count: no row")
	}
	return n, err
}
