package storetest

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func lifeClauses() []clause {
	return []clause{
		{"life/a restart keeps everything", "G1, G9", lifeRestart},
		{"life/a restart keeps ownership and verdicts", "G7, QU-8", lifeRestartFence},
		{"life/two handles see one store", "G7, DF-6", lifeTwo},
		{"life/closing one handle leaves the other", "DF-5", lifeCloseOne},
		{"life/calls after Close fail", "DF-5", lifeClosed},
		{"watch/hints at what another handle did", "QU-3", watchHints},
		{"watch/is closed when its context ends", "DF-5", watchEnds},
	}
}

// busy makes a store with something of everything in it.
func (e *env) busy() run {
	b := start()
	b.Key, b.Tags, b.Priority = "k", []string{"x"}, 3
	b.Due = e.now().Add(time.Hour)
	e.begin(b)
	w := e.waiting("t")
	e.one(delivering(send(w.id, "other", "m1")), store.Applied, "send")
	ended := e.running()
	e.advance(ended, ended.park(store.Completed))
	r := e.running()
	a := r.next("two")
	a.Snapshot, a.Blobs = []byte("to two"), [][]byte{[]byte("a blob")}
	a.Open = []store.Wait{r.wait("open", "t")}
	a.Logs = []store.Log{{Path: "p", Attempt: 1, N: 1, At: e.now(), Text: "hello"}}
	a.Holds = []store.Hold{{Name: "gpu", Amount: 1, Limit: 1, Until: e.now().Add(time.Hour)}}
	return e.advance(r, a)
}

func lifeRestart(e *env) {
	r := e.busy()
	before := e.everything()
	waits := e.waitsBy(store.WaitFilter{})
	e.restart()
	if d := differ(before, e.everything()); d != "" {
		e.failf("before and after a restart: %s", d)
	}
	if d := differ(waits.Waits, e.waitsBy(store.WaitFilter{}).Waits); d != "" {
		e.failf("waits before and after a restart: %s", d)
	}
	logs, err := e.st.Logs(e.ctx(), r.id, time.Time{})
	if err != nil || len(logs) != 1 {
		e.failf("%d logs after a restart, %v", len(logs), err)
	}
	if _, err := e.st.Blob(e.ctx(), r.id, hashOf("a blob")); err != nil {
		e.failf("blob after a restart: %v", err)
	}
}

func lifeRestartFence(e *env) {
	r := e.busy()
	old := r.next("written before")
	e.advance(r, old)
	e.restart()
	e.one(advancing(old), store.Landed, "the same write after a restart")
	r.base++
	stale := r.next("x")
	stale.Epoch--
	e.one(advancing(stale), store.Superseded, "an old epoch after a restart")
	other := e.running()
	full := other.bare()
	full.Holds = []store.Hold{{Name: "gpu", Amount: 1, Limit: 1, Until: e.now().Add(time.Hour)}}
	e.one(advancing(full), store.Full, "a hold of before the restart")
	again := start()
	again.Key = "k"
	e.one(beginning(again), store.Exists, "a key of before the restart")
	e.ok(e.renew(r.owner), "renew after a restart")
	r = e.advance(r, r.next("three"))
	e.one(delivering(send(r.id, "t", "m1")), store.Applied, "send")
	e.restart()
	e.one(delivering(send(r.id, "t", "m1")), store.Landed, "the same message after a restart")
}

func lifeTwo(e *env) {
	other := e.open()
	r := e.running()
	stale := r.next("by the first handle's owner")
	e.lapse(r.owner)
	n, err := other.Expire(e.ctx())
	e.ok(err, "expire through the other handle")
	if n != 1 {
		e.failf("the other handle released %d", n)
	}
	e.one(advancing(stale), store.Superseded, "a write after the other handle's Expire")
	who := uuid.New()
	_, err = other.Renew(e.ctx(), store.Lease{Who: who, Name: "other", Duration: time.Hour, New: true})
	e.ok(err, "create a lease through the other handle")
	c, err := other.Claim(e.ctx(), usual(who))
	e.ok(err, "claim through the other handle")
	if len(c.Records) != 1 || c.Records[0].ID != r.id {
		e.failf("the other handle claimed %d", len(c.Records))
	}
	e.nobody("claimed through the other handle")
}

func lifeCloseOne(e *env) {
	other := e.open()
	id := e.pending()
	e.ok(e.st.Close(), "close the first handle")
	_, err := other.Load(e.ctx(), id, false)
	e.ok(err, "load through the other handle")
	e.commitTo(other, beginning(start()))
	e.st = other
}

func lifeClosed(e *env) {
	id, who := e.pending(), e.lease()
	st := e.st
	e.ok(st.Close(), "close")
	ctx := e.ctx()
	calls := map[string]func() error{
		"Commit": func() error { _, err := st.Commit(ctx, []store.Write{beginning(start())}); return err },
		"Claim":  func() error { _, err := st.Claim(ctx, usual(who)); return err },
		"Load":   func() error { _, err := st.Load(ctx, id, false); return err },
		"Renew":  func() error { _, err := st.Renew(ctx, store.Lease{Who: who, Duration: time.Hour}); return err },
		"Expire": func() error { _, err := st.Expire(ctx); return err },
		"Retire": func() error { return st.Retire(ctx, who) },
		"List":   func() error { _, err := st.List(ctx, store.Filter{}); return err },
		"Waits":  func() error { _, err := st.Waits(ctx, store.WaitFilter{}); return err },
		"Prune":  func() error { _, err := st.Prune(ctx, store.PruneRequest{}); return err },
		"Logs":   func() error { _, err := st.Logs(ctx, id, time.Time{}); return err },
		"Blob":   func() error { _, err := st.Blob(ctx, id, hashOf("")); return err },
		"Survey": func() error { _, err := st.Survey(ctx); return err },
		"Pause":  func() error { return st.SetPaused(ctx, queue, "", true) },
	}
	for name, call := range calls {
		if call() == nil {
			e.errorf("%s works on a closed store", name)
		}
	}
	e.st = e.open()
	if rec := e.load(id); rec.Status != store.Pending {
		e.failf("a call on a closed store had an effect: %s", describe(rec.Execution))
	}
}

func watchHints(e *env) {
	ctx, cancel := context.WithCancel(e.ctx())
	defer cancel()
	hints := e.st.Watch(ctx)
	if hints == nil {
		return // this store has none, which is allowed
	}
	other := e.open()
	e.until("a change through another handle gives a hint", func() bool {
		e.commitTo(other, beginning(start()))
		select {
		case _, open := <-hints:
			return open
		default:
			return false
		}
	})
}

func watchEnds(e *env) {
	ctx, cancel := context.WithCancel(e.ctx())
	hints := e.st.Watch(ctx)
	cancel()
	if hints == nil {
		return
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range hints { // until closed
		}
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		e.failf("its channel is still open")
	}
}
