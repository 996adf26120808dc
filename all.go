package durable

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
)

// allAtOnce is how many functions of one All run at once.
const allAtOnce = 16

// All runs fn for every item, 16 at once, and records each result under the item's number
// as Do does: when the body runs again, only items without a record are done. It returns
// the results in the order of the items, or the error of the first item, in that order, that
// failed; then no further items begin, and those that run are waited for.
//
// The functions run beside each other in this step, and hold no slots of their own. They
// cannot make durable calls; Info gives each an IdempotencyKey of its own. For items that wait, or for work on several machines, use Each or
// Spawn.
func All[T, R any](ctx context.Context, name string, items []T, fn func(ctx context.Context, item T) (R, error)) ([]R, error) {
	b, key, err := enter(ctx, "all", name)
	if err != nil {
		return nil, err
	}
	a := all[T, R]{b: b, key: key, items: items, fn: fn, results: make([]R, len(items)), ended: make(chan allEnd[R])}
	return a.run(ctx, name)
}

// itemKey is where the context of an item's function has its call key.
type itemKey struct{}

// all is one call of All.
type all[T, R any] struct {
	b       *body
	key     string
	items   []T
	fn      func(ctx context.Context, item T) (R, error)
	results []R
	ended   chan allEnd[R]
	first   int // item whose error is returned
	err     error
}

// allEnd is how the function of one item ended.
type allEnd[R any] struct {
	i      int
	result R
	err    error
	panic  any
	stack  []byte
	shelf  *shelf
}

// run runs what has no record, on goroutines of its own, and records each end on the body's.
func (a *all[T, R]) run(ctx context.Context, name string) ([]R, error) {
	var open []int
	for i := range a.items {
		if c := a.b.h.Calls[a.at(i)]; c == nil {
			open = append(open, i)
		} else if err := a.take(i, c); err != nil {
			a.fail(i, err)
		}
	}
	if a.err != nil {
		return nil, a.err
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	inner, stop := context.WithCancel(ctx)
	a.b.inside = "All " + strconv.Quote(name)
	running := 0
	defer func() { // the body may end in here, by a panic or since it is stuck
		stop()
		for ; running > 0; running-- {
			<-a.ended
		}
		a.b.inside = ""
	}()
	var panicked *allEnd[R]
	for {
		for len(open) > 0 && running < allAtOnce {
			if err := context.Cause(ctx); err != nil {
				a.fail(open[0], err)
				open = nil
				break
			}
			go a.one(inner, open[0])
			open = open[1:]
			running++
		}
		if running == 0 {
			break
		}
		end := <-a.ended
		running--
		if end.panic != nil && panicked == nil {
			panicked = &end
		}
		if end.panic == nil {
			a.record(ctx, name, end)
		}
		if panicked != nil || a.err != nil {
			open = nil
			stop()
		}
	}
	if panicked != nil {
		panic(fmt.Sprintf("item %d of All %q: %v\n%s", panicked.i, name, panicked.panic, panicked.stack))
	}
	if a.err != nil {
		return nil, a.err
	}
	return a.results, nil
}

func (a *all[T, R]) at(i int) string { return a.key + "/" + strconv.Itoa(i) }

// one runs the function of one item.
func (a *all[T, R]) one(ctx context.Context, i int) {
	end := allEnd[R]{i: i, err: errors.New("the function ended its goroutine without returning"), shelf: new(shelf)}
	defer func() {
		end.shelf.close()
		if end.panic = recover(); end.panic != nil {
			end.stack = debug.Stack()
		}
		a.ended <- end
	}()
	end.result, end.err = a.fn(context.WithValue(context.WithValue(ctx, itemKey{}, a.at(i)), shelfKey{}, end.shelf), a.items[i])
}

// record makes the end of one item durable. What was cut short by the failure of
// another is not an end.
func (a *all[T, R]) record(ctx context.Context, name string, end allEnd[R]) {
	if end.err != nil && (a.err != nil || context.Cause(ctx) != nil) {
		if a.err == nil {
			a.fail(end.i, context.Cause(ctx))
		}
		return
	}
	req := &run.CallRequest{Key: a.at(end.i)}
	if end.err != nil {
		req.Err = recordCall(end.err, a.b)
	} else {
		var err error
		if req.Data, err = encode(end.result, a.b.engine.cfg.MaxPayload); err != nil {
			a.fail(end.i, &resultError{fmt.Errorf("item %d of All %q: %w", end.i, name, err)})
			return
		}
	}
	c, err := a.b.call(req, end.shelf)
	if err == nil {
		err = a.take(end.i, c)
	} else {
		err = callGone(ctx, err)
	}
	if err != nil {
		a.fail(end.i, err)
	}
}

// take reads a record.
func (a *all[T, R]) take(i int, c *journal.Call) (err error) {
	a.results[i], err = doResult[R](a.b, a.at(i), c)
	return err
}

// fail keeps the error of the first item that has one.
func (a *all[T, R]) fail(i int, err error) {
	if a.err == nil || i < a.first {
		a.first, a.err = i, err
	}
}
