package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// Names that clauses use where the name does not matter.
const (
	flow    = "order"
	version = "v1"
	queue   = "default"
)

// env is a clause's world: one open store and the means to state a broken
// guarantee.
type env struct {
	tb     testing.TB
	h      Harness
	clause clause
	st     store.Store
}

func newEnv(tb testing.TB, h Harness, c clause) *env {
	tb.Helper()
	e := &env{tb: tb, h: h, clause: c}
	e.st = e.open()
	return e
}

// failf ends the clause: the guarantee is broken and nothing after it counts.
func (e *env) failf(format string, args ...any) {
	e.tb.Helper()
	e.tb.Fatalf("%s broken (%s): %s", e.clause.guards, e.clause.name, fmt.Sprintf(format, args...))
}

// errorf reports a broken guarantee and goes on; goroutines may call it.
func (e *env) errorf(format string, args ...any) {
	e.tb.Helper()
	e.tb.Errorf("%s broken (%s): %s", e.clause.guards, e.clause.name, fmt.Sprintf(format, args...))
}

// ok ends the clause if a call failed that must not fail.
func (e *env) ok(err error, doing string) {
	e.tb.Helper()
	if err != nil {
		e.failf("%s: %v", doing, err)
	}
}

// is ends the clause if err does not wrap want.
func (e *env) is(err, want error, doing string) {
	e.tb.Helper()
	if !errors.Is(err, want) {
		e.failf("%s: got error %v, want %v", doing, err, want)
	}
}

func (e *env) ctx() context.Context { return e.tb.Context() }

// open opens one more handle, which is closed when the clause ends.
func (e *env) open() store.Store {
	e.tb.Helper()
	st, err := e.h.Opener.OpenStore(e.tb.Context())
	e.ok(err, "open the store")
	e.tb.Cleanup(func() { _ = st.Close() })
	return st
}

// restart closes the store and opens it again.
func (e *env) restart() {
	e.tb.Helper()
	e.ok(e.st.Close(), "close the store")
	e.st = e.open()
}

// now asks the store for the time.
func (e *env) now() time.Time {
	e.tb.Helper()
	r, err := e.st.Commit(e.ctx(), nil)
	e.ok(err, "commit an empty batch")
	return r.Now.Truncate(time.Millisecond)
}

// until lets time pass until the condition holds: the store's own time if the
// harness can move it, else real time.
func (e *env) until(what string, holds func() bool) {
	e.tb.Helper()
	const patience = 20 * time.Second
	if e.h.Advance != nil {
		for range 1000 {
			if holds() {
				return
			}
			e.h.Advance(patience / 1000)
		}
		e.failf("waited %v of the store's time, but still not: %s", patience, what)
	}
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(patience)
	defer end.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-end.C:
			e.failf("waited %v, but still not: %s", patience, what)
		}
	}
}

// commit commits a batch that the store must take, and returns the verdicts.
func (e *env) commit(writes ...store.Write) []store.Verdict {
	e.tb.Helper()
	return e.commitTo(e.st, writes...)
}

func (e *env) commitTo(st store.Store, writes ...store.Write) []store.Verdict {
	e.tb.Helper()
	r, err := st.Commit(e.ctx(), writes)
	e.ok(err, "commit")
	if len(r.Verdicts) != len(writes) {
		e.failf("%d writes got %d verdicts", len(writes), len(r.Verdicts))
	}
	return r.Verdicts
}

// one commits a single write and returns its verdict, which must have this code.
func (e *env) one(w store.Write, want store.Code, why string) store.Verdict {
	e.tb.Helper()
	v := e.commit(w)[0]
	if v.Code != want {
		e.failf("%s: verdict %s, want %s", why, codeName(v.Code), codeName(want))
	}
	return v
}

// refused commits a batch that the store must refuse as a whole.
func (e *env) refused(why string, writes ...store.Write) {
	e.tb.Helper()
	_, err := e.st.Commit(e.ctx(), writes)
	e.is(err, store.ErrRefused, why)
}

func (e *env) load(id store.ID) store.Record {
	e.tb.Helper()
	r, err := e.st.Load(e.ctx(), id, false)
	e.ok(err, "load")
	return r
}

func (e *env) whole(id store.ID) store.Record {
	e.tb.Helper()
	r, err := e.st.Load(e.ctx(), id, true)
	e.ok(err, "load all")
	return r
}

// waits lists the open waits of one execution.
func (e *env) waits(id store.ID) []store.Wait {
	e.tb.Helper()
	p, err := e.st.Waits(e.ctx(), store.WaitFilter{Execution: id, Limit: 1000})
	e.ok(err, "list waits")
	return p.Waits
}

// lease makes a worker that lives for an hour of the store's time.
func (e *env) lease() store.Incarnation {
	e.tb.Helper()
	who := uuid.New()
	_, err := e.st.Renew(e.ctx(), store.Lease{Who: who, Name: "worker", Duration: time.Hour, New: true})
	e.ok(err, "create a lease")
	return who
}

// lapse lets a worker's lease run out, without anybody calling Expire.
func (e *env) lapse(who store.Incarnation) {
	e.tb.Helper()
	_, err := e.st.Renew(e.ctx(), store.Lease{Who: who, Name: "worker", Duration: time.Millisecond})
	e.ok(err, "shorten a lease")
	e.until("the lease has expired", func() bool {
		_, err := e.st.Claim(e.ctx(), store.ClaimRequest{Owner: who})
		return errors.Is(err, store.ErrLeaseLost)
	})
}

// expire calls Expire, which must release n executions.
func (e *env) expire(n int) {
	e.tb.Helper()
	got, err := e.st.Expire(e.ctx())
	e.ok(err, "expire")
	if got != n {
		e.failf("Expire released %d executions, want %d", got, n)
	}
}

// claim claims as many as there are of the usual definition and queue.
func (e *env) claim(who store.Incarnation) store.Claimed {
	e.tb.Helper()
	return e.claimAs(usual(who))
}

func (e *env) claimAs(req store.ClaimRequest) store.Claimed {
	e.tb.Helper()
	c, err := e.st.Claim(e.ctx(), req)
	e.ok(err, "claim")
	return c
}

// nobody asserts that a claim of everything gets nothing.
func (e *env) nobody(why string) {
	e.tb.Helper()
	if c := e.claim(e.lease()); len(c.Records) != 0 {
		e.failf("%s: yet %d executions were claimed", why, len(c.Records))
	}
}

func codeName(c store.Code) string {
	names := []string{"none", "Applied", "Landed", "Superseded", "Unseen", "Early", "Full", "Exists", "NotFound", "Ended", "NoSuchWait"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("Code(%d)", c)
}
