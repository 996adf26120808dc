package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/durable-go/durable/store"
)

func publishClauses() []clause {
	return []clause{
		{"publish/reaches everybody who waits, once", "EV-3, ruling 24", publishReaches},
		{"publish/goes to shared waits of the very topic only", "EV-2, ruling 24", publishTopic},
		{"publish/is kept for the first that asks, once", "EV-2, EV-3, ruling 24", publishKept},
		{"publish/what is kept is taken in order", "EV-2, EV-3", publishOrder},
		{"publish/what is kept is taken in one batch by two", "EV-3", publishBatch},
		{"publish/a kept one is given by the write that asks, which can land twice", "G3, G9, EV-8", publishLanded},
		{"publish/a refused write takes nothing", "G3, G9", publishRefused},
		{"publish/a wait among others, and an owner that goes on", "EV-6, EV-8", publishOwned},
		{"publish/the oldest of two waits of one execution", "EV-3", publishTwoWaits},
		{"publish/the same again has landed", "G9, EV-4", publishAgain},
		{"publish/dedupe is per topic", "G9, EV-4", publishScope},
		{"publish/time passes", "EV-4, ruling 24", publishExpires},
		{"publish/what is out of date goes", "ruling 24", publishSweep},
		{"publish/after a restart", "EV-2, EV-4", publishRestart},
		{"publish/a full inbox is no obstacle", "EV-5", publishFull},
		{"publish/blocked, pending and ended ones", "EV-5, RT-4", publishStatuses},
		{"publish/makes a parked compensating execution due", "CO-5, EV-7", publishCompensating},
		{"publish/an end takes nothing", "G9", publishEnd},
		{"publish/malformed ones are refused", "G9", publishMalformed},
		{"publish/to a thousand", "ruling 24", publishMany},
		{"race/publish against the opening of the wait", "G9, EV-2, EV-8, ruling 24", racePublish},
		{"race/one publication, many takers", "EV-3, ruling 24", raceTakers},
		{"race/one publication asked for many times", "EV-4, ruling 24", raceRepublish},
		{"race/publish, send and take", "G9, EV-8", racePublishAndSend},
	}
}

// shared is an open wait of this run for what is published for a topic.
func (r run) shared(name, topic string) store.Wait {
	w := r.wait(name, topic)
	w.Shared = true
	return w
}

// listening makes an execution that waits for what is published for a topic.
func (e *env) listening(topic string) run {
	e.tb.Helper()
	r := e.running()
	return e.advance(r, r.waitFor(r.shared("w", topic)))
}

func publication(topic, dedupe string) store.Publication {
	return store.Publication{Topic: topic, Payload: []byte("payload of " + dedupe), Dedupe: dedupe, Keep: time.Hour}
}

// publish publishes and checks what becomes of it.
func (e *env) publish(p store.Publication, code store.Code, got int) {
	e.tb.Helper()
	res, err := e.st.Publish(e.ctx(), p)
	e.ok(err, "publish")
	if res.Code != code || res.Got != got || res.Now.IsZero() {
		e.failf("published %s for %q: %+v, want code %d and %d that got it", p.Dedupe, p.Topic, res, code, got)
	}
}

// hasPublished checks that an execution has exactly these messages, and was woken.
func (e *env) hasPublished(id store.ID, topic string, dedupes ...string) {
	e.tb.Helper()
	rec := e.load(id)
	var got []string
	for _, m := range rec.Messages {
		if m.Topic != topic || m.Wait == "" || m.At.IsZero() {
			e.failf("message %+v, want topic %q and the wait that it is for", m, topic)
		}
		got = append(got, string(m.Payload))
	}
	var want []string
	for _, d := range dedupes {
		want = append(want, "payload of "+d)
	}
	if !slices.Equal(got, want) || rec.Inbox != int64(len(want)) {
		e.failf("it has %q of %d, want %q", got, rec.Inbox, want)
	}
	if len(want) > 0 && rec.Status != store.Running && (rec.Status != store.Pending || rec.Due.IsZero() || rec.Due.After(rec.Now)) {
		e.failf("it was given a message and is %s", describe(rec.Execution))
	}
}

func publishReaches(e *env) {
	a, b, other := e.listening("t"), e.listening("t"), e.listening("other")
	e.publish(publication("t", "p"), store.Applied, 2)
	e.hasPublished(a.id, "t", "p")
	e.hasPublished(b.id, "t", "p")
	e.hasPublished(other.id, "other")
	if len(e.waits(a.id)) != 0 || len(e.waits(other.id)) != 1 {
		e.failf("waits %v and %v", e.waits(a.id), e.waits(other.id))
	}
	// Who has got it does not wait for it any more: the next is for those who come.
	e.publish(publication("t", "q"), store.Applied, 0)
	e.hasPublished(a.id, "t", "p")
	e.hasPublished(e.listening("t").id, "t", "q")
	r := e.takeover(a.id)
	next := r.waitFor(r.shared("again", "t"))
	next.Took = []int64{1}
	r = e.advance(r, next)
	if rec := e.load(r.id); rec.Status != store.Waiting || len(rec.Messages) != 0 || len(e.waits(r.id)) != 1 {
		e.failf("it took one and waits anew, but is %s", describe(rec.Execution))
	}
}

func publishTopic(e *env) {
	plain, like := e.waiting("t"), e.listening("t%")
	e.publish(publication("t", "p"), store.Applied, 0)
	e.hasPublished(plain.id, "t")
	e.hasPublished(like.id, "t%")
	// Nor does an ordinary message wait for it: it is sent to one execution.
	e.one(delivering(send(like.id, "t%", "m")), store.Applied, "send to a shared wait")
	if rec := e.load(like.id); rec.Status != store.Pending || len(e.waits(like.id)) != 1 {
		e.failf("a message with its topic leaves it %s", describe(rec.Execution))
	}
	r := e.running()
	e.advance(r, r.waitFor(r.wait("w", "t"))) // not shared: it does not ask
	e.hasPublished(r.id, "t")
	e.hasPublished(e.listening("t").id, "t", "p")
	for _, w := range e.waits(e.listening("field").id) {
		if !w.Shared {
			e.failf("a shared wait is listed as %+v", w)
		}
	}
}

// A rollback that is parked until some day goes on with what is published, whichever comes first.
func publishCompensating(e *env) {
	parked := func(r run, name string) run {
		a := r.park(store.Compensating)
		a.Open, a.Release.Due = []store.Wait{r.shared(name, "t")}, e.now().Add(time.Hour)
		return e.advance(r, a)
	}
	isDue := func(r run, n int) {
		e.tb.Helper()
		if rec := e.load(r.id); rec.Status != store.Compensating || rec.Due.IsZero() || rec.Due.After(rec.Now) || len(rec.Messages) != n || len(e.waits(r.id)) != 0 {
			e.failf("it must be due, with %d messages: %s, %+v", n, describe(rec.Execution), rec.Messages)
		}
	}
	r := parked(e.running(), "w")
	e.nobody("an undo that waits")
	e.publish(publication("t", "p"), store.Applied, 1)
	isDue(r, 1)
	r = e.takeover(r.id)
	e.publish(publication("t", "kept"), store.Applied, 0)
	r = parked(r, "again")
	isDue(r, 2)
	r = e.takeover(r.id)
	a := r.next("opens and goes on")
	a.Open = []store.Wait{r.shared("owned", "t")}
	r = e.advance(r, a)
	e.publish(publication("t", "q"), store.Applied, 1)
	if rec := e.load(r.id); rec.Status != store.Compensating || rec.Owner != r.owner || rec.Epoch != r.epoch || len(rec.Messages) != 3 {
		e.failf("what is published must not disturb the owner: %s", describe(rec.Execution))
	}
}

func publishKept(e *env) {
	e.publish(publication("t", "p"), store.Applied, 0)
	first, second := e.listening("t"), e.listening("t")
	e.hasPublished(first.id, "t", "p")
	e.hasPublished(second.id, "t")
	if w := e.waits(first.id); len(w) != 0 {
		e.failf("the wait is answered and open: %v", w)
	}
	if rec := e.load(second.id); rec.Status != store.Waiting {
		e.failf("the second is %s", describe(rec.Execution))
	}
	e.publish(publication("t", "p"), store.Landed, 1)
	e.hasPublished(second.id, "t")
}

func publishOrder(e *env) {
	for i := range 3 {
		e.publish(publication("t", fmt.Sprint(i)), store.Applied, 0)
	}
	for i := range 3 {
		e.hasPublished(e.listening("t").id, "t", fmt.Sprint(i))
	}
	e.hasPublished(e.listening("t").id, "t")
}

func publishBatch(e *env) {
	e.publish(publication("t", "0"), store.Applied, 0)
	e.publish(publication("t", "1"), store.Applied, 0)
	var runs []run
	var writes []store.Write
	for range 4 {
		r := e.running()
		runs = append(runs, r)
		writes = append(writes, advancing(r.waitFor(r.shared("w", "t"), r.shared("v", "none"))))
	}
	for i, v := range e.commit(writes...) {
		if inbox := int64(1); v.Code != store.Applied || i < 2 && v.Inbox != inbox || i >= 2 && v.Inbox != 0 {
			e.failf("verdict %d is %+v", i, v)
		}
	}
	for i, r := range runs {
		if i < 2 {
			e.hasPublished(r.id, "t", fmt.Sprint(i))
		} else {
			e.hasPublished(r.id, "t")
		}
		if n := len(e.waits(r.id)); n != 1 && i < 2 || n != 2 && i >= 2 {
			e.failf("execution %d has %d waits", i, n)
		}
	}
}

func publishLanded(e *env) {
	e.publish(publication("t", "0"), store.Applied, 0)
	e.publish(publication("t", "1"), store.Applied, 0)
	r := e.running()
	a := r.waitFor(r.shared("w", "t"))
	a.Seen = 0
	if v := e.one(advancing(a), store.Applied, "open a wait for what is there"); v.Inbox != 1 {
		e.failf("the verdict tells of %d messages, want 1", v.Inbox)
	}
	if v := e.one(advancing(a), store.Landed, "the same again"); v.Inbox != 1 {
		e.failf("the second verdict tells of %d messages, want 1", v.Inbox)
	}
	e.hasPublished(r.id, "t", "0")
	e.hasPublished(e.listening("t").id, "t", "1")
}

func publishRefused(e *env) {
	e.publish(publication("t", "p"), store.Applied, 0)
	r := e.running()
	a := r.waitFor(r.shared("w", "t"))
	a.NotBefore = e.now().Add(time.Hour)
	e.one(advancing(a), store.Early, "too early")
	a = r.waitFor(r.shared("w", "t"))
	a.Base++
	e.one(advancing(a), store.Superseded, "out of date")
	bad := r.waitFor(r.shared("w", "t"))
	bad.Release.Status = store.Running
	e.refused("a release that is none", advancing(bad))
	e.hasPublished(r.id, "t")
	e.hasPublished(e.listening("t").id, "t", "p")
}

func publishOwned(e *env) {
	e.publish(publication("t", "p"), store.Applied, 0)
	r := e.running()
	a := r.next("opens and goes on")
	a.Open = []store.Wait{r.wait("plain", "x"), r.shared("w", "t"), r.shared("v", "u")}
	if v := e.one(advancing(a), store.Applied, "open waits and go on"); v.Inbox != 1 {
		e.failf("the owner is told of %d messages, want 1", v.Inbox)
	}
	r.base++
	if rec := e.load(r.id); rec.Status != store.Running || rec.Owner != r.owner || len(e.waits(r.id)) != 2 {
		e.failf("it is %s with %d waits", describe(rec.Execution), len(e.waits(r.id)))
	}
	e.publish(publication("u", "q"), store.Applied, 1)
	if rec := e.load(r.id); rec.Status != store.Running || rec.Inbox != 2 || len(e.waits(r.id)) != 1 {
		e.failf("published to an owned one: %s", describe(rec.Execution))
	}
	parked := r.park(store.Waiting)
	parked.Seen = 1
	e.one(advancing(parked), store.Unseen, "park without having seen it")
	parked.Seen, parked.Took, parked.Shut = 2, []int64{1, 2}, []string{r.shared("v", "").ID}
	e.one(advancing(parked), store.Applied, "park")
}

func publishTwoWaits(e *env) {
	r := e.running()
	a := r.next("opens one")
	a.Open = []store.Wait{r.shared("z", "t")}
	r = e.advance(r, a)
	before := e.now()
	e.until("the clock has moved on", func() bool { return e.now().After(before.Add(2 * time.Millisecond)) })
	r = e.advance(r, r.waitFor(r.shared("b", "t"), r.shared("a", "t")))
	for i, name := range []string{"z", "a", "b"} {
		e.publish(publication("t", fmt.Sprint(i)), store.Applied, 1)
		rec := e.load(r.id)
		if m := rec.Messages; len(m) != i+1 || m[i].Wait != r.shared(name, "").ID || len(e.waits(r.id)) != 2-i {
			e.failf("publication %d came as %+v, want it for wait %q", i, m, name)
		}
	}
	e.publish(publication("t", "3"), store.Applied, 0)
}

func publishAgain(e *env) {
	a := e.listening("t")
	e.publish(publication("t", "p"), store.Applied, 1)
	late := e.listening("t")
	again := publication("t", "p")
	again.Payload, again.Keep = []byte("other"), 2*time.Hour
	for range 3 {
		e.publish(again, store.Landed, 1)
	}
	e.hasPublished(a.id, "t", "p")
	e.hasPublished(late.id, "t")
	// Kept, then taken: it is known all the same.
	e.publish(publication("u", "p"), store.Applied, 0)
	e.publish(publication("u", "p"), store.Landed, 0)
	e.hasPublished(e.listening("u").id, "u", "p")
	e.publish(publication("u", "p"), store.Landed, 1)
	e.hasPublished(e.listening("u").id, "u")
}

func publishScope(e *env) {
	e.publish(publication("t", "p"), store.Applied, 0)
	e.publish(publication("u", "p"), store.Applied, 0)
	r := e.listening("t")
	e.one(delivering(send(r.id, "x", "p")), store.Applied, "a message with that dedupe")
	if rec := e.load(r.id); rec.Inbox != 2 {
		e.failf("it has %d messages, want 2", rec.Inbox)
	}
}

func publishExpires(e *env) {
	p := publication("t", "p")
	p.Keep = 20 * time.Millisecond
	e.publish(p, store.Applied, 0)
	got := e.listening("u")
	q := publication("u", "q")
	q.Keep = p.Keep
	e.publish(q, store.Applied, 1)
	before := e.now()
	e.until("the publications are out of date", func() bool { return e.now().After(before.Add(25 * time.Millisecond)) })
	late := e.listening("t")
	e.hasPublished(late.id, "t") // its time is over
	e.publish(p, store.Applied, 1)
	e.hasPublished(late.id, "t", "p")
	e.hasPublished(got.id, "u", "q")
	e.publish(q, store.Applied, 0) // its name is free
}

// What is out of date goes while others are published; and pruning does no harm to
// what is not.
func publishSweep(e *env) {
	for i := range 2 * store.SweepPublications {
		p := publication(fmt.Sprint("old", i), "p")
		p.Keep = time.Millisecond
		e.publish(p, store.Applied, 0)
	}
	e.publish(publication("t", "p"), store.Applied, 0)
	before := e.now()
	e.until("most are out of date", func() bool { return e.now().After(before.Add(5 * time.Millisecond)) })
	for i := range 5 {
		e.prunes(store.PruneRequest{}, 0)
		e.publish(publication("u", fmt.Sprint(i)), store.Applied, 0)
	}
	e.hasPublished(e.listening("t").id, "t", "p")
	e.hasPublished(e.listening("u").id, "u", "0")
	e.hasPublished(e.listening("old0").id, "old0")
}

func publishRestart(e *env) {
	r := e.listening("t")
	e.publish(publication("u", "p"), store.Applied, 0)
	e.restart()
	e.publish(publication("u", "p"), store.Landed, 0)
	e.publish(publication("t", "p"), store.Applied, 1)
	e.restart()
	e.hasPublished(r.id, "t", "p")
	e.hasPublished(e.listening("u").id, "u", "p")
	e.publish(publication("t", "p"), store.Landed, 1)
}

func publishFull(e *env) {
	r := e.listening("t")
	for i := range 3 {
		d := send(r.id, "x", fmt.Sprint(i))
		d.Max = 3
		e.one(delivering(d), store.Applied, "fill the inbox")
	}
	e.publish(publication("t", "p"), store.Applied, 1)
	if rec := e.load(r.id); len(rec.Messages) != 4 || rec.Status != store.Pending {
		e.failf("%d messages, %s", len(rec.Messages), describe(rec.Execution))
	}
}

func publishStatuses(e *env) {
	blocked := e.running()
	a := blocked.park(store.Blocked)
	a.Open = []store.Wait{blocked.shared("w", "t")}
	e.advance(blocked, a)
	pending := e.running()
	a = pending.park(store.Pending)
	a.Release.Due = e.now().Add(time.Hour)
	a.Open = []store.Wait{pending.shared("w", "t")}
	e.advance(pending, a)
	ended := e.listening("t")
	e.one(controlling(store.Control{ID: ended.id, From: []store.Status{store.Waiting}, Release: store.Release{Status: store.Cancelled}}), store.Applied, "cancel")
	e.publish(publication("t", "p"), store.Applied, 2)
	if rec := e.load(blocked.id); rec.Status != store.Blocked || rec.Inbox != 1 {
		e.failf("the blocked one is %s", describe(rec.Execution))
	}
	if rec := e.load(pending.id); rec.Status != store.Pending || rec.Inbox != 1 || !rec.Due.After(rec.Now) {
		e.failf("the pending one is %s", describe(rec.Execution))
	}
	if rec := e.load(ended.id); rec.Status != store.Cancelled || rec.Inbox != 0 {
		e.failf("the ended one is %s", describe(rec.Execution))
	}
	// A kept one does not make what is put off due, either.
	e.publish(publication("t", "q"), store.Applied, 0)
	late := e.running()
	a = late.park(store.Pending)
	a.Release.Due = e.now().Add(time.Hour)
	a.Open = []store.Wait{late.shared("w", "t")}
	e.advance(late, a)
	if rec := e.load(late.id); rec.Status != store.Pending || rec.Inbox != 1 || !rec.Due.After(rec.Now) {
		e.failf("the one put off is %s", describe(rec.Execution))
	}
}

func publishEnd(e *env) {
	e.publish(publication("t", "p"), store.Applied, 0)
	r := e.running()
	a := r.park(store.Completed)
	a.Open = []store.Wait{r.shared("w", "t")}
	e.advance(r, a)
	e.hasPublished(r.id, "t")
	e.hasPublished(e.listening("t").id, "t", "p")
}

func publishMalformed(e *env) {
	for name, p := range map[string]store.Publication{
		"no topic":  {Dedupe: "p", Keep: time.Hour},
		"no dedupe": {Topic: "t", Keep: time.Hour},
		"no time":   {Topic: "t", Dedupe: "p"},
		"past":      {Topic: "t", Dedupe: "p", Keep: -1},
	} {
		_, err := e.st.Publish(e.ctx(), p)
		e.is(err, store.ErrRefused, name)
	}
	r := e.running()
	e.refused("a shared wait without a topic", advancing(r.waitFor(r.shared("w", ""))))
	e.publish(store.Publication{Topic: "t", Dedupe: "nothing", Keep: time.Hour}, store.Applied, 0)
	e.publish(store.Publication{Topic: "t", Dedupe: "p", Payload: awkward(), Keep: 1 << 40}, store.Applied, 0)
	if m := e.load(e.listening("t").id).Messages; len(m) != 1 || len(m[0].Payload) != 0 {
		e.failf("nothing came as %+v", m)
	}
	if m := e.load(e.listening("t").id).Messages; len(m) != 1 || string(m[0].Payload) != string(awkward()) {
		e.failf("the payload came as %+v", m)
	}
}

func publishMany(e *env) {
	const runs = 1000
	ids := make([]run, 0, runs)
	who := e.lease()
	for len(ids) < runs {
		var begins, parks []store.Write
		for range 100 {
			b := start()
			b.Owner = who
			r := run{id: b.ID, owner: who, epoch: 1, base: 1}
			ids, begins, parks = append(ids, r), append(begins, beginning(b)), append(parks, advancing(r.waitFor(r.shared("w", "t"))))
		}
		e.commit(begins...)
		e.commit(parks...)
	}
	e.publish(publication("t", "p"), store.Applied, runs)
	for _, r := range ids {
		e.hasPublished(r.id, "t", "p")
	}
	e.publish(publication("t", "p"), store.Landed, runs)
}
