package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func blobClauses() []clause {
	return []clause{
		{"blobs/one body for all that name it", "PL-1, AI-15", blobsShared},
		{"blobs/with a begin", "PL-1, QY-7", blobsBegun},
		{"blobs/stored once for a thousand", "AI-15", blobsOnce},
		{"race/prune against executions that name the same bodies", "PL-1, RN-1, AI-15", raceBodies},
	}
}

// bodies wants the store to keep so many bodies, if it can tell.
func (e *env) bodies(want int, when string) {
	e.tb.Helper()
	if e.h.Bodies == nil {
		return
	}
	// One more if the store has copies by time, and this was the moment between two.
	if n := e.h.Bodies(e.tb); n < want || n > want+1 || want == 0 && n > 0 {
		e.failf("%s: %d bodies are stored, want %d", when, n, want)
	}
}

// large is a body that is worth sharing.
func large(n int) []byte { return bytes.Repeat(fmt.Appendf(nil, "body %d ", n), 500) }

// reads wants an execution to have a body.
func (e *env) reads(st store.Store, id store.ID, body []byte, when string) {
	e.tb.Helper()
	if got, err := st.Blob(e.ctx(), id, hashOf(string(body))); err != nil || !bytes.Equal(got, body) {
		e.errorf("%s: the body has %d bytes of %d, %v", when, len(got), len(body), err)
	}
}

func (e *env) lacks(id store.ID, body []byte, when string) {
	e.tb.Helper()
	_, err := e.st.Blob(e.ctx(), id, hashOf(string(body)))
	e.is(err, store.ErrNotFound, when)
}

// has wants an execution to have exactly these bodies.
func (e *env) has(id store.ID, when string, bodies ...[]byte) {
	e.tb.Helper()
	var want []string
	for _, b := range bodies {
		e.reads(e.st, id, b, when)
		want = append(want, hashOf(string(b)))
	}
	slices.Sort(want)
	if got, err := e.st.Blobs(e.ctx(), id); err != nil || !slices.Equal(got, want) {
		e.errorf("%s: blobs %q, %v; want %q", when, got, err, want)
	}
}

// blobsBegun begins executions with blobs: alone, in a batch, owned, twice, and such that are refused.
func blobsBegun(e *env) {
	small := []byte("small")
	begin := func(key string, owner store.Incarnation, bodies ...[]byte) store.Write {
		b := start()
		b.Key, b.Owner, b.Blobs = key, owner, bodies
		return store.Write{Begin: &b}
	}
	first := begin("k", uuid.Nil, large(1), small, large(1), nil)
	e.one(first, store.Applied, "a begin with blobs")
	e.has(first.Begin.ID, "begun", large(1), small, nil)
	e.one(first, store.Landed, "once more")
	_, err := e.st.Blobs(e.ctx(), uuid.New())
	e.is(err, store.ErrNotFound, "blobs of no execution")
	photo := begin("", uuid.Nil, large(1))
	photo.Begin.Snapshot = []byte("of row 1")
	e.one(photo, store.Applied, "a begin with a snapshot")
	if rec := e.load(photo.Begin.ID); string(rec.Snapshot) != "of row 1" || rec.SnapshotSeq != 1 || len(rec.Rows) != 0 || rec.Length != 1 {
		e.failf("a begin with a snapshot is loaded as %+v", rec)
	}
	e.has(photo.Begin.ID, "begun with a snapshot", large(1))

	taken, owned, plain, dead := begin("k", uuid.Nil, large(2)), begin("", e.lease(), large(1), large(3)), begin("", uuid.Nil), begin("", uuid.New(), large(4))
	var codes []store.Code
	for _, v := range e.commit(taken, owned, plain, dead) {
		codes = append(codes, v.Code)
	}
	if want := []store.Code{store.Exists, store.Applied, store.Applied, store.Superseded}; !slices.Equal(codes, want) {
		e.failf("verdicts %v, want %v", codes, want)
	}
	e.has(owned.Begin.ID, "begun as owned", large(1), large(3))
	e.has(plain.Begin.ID, "begun without blobs")
	for _, w := range []store.Write{taken, dead} {
		e.lacks(w.Begin.ID, w.Begin.Blobs[0], "a begin that was refused")
	}
	e.restart()
	e.has(first.Begin.ID, "after a restart", large(1), small, nil)

	r := run{id: owned.Begin.ID, owner: owned.Begin.Owner, epoch: 1, base: 1}
	a := r.next("more")
	a.Blobs = [][]byte{large(3), large(5)}
	e.advance(r, a)
	e.has(r.id, "with another", large(1), large(3), large(5))
}

func blobsShared(e *env) {
	var runs []run
	for n := range 3 {
		b := start()
		b.Workflow, b.Owner = fmt.Sprint("flow ", n), e.lease()
		r := run{id: e.begin(b), owner: b.Owner, epoch: 1, base: 1}
		a := r.next("names")
		a.Blobs = [][]byte{large(1), large(1), large(2 + n)}
		runs = append(runs, e.advance(r, a))
	}
	stranger := e.running()
	e.bodies(4, "three have one in common and one of their own")
	for n, r := range runs {
		e.reads(e.st, r.id, large(1), "what all have named")
		e.reads(e.st, r.id, large(2+n), "its own")
		e.lacks(r.id, large(2+(n+1)%3), "what another has named")
	}
	e.lacks(stranger.id, large(1), "what it has not named")
	for n, r := range runs {
		e.advance(r, r.park(store.Completed))
		e.prunes(store.PruneRequest{Workflow: fmt.Sprint("flow ", n)}, 1)
		e.lacks(r.id, large(1), "a removed one")
		for _, other := range runs[n+1:] {
			e.reads(e.st, other.id, large(1), "another one was removed")
		}
		if n < 2 {
			e.bodies(3-n, "some are removed")
		}
	}
	e.bodies(0, "all are removed")
	a := stranger.next("names")
	a.Blobs = [][]byte{large(1)}
	e.advance(stranger, a)
	e.reads(e.st, stranger.id, large(1), "what was removed with others, named again")
	e.restart()
	e.reads(e.st, stranger.id, large(1), "the same after a restart")
}

// AI-15: a system prompt that 1,000 executions have is stored once.
func blobsOnce(e *env) {
	const many = 1000
	prompt, who := large(0), e.lease()
	var ids []store.ID
	for n := 0; n < many; n += 50 {
		var begins, steps []store.Write
		for k := range 50 {
			b := start()
			b.Owner = who
			a := run{id: b.ID, owner: who, epoch: 1, base: 1}.park(store.Completed)
			a.Blobs = [][]byte{large(1 + n + k), prompt}
			begins, steps, ids = append(begins, beginning(b)), append(steps, advancing(a)), append(ids, b.ID)
		}
		for _, v := range append(e.commit(begins...), e.commit(steps...)...) {
			if v.Code != store.Applied {
				e.failf("verdict %s", codeName(v.Code))
			}
		}
	}
	e.bodies(many+1, "each has its own, and one that all have")
	for n, id := range ids {
		if n%97 == 0 {
			e.reads(e.st, id, prompt, "the prompt")
			e.reads(e.st, id, large(1+n), "its own")
		}
	}
	e.prune(store.PruneRequest{})
	e.bodies(0, "all are removed")
}

// Some begin executions that name the same bodies in different orders, read them and end; others remove
// what has ended. Whoever has named a body must read it until it is removed itself.
func raceBodies(e *env) {
	const rounds, each = 40, 3
	var naming sync.WaitGroup
	naming.Add(workers - 2)
	named := make(chan struct{})
	go func() { naming.Wait(); close(named) }()
	e.together(func(i int, st store.Store) {
		if i >= workers-2 {
			for {
				if _, err := st.Prune(e.ctx(), store.PruneRequest{}); err != nil {
					e.errorf("prune: %v", err)
					return
				}
				select {
				case <-named:
					return
				default:
				}
			}
		}
		defer naming.Done()
		who := uuid.New()
		if _, err := st.Renew(e.ctx(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
			e.errorf("create a lease: %v", err)
			return
		}
		for round := range rounds {
			e.nameAndEnd(st, who, i+round, each)
		}
	})
	e.prune(store.PruneRequest{})
	e.bodies(0, "all are removed")
}

// nameAndEnd is the life of two executions that name the same bodies in one batch.
func (e *env) nameAndEnd(st store.Store, who store.Incarnation, at, each int) {
	runs := make([]run, 2)
	names := make([]store.Write, len(runs))
	for k := range runs {
		b := start()
		b.Owner = who
		if v := e.try(st, beginning(b)); v.Code != store.Applied {
			e.errorf("begin: %s", codeName(v.Code))
			return
		}
		runs[k] = run{id: b.ID, owner: who, epoch: 1, base: 1}
		a := runs[k].next("names")
		for n := range each {
			a.Blobs = append(a.Blobs, large((at+n*(1+k))%each))
		}
		names[k] = advancing(a)
	}
	r, err := st.Commit(e.ctx(), names)
	if err != nil {
		e.errorf("commit: %v", err)
		return
	}
	for k, v := range r.Verdicts {
		if v.Code != store.Applied {
			e.errorf("a write of the owner: %s", codeName(v.Code))
			return
		}
		for _, b := range names[k].Advance.Blobs {
			e.reads(st, runs[k].id, b, "right after it was named")
		}
		runs[k].base++
	}
	for k, x := range runs {
		for _, b := range names[k].Advance.Blobs {
			e.reads(st, x.id, b, "before it ends")
		}
		if v := e.try(st, advancing(x.park(store.Completed))); v.Code != store.Applied {
			e.errorf("the end: %s", codeName(v.Code))
		}
	}
}
