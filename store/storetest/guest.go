package storetest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/durable-go/durable/store"
)

// guestClauses are about transactions for user code that end with the record of
// a step.
func guestClauses() []clause {
	return []clause{
		{"guest/rows and record are durable together", "RS-9 G5", guestCommits},
		{"guest/a refused record takes the rows with it", "RS-9 G3", guestSuperseded},
		{"guest/rolled back is neither", "RS-9 G5", guestRollsBack},
		{"guest/a malformed record is rolled back", "RS-9 G5", guestMalformed},
		{"guest/time is up", "RS-9 G5", guestTime},
		{"guest/time is up while user code works", "RS-9 G5", guestBusy},
		{"guest/the context ends it", "RS-9 G5", guestContext},
		{"guest/user code cannot end it", "RS-9 G5", guestEnds},
		{"guest/user code that ends it by a statement is found out", "RS-9 G5", guestStatement},
		{"guest/messages in it share its fate", "RS-9 ST-8", guestSends},
		{"guest/others go on afterwards", "RS-9 G9", guestOthers},
	}
}

const (
	long     = 20 * time.Second // more than any clause takes
	punctual = 3 * time.Second  // how late the end of a transaction's time may come, on a busy machine
)

func (e *env) guest(t store.Transactor) store.Tx {
	e.tb.Helper()
	tx, err := t.Begin(e.ctx(), long)
	e.ok(err, "begin a transaction for user code")
	e.tb.Cleanup(tx.Rollback)
	return tx
}

// rolledBack wants an error that is certain.
func (e *env) rolledBack(tx store.Tx, a store.Advance, also error, why string) {
	e.tb.Helper()
	_, err := tx.Commit(e.ctx(), a)
	e.is(err, store.ErrRolledBack, why)
	if also != nil {
		e.is(err, also, why)
	}
}

// neither wants that nothing of a transaction has landed.
func (e *env) neither(u Users, r run, name string) {
	e.tb.Helper()
	if x := e.load(r.id); u.Has(name) || x.Length != r.base {
		e.failf("the row is there: %v; the journal has %d rows, want %d", u.Has(name), x.Length, r.base)
	}
}

func guestCommits(e *env) {
	t, u, ok := e.transactor()
	if !ok {
		return
	}
	r := e.running()
	tx := e.guest(t)
	e.ok(u.Put(tx.User(), "a"), "a row")
	if u.Has("a") {
		e.failf("the row is there before the commit")
	}
	before := e.load(r.id).Now
	res, err := tx.Commit(e.ctx(), r.next("done"))
	e.ok(err, "commit")
	if res.Verdicts[0].Code != store.Applied || res.Now.Before(before.Add(-time.Second)) {
		e.failf("result %+v", res)
	}
	x := e.whole(r.id)
	if !u.Has("a") || x.Length != 2 || string(x.Rows[1].Body) != "done" || x.Owner != r.owner {
		e.failf("the row is there: %v; %s", u.Has("a"), describe(x.Execution))
	}
	r.base++
	// A step that names bodies, and nothing else.
	tx = e.guest(t)
	e.ok(u.Put(tx.User(), "named"), "a row")
	a := r.next("named bodies")
	large := strings.Repeat("a large blob ", 20_000)
	a.Blobs = [][]byte{[]byte("a small blob"), []byte(large)}
	res, err = tx.Commit(e.ctx(), a)
	e.ok(err, "commit")
	if res.Verdicts[0].Code != store.Applied || !u.Has("named") {
		e.failf("result %+v", res)
	}
	for _, body := range []string{"a small blob", large} {
		got, err := e.st.Blob(e.ctx(), r.id, hashOf(body))
		e.ok(err, "a blob of the step")
		if string(got) != body {
			e.failf("its blob has %d bytes, not %d", len(got), len(body))
		}
	}
	r.base++
	// The other kinds of what a record carries.
	tx = e.guest(t)
	e.ok(u.Put(tx.User(), "b"), "a row")
	a = r.waitFor(r.wait("w", "go"))
	a.Blobs = [][]byte{[]byte("a blob")}
	a.Snapshot, a.Logs = []byte("all"), []store.Log{{Path: "a", Attempt: 1, N: 1, Text: "a line"}}
	res, err = tx.Commit(e.ctx(), a)
	e.ok(err, "commit")
	if x := e.load(r.id); res.Verdicts[0].Code != store.Applied || x.Status != store.Waiting || len(e.waits(r.id)) != 1 || string(x.Snapshot) != "all" || !u.Has("b") {
		e.failf("%+v: %s", res, describe(x.Execution))
	}
	_, err = e.st.Blob(e.ctx(), r.id, hashOf("a blob"))
	e.ok(err, "its blob")
	e.one(delivering(send(r.id, "go", "one")), store.Applied, "wake it")
	e.takeover(r.id)
}

func guestSuperseded(e *env) {
	t, u, ok := e.transactor()
	if !ok {
		return
	}
	another := e.lease()
	for name, change := range map[string]func(a *store.Advance){
		"epoch": func(a *store.Advance) { a.Epoch-- }, "base": func(a *store.Advance) { a.Base++ },
		"owner": func(a *store.Advance) { a.Owner = another },
	} {
		r := e.running()
		tx := e.guest(t)
		e.ok(u.Put(tx.User(), name), "a row")
		e.ok(e.superseded(tx, r, change), name)
		e.neither(u, r, name)
	}
	r := e.running()
	e.one(controlling(store.Control{ID: r.id, From: []store.Status{store.Running}, Release: store.Release{Status: store.Pending}}), store.Applied, "taken")
	tx := e.guest(t)
	e.ok(u.Put(tx.User(), "taken"), "a row")
	e.ok(e.superseded(tx, r, func(*store.Advance) {}), "a run that was taken")
	e.neither(u, r, "taken")
}

func (e *env) superseded(tx store.Tx, r run, change func(a *store.Advance)) error {
	a := r.next("done")
	change(&a)
	res, err := tx.Commit(e.ctx(), a)
	if err == nil && res.Verdicts[0].Code != store.Superseded {
		err = errors.New("verdict " + codeName(res.Verdicts[0].Code))
	}
	return err
}

func guestRollsBack(e *env) {
	t, u, ok := e.transactor()
	if !ok {
		return
	}
	r := e.running()
	tx := e.guest(t)
	e.ok(u.Put(tx.User(), "a"), "a row")
	tx.Rollback()
	tx.Rollback() // once more does nothing
	e.neither(u, r, "a")
	e.rolledBack(tx, r.next("done"), nil, "commit what was rolled back")
	e.neither(u, r, "a")
	tx = e.guest(t)
	e.ok(u.Put(tx.User(), "b"), "a row")
	if _, err := tx.Commit(e.ctx(), r.next("done")); err != nil {
		e.failf("commit: %v", err)
	}
	tx.Rollback() // too late
	if !u.Has("b") || e.load(r.id).Length != 2 {
		e.failf("a rollback after the commit has done something")
	}
}

func guestMalformed(e *env) {
	t, u, ok := e.transactor()
	if !ok {
		return
	}
	r := e.running()
	tx := e.guest(t)
	e.ok(u.Put(tx.User(), "a"), "a row")
	e.rolledBack(tx, r.park(store.Waiting), store.ErrRefused, "a wait without a wait")
	e.neither(u, r, "a")
}

func guestTime(e *env) {
	t, u, ok := e.transactor()
	if !ok {
		return
	}
	r := e.running()
	const limit = time.Second // a busy machine must have put a row by then
	tx, err := t.Begin(e.ctx(), limit)
	e.ok(err, "begin")
	begun := time.Now()
	e.ok(u.Put(tx.User(), "a"), "a row")
	e.until("nothing can be done in it", func() bool { return u.Exec(tx.User(), "SELECT 1") != nil })
	if took := time.Since(begun); took > limit+punctual {
		e.failf("its time was over after %s, not %s", took, limit)
	}
	e.one(advancing(r.next("another")), store.Applied, "others can write again, though user code has not returned")
	r.base++
	if err := u.Put(tx.User(), "b"); err == nil {
		e.failf("a row after the time")
	}
	e.rolledBack(tx, r.next("done"), store.ErrTxTimeout, "too late")
	e.neither(u, r, "a")
}

// guestBusy lets the time end while a statement runs. What it takes long for is
// a thousand million rows that nobody wants.
func guestBusy(e *env) {
	t, u, ok := e.transactor()
	if !ok {
		return
	}
	r := e.running()
	const limit = time.Second // a busy machine must have put a row by then
	tx, err := t.Begin(e.ctx(), limit)
	e.ok(err, "begin")
	e.ok(u.Put(tx.User(), "a"), "a row")
	asked := time.Now()
	err = u.Exec(tx.User(), "INSERT INTO users_row WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT 'x' FROM n WHERE i < 0")
	if took := time.Since(asked); err == nil || took > limit+punctual {
		e.failf("a statement of %s ended with %v", took, err)
	}
	e.rolledBack(tx, r.next("done"), store.ErrTxTimeout, "too late")
	e.neither(u, r, "a")
}

func guestContext(e *env) {
	t, u, ok := e.transactor()
	if !ok {
		return
	}
	r, why := e.running(), errors.New("why")
	ctx, cancel := context.WithCancelCause(e.ctx())
	tx, err := t.Begin(ctx, long)
	e.ok(err, "begin")
	e.ok(u.Put(tx.User(), "a"), "a row")
	cancel(why)
	e.rolledBack(tx, r.next("done"), why, "its context has ended")
	e.neither(u, r, "a")
}

func guestEnds(e *env) {
	t, u, ok := e.transactor()
	if !ok {
		return
	}
	for name, end := range map[string]func(tx any) error{"commit": u.Commit, "rollback": u.Rollback} {
		r := e.running()
		tx := e.guest(t)
		e.ok(u.Put(tx.User(), name), "a row")
		e.is(end(tx.User()), store.ErrTxEnded, name+" by user code")
		e.rolledBack(tx, r.next("done"), store.ErrTxEnded, name+" by user code")
		e.neither(u, r, name)
	}
}

func guestStatement(e *env) {
	t, u, ok := e.transactor()
	if !ok {
		return
	}
	for name, statements := range map[string][]string{
		"commit": {"COMMIT"}, "rollback": {"ROLLBACK"}, "commit and begin": {"COMMIT", "BEGIN"}, "rollback and begin": {"ROLLBACK", "BEGIN"},
	} {
		r := e.running()
		tx := e.guest(t)
		e.ok(u.Put(tx.User(), name), "a row")
		for _, s := range statements {
			_ = u.Exec(tx.User(), s)
		}
		e.rolledBack(tx, r.next("done"), store.ErrTxEnded, name)
		if x := e.load(r.id); x.Length != 1 {
			e.failf("%s: the record is there", name)
		}
	}
}

func guestSends(e *env) {
	t, u, ok := e.transactor()
	if !ok {
		return
	}
	r, other := e.running(), e.waiting("go")
	b := start()
	for i, commits := range []bool{false, true} {
		tx := e.guest(t)
		e.ok(u.Put(tx.User(), "a"), "a row")
		e.in(t, tx.User(), delivering(send(other.id, "go", "one")), store.Applied)
		e.in(t, tx.User(), delivering(send(r.id, "to itself", "one")), store.Applied)
		e.in(t, tx.User(), beginning(b), store.Applied)
		if commits {
			res, err := tx.Commit(e.ctx(), r.next("done"))
			e.ok(err, "commit")
			if res.Verdicts[0].Code != store.Applied || res.Verdicts[0].Inbox != 1 {
				e.failf("verdict %+v", res.Verdicts[0])
			}
		}
		tx.Rollback()
		if e.exists(b.ID) != commits || e.load(other.id).Inbox != int64(i) || e.load(r.id).Inbox != int64(i) {
			e.failf("committed %v: started %v, told %d", commits, e.exists(b.ID), e.load(other.id).Inbox)
		}
	}
}

func guestOthers(e *env) {
	t, u, ok := e.transactor()
	if !ok {
		return
	}
	r, other := e.running(), e.running()
	tx := e.guest(t)
	e.ok(u.Put(tx.User(), "a"), "a row")
	_, err := e.st.Load(e.ctx(), other.id, true) // reading is always possible
	e.ok(err, "load meanwhile")
	if _, err := tx.Commit(e.ctx(), r.next("done")); err != nil {
		e.failf("commit: %v", err)
	}
	other = e.advance(other, other.next("row"))
	r.base++
	e.advance(r, r.next("row"))
	for range 3 {
		tx := e.guest(t)
		tx.Rollback()
	}
	e.advance(other, other.park(store.Completed))
}
