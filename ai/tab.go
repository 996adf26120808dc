package ai

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// bound is the budget of a run, as far as this process knows it. All runs below that run share it, by counters that belong
// to it: one for each part that is bounded, with what is spent and reserved; and one with what the part was raised to.
type bound struct {
	ancestor
	mu     sync.Mutex
	limit  Budget
	warned bool
}

// part is one number of a budget.
type part struct {
	name  string // money, tokens, calls
	limit int64
	need  int64
}

// maxCounted is the most that a counter takes at once.
const maxCounted = 1 << 50

// parts are the numbers of a budget that are bounded, and what of them a spending is.
func (b Budget) parts(s spending) (list []part) {
	for _, p := range []part{{"money", int64(b.Money), int64(s.Money)}, {"tokens", b.Tokens, s.Tokens}, {"calls", int64(b.Calls), int64(s.Calls)}} {
		if p.limit > 0 {
			p.need = min(max(p.need, 0), maxCounted)
			list = append(list, p)
		}
	}
	return list
}

func (b *bound) counter(part string) string { return "ai:" + part + ":" + b.run }

func (b *bound) raisedCounter(part string) string { return "ai:" + part + ":raised" }

// budget is the limit at this moment, and whether four fifths of it were gone before.
func (b *bound) budget() (limit Budget, warned bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.limit, b.warned
}

// learn makes the limit known to which a part was raised.
func (b *bound) learn(part string, to int64) (news bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.limit
	switch part {
	case "money":
		b.limit = old.raised(Budget{Money: Money(to)})
	case "tokens":
		b.limit = old.raised(Budget{Tokens: to})
	default:
		b.limit = old.raised(Budget{Calls: int(to)})
	}
	if news = b.limit != old; news {
		b.warned = false
	}
	return news
}

// tab is what bounds the calls of one run: its own budget, and those of the runs above it. A call must fit all.
type tab struct {
	client *Client
	run    string
	j      counting // of the first call; those of all steps do the same
	bounds []*bound
	opened chan struct{} // has room for who opens it; others wait for him, and not longer than they live
	open   bool
	epoch  int64
	used   time.Time
}

// tabs are those of runs that this process has in its hands.
type tabs struct {
	mu     sync.Mutex
	runs   map[string]*tab
	bounds map[string]*bound // by run: those of several tabs are one
}

func newTabs() tabs { return tabs{runs: make(map[string]*tab), bounds: make(map[string]*bound)} }

// of is the tab of a run. Whoever gets hold of a run first settles what its last owner may have left.
func (all *tabs) of(ctx context.Context, c *Client, j counting, info StepInfo) (*tab, error) {
	all.mu.Lock()
	t := all.runs[info.Execution]
	if t == nil || t.epoch != info.Epoch {
		if len(all.runs) >= maxLedgers {
			forget(all.runs, func(t *tab) time.Time { return t.used })
		}
		t = &tab{client: c, run: info.Execution, epoch: info.Epoch, opened: make(chan struct{}, 1)}
		all.runs[info.Execution] = t
	}
	t.used = time.Now()
	all.mu.Unlock()
	select {
	case t.opened <- struct{}{}:
		defer func() { <-t.opened }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if t.open {
		return t, nil
	}
	line, err := j.line(ctx)
	if err != nil {
		return nil, err
	}
	var bounds []*bound
	for _, x := range line {
		if b := c.cfg.Budgets[x.workflow]; b.limits() {
			bounds = append(bounds, all.bound(x, b))
		}
	}
	t.j, t.bounds = j, bounds
	if len(bounds) > 0 {
		if err := t.clear(ctx); err != nil {
			return nil, err
		}
	}
	t.open = true
	return t, nil
}

func (all *tabs) bound(x ancestor, limit Budget) *bound {
	all.mu.Lock()
	defer all.mu.Unlock()
	b := all.bounds[x.run]
	if b == nil {
		if len(all.bounds) >= maxLedgers {
			clear(all.bounds) // what was raised is read again
		}
		b = &bound{ancestor: x, limit: limit}
		all.bounds[x.run] = b
	}
	return b
}

// clear settles what was answered, and maybe not settled, before a worker died: of each body that is not done that can be its last call only.
func (t *tab) clear(ctx context.Context) error {
	list, err := t.j.history(ctx)
	if err != nil {
		return err
	}
	type body struct {
		path    string
		attempt int
	}
	last := make(map[body]*recorded)
	for _, r := range gather(list) {
		if r.Open && r.mark.Held != "" {
			last[body{r.Path, r.Attempt}] = r
		}
	}
	for _, r := range last {
		if r.outcome != nil {
			t.settle(ctx, r.mark, r.mark.real(r.outcome))
		}
	}
	return nil
}

func (t *tab) onlyMoney() bool {
	for _, b := range t.bounds {
		if limit, _ := b.budget(); limit.onlyMoney() {
			return true
		}
	}
	return false
}

// maxBounds is how many numbers may bound one call: what a drawing takes.
const maxBounds = 16

// draws are what a spending is of each number that bounds it. soft lowers the limits to where a warning is due. byCounter finds
// the bound of a counter.
func (t *tab) draws(s spending, soft bool) (list []draw, byCounter map[string]boundPart) {
	byCounter = make(map[string]boundPart)
	for _, b := range t.bounds {
		limit, warned := b.budget()
		for _, p := range limit.parts(s) {
			if soft && !warned {
				p.limit -= p.limit/5 + 1 // less than four fifths
			}
			name := b.counter(p.name)
			list = append(list, draw{run: b.id, counter: name, amount: p.need, limit: p.limit})
			byCounter[name] = boundPart{b, p.name, limit}
		}
	}
	return list, byCounter
}

type boundPart struct {
	*bound
	part  string
	limit Budget
}

func (t *tab) reserve(ctx context.Context, m *mark) (*overrun, error) {
	need := m.reserved()
	var near []*bound // four fifths of them are gone
	for {
		draws, by := t.draws(need, true)
		if len(draws) > maxBounds {
			return nil, &Error{Kind: Invalid, Err: fmt.Errorf("the budgets of the run and of those above it bound %d numbers together, and may bound %d", len(draws), maxBounds)}
		}
		id, ok, counter, err := t.j.takeOnce(ctx, "budget", draws)
		switch {
		case err != nil:
			return nil, err
		case ok:
			m.Held = id
			for _, b := range near {
				limit, _ := b.budget()
				warned(ctx, "run "+b.run, limit)
			}
			return nil, nil
		}
		full, known := by[counter]
		if !known {
			return nil, fmt.Errorf("ai: %q is no counter of a budget", counter)
		}
		if news, err := t.refresh(ctx, full.bound, full.part); err != nil {
			return nil, err
		} else if news {
			continue
		}
		if full.warn(true) {
			near = append(near, full.bound)
			continue
		}
		for _, b := range near {
			b.warn(false)
		}
		return t.overrun(ctx, full, need)
	}
}

// warn notes whether somebody was told that four fifths of a budget are gone, and says whether that is new.
func (b *bound) warn(is bool) (news bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	news = b.warned != is
	b.warned = is
	return news
}

// overrun is why a part of a budget has no room.
func (t *tab) overrun(ctx context.Context, full boundPart, need spending) (*overrun, error) {
	n, err := t.j.count(ctx, full.id, full.counter(full.part))
	if err != nil {
		return nil, err
	}
	no := &overrun{Of: "run", Part: full.part, Limit: full.limit, Need: need}
	if full.run != t.run {
		no.Run = full.run
	}
	switch full.part {
	case "money":
		no.Spent.Money = Money(n)
	case "tokens":
		no.Spent.Tokens = n
	default:
		no.Spent.Calls = int(n)
	}
	return no, nil
}

// refresh asks to what a part was raised, by whatever worker.
func (t *tab) refresh(ctx context.Context, b *bound, part string) (news bool, err error) {
	n, err := t.j.count(ctx, b.id, b.raisedCounter(part))
	return err == nil && b.learn(part, n), err
}

// rowsOfCalls is up to how many calls a budget need not be settled that bounds nothing else.
const rowsOfCalls = 1000

// unmade leaves what was taken: the next try to make the mark finds it.
func (t *tab) unmade(*mark) {}

func (t *tab) settle(ctx context.Context, m *mark, real spending) {
	reserved, _ := t.draws(m.reserved(), false)
	list, _ := t.draws(real, false)
	same := true
	for i, d := range list {
		same = same && i < len(reserved) && d.amount == reserved[i].amount && d.limit <= rowsOfCalls
	}
	if same {
		return
	}
	ctx, cancel := lastly(ctx) // the answer is recorded, whatever becomes of the step
	defer cancel()
	if err := t.j.giveBack(ctx, m.Held, list); err != nil {
		logger(ctx).Warn("what a call has cost could not be settled with the budgets of its runs: what was reserved for it counts", "err", t.client.redact(err.Error()))
	}
}

// lastWord is how long a body that is over may take to settle its last call.
const lastWord = 2 * time.Second

// raise makes the budget of a run larger, for all that share it.
func (t *tab) raise(ctx context.Context, to *raised) error {
	run := to.Run
	if run == "" {
		run = t.run
	}
	for _, b := range t.bounds {
		if b.run != run {
			continue
		}
		limit, _ := b.budget()
		wanted := make(map[string]int64)
		for _, p := range limit.parts(spending{to.Money, to.Tokens, to.Calls}) {
			wanted[p.name] = p.need
		}
		for name, n := range wanted {
			if err := t.raisePart(ctx, b, name, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// raisePart makes one number of a budget at least n. What it was raised to counts in a counter of its own, which only grows.
func (t *tab) raisePart(ctx context.Context, b *bound, part string, n int64) error {
	for {
		at, err := t.j.count(ctx, b.id, b.raisedCounter(part))
		if err != nil {
			return err
		}
		if at < n { // unless somebody raises it, too: then it is full
			_, ok, _, _, err := t.j.take(ctx, takeName(), []draw{{run: b.id, counter: b.raisedCounter(part), amount: n - at, limit: n}})
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			at = n
		}
		b.learn(part, at)
		return nil
	}
}
