package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func pruneClauses() []clause {
	return []clause{
		{"prune/a removed execution is like one that never was", "RN-2", pruneUnknown},
		{"prune/a removed execution may begin again", "RN-2, ST-6", pruneAgain},
		{"prune/never what has not ended", "RN-1", pruneOpen},
		{"prune/the age counts from the end", "RN-1", pruneAge},
		{"prune/by workflow, version and status", "RN-1, CL-3", pruneFilter},
		{"prune/a limit, and what is left", "RN-1", pruneLimit},
		{"prune/a count changes nothing", "CL-3", pruneCount},
		{"prune/neighbours keep what is theirs", "RN-1", pruneNeighbours},
		{"prune/what makes no sense is refused", "RN-1", pruneRefused},
		{"prune/a restart brings nothing back", "RN-2", pruneRestart},
		{"race/prune against claims, ends and messages", "RN-1, G7", racePrune},
	}
}

// prune asks until nothing that matches is left, and returns how many it were.
func (e *env) prune(req store.PruneRequest) (removed int) {
	e.tb.Helper()
	for {
		p, err := e.st.Prune(e.ctx(), req)
		e.ok(err, "prune")
		if removed += p.Removed; !p.More || req.Count {
			return removed
		}
		if p.Removed == 0 {
			e.failf("Prune removed nothing and says that more is left")
		}
	}
}

// prunes wants that many to be removed.
func (e *env) prunes(req store.PruneRequest, want int) {
	e.tb.Helper()
	if got := e.prune(req); got != want {
		e.failf("Prune with %+v removed %d, want %d", req, got, want)
	}
}

// rich makes an ended execution that has something of everything.
func (e *env) rich(b store.Begin) run {
	e.tb.Helper()
	b.Owner = e.lease()
	r := run{id: e.begin(b), owner: b.Owner, epoch: 1, base: 1}
	e.one(delivering(send(r.id, "t", "m1")), store.Applied, "send")
	a := r.next("two")
	a.Snapshot, a.Blobs = []byte("to two"), [][]byte{[]byte("a blob")}
	a.Open = []store.Wait{r.wait("w", "t")}
	a.Logs = []store.Log{{Path: "p", Attempt: 1, N: 1, At: e.now(), Text: "hello"}}
	a.Holds = []store.Hold{{Name: "gpu", Amount: 1, Limit: 1, Until: e.now().Add(time.Hour)}}
	r = e.advance(r, a)
	return e.advance(r, r.park(store.Completed))
}

func pruneUnknown(e *env) {
	b := start()
	b.Key, b.Tags = "k", []string{"x"}
	r := e.rich(b)
	e.prunes(store.PruneRequest{}, 1)
	for _, whole := range []bool{false, true} {
		_, err := e.st.Load(e.ctx(), r.id, whole)
		e.is(err, store.ErrNotFound, "load what was removed")
	}
	e.lists(store.Filter{})
	e.lists(store.Filter{Workflow: flow, Key: "k"})
	if w := e.waits(r.id); len(w) > 0 {
		e.failf("it left %d waits", len(w))
	}
	logs, err := e.st.Logs(e.ctx(), r.id, time.Time{})
	if err != nil || len(logs) > 0 {
		e.failf("it left %d log entries, %v", len(logs), err)
	}
	_, err = e.st.Blob(e.ctx(), r.id, hashOf("a blob"))
	e.is(err, store.ErrNotFound, "a blob of what was removed")
	e.one(delivering(send(r.id, "t", "m1")), store.NotFound, "the message that it had")
	e.one(delivering(send(r.id, "t", "m2")), store.NotFound, "a new message")
	e.one(controlling(cancel(r.id)), store.NotFound, "a control")
	e.one(advancing(r.next("x")), store.Superseded, "a write of the last owner")
	r.base = 1
	e.one(advancing(r.next("two")), store.Superseded, "a write that had landed")
	e.one(advancing(r.bare()), store.Superseded, "a write without a row")
	e.prunes(store.PruneRequest{}, 0)
	again := start()
	again.Key, again.InputHash = "k", []byte("another")
	e.one(beginning(again), store.Applied, "another execution with the key")
}

func pruneAgain(e *env) {
	b := start()
	b.Key = "k"
	e.rich(b)
	e.prunes(store.PruneRequest{}, 1)
	e.one(beginning(b), store.Applied, "the same Begin")
	rec := e.whole(b.ID)
	if rec.Length != 1 || len(rec.Rows) != 1 || rec.Epoch != 0 || rec.Inbox != 0 || len(rec.Messages) != 0 || rec.Status != store.Pending {
		e.failf("it began with what it was before: %s, %d rows, %d messages", describe(rec.Execution), len(rec.Rows), len(rec.Messages))
	}
	if short := e.load(b.ID); short.Snapshot != nil || short.SnapshotSeq != 0 || len(short.Rows) != 1 {
		e.failf("it began with a snapshot to %d and %d rows after it", short.SnapshotSeq, len(short.Rows))
	}
	if logs, err := e.st.Logs(e.ctx(), b.ID, time.Time{}); err != nil || len(logs) > 0 {
		e.failf("it began with %d log entries, %v", len(logs), err)
	}
	_, err := e.st.Blob(e.ctx(), b.ID, hashOf("a blob"))
	e.is(err, store.ErrNotFound, "a blob of before")
	e.one(delivering(send(b.ID, "t", "m1")), store.Applied, "a message with a name of before")
	r := e.takeover(b.ID)
	e.advance(r, r.waitFor(r.wait("w", "t")))
}

func pruneOpen(e *env) {
	later := start()
	later.Due = e.now().Add(time.Hour)
	e.begin(later)
	pending, waiting, running := e.pending(), e.waiting("t"), e.running()
	blocked, undoing := e.running(), e.running()
	e.advance(blocked, blocked.park(store.Blocked))
	e.advance(undoing, undoing.park(store.Compensating))
	before := e.everything()
	e.prunes(store.PruneRequest{}, 0)
	for _, id := range []store.ID{later.ID, pending, waiting.id, running.id, blocked.id, undoing.id} {
		if _, err := e.st.Load(e.ctx(), id, false); err != nil {
			e.failf("one that has not ended is gone: %v", err)
		}
	}
	if d := differ(before, e.everything()); d != "" {
		e.failf("what has not ended was changed: %s", d)
	}
	if len(e.waits(waiting.id)) != 1 {
		e.failf("an open wait is gone")
	}
	e.advance(running, running.next("goes on"))
}

func pruneAge(e *env) {
	const age = 60 * time.Millisecond
	r := e.running()
	made := e.load(r.id).Created
	e.until("it has run for longer than the age", func() bool { return e.now().Sub(made) > age })
	e.advance(r, r.park(store.Failed))
	ended := e.load(r.id).Ended
	e.prunes(store.PruneRequest{Age: time.Hour}, 0)
	var p store.Pruned
	e.until("it is old enough", func() bool {
		var err error
		p, err = e.st.Prune(e.ctx(), store.PruneRequest{Age: age})
		e.ok(err, "prune")
		return p.Removed == 1
	})
	if p.Now.Sub(ended) < age {
		e.failf("it was removed %s after its end, the age is %s", p.Now.Sub(ended), age)
	}
}

func pruneFilter(e *env) {
	end := func(workflow, version string, status store.Status) {
		b := start()
		b.Workflow, b.Version, b.Owner = workflow, version, e.lease()
		r := run{id: e.begin(b), owner: b.Owner, epoch: 1, base: 1}
		e.advance(r, r.park(status))
	}
	for _, w := range []string{"a", "ab", "b"} {
		for _, v := range []string{"", "1", "%"} {
			end(w, v, store.Completed)
			end(w, v, store.Failed)
			end(w, v, store.Cancelled)
		}
	}
	for _, c := range []struct {
		req  store.PruneRequest
		want int // of what those before it have left
	}{
		{store.PruneRequest{Workflow: "c"}, 0},
		{store.PruneRequest{Workflow: "%"}, 0},
		{store.PruneRequest{Statuses: []store.Status{store.Compensated}}, 0},
		{store.PruneRequest{Workflow: "a", Version: new("%"), Statuses: []store.Status{store.Failed}}, 1},
		{store.PruneRequest{Workflow: "a", Version: new("")}, 3},
		{store.PruneRequest{Version: new("1")}, 9},
		{store.PruneRequest{Workflow: "b"}, 6},
		{store.PruneRequest{Statuses: []store.Status{store.Completed, store.Failed, store.Completed}}, 5},
		{store.PruneRequest{}, 3},
	} {
		counting := c.req
		counting.Count = true
		e.prunes(counting, c.want)
		e.prunes(c.req, c.want)
	}
}

func pruneLimit(e *env) {
	const runs = 7
	for range runs {
		r := e.running()
		e.advance(r, r.park(store.Completed))
	}
	for left := runs; left > 0; {
		p, err := e.st.Prune(e.ctx(), store.PruneRequest{Limit: 3})
		e.ok(err, "prune")
		if p.Removed < 1 || p.Removed > 3 {
			e.failf("Prune with a limit of 3 removed %d of %d", p.Removed, left)
		}
		if left -= p.Removed; left > 0 && !p.More {
			e.failf("Prune does not say that %d are left", left)
		}
		if page := e.list(store.Filter{Count: true}); page.Count != left {
			e.failf("%d are left, want %d", page.Count, left)
		}
	}
	p, err := e.st.Prune(e.ctx(), store.PruneRequest{Limit: 3})
	if err != nil || p.Removed != 0 || p.More {
		e.failf("Prune where nothing is left: %+v, %v", p, err)
	}
}

func pruneCount(e *env) {
	for range 4 {
		r := e.running()
		e.advance(r, r.park(store.Completed))
	}
	e.pending()
	before := e.everything()
	e.prunes(store.PruneRequest{Count: true, Limit: 2}, 4)
	e.prunes(store.PruneRequest{Count: true, Age: time.Hour}, 0)
	if d := differ(before, e.everything()); d != "" {
		e.failf("counting changed something: %s", d)
	}
}

func pruneNeighbours(e *env) {
	b := start()
	b.Workflow, b.Key = "other", "k"
	stays := e.rich(b)
	e.pending()
	before := e.everything()
	gone := start()
	gone.Key = "k"
	e.rich(gone)
	e.prunes(store.PruneRequest{Workflow: flow}, 1)
	if d := differ(before, e.everything()); d != "" {
		e.failf("others were changed: %s", d)
	}
	if short := e.load(stays.id); string(short.Snapshot) != "to two" || len(short.Rows) != 1 || len(short.Messages) != 1 {
		e.failf("another one has snapshot %q, %d rows after it and %d messages", short.Snapshot, len(short.Rows), len(short.Messages))
	}
	if logs, err := e.st.Logs(e.ctx(), stays.id, time.Time{}); err != nil || len(logs) != 1 {
		e.failf("another one has %d log entries, %v", len(logs), err)
	}
	if _, err := e.st.Blob(e.ctx(), stays.id, hashOf("a blob")); err != nil {
		e.failf("another one's blob: %v", err)
	}
	e.one(delivering(send(stays.id, "t", "m1")), store.Landed, "the message that another one has")
	again := start()
	again.Workflow, again.Key = "other", "k"
	e.one(beginning(again), store.Exists, "the key of another one")
}

func pruneRefused(e *env) {
	r := e.running()
	e.advance(r, r.park(store.Completed))
	for why, req := range map[string]store.PruneRequest{
		"a status that has not ended": {Statuses: []store.Status{store.Completed, store.Running}},
		"a status that is none":       {Statuses: []store.Status{"nonsense"}},
		"a negative age":              {Age: -time.Hour},
		"a negative limit":            {Limit: -1},
	} {
		_, err := e.st.Prune(e.ctx(), req)
		e.is(err, store.ErrRefused, why)
	}
	e.load(r.id)
}

func pruneRestart(e *env) {
	b := start()
	b.Key = "k"
	r := e.rich(b)
	stays := e.pending()
	e.prunes(store.PruneRequest{}, 1)
	e.restart()
	_, err := e.st.Load(e.ctx(), r.id, true)
	e.is(err, store.ErrNotFound, "load what was removed before a restart")
	e.lists(store.Filter{}, stays)
}

// Some claim and end executions, some send to all of them, some remove what has
// ended. An owner must find what it owns; what is gone stays gone.
func racePrune(e *env) {
	const runs = 120
	all := e.begun(runs)
	var ended, removed atomic.Int64
	var mu sync.Mutex
	gone := map[store.ID]bool{}
	pruning, once := make(chan struct{}), sync.Once{}
	e.together(func(i int, st store.Store) {
		switch i % 4 {
		case 0, 1:
			<-pruning // it began while nothing had ended
			e.endAll(st, &ended, runs)
		case 2:
			for n := range 3 {
				for _, id := range all {
					mu.Lock()
					was := gone[id]
					mu.Unlock()
					v := e.try(st, delivering(send(id, "t", fmt.Sprint(i, " ", n))))
					switch {
					case v.Code == store.NotFound:
						mu.Lock()
						gone[id] = true
						mu.Unlock()
					case was:
						e.errorf("a message to what was gone: %s", codeName(v.Code))
					}
				}
			}
		case 3:
			defer once.Do(func() { close(pruning) })
			for tries := 0; removed.Load() < runs && tries < 100_000; tries++ {
				p, err := st.Prune(e.ctx(), store.PruneRequest{Limit: 7})
				if err != nil {
					e.errorf("prune: %v", err)
					return
				}
				removed.Add(int64(p.Removed))
				once.Do(func() { close(pruning) })
			}
		}
	})
	if ended.Load() != runs || removed.Load() != runs {
		e.failf("of %d executions %d ended and %d were removed", runs, ended.Load(), removed.Load())
	}
	e.lists(store.Filter{})
}

// endAll claims and ends executions until so many have ended.
func (e *env) endAll(st store.Store, ended *atomic.Int64, runs int64) {
	who := uuid.New()
	if _, err := st.Renew(e.ctx(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
		e.errorf("create a lease: %v", err)
		return
	}
	req := usual(who)
	req.Queues[queue] = 9
	// What others send messages to at that moment is passed over.
	for tries := 0; ended.Load() < runs && tries < 10_000; tries++ {
		c, err := st.Claim(e.ctx(), req)
		if err != nil {
			e.errorf("claim: %v", err)
			return
		}
		for _, rec := range c.Records {
			r := run{id: rec.ID, owner: who, epoch: rec.Epoch, base: rec.Length}
			for _, a := range []store.Advance{r.next("a step"), run{r.id, who, r.epoch, r.base + 1}.park(store.Completed)} {
				if v := e.try(st, advancing(a)); v.Code != store.Applied {
					e.errorf("a write of the owner: %s", codeName(v.Code))
				}
			}
			ended.Add(1)
		}
	}
}
