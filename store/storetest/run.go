package storetest

import (
	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// run is an execution as its owner sees it: what the next Advance must state.
type run struct {
	id    store.ID
	owner store.Incarnation
	epoch int64
	base  int
}

// newID makes an ID. Later ones sort after earlier ones.
func newID() store.ID { return uuid.Must(uuid.NewV7()) }

// start is the plainest Begin there is.
func start() store.Begin {
	return store.Begin{ID: newID(), Workflow: flow, Version: version, Queue: queue, InputHash: []byte("hash"), Row: []byte("began")}
}

// pending begins an execution that is due now.
func (e *env) pending() store.ID {
	e.tb.Helper()
	return e.begin(start())
}

func (e *env) begin(b store.Begin) store.ID {
	e.tb.Helper()
	e.one(store.Write{Begin: &b}, store.Applied, "begin")
	return b.ID
}

// running begins an execution that a worker of its own has.
func (e *env) running() run {
	e.tb.Helper()
	return e.runningBy(e.lease())
}

func (e *env) runningBy(who store.Incarnation) run {
	e.tb.Helper()
	b := start()
	b.Owner = who
	return run{id: e.begin(b), owner: who, epoch: 1, base: 1}
}

// next is a write of this owner that appends one row.
func (r run) next(row string) store.Advance {
	a := r.bare()
	a.Row = []byte(row)
	return a
}

// bare is a write of this owner without a row.
func (r run) bare() store.Advance {
	return store.Advance{ID: r.id, Owner: r.owner, Epoch: r.epoch, Base: r.base, Seen: -1}
}

// park appends a row and releases.
func (r run) park(s store.Status) store.Advance {
	a := r.next("parked as " + string(s))
	a.Release = &store.Release{Status: s}
	return a
}

// waitFor appends a row, opens waits and releases until one is answered.
func (r run) waitFor(waits ...store.Wait) store.Advance {
	a := r.park(store.Waiting)
	a.Open = waits
	return a
}

// wait is an open wait of this run for a topic.
func (r run) wait(name, topic string) store.Wait {
	return store.Wait{ID: r.id.String() + "/" + name, Execution: r.id, Path: "step", Call: "1", Kind: "event", Name: name, Topic: topic}
}

// advance commits a write that must be applied and returns the run after it.
func (e *env) advance(r run, a store.Advance) run {
	e.tb.Helper()
	e.one(advancing(a), store.Applied, "advance by the owner")
	if len(a.Row) > 0 {
		r.base++
	}
	return r
}

// waiting makes an execution that waits for a message with this topic.
func (e *env) waiting(topic string) run {
	e.tb.Helper()
	r := e.running()
	return e.advance(r, r.waitFor(r.wait("w", topic)))
}

// takeover claims the execution for a new worker, which must be possible now.
func (e *env) takeover(id store.ID) run {
	e.tb.Helper()
	who := e.lease()
	for _, rec := range e.claim(who).Records {
		if rec.ID == id {
			return run{id: id, owner: who, epoch: rec.Epoch, base: rec.Length}
		}
	}
	e.failf("execution is due but cannot be claimed: %s", describe(e.load(id).Execution))
	return run{}
}

// send is a message with a topic.
func send(id store.ID, topic, dedupe string) store.Deliver {
	return store.Deliver{ID: id, Topic: topic, Payload: []byte("payload of " + dedupe), Dedupe: dedupe}
}

func advancing(a store.Advance) store.Write  { return store.Write{Advance: &a} }
func beginning(b store.Begin) store.Write    { return store.Write{Begin: &b} }
func delivering(d store.Deliver) store.Write { return store.Write{Deliver: &d} }
func controlling(c store.Control) store.Write {
	return store.Write{Control: &c}
}
