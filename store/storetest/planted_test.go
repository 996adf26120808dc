package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/durable-go/durable/store"
)

// bug is a mistake that a store could make, and the clauses that must see it.
type bug struct {
	name    string
	clauses []string
	// plant returns what puts the bug on each handle of one store.
	plant func() func(store.Store) store.Store
}

// bugs are those that a store's authors are most likely to make, or that would
// cost users most.
func bugs() []bug {
	return append(slices.Concat(limitBugs(), drawBugs(), pruneBugs(), streamBugs(), familyBugs(), publishBugs()), []bug{
		{"epoch not checked", []string{"advance/wrong epoch alone"}, onAdvance(func(a *store.Advance, is store.Record) { a.Epoch = is.Epoch })},
		{"owner not checked", []string{"advance/wrong owner alone"}, onAdvance(func(a *store.Advance, is store.Record) { a.Owner = is.Owner })},
		{
			"neither epoch nor owner checked",
			[]string{"fence/all writes of a replaced owner are refused"},
			onAdvance(func(a *store.Advance, is store.Record) { a.Owner, a.Epoch = is.Owner, is.Epoch }),
		},
		{
			"base not checked",
			[]string{"advance/base too high", "advance/again has landed, once", "race/one write per base"},
			onAdvance(func(a *store.Advance, is store.Record) { a.Base = is.Length }),
		},
		{
			"unread messages not checked",
			[]string{"advance/unseen message", "advance/unseen is told before early"},
			onAdvance(func(a *store.Advance, _ store.Record) { a.Seen = -1 }),
		},
		{
			"timers fire by the worker's clock",
			[]string{"advance/early"},
			onAdvance(func(a *store.Advance, _ store.Record) { a.NotBefore = time.Time{} }),
		},
		{
			"limits not enforced",
			[]string{"hold/up to the limit and no further", "race/holds never exceed the limit"},
			onAdvance(func(a *store.Advance, _ store.Record) {
				a.Holds = slices.Clone(a.Holds)
				for i := range a.Holds {
					a.Holds[i].Limit = 1 << 60
				}
			}),
		},
		{"taken messages come back", []string{"advance/takes messages"}, onAdvance(func(a *store.Advance, _ store.Record) { a.Took = nil })},
		{"snapshots are lost", []string{"load/a snapshot replaces the rows before it"}, onAdvance(func(a *store.Advance, _ store.Record) { a.Snapshot = nil })},
		{"waits are never shut", []string{"release/shut closes, absent ones are ignored"}, onAdvance(func(a *store.Advance, _ store.Record) { a.Shut = nil })},
		{"altered waits stay as they were", []string{"waits/altered in place"}, onAdvance(func(a *store.Advance, _ store.Record) { a.Alter = nil })},
		{"altering opens again", []string{"waits/altering what has closed opens nothing"}, onAdvance(func(a *store.Advance, _ store.Record) {
			for _, w := range a.Alter {
				a.Open, a.Shut = append(slices.Clone(a.Open), w), append(slices.Clone(a.Shut), w.ID)
			}
		})},
		{"what is to be kept is closed", []string{"deliver/to a wait that is kept"}, on(func(_ store.Store, w store.Write) store.Write {
			if w.Deliver != nil && w.Deliver.Wait != "" {
				d := *w.Deliver
				d.Keep = false
				w.Deliver = &d
			}
			return w
		})},
		{"dedupe off", []string{"deliver/again has landed, once", "deliver/many in one batch", "race/one message per dedupe"}, dedupeOff},
		{"repeated control applied twice", []string{"control/again has landed"}, controlTwice},
		{"what a control has seen is not looked at", []string{"control/of what was seen only"}, on(func(_ store.Store, w store.Write) store.Write {
			if w.Control == nil {
				return w
			}
			c := *w.Control
			c.Before = 0
			return store.Write{Control: &c}
		})},
		{"wake lost", []string{"deliver/wakes by topic", "race/no wake is lost"}, wakeLost},
		{"Expire keeps the epoch", []string{"expire/releases with a new epoch, due now"}, expireKeepsEpoch},
		{"expired lease comes back", []string{"lease/expired is never renewed"}, leaseReturns},
		{"a renewal forgets what is due already", []string{"lease/renewal tells what is due in queues"}, renewalForgets},
		{"a renewal says nothing of blocked ones", []string{"lease/renewal tells what is due in queues"}, renewalHides},
		{"only the last to block counts", []string{"claim/blocked by several kinds of code is taken by none of them"}, lastBlocks},
		{"who blocked is never forgotten", []string{"claim/what went on gives all code another chance"}, blockedForEver},
		{"a stale write spoils its batch", []string{"batch/one stale write among 64 good"}, staleSpoils},
		{"a refused batch is half done", []string{"batch/a refused write undoes the batch"}, halfDone},
		{"a claim is handed out twice", []string{"race/claims never share an execution"}, claimTwice},
		{"records are shared", []string{"load/what a caller holds is its own"}, sharedRecords},
		{"filters with wildcards", []string{"list/filters have no wildcards"}, wildcards},
		{"pages by offset", []string{"list/pages are stable under inserts"}, offsets},
		{"a closed store works", []string{"life/calls after Close fail"}, neverClosed},
	}...)
}

// rewriting is a store that changes writes before they are committed.
type rewriting struct {
	store.Store
	rewrite func(st store.Store, w store.Write) store.Write
}

func (r rewriting) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	changed := make([]store.Write, len(writes))
	for i, w := range writes {
		changed[i] = r.rewrite(r.Store, w)
	}
	return r.Store.Commit(ctx, changed)
}

func onAdvance(spoil func(a *store.Advance, is store.Record)) func() func(store.Store) store.Store {
	return on(func(st store.Store, w store.Write) store.Write {
		if w.Advance == nil {
			return w
		}
		is, err := st.Load(context.Background(), w.Advance.ID, true)
		if err != nil {
			return w
		}
		a := *w.Advance
		spoil(&a, is)
		return store.Write{Advance: &a}
	})
}

func on(rewrite func(st store.Store, w store.Write) store.Write) func() func(store.Store) store.Store {
	return func() func(store.Store) store.Store {
		return func(st store.Store) store.Store { return rewriting{st, rewrite} }
	}
}

func dedupeOff() func(store.Store) store.Store {
	var n atomic.Int64
	return on(func(_ store.Store, w store.Write) store.Write {
		if w.Deliver == nil {
			return w
		}
		d := *w.Deliver
		d.Dedupe = fmt.Sprint(d.Dedupe, "/", n.Add(1))
		return store.Write{Deliver: &d}
	})()
}

func controlTwice() func(store.Store) store.Store {
	var n atomic.Int64
	return on(func(_ store.Store, w store.Write) store.Write {
		if w.Control == nil {
			return w
		}
		c := *w.Control
		c.Row = fmt.Append(c.Row, n.Add(1))
		return store.Write{Control: &c}
	})()
}

// sleepy hides topics from the store, so that no message matches a wait.
type sleepy struct{ rewriting }

func wakeLost() func(store.Store) store.Store {
	return func(st store.Store) store.Store {
		return sleepy{rewriting{st, func(_ store.Store, w store.Write) store.Write {
			if w.Deliver == nil {
				return w
			}
			d := *w.Deliver
			d.Topic = "hidden " + d.Topic
			return store.Write{Deliver: &d}
		}}}
	}
}

func (s sleepy) Load(ctx context.Context, id store.ID, whole bool) (store.Record, error) {
	r, err := s.Store.Load(ctx, id, whole)
	for i := range r.Messages {
		r.Messages[i].Topic = strings.TrimPrefix(r.Messages[i].Topic, "hidden ")
	}
	return r, err
}

// lagging shows epochs without those that an Expire has added.
type lagging struct {
	store.Store
	*lag
}

type lag struct {
	mu sync.Mutex
	of map[store.ID]int64
}

func expireKeepsEpoch() func(store.Store) store.Store {
	l := &lag{of: map[store.ID]int64{}}
	return func(st store.Store) store.Store { return lagging{st, l} }
}

func (l lagging) Expire(ctx context.Context) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, _ := l.Store.List(ctx, store.Filter{Limit: 1000})
	n, err := l.Store.Expire(ctx)
	for _, x := range before.Executions {
		if after, _ := l.Store.Load(ctx, x.ID, false); after.Epoch > x.Epoch {
			l.of[x.ID]++
		}
	}
	return n, err
}

func (l lagging) Load(ctx context.Context, id store.ID, whole bool) (store.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, err := l.Store.Load(ctx, id, whole)
	r.Epoch -= l.of[id]
	return r, err
}

// immortal creates a lease anew when it cannot be renewed.
type immortal struct{ store.Store }

func leaseReturns() func(store.Store) store.Store {
	return func(st store.Store) store.Store { return immortal{st} }
}

func (i immortal) Renew(ctx context.Context, l store.Lease) (store.Renewal, error) {
	r, err := i.Store.Renew(ctx, l)
	if errors.Is(err, store.ErrLeaseLost) {
		_ = i.Retire(ctx, l.Who)
		l.New = true
		return i.Store.Renew(ctx, l)
	}
	return r, err
}

// answering is a store that changes answers to renewals.
type answering struct {
	store.Store
	spoil func(answer *store.Renewal)
}

func (a answering) Renew(ctx context.Context, l store.Lease) (store.Renewal, error) {
	answer, err := a.Store.Renew(ctx, l)
	a.spoil(&answer)
	return answer, err
}

func renewalForgets() func(store.Store) store.Store {
	return func(st store.Store) store.Store {
		return answering{st, func(answer *store.Renewal) {
			if !answer.NextDue.After(answer.Now) {
				answer.NextDue = time.Time{}
			}
		}}
	}
}

func renewalHides() func(store.Store) store.Store {
	return func(st store.Store) store.Store {
		return answering{st, func(answer *store.Renewal) { answer.Blocked = false }}
	}
}

// lastOnly frees what is blocked by the asking code, unless it was the last to block.
type lastOnly struct{ store.Store }

func lastBlocks() func(store.Store) store.Store {
	return func(st store.Store) store.Store { return lastOnly{st} }
}

func (f lastOnly) Claim(ctx context.Context, req store.ClaimRequest) (store.Claimed, error) {
	page, err := f.List(ctx, store.Filter{Statuses: []store.Status{store.Blocked}})
	if err != nil {
		return store.Claimed{}, err
	}
	for _, x := range page.Executions {
		for _, d := range req.Definitions {
			if at := slices.Index(x.Blocked, d.Fingerprint); at >= 0 && at < len(x.Blocked)-1 {
				_, _ = f.Commit(ctx, []store.Write{{Control: &store.Control{ID: x.ID, From: []store.Status{store.Blocked}, Release: store.Release{Status: store.Pending}}}})
			}
		}
	}
	return f.Store.Claim(ctx, req)
}

// unforgiving tells of everything that ever blocked.
type unforgiving struct {
	store.Store
	ever map[store.ID][]string
}

func blockedForEver() func(store.Store) store.Store {
	ever := map[store.ID][]string{}
	return func(st store.Store) store.Store { return unforgiving{st, ever} }
}

func (u unforgiving) Claim(ctx context.Context, req store.ClaimRequest) (store.Claimed, error) {
	c, err := u.Store.Claim(ctx, req)
	for _, r := range c.Records {
		for _, fingerprint := range r.Blocked {
			u.ever[r.ID] = store.AddBlocked(u.ever[r.ID], fingerprint)
		}
	}
	return c, err
}

func (u unforgiving) Load(ctx context.Context, id store.ID, whole bool) (store.Record, error) {
	r, err := u.Store.Load(ctx, id, whole)
	if r.Status == store.Blocked {
		for _, fingerprint := range r.Blocked {
			u.ever[id] = store.AddBlocked(u.ever[id], fingerprint)
		}
		r.Blocked = slices.Clone(u.ever[id])
	}
	return r, err
}

// spoiled refuses a whole batch when one of its writes is stale.
type spoiled struct{ store.Store }

func staleSpoils() func(store.Store) store.Store {
	return func(st store.Store) store.Store { return spoiled{st} }
}

func (s spoiled) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	for _, w := range writes {
		if w.Advance == nil {
			continue
		}
		if r, err := s.Load(ctx, w.Advance.ID, false); err != nil || r.Epoch != w.Advance.Epoch {
			return store.Result{Now: r.Now, Verdicts: slices.Repeat([]store.Verdict{{Code: store.Superseded}}, len(writes))}, nil
		}
	}
	return s.Store.Commit(ctx, writes)
}

// piecemeal commits write by write.
type piecemeal struct{ store.Store }

func halfDone() func(store.Store) store.Store {
	return func(st store.Store) store.Store { return piecemeal{st} }
}

func (p piecemeal) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	all, err := p.Store.Commit(ctx, nil)
	for _, w := range writes {
		one, err := p.Store.Commit(ctx, []store.Write{w})
		if err != nil {
			return store.Result{}, err
		}
		all.Verdicts = append(all.Verdicts, one.Verdicts...)
	}
	return all, err
}

// generous gives every third claim a record of the one before.
type generous struct {
	store.Store
	last *last
}

type last struct {
	mu     sync.Mutex
	claims int
	record []store.Record
}

func claimTwice() func(store.Store) store.Store {
	l := &last{}
	return func(st store.Store) store.Store { return generous{st, l} }
}

func (g generous) Claim(ctx context.Context, req store.ClaimRequest) (store.Claimed, error) {
	c, err := g.Store.Claim(ctx, req)
	g.last.mu.Lock()
	defer g.last.mu.Unlock()
	if g.last.claims++; len(c.Records) > 0 {
		if g.last.claims%3 == 0 {
			c.Records = append(c.Records, g.last.record...)
		}
		g.last.record = c.Records[:1:1]
	}
	return c, err
}

// sharing gives the record that it has read once to all who load it unchanged.
type sharing struct {
	store.Store
	seen map[store.ID]store.Record
}

func sharedRecords() func(store.Store) store.Store {
	return func(st store.Store) store.Store { return sharing{st, map[store.ID]store.Record{}} }
}

func (s sharing) Load(ctx context.Context, id store.ID, whole bool) (store.Record, error) {
	r, err := s.Store.Load(ctx, id, whole)
	if old := s.seen[id]; err == nil && old.Length == r.Length && old.Inbox == r.Inbox {
		return old, nil
	}
	s.seen[id] = r
	return r, err
}

// globbing takes a percent sign for "anything".
type globbing struct{ store.Store }

func wildcards() func(store.Store) store.Store {
	return func(st store.Store) store.Store { return globbing{st} }
}

func (g globbing) List(ctx context.Context, f store.Filter) (store.Page, error) {
	if f.Key == "%" {
		f.Key = ""
	}
	return g.Store.List(ctx, f)
}

// paging counts executions instead of remembering where a page ended.
type paging struct{ store.Store }

func offsets() func(store.Store) store.Store {
	return func(st store.Store) store.Store { return paging{st} }
}

func (p paging) List(ctx context.Context, f store.Filter) (store.Page, error) {
	skip, _ := strconv.Atoi(f.Cursor)
	size := f.Limit
	f.Cursor, f.Limit = "", 1000
	page, err := p.Store.List(ctx, f)
	rest := page.Executions[min(skip, len(page.Executions)):]
	page.Executions = rest[:min(size, len(rest))]
	if len(rest) > size {
		page.Cursor = strconv.Itoa(skip + size)
	}
	return page, err
}

// unclosed goes on after Close.
type unclosed struct{ store.Store }

func neverClosed() func(store.Store) store.Store {
	return func(st store.Store) store.Store { return unclosed{st} }
}

func (unclosed) Close() error { return nil }
