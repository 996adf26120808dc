package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func claimClauses() []clause {
	return []clause{
		{"claim/gives owner, epoch and status", "G7, QU-1", claimGives},
		{"claim/returns what Load returns", "G6", claimRecord},
		{"claim/gives each execution once", "G7, QU-1", claimOnce},
		{"claim/order is priority, due, age", "ST-3", claimOrder},
		{"claim/limit is per queue, More tells", "QU-3", claimLimit},
		{"claim/exactly the limit leaves nothing", "QU-3", claimExact},
		{"claim/other queues are left alone", "QU-1", claimQueues},
		{"claim/other workflows and versions are left alone", "QU-1, G19", claimDefinitions},
		{"claim/hopeless ones in front do not hide others", "QU-12, G20", claimHopeless},
		{"claim/NextDue is the earliest later one of the asked queues", "G11, QU-3", claimNextDue},
		{"claim/a queue asked with 0 only tells NextDue", "QU-2", claimZero},
		{"claim/without a live lease", "G7, QU-5", claimDead},
		{"claim/blocked by other code is taken", "VR-3, G20", claimBlocked},
		{"claim/blocked by several kinds of code is taken by none of them", "VR-3, VR-4, G20", claimBlockedAll},
		{"claim/what went on gives all code another chance", "VR-4, G20", claimBlockedForgets},
		{"claim/blocked by very many kinds of code", "VR-3", claimBlockedMany},
		{"claim/blocked in order, after what is due", "VR-4, ST-3", claimBlockedOrder},
		{"claim/blocked of another definition or queue is left alone", "VR-3", claimBlockedOther},
	}
}

// usual asks for the usual workflow in the usual queue.
func usual(who store.Incarnation) store.ClaimRequest {
	return store.ClaimRequest{
		Owner:       who,
		Definitions: []store.Definition{{Workflow: flow, Version: version, Fingerprint: "now"}},
		Queues:      map[string]int{queue: 1000},
	}
}

func claimGives(e *env) {
	id, who := e.pending(), e.lease()
	c := e.claim(who)
	if len(c.Records) != 1 || c.Records[0].ID != id || c.Records[0].Owner != who || c.Records[0].Epoch != 1 || c.Records[0].Status != store.Running {
		e.failf("claimed %d, want one with owner, epoch 1, running", len(c.Records))
	}
	if rec := e.load(id); rec.Owner != who || rec.Epoch != 1 || rec.Status != store.Running {
		e.failf("claimed, but %s", describe(rec.Execution))
	}
	if c.Now.IsZero() {
		e.failf("the claim does not tell the time")
	}
	rn, err := e.st.Renew(e.ctx(), store.Lease{Who: who, Duration: time.Hour})
	e.ok(err, "renew")
	if len(rn.Owned) != 1 || rn.Owned[0] != (store.Owned{ID: id, Epoch: 1}) {
		e.failf("the heartbeat sees %+v", rn.Owned)
	}
}

func claimRecord(e *env) {
	r := e.running()
	e.one(delivering(send(r.id, "t", "m1")), store.Applied, "send")
	r = e.advance(r, r.next("two"))
	a := r.next("three")
	a.Snapshot = []byte("snapshot of three")
	r = e.advance(r, a)
	e.advance(r, r.park(store.Pending))
	claimed := e.takeoverRecord(r.id)
	loaded := e.load(r.id)
	claimed.Now, loaded.Now = time.Time{}, time.Time{}
	if d := differ(claimed, loaded); d != "" {
		e.failf("claimed against loaded: %s", d)
	}
	if claimed.SnapshotSeq != 3 || len(claimed.Rows) != 1 || len(claimed.Messages) != 1 {
		e.failf("claimed with snapshot to %d, %d rows, %d messages; want 3, 1, 1", claimed.SnapshotSeq, len(claimed.Rows), len(claimed.Messages))
	}
}

func claimOnce(e *env) {
	for range 5 {
		e.pending()
	}
	if n := len(e.claim(e.lease()).Records); n != 5 {
		e.failf("first claim got %d of 5", n)
	}
	e.nobody("all are owned")
}

func claimOrder(e *env) {
	now := e.now()
	var want []store.ID
	for _, at := range []struct {
		priority int
		due      time.Duration
		place    int // in the order of the claim
	}{
		{0, -2 * time.Second, 3}, {0, -2 * time.Second, 4}, {10, -time.Second, 1}, {0, -3 * time.Second, 2}, {-5, -time.Hour, 5}, {10, -2 * time.Second, 0},
	} {
		b := start()
		b.Priority, b.Due = at.priority, now.Add(at.due)
		e.begin(b)
		for len(want) <= at.place {
			want = append(want, uuid.Nil)
		}
		want[at.place] = b.ID
	}
	got := e.claim(e.lease()).Records
	if len(got) != len(want) {
		e.failf("claimed %d of %d", len(got), len(want))
	}
	for i, rec := range got {
		if rec.ID != want[i] {
			e.failf("place %d has priority %d due %v; want %s", i, rec.Priority, rec.Due, want[i])
		}
	}
}

func claimLimit(e *env) {
	for range 3 {
		e.pending()
		b := start()
		b.Queue = "slow"
		e.begin(b)
	}
	req := usual(e.lease())
	req.Queues = map[string]int{queue: 2, "slow": 3}
	c := e.claimAs(req)
	got := map[string]int{}
	for _, rec := range c.Records {
		got[rec.Queue]++
	}
	if got[queue] != 2 || got["slow"] != 3 {
		e.failf("limits 2 and 3, claimed %v", got)
	}
	if !c.More[queue] || c.More["slow"] {
		e.failf("one is left in %s and none in slow, but More is %v", queue, c.More)
	}
	if c = e.claimAs(req); len(c.Records) != 1 || c.More[queue] {
		e.failf("the last one: claimed %d, More %v", len(c.Records), c.More)
	}
}

func claimExact(e *env) {
	e.pending()
	req := usual(e.lease())
	req.Queues[queue] = 1
	foreign := start()
	foreign.Workflow = "another"
	e.begin(foreign)
	if c := e.claimAs(req); len(c.Records) != 1 || c.More[queue] {
		e.failf("one due, limit one: claimed %d, More %v; what is left is of another workflow", len(c.Records), c.More)
	}
}

func claimQueues(e *env) {
	for _, q := range []string{"Default", "default ", "defaul_", "%", ""} {
		b := start()
		b.Queue = q
		e.begin(b)
	}
	e.nobody("queues that only look alike")
}

func claimDefinitions(e *env) {
	for _, d := range [][2]string{{flow, "v2"}, {"another", version}, {flow, ""}, {"ORDER", version}} {
		b := start()
		b.Workflow, b.Version = d[0], d[1]
		e.begin(b)
	}
	e.nobody("of definitions that this worker does not have")
	req := usual(e.lease())
	req.Definitions = []store.Definition{{Workflow: flow, Version: "v2"}, {Workflow: "another", Version: "v1"}}
	if n := len(e.claimAs(req).Records); n != 2 {
		e.failf("of the two definitions asked for, %d were claimed", n)
	}
	req.Definitions = nil
	if n := len(e.claimAs(req).Records); n != 0 {
		e.failf("no definitions asked for, %d claimed", n)
	}
}

func claimHopeless(e *env) {
	var batch []store.Write
	for range 300 {
		b := start()
		b.Version, b.Priority = "gone", 100
		batch = append(batch, beginning(b))
	}
	e.commit(batch...)
	id := e.pending()
	req := usual(e.lease())
	req.Queues[queue] = 1
	if c := e.claimAs(req); len(c.Records) != 1 || c.Records[0].ID != id {
		e.failf("behind 300 that this worker cannot run, it got %d", len(c.Records))
	}
}

func claimNextDue(e *env) {
	now := e.now()
	if c := e.claim(e.lease()); !c.NextDue.IsZero() {
		e.failf("nothing there, but NextDue is %v", c.NextDue)
	}
	at := func(q, wf string, in time.Duration, priority int) {
		b := start()
		b.Queue, b.Workflow, b.Due, b.Priority = q, wf, now.Add(in), priority
		e.begin(b)
	}
	at(queue, flow, 3*time.Hour, 10)
	at(queue, "another", 2*time.Hour, 0)
	at("unasked", flow, time.Hour, 0)
	e.pending() // due now, and owned after the claim
	e.waiting("t")
	ended := e.running()
	e.advance(ended, ended.park(store.Completed))
	who := e.lease()
	for range 2 {
		if c := e.claim(who); !c.NextDue.Equal(now.Add(2 * time.Hour)) {
			e.failf("NextDue is %v, want %v: the earliest later one, whatever the definition", c.NextDue, now.Add(2*time.Hour))
		}
	}
	sleeper := e.running()
	a := sleeper.waitFor(sleeper.wait("sleep", ""))
	a.Release.Due = now.Add(time.Hour)
	e.advance(sleeper, a)
	if c := e.claim(who); !c.NextDue.Equal(now.Add(time.Hour)) {
		e.failf("NextDue is %v, but a sleeper is due at %v", c.NextDue, now.Add(time.Hour))
	}
}

func claimZero(e *env) {
	e.pending()
	b := start()
	b.Due = e.now().Add(time.Hour)
	e.begin(b)
	req := usual(e.lease())
	req.Queues[queue] = 0
	c := e.claimAs(req)
	if len(c.Records) != 0 || !c.NextDue.Equal(b.Due) || c.More[queue] {
		e.failf("asked with 0: claimed %d, NextDue %v, More %v", len(c.Records), c.NextDue, c.More)
	}
}

func claimDead(e *env) {
	id := e.pending()
	dead, retired := e.lease(), e.lease()
	e.lapse(dead)
	e.ok(e.st.Retire(e.ctx(), retired), "retire")
	for what, who := range map[string]store.Incarnation{"unknown": uuid.New(), "nobody": uuid.Nil, "expired": dead, "retired": retired} {
		c, err := e.st.Claim(e.ctx(), usual(who))
		if !errors.Is(err, store.ErrLeaseLost) || len(c.Records) != 0 {
			e.failf("a claim by an %s incarnation got %d and %v", what, len(c.Records), err)
		}
	}
	if rec := e.load(id); rec.Status != store.Pending || rec.Epoch != 0 {
		e.failf("a refused claim left a trace: %s", describe(rec.Execution))
	}
}

func claimBlocked(e *env) {
	r := e.running()
	a := r.park(store.Blocked)
	a.Release.Blocked = "old"
	r = e.advance(r, a)
	req := usual(e.lease())
	req.Definitions[0].Fingerprint = "old"
	if n := len(e.claimAs(req).Records); n != 0 {
		e.failf("blocked by this very code, yet claimed")
	}
	req.Definitions[0].Fingerprint = "new"
	c := e.claimAs(req)
	if len(c.Records) != 1 || c.Records[0].Status != store.Running || c.Records[0].Epoch != r.epoch+1 || !slices.Equal(c.Records[0].Blocked, []string{"old"}) {
		e.failf("blocked by other code, claimed %d", len(c.Records))
	}
}

// block has a run blocked by code with a fingerprint, as its owner.
func (e *env) block(r run, fingerprint string) run {
	e.tb.Helper()
	a := r.park(store.Blocked)
	a.Release.Blocked = fingerprint
	return e.advance(r, a)
}

// claimWith claims with other code, which may get the run or not.
func (e *env) claimWith(r run, fingerprint string, may bool, why string) run {
	e.tb.Helper()
	req := usual(e.lease())
	req.Definitions[0].Fingerprint = fingerprint
	c := e.claimAs(req)
	if got := len(c.Records) == 1; got != may {
		e.failf("%s: claimed %v with %q, want %v; it is blocked by %q", why, got, fingerprint, may, e.load(r.id).Blocked)
	}
	if may {
		r.owner, r.epoch, r.base = req.Owner, c.Records[0].Epoch, c.Records[0].Length
	}
	return r
}

func claimBlockedAll(e *env) {
	r := e.block(e.running(), "one")
	r = e.block(e.claimWith(r, "two", true, "blocked by one"), "two")
	e.claimWith(r, "one", false, "blocked by both")
	e.claimWith(r, "two", false, "blocked by both")
	r = e.claimWith(r, "tw", true, "neither has this name")
	if rec := e.load(r.id); !slices.Equal(rec.Blocked, []string{"one", "two"}) {
		e.failf("claimed, but blocked by %q, want one and two", rec.Blocked)
	}
	r = e.advance(r, r.next("a step"))
	r = e.block(r, "tw")
	if rec := e.load(r.id); !slices.Equal(rec.Blocked, []string{"one", "two", "tw"}) {
		e.failf("blocked by %q, want one, two and tw", rec.Blocked)
	}
	r = e.block(e.claimWith(r, "four", true, "new"), "two")
	if rec := e.load(r.id); !slices.Equal(rec.Blocked, []string{"one", "two", "tw"}) {
		e.failf("two blocked it again: blocked by %q, want one, two and tw", rec.Blocked)
	}
	e.block(e.claimWith(r, "four", true, "still new"), "")
	e.claimWith(r, "one", false, "blocked by nobody in particular")
	e.claimWith(r, "five", true, "newer")
}

// Whatever lets it go in another way gives all code another chance.
func claimBlockedForgets(e *env) {
	for what, free := range map[string]func(r run){
		"it went on": func(r run) { e.advance(r, r.park(store.Pending)) },
		"it was unblocked": func(r run) {
			e.one(controlling(store.Control{ID: r.id, From: []store.Status{store.Blocked, store.Running}, Release: store.Release{Status: store.Pending}}), store.Applied, "unblock")
		},
		"its owner died": func(r run) {
			e.lapse(r.owner)
			e.expire(1)
		},
		"its owner has left": func(r run) { e.ok(e.st.Retire(e.ctx(), r.owner), "retire") },
	} {
		r := e.block(e.running(), "one")
		r = e.block(e.claimWith(r, "two", true, what), "two")
		r = e.claimWith(r, "three", true, what)
		free(r)
		if rec := e.load(r.id); len(rec.Blocked) != 0 {
			e.failf("%s, but blocked by %q", what, rec.Blocked)
		}
		r = e.block(e.claimWith(r, "two", true, what), "two")
		if rec := e.load(r.id); !slices.Equal(rec.Blocked, []string{"two"}) {
			e.failf("%s and was blocked again: by %q, want two", what, rec.Blocked)
		}
		r = e.claimWith(r, "one", true, what)
		e.advance(r, r.park(store.Completed))
	}
}

func claimBlockedMany(e *env) {
	r := e.running()
	for i := range 16 {
		r = e.block(r, fmt.Sprint("v", i))
		r = e.claimWith(r, "other", true, "not there")
	}
	if rec := e.load(r.id); len(rec.Blocked) != 16 {
		e.failf("blocked by %q, want 16", rec.Blocked)
	}
	r = e.block(r, "v16")
	if rec := e.load(r.id); !slices.Equal(rec.Blocked, []string{"v16"}) {
		e.failf("blocked by %q, want the 17th alone", rec.Blocked)
	}
	a := e.claimWith(r, "v0", true, "begun anew").park(store.Blocked)
	a.Release.Blocked = "two words"
	e.refused("a fingerprint with a space", advancing(a))
}

func claimBlockedOrder(e *env) {
	type place struct {
		priority int
		by       string
	}
	var want []store.ID
	for i, at := range []place{{5, "one"}, {5, "two"}, {0, "one"}, {0, "three"}, {-5, "two"}} {
		who := e.lease()
		b := start()
		b.Owner, b.Priority = who, at.priority
		want = append(want, e.begin(b))
		e.block(run{id: want[i], owner: who, epoch: 1, base: 1}, at.by)
	}
	later := e.pending() // due ones come first, whatever their priority
	want = append([]store.ID{later}, want...)
	req := usual(e.lease())
	req.Queues[queue] = 4
	var got []store.ID
	for _, more := range []bool{true, false} {
		c := e.claimAs(req)
		for _, rec := range c.Records {
			got = append(got, rec.ID)
		}
		if c.More[queue] != more {
			e.failf("after %d of %d, More is %v", len(got), len(want), c.More[queue])
		}
	}
	if !slices.Equal(got, want) {
		e.failf("claimed %v, want %v", got, want)
	}
}

func claimBlockedOther(e *env) {
	r := e.running()
	a := r.park(store.Blocked)
	a.Release.Blocked = "old"
	e.advance(r, a)
	req := usual(e.lease())
	req.Definitions[0].Version = "v2"
	if n := len(e.claimAs(req).Records); n != 0 {
		e.failf("blocked in another version, yet claimed")
	}
	req = usual(req.Owner)
	req.Queues = map[string]int{"slow": 5}
	if n := len(e.claimAs(req).Records); n != 0 {
		e.failf("blocked in another queue, yet claimed")
	}
}
