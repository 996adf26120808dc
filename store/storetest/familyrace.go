package storetest

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/durable-go/durable/store"
)

func familyRaceClauses() []clause {
	return []clause{
		{"race/a hundred children end at once", "CH-2, EA-6", raceReports},
		{"race/a child ends while its parent is cancelled", "CH-4, CN-2", raceNotice},
		{"race/a parent is cancelled while it begins children", "CH-4, CN-4", raceBirth},
		{"race/families are pruned while they end", "RN-1", raceFamilyPrune},
	}
}

// try commits a batch until nothing in it is Busy. It returns the last verdicts.
func (e *env) tryAll(st store.Store, writes []store.Write) []store.Verdict {
	all, rest := make([]store.Verdict, len(writes)), writes
	places := make([]int, len(writes))
	for i := range places {
		places[i] = i
	}
	for range busyTries {
		r, err := st.Commit(e.ctx(), rest)
		if err != nil || len(r.Verdicts) != len(rest) {
			e.errorf("commit: %d verdicts, %v", len(r.Verdicts), err)
			return all
		}
		var again []store.Write
		var left []int
		for i, v := range r.Verdicts {
			if all[places[i]] = v; v.Code == store.Busy {
				again, left = append(again, rest[i]), append(left, places[i])
			}
		}
		if rest, places = again, left; len(rest) == 0 {
			return all
		}
		runtime.Gosched()
	}
	e.errorf("commit: Busy %d times, though nobody holds an execution for long", busyTries)
	return all
}

// Several committers end the children of one parent, in batches that overlap.
// Meanwhile it goes on by itself.
func raceReports(e *env) {
	const n = 100
	p, list := e.family(n)
	var applied atomic.Int64
	e.together(func(i int, st store.Store) {
		if i == workers-1 {
			mine := p
			for k := range 20 {
				if v := e.try(st, advancing(mine.next(fmt.Sprint("step ", k)))); v.Code != store.Applied {
					e.errorf("a step of the parent: %s", codeName(v.Code))
				}
				mine.base++
			}
			return
		}
		var batch []store.Write
		for k, c := range list {
			if k%4 == i%4 {
				batch = append(batch, advancing(c.ends(store.Completed, fmt.Sprint(k))))
			}
		}
		if i%2 == 1 {
			slices.Reverse(batch)
		}
		for part := range slices.Chunk(batch, 7) {
			for _, v := range e.tryAll(st, part) {
				if v.Code == store.Applied {
					applied.Add(1)
				} else if v.Code != store.Landed {
					e.errorf("the end of a child: %s", codeName(v.Code))
				}
			}
		}
	})
	rec := e.load(p.id)
	told := map[string]int{}
	for i, m := range rec.Messages {
		if told[m.Topic]++; m.Seq != int64(i)+1 {
			e.failf("message %d has the number %d", i+1, m.Seq)
		}
	}
	if applied.Load() != n || rec.Inbox != n || len(told) != n || rec.Length != p.base+20 {
		e.failf("%d children ended, %d ends were applied; %d messages from %d of them, %d rows", n, applied.Load(), rec.Inbox, len(told), rec.Length)
	}
}

// Either the child's end knows of the notice, or the notice finds it ended.
func raceNotice(e *env) {
	for range 4 {
		p, list := e.family(workers - 2)
		var codes [workers]store.Code
		e.together(func(i int, st store.Store) {
			switch {
			case i == 0:
				c := cancel(p.id)
				c.Family = &store.Notice{Topic: "parent"}
				codes[i] = e.try(st, controlling(c)).Code
			case i <= len(list):
				a := list[i-1].ends(store.Completed, "done")
				a.Seen = 0
				codes[i] = e.try(st, advancing(a)).Code
			}
		})
		if codes[0] != store.Applied {
			e.failf("the cancel: %s", codeName(codes[0]))
		}
		var before int64
		for i, c := range list {
			rec := e.load(c.id)
			switch code := codes[i+1]; {
			case code == store.Applied && rec.Inbox == 0 && rec.Status == store.Completed:
				before++
			case code == store.Unseen && rec.Inbox == 1 && rec.Status == store.Running:
			default:
				e.failf("the end of a child: %s, and it is %s", codeName(code), describe(rec.Execution))
			}
		}
		if rec := e.load(p.id); rec.Inbox != before || rec.Status != store.Cancelled {
			e.failf("%d ended before their parent, and it was told of %d: %s", before, rec.Inbox, describe(rec.Execution))
		}
	}
}

// Whatever has begun when the parent is cancelled hears of it; nothing begins after.
func raceBirth(e *env) {
	const births = 6
	for range 4 {
		p := e.running()
		var mu sync.Mutex
		born := map[store.ID]bool{}
		var refused []store.Begin
		e.together(func(i int, st store.Store) {
			switch i {
			case 0:
				mine := p
				for range births {
					b, c := mine.child(), mine.child()
					if v := e.try(st, advancing(mine.bears(b, c))); v.Code != store.Applied {
						refused = []store.Begin{b, c}
						return
					}
					mine.base++
					mu.Lock()
					born[b.ID], born[c.ID] = true, true
					mu.Unlock()
				}
			case 1:
				c := cancel(p.id)
				c.Family = &store.Notice{Topic: "parent"}
				if v := e.try(st, controlling(c)); v.Code != store.Applied {
					e.errorf("the cancel: %s", codeName(v.Code))
				}
			}
		})
		page := e.list(store.Filter{Parent: p.id, Limit: 1000})
		if len(page.Executions) != len(born) {
			e.failf("%d children were begun, and there are %d", len(born), len(page.Executions))
		}
		late := p
		late.base += births
		for _, x := range page.Executions {
			if rec := e.load(x.ID); rec.Inbox != 1 || len(rec.Messages) != 1 {
				e.failf("a child that had begun did not hear of the cancel: %s", describe(rec.Execution))
			}
		}
		unborn := late.child()
		if v := e.try(e.st, advancing(late.bears(unborn))); v.Code != store.Superseded {
			e.failf("a child of a parent that was cancelled: %s", codeName(v.Code))
		}
		for _, b := range append(refused, unborn) {
			e.gone(b.ID, "a child whose parent's row was refused")
		}
	}
}

// While some end what they own, others prune: whoever is there has its parent.
func raceFamilyPrune(e *env) {
	const families, size = 10, 4
	var parents []run
	var children [][]run
	for range families {
		p, list := e.family(size)
		parents, children = append(parents, p), append(children, list)
	}
	var removed, done atomic.Int64
	e.together(func(i int, st store.Store) {
		if i%2 == 0 {
			for f := i / 2; f < families; f += workers / 2 {
				for _, r := range append([]run{parents[f]}, children[f]...) {
					if v := e.try(st, advancing(r.ends(store.Completed, "done"))); v.Code != store.Applied {
						e.errorf("an end: %s", codeName(v.Code))
					}
				}
			}
			done.Add(1)
			return
		}
		for tries := 0; tries < 100_000; tries++ {
			last := done.Load() == workers/2
			p, err := st.Prune(e.ctx(), store.PruneRequest{Limit: 2 * (size + 1)})
			if err != nil {
				e.errorf("prune: %v", err)
				return
			}
			if removed.Add(int64(p.Removed)); last && removed.Load() == families*(size+1) || p.Removed%(size+1) != 0 {
				break
			}
		}
	})
	if got := removed.Load(); got != families*(size+1) {
		e.failf("%d of %d were removed: a family was torn apart, or left", got, families*(size+1))
	}
	e.lists(store.Filter{})
}
