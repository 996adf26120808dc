package storetest

import (
	"errors"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// outsideClauses are about writes in callers' transactions.
func outsideClauses() []clause {
	return []clause{
		{"outside/only a Transactor has transactions", "G14", func(e *env) {
			if _, is := e.st.(store.Transactor); is && e.h.Users == nil {
				e.failf("the store is a Transactor, and the harness has no users to test it")
			}
		}},
		{"outside/a start shares the caller's fate", "ST-8", outsideStart},
		{"outside/a message shares the caller's fate, and wakes", "ST-8 EV-1", outsideMessage},
		{"outside/an answer closes its wait", "ST-8 IN-1", outsideAnswer},
		{"outside/verdicts leave the rest of the transaction alone", "ST-8 ST-3", outsideVerdicts},
		{"outside/everything of a start is kept", "ST-8 ST-1", outsideEverything},
		{"outside/writes of owners are refused", "G3", outsideOwners},
		{"outside/strangers are refused", "ST-8", outsideStrangers},
		{"outside/waits are those that the transaction sees", "ST-8 IN-3", outsideWaits},
	}
}

// within runs fn in a transaction of the users, which then commits or not.
func (e *env) within(u Users, commits bool, fn func(tx any)) {
	e.tb.Helper()
	tx := u.Begin()
	fn(tx)
	if !commits {
		e.ok(u.Rollback(tx), "roll back the caller's transaction")
		return
	}
	e.ok(u.Commit(tx), "commit the caller's transaction")
}

// in applies one write in a transaction and wants a verdict.
func (e *env) in(t store.Transactor, tx any, w store.Write, want store.Code) store.Verdict {
	e.tb.Helper()
	r, err := t.CommitIn(e.ctx(), tx, []store.Write{w})
	e.ok(err, "write in a caller's transaction")
	if len(r.Verdicts) != 1 || r.Verdicts[0].Code != want {
		e.failf("verdicts %v, want %s", r.Verdicts, codeName(want))
	}
	return r.Verdicts[0]
}

func (e *env) exists(id store.ID) bool {
	e.tb.Helper()
	_, err := e.st.Load(e.ctx(), id, true)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		e.failf("load: %v", err)
	}
	return err == nil
}

func outsideStart(e *env) {
	t, u, ok := e.transactor()
	if !ok {
		return
	}
	for _, commits := range []bool{false, true} {
		b := start()
		name := "with " + b.ID.String()
		e.within(u, commits, func(tx any) {
			e.ok(u.Put(tx, name), "a row")
			e.in(t, tx, beginning(b), store.Applied)
			if e.exists(b.ID) {
				e.failf("the execution is there before the commit")
			}
		})
		if e.exists(b.ID) != commits || u.Has(name) != commits {
			e.failf("committed %v: execution there %v, row there %v", commits, e.exists(b.ID), u.Has(name))
		}
		if commits {
			r := e.takeover(b.ID)
			e.advance(r, r.park(store.Completed))
		}
	}
	e.nobody("all is done or was rolled back")
}

func outsideMessage(e *env) {
	t, u, ok := e.transactor()
	if !ok {
		return
	}
	r := e.waiting("go")
	for _, commits := range []bool{false, true} {
		e.within(u, commits, func(tx any) { e.in(t, tx, delivering(send(r.id, "go", "one")), store.Applied) })
		x := e.load(r.id)
		if (x.Status == store.Pending) != commits || (x.Inbox == 1) != commits || (len(x.Messages) == 1) != commits {
			e.failf("committed %v: %s with %d messages", commits, describe(x.Execution), len(x.Messages))
		}
	}
	m := e.load(r.id).Messages[0]
	if m.Seq != 1 || m.Topic != "go" || string(m.Payload) != "payload of one" {
		e.failf("the message is %+v", m)
	}
	e.within(u, true, func(tx any) { e.in(t, tx, delivering(send(r.id, "go", "one")), store.Landed) })
	e.one(delivering(send(r.id, "go", "two")), store.Applied, "the next message")
	e.takeover(r.id)
}

func outsideAnswer(e *env) {
	t, u, ok := e.transactor()
	if !ok {
		return
	}
	r := e.waiting("go")
	w := e.waits(r.id)[0]
	d := store.Deliver{ID: r.id, Wait: w.ID, Dedupe: "answer", Payload: []byte("42")}
	e.within(u, false, func(tx any) { e.in(t, tx, delivering(d), store.Applied) })
	if len(e.waits(r.id)) != 1 {
		e.failf("an answer that was rolled back has closed the wait")
	}
	e.within(u, true, func(tx any) { e.in(t, tx, delivering(d), store.Applied) })
	if len(e.waits(r.id)) != 0 || e.load(r.id).Status != store.Pending {
		e.failf("after the answer: %s with %d open waits", describe(e.load(r.id).Execution), len(e.waits(r.id)))
	}
	d.Dedupe = "late"
	e.within(u, true, func(tx any) { e.in(t, tx, delivering(d), store.NoSuchWait) })
}

func outsideVerdicts(e *env) {
	t, u, ok := e.transactor()
	if !ok {
		return
	}
	taken := start()
	taken.Key, taken.InputHash = "key", []byte("hash")
	e.begin(taken)
	done := e.running()
	e.advance(done, done.park(store.Completed))
	full := e.running()
	e.one(delivering(send(full.id, "a", "a")), store.Applied, "a message")
	e.within(u, true, func(tx any) {
		again, other, same := start(), start(), taken
		again.Key, again.InputHash = "key", []byte("hash")
		other.Key, other.InputHash = "key", []byte("another")
		if v := e.in(t, tx, beginning(again), store.Exists); v.ID != taken.ID || !v.Same {
			e.failf("the key with the same input: %+v", v)
		}
		if v := e.in(t, tx, beginning(other), store.Exists); v.ID != taken.ID || v.Same {
			e.failf("the key with another input: %+v", v)
		}
		e.in(t, tx, beginning(same), store.Landed)
		e.in(t, tx, delivering(send(newID(), "a", "a")), store.NotFound)
		if v := e.in(t, tx, delivering(send(done.id, "a", "a")), store.Ended); v.Status != store.Completed {
			e.failf("a message to an ended execution: %+v", v)
		}
		d := send(full.id, "a", "b")
		d.Max = 1
		e.in(t, tx, delivering(d), store.Full)
		e.ok(u.Put(tx, "after verdicts"), "a row after verdicts that refused")
		for _, b := range []store.Begin{again, other} {
			if e.exists(b.ID) {
				e.failf("a refused start exists")
			}
		}
	})
	if !u.Has("after verdicts") {
		e.failf("the caller's row is lost")
	}
}

func outsideEverything(e *env) {
	t, u, ok := e.transactor()
	if !ok {
		return
	}
	b := start()
	b.Key, b.Priority, b.Tags, b.Row = "a key", -7, []string{`a "quoted", {tag}`, "zwei"}, []byte{0, 1, 255}
	b.Due = e.now().Add(3600e9)
	e.within(u, true, func(tx any) { e.in(t, tx, beginning(b), store.Applied) })
	x := e.whole(b.ID)
	direct := b
	direct.ID, direct.Key = newID(), "another key"
	e.begin(direct)
	want := e.whole(direct.ID)
	want.ID, want.Key, want.Created, want.Changed, want.Now = x.ID, x.Key, x.Created, x.Changed, x.Now
	want.Rows[0].At = x.Rows[0].At
	if describe(x.Execution) != describe(want.Execution) || !x.Due.Equal(want.Due) || len(x.Tags) != 2 || x.Tags[0] != b.Tags[0] || x.Priority != -7 {
		e.failf("begun in a transaction: %+v\nbegun by Commit: %+v", x.Execution, want.Execution)
	}
	if len(x.Rows) != 1 || string(x.Rows[0].Body) != string(b.Row) || x.Rows[0].Seq != 1 {
		e.failf("rows %+v", x.Rows)
	}
	again := b
	again.ID = newID()
	if v := e.one(beginning(again), store.Exists, "the key is taken for everybody"); !v.Same {
		e.failf("the hash of the input is lost")
	}
}

func outsideOwners(e *env) {
	t, u, ok := e.transactor()
	if !ok {
		return
	}
	r := e.running()
	owned := start()
	owned.Owner = r.owner
	none := send(r.id, "a", "")
	for name, w := range map[string]store.Write{
		"an owned begin": beginning(owned), "an advance": advancing(r.next("row")), "no dedupe": delivering(none), "nothing": {},
		"a control": controlling(store.Control{ID: r.id, From: []store.Status{store.Running}, Release: store.Release{Status: store.Pending}}),
	} {
		e.within(u, true, func(tx any) {
			_, err := t.CommitIn(e.ctx(), tx, []store.Write{w})
			e.is(err, store.ErrRefused, name)
			e.ok(u.Put(tx, name), "a row after a refusal")
		})
	}
	if x := e.load(r.id); x.Length != 1 || x.Owner != r.owner || e.exists(owned.ID) {
		e.failf("a refused write left a trace: %s", describe(x.Execution))
	}
}

func outsideStrangers(e *env) {
	t, u, ok := e.transactor()
	if !ok {
		return
	}
	for name, tx := range u.Strangers() {
		b := start()
		_, err := t.CommitIn(e.ctx(), tx, []store.Write{beginning(b)})
		e.is(err, store.ErrBadTx, "begin in "+name)
		_, _, err = t.WaitsIn(e.ctx(), tx, b.ID)
		e.is(err, store.ErrBadTx, "waits in "+name)
		if e.exists(b.ID) {
			e.failf("%s began an execution", name)
		}
	}
}

func outsideWaits(e *env) {
	t, u, ok := e.transactor()
	if !ok {
		return
	}
	r := e.waiting("go")
	want := e.waits(r.id)[0]
	e.within(u, false, func(tx any) {
		status, list, err := t.WaitsIn(e.ctx(), tx, r.id)
		e.ok(err, "waits in a transaction")
		if status != store.Waiting || len(list) != 1 || list[0].ID != want.ID || list[0].Execution != r.id || list[0].Kind != want.Kind ||
			list[0].Name != want.Name || list[0].Topic != want.Topic || string(list[0].Detail) != string(want.Detail) || !list[0].Deadline.IsZero() {
			e.failf("status %s, waits %+v, want %+v", status, list, want)
		}
		e.in(t, tx, delivering(store.Deliver{ID: r.id, Wait: want.ID, Dedupe: "answer"}), store.Applied)
		status, list, err = t.WaitsIn(e.ctx(), tx, r.id)
		e.ok(err, "waits in a transaction")
		if status != store.Pending || len(list) != 0 {
			e.failf("after its own answer the transaction sees %s and %d waits", status, len(list))
		}
	})
	e.within(u, false, func(tx any) {
		b := start()
		e.in(t, tx, beginning(b), store.Applied)
		status, _, err := t.WaitsIn(e.ctx(), tx, b.ID)
		e.ok(err, "waits of an execution begun in the transaction")
		if status != store.Pending {
			e.failf("it is %s", status)
		}
		_, _, err = t.WaitsIn(e.ctx(), tx, uuid.New())
		e.is(err, store.ErrNotFound, "waits of nobody")
	})
}
