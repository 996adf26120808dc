package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/durable-go/durable/store"
)

func batchClauses() []clause {
	return []clause{
		{"batch/empty tells the time, which does not go back", "G11", batchEmpty},
		{"batch/one stale write among 64 good", "G7, QU-8", batchStale},
		{"batch/a landed batch again", "QU-8, G3", batchAgain},
		{"batch/a half landed batch again", "QU-8, G3", batchHalf},
		{"batch/every verdict beside every other", "QU-8", batchVerdicts},
		{"batch/writes are applied in order", "G9", batchOrder},
		{"batch/a message before the park of the same batch is seen", "G9, G10", batchUnseen},
		{"batch/a refused write undoes the batch", "G20", batchRefused},
		{"batch/two writes for one execution are refused", "G3", batchTwo},
		{"batch/a write is exactly one thing", "G3", batchMalformed},
		{"batch/an ended context changes nothing", "QU-8", batchContext},
		{"batch/of 512", "QU-3", batchLarge},
	}
}

func batchEmpty(e *env) {
	var last time.Time
	for range 20 {
		r, err := e.st.Commit(e.ctx(), []store.Write{})
		e.ok(err, "commit an empty batch")
		if len(r.Verdicts) != 0 || r.Now.IsZero() || r.Now.Before(last) {
			e.failf("an empty batch got %d verdicts, now %v after %v", len(r.Verdicts), r.Now, last)
		}
		last = r.Now
	}
}

func batchStale(e *env) {
	who := e.lease()
	runs := make([]run, 65)
	batch := make([]store.Write, len(runs))
	for i := range runs {
		runs[i] = e.runningBy(who)
		a := runs[i].next("two")
		a.Blobs = [][]byte{[]byte("a blob"), large(1), large(2 + i)}
		batch[i] = advancing(a)
	}
	const stale = 31
	batch[stale].Advance.Epoch++
	for i, v := range e.commit(batch...) {
		want, length := store.Applied, 2
		if i == stale {
			want, length = store.Superseded, 1
		}
		if v.Code != want {
			e.failf("write %d: %s, want %s", i, codeName(v.Code), codeName(want))
		}
		if rec := e.load(runs[i].id); rec.Length != length {
			e.failf("write %d: length %d, want %d", i, rec.Length, length)
		}
		for _, body := range batch[i].Advance.Blobs {
			if i != stale {
				e.reads(e.st, runs[i].id, body, fmt.Sprintf("write %d", i))
			} else if _, err := e.st.Blob(e.ctx(), runs[i].id, hashOf(string(body))); !errors.Is(err, store.ErrNotFound) {
				e.failf("the stale write left a blob of %d bytes, %v", len(body), err)
			}
		}
	}
	// Nor does one whose place another row of the same epoch has.
	late := *batch[0].Advance
	late.Row, late.Blobs = []byte("another"), [][]byte{[]byte("a late blob"), large(1000)}
	e.one(advancing(late), store.Superseded, "a late write")
	for _, body := range late.Blobs {
		if _, err := e.st.Blob(e.ctx(), runs[0].id, hashOf(string(body))); !errors.Is(err, store.ErrNotFound) {
			e.failf("the late write left a blob of %d bytes, %v", len(body), err)
		}
	}
}

// mixed is a batch with every kind of write that can be applied.
func (e *env) mixed() []store.Write {
	r, w := e.running(), e.waiting("t")
	return []store.Write{
		beginning(start()), advancing(r.waitFor(r.wait("w", "t"))),
		delivering(send(w.id, "t", "m1")), delivering(send(w.id, "u", "m2")), controlling(cancel(e.pending())),
	}
}

func batchAgain(e *env) {
	batch := e.mixed()
	for i, v := range e.commit(batch...) {
		if v.Code != store.Applied {
			e.failf("write %d: %s, want Applied", i, codeName(v.Code))
		}
	}
	before := e.everything()
	for range 2 {
		for i, v := range e.commit(batch...) {
			if v.Code != store.Landed {
				e.failf("write %d again: %s, want Landed", i, codeName(v.Code))
			}
		}
	}
	if d := differ(before, e.everything()); d != "" {
		e.failf("a landed batch had effects again: %s", d)
	}
}

func batchHalf(e *env) {
	batch := e.mixed()
	e.commit(batch[:3]...)
	for i, v := range e.commit(batch...) {
		if want := []store.Code{store.Landed, store.Landed, store.Landed, store.Applied, store.Applied}[i]; v.Code != want {
			e.failf("write %d: %s, want %s", i, codeName(v.Code), codeName(want))
		}
	}
}

func batchVerdicts(e *env) {
	landed, stale, unseen, early, full, good := e.running(), e.running(), e.running(), e.running(), e.running(), e.running()
	taken, again := start(), start()
	taken.Key, again.Key = "k", "k"
	e.commit(beginning(taken), advancing(landed.next("two")), delivering(send(unseen.id, "t", "m")))
	ended := e.running()
	e.advance(ended, ended.park(store.Completed))
	u, y, f, s := unseen.next("x"), early.next("x"), full.next("x"), stale.next("x")
	u.Seen, y.NotBefore, s.Epoch = 0, e.now().Add(time.Hour), 9
	f.Holds = []store.Hold{{Name: "limit", Amount: 2, Limit: 1, Until: e.now().Add(time.Hour)}}
	noWait := send(e.pending(), "t", "m")
	noWait.Wait = "never opened"
	writes := []store.Write{
		advancing(good.next("two")), advancing(landed.next("two")), advancing(s), advancing(u), advancing(y), advancing(f),
		beginning(again), controlling(cancel(newID())), delivering(send(ended.id, "t", "m")), delivering(noWait),
	}
	want := []store.Code{
		store.Applied, store.Landed, store.Superseded, store.Unseen, store.Early, store.Full,
		store.Exists, store.NotFound, store.Ended, store.NoSuchWait,
	}
	for i, v := range e.commit(writes...) {
		if v.Code != want[i] {
			e.failf("write %d: %s, want %s", i, codeName(v.Code), codeName(want[i]))
		}
	}
	for _, r := range []run{stale, unseen, early, full} {
		e.untouched(r)
	}
}

func batchOrder(e *env) {
	b := start()
	v := e.commit(delivering(send(b.ID, "t", "m1")), beginning(b), delivering(send(b.ID, "t", "m1")), delivering(send(b.ID, "t", "m1")))
	for i, want := range []store.Code{store.NotFound, store.Applied, store.Applied, store.Landed} {
		if v[i].Code != want {
			e.failf("send, begin, send, send again: write %d is %s, want %s", i, codeName(v[i].Code), codeName(want))
		}
	}
	r := e.running()
	v = e.commit(advancing(r.waitFor(r.wait("w", "t"))), delivering(send(r.id, "t", "m1")))
	if v[0].Code != store.Applied || v[1].Code != store.Applied || e.load(r.id).Status != store.Pending {
		e.failf("park, then send, in one batch: %s", describe(e.load(r.id).Execution))
	}
	s := e.running()
	v = e.commit(advancing(s.park(store.Completed)), delivering(send(s.id, "t", "m1")))
	if v[1].Code != store.Ended {
		e.failf("end, then send, in one batch: %s, want Ended", codeName(v[1].Code))
	}
}

func batchUnseen(e *env) {
	r := e.running()
	a := r.waitFor(r.wait("w", "t"))
	a.Seen = 0
	v := e.commit(delivering(send(r.id, "t", "m1")), advancing(a))
	if v[0].Code != store.Applied || v[1].Code != store.Unseen || v[1].Inbox != 1 {
		e.failf("send, then park unseen, in one batch: %s, %s", codeName(v[0].Code), codeName(v[1].Code))
	}
	e.untouched(r)
}

func batchRefused(e *env) {
	r := e.running()
	before := e.everything()
	batch := append(e.mixedOn(r), advancing(e.running().waitFor()))
	fresh := batch[0].Begin
	e.refused("a batch with a write that can never be", batch...)
	_, err := e.st.Load(e.ctx(), fresh.ID, false)
	e.is(err, store.ErrNotFound, "load what the refused batch began")
	for id, was := range before {
		is := e.whole(id)
		is.Now = time.Time{}
		if d := differ(was, is); d != "" {
			e.failf("the refused batch left a trace: %s", d)
		}
	}
	if n := len(e.waits(r.id)); n != 0 {
		e.failf("the refused batch left %d waits", n)
	}
	if _, err := e.st.Blob(e.ctx(), r.id, hashOf("a blob")); err == nil {
		e.failf("the refused batch left a blob")
	}
	for i, v := range e.commit(batch[:len(batch)-1]...) {
		if v.Code != store.Applied {
			e.failf("the same batch without the culprit, write %d: %s, want Applied", i, codeName(v.Code))
		}
	}
}

// mixedOn is a batch that touches a run in every way but a release.
func (e *env) mixedOn(r run) []store.Write {
	b := start()
	b.Key = "of a refused batch"
	a := r.next("two")
	a.Took = []int64{1}
	a.Open = []store.Wait{r.wait("w", "t")}
	a.Logs = []store.Log{{Path: "p", Attempt: 1, N: 1, At: e.now(), Text: "hello"}}
	a.Blobs = [][]byte{[]byte("a blob")}
	a.Holds = []store.Hold{{Name: "of a refused batch", Amount: 1, Limit: 1, Until: e.now().Add(time.Hour)}}
	a.Snapshot = []byte("s")
	return []store.Write{beginning(b), delivering(send(r.id, "t", "m1")), advancing(a), delivering(send(r.id, "t", "m2"))}
}

func batchTwo(e *env) {
	r := e.running()
	e.refused("two advances of one execution", advancing(r.next("two")), advancing(run{r.id, r.owner, r.epoch, 2}.next("three")))
	e.refused("an advance and a control of one execution", advancing(r.next("two")), controlling(cancel(r.id)))
	b := start()
	e.refused("two begins of one execution", beginning(b), beginning(b))
	e.untouched(r)
}

func batchMalformed(e *env) {
	r := e.running()
	w := advancing(r.next("two"))
	w.Deliver = new(send(r.id, "t", "m"))
	e.refused("a write that is two things", w)
	e.refused("a write that is nothing", store.Write{})
	b := start()
	b.Row = nil
	e.refused("a begin without a row", beginning(b))
	e.untouched(r)
}

func batchContext(e *env) {
	b := start()
	ctx, cancel := context.WithCancel(e.ctx())
	cancel()
	if _, err := e.st.Commit(ctx, []store.Write{beginning(b)}); err == nil {
		e.failf("a commit under an ended context succeeded")
	}
	_, err := e.st.Load(e.ctx(), b.ID, false)
	e.is(err, store.ErrNotFound, "load what was begun under an ended context")
	e.begin(b)
}

func batchLarge(e *env) {
	who := e.lease()
	var begins, nexts []store.Write
	for i := range 512 {
		b := start()
		b.Owner = who
		r := run{b.ID, who, 1, 1}
		a := r.next(fmt.Sprint("row ", i))
		begins, nexts = append(begins, beginning(b)), append(nexts, advancing(a))
	}
	for _, batch := range [][]store.Write{begins, nexts} {
		for i, v := range e.commit(batch...) {
			if v.Code != store.Applied {
				e.failf("write %d of 512: %s", i, codeName(v.Code))
			}
		}
	}
	for _, i := range []int{0, 255, 511} {
		if rec := e.load(nexts[i].Advance.ID); len(rec.Rows) != 2 || string(rec.Rows[1].Body) != fmt.Sprint("row ", i) {
			e.failf("write %d of 512 has rows %+v", i, rec.Rows)
		}
	}
}

// everything loads all executions, without the time of loading.
func (e *env) everything() map[store.ID]store.Record {
	e.tb.Helper()
	page, err := e.st.List(e.ctx(), store.Filter{Limit: 1000})
	e.ok(err, "list")
	all := map[store.ID]store.Record{}
	for _, x := range page.Executions {
		rec := e.whole(x.ID)
		rec.Now = time.Time{}
		all[x.ID] = rec
	}
	return all
}
