package postgres

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// worker does with a store what an engine does.
type worker struct {
	t   *testing.T
	s   *Store
	who store.Incarnation
}

const atOnce = 40

func newWorker(t *testing.T, s *Store) *worker {
	w := &worker{t, s, uuid.New()}
	w.renew(time.Hour)
	return w
}

func (w *worker) ok(err error, what string) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

func (w *worker) renew(d time.Duration) {
	w.t.Helper()
	n, err := w.s.Renew(w.t.Context(), store.Lease{Who: w.who, Name: "worker", Duration: d, New: true, Queues: []string{"default", "slow"}})
	w.ok(err, "renew")
	if n.NextDue.IsZero() {
		w.t.Error("the sleepers are not due some time")
	}
}

// commit commits writes that must all have this verdict.
func (w *worker) commit(want store.Code, writes ...store.Write) {
	w.t.Helper()
	r, err := w.s.Commit(w.t.Context(), writes)
	w.ok(err, "commit")
	for i, v := range r.Verdicts {
		if v.Code != want {
			w.t.Fatalf("write %d of %d: verdict %d, want %d", i, len(writes), v.Code, want)
		}
	}
}

// begin begins executions, in the worker's hands or not.
func (w *worker) begin(n int, owned bool) (begun []store.Write) {
	w.t.Helper()
	for i := range n {
		b := store.Begin{ID: uuid.Must(uuid.NewV7()), Workflow: "flow", Version: "v1", Queue: "default", Priority: i % 3, Row: []byte("one")}
		if owned {
			b.Owner = w.who
		}
		begun = append(begun, store.Write{Begin: &b})
	}
	w.commit(store.Applied, begun...)
	return begun
}

// advance makes the next write of each of some runs that have base rows.
func (w *worker) advance(of []store.Write, base int, more func(i int, a *store.Advance)) (writes []store.Write) {
	for i, b := range of {
		a := store.Advance{ID: b.Begin.ID, Owner: w.who, Epoch: 1, Base: base, Row: []byte("next"), Seen: -1}
		if more != nil {
			more(i, &a)
		}
		writes = append(writes, store.Write{Advance: &a})
	}
	return writes
}

func (w *worker) deliver(of []store.Write, topic, dedupe string) (writes []store.Write) {
	for _, b := range of {
		writes = append(writes, store.Write{Deliver: &store.Deliver{ID: b.Begin.ID, Topic: topic, Payload: []byte("m"), Dedupe: dedupe, Max: 1000}})
	}
	return writes
}

// claim claims with code of a fingerprint.
func (w *worker) claim(fingerprint string, limit int) store.Claimed {
	w.t.Helper()
	c, err := w.s.Claim(w.t.Context(), store.ClaimRequest{
		Owner: w.who, Queues: map[string]int{"default": limit, "slow": limit},
		Definitions: []store.Definition{{Workflow: "flow", Version: "v1", Fingerprint: fingerprint}, {Workflow: "other", Version: "v1", Fingerprint: fingerprint}},
	})
	w.ok(err, "claim")
	return c
}

// work runs every statement that a store has.
func work(t *testing.T, s *Store) {
	w := newWorker(t, s)
	w.steps()
	w.waits()
	w.publications()
	w.draws()
	w.everything()
	w.claims()
	w.limits()
	w.callers()
	w.stranger()
	w.takeovers()
	w.looks()
	newWorker(t, s).families()
}

// steps are the quick writes: begin, step, part.
func (w *worker) steps() {
	runs := w.begin(atOnce, true)
	w.commit(store.Applied, w.advance(runs, 1, nil)...)
	w.commit(store.Landed, w.advance(runs, 1, nil)...)
	w.commit(store.Applied, w.advance(runs, 2, func(_ int, a *store.Advance) { a.Release = &store.Release{Status: store.Completed} })...)
	w.commit(store.Landed, w.begin(1, false)[0])
	keyed := store.Begin{ID: uuid.Must(uuid.NewV7()), Workflow: "flow", Version: "v1", Queue: "default", Key: "key 11", Row: []byte("one")}
	w.commit(store.Exists, store.Write{Begin: &keyed})
}

// waits are opened, and messages end some of them.
func (w *worker) waits() {
	runs := w.begin(atOnce, true)
	w.commit(store.Applied, w.advance(runs, 1, func(i int, a *store.Advance) {
		kind := []string{"event", "approval"}[i%2]
		a.Open = []store.Wait{{ID: fmt.Sprint(kind, a.ID), Execution: a.ID, Path: "p", Call: "1", Kind: kind, Name: "n", Topic: "t"}}
		a.Release = &store.Release{Status: store.Waiting}
	})...)
	w.commit(store.Applied, w.deliver(runs[:atOnce/2], "t", "d")...)
	w.commit(store.Landed, w.deliver(runs[:atOnce/2], "t", "d")...)
	w.commit(store.Applied, store.Write{Deliver: &store.Deliver{ID: runs[atOnce-1].Begin.ID, Wait: "approval" + runs[atOnce-1].Begin.ID.String(), Dedupe: "d"}})
}

// draws are made from counters of executions and of nobody, settled, and refused.
func (w *worker) draws() {
	runs := w.begin(1, true)
	for i := range atOnce {
		d := store.Drawing{ID: fmt.Sprint(runs[0].Begin.ID, i), Draws: []store.Draw{
			{Counter: store.Counter{Name: "tokens"}, Amount: 1, Limit: 1000, For: time.Hour},
			{Counter: store.Counter{Name: "short"}, Amount: 1, Limit: 1000, For: time.Microsecond},
			{Counter: store.Counter{Of: runs[0].Begin.ID, Name: "budget"}, Amount: 1, Limit: 10 * atOnce},
		}}
		res, err := w.s.Draw(w.t.Context(), d)
		w.ok(err, "draw")
		if res.Code != store.Applied {
			w.t.Fatalf("drawn: %+v", res)
		}
		if i%2 == 0 {
			w.ok(w.s.Settle(w.t.Context(), store.Settling{ID: d.ID, Amounts: []store.Settled{{Counter: d.Draws[0].Counter, Amount: 2}}}), "settle")
		}
		d.ID += "full"
		d.Draws[0].Amount = 1000
		res, err = w.s.Draw(w.t.Context(), d)
		w.ok(err, "draw")
		if res.Code != store.Full || res.At.IsZero() {
			w.t.Fatalf("drawn: %+v", res)
		}
	}
	_, err := w.s.Count(w.t.Context(), store.Counter{Name: "tokens"})
	w.ok(err, "count")
	w.commit(store.Applied, store.Write{Control: &store.Control{
		ID: runs[0].Begin.ID, From: []store.Status{store.Running, store.Pending}, Release: store.Release{Status: store.Cancelled},
	}})
}

// publications come before waits for them, and after.
func (w *worker) publications() {
	publish := func(dedupe string, code store.Code, got int) {
		w.t.Helper()
		res, err := w.s.Publish(w.t.Context(), store.Publication{Topic: "public", Payload: []byte("p"), Dedupe: dedupe, Keep: time.Hour})
		w.ok(err, "publish")
		if res.Code != code || res.Got != got {
			w.t.Fatalf("published %s: %+v, want %d to %d", dedupe, res, code, got)
		}
	}
	unique := uuid.NewString()
	for i := range atOnce / 2 {
		publish(fmt.Sprint(unique, i), store.Applied, 0)
	}
	var cancels []store.Write
	listen := func() {
		runs := w.begin(atOnce, true)
		for _, b := range runs {
			cancels = append(cancels, store.Write{Control: &store.Control{
				ID: b.Begin.ID, From: []store.Status{store.Pending}, Release: store.Release{Status: store.Cancelled},
			}})
		}
		w.commit(store.Applied, w.advance(runs, 1, func(_ int, a *store.Advance) {
			a.Open = []store.Wait{{ID: "public " + a.ID.String(), Execution: a.ID, Path: "p", Call: "1", Kind: "event", Name: "n", Topic: "public", Shared: true}}
			a.Release = &store.Release{Status: store.Waiting}
		})...)
	}
	listen()
	listen()
	publish(unique, store.Applied, atOnce+atOnce/2)
	publish(unique, store.Landed, atOnce+atOnce/2)
	w.commit(store.Applied, cancels[:atOnce]...)
	w.commit(store.Applied, cancels[atOnce:]...)
}

// everything is what a write can carry.
func (w *worker) everything() {
	runs := w.begin(atOnce, true)
	w.commit(store.Applied, w.deliver(runs, "t", "d")...)
	until := time.Now().Add(time.Hour)
	w.commit(store.Applied, w.advance(runs, 1, func(i int, a *store.Advance) {
		wait := "both " + a.ID.String()
		a.Snapshot, a.Took, a.Blobs = []byte("s"), []int64{1}, [][]byte{[]byte("blob"), sharedBody}
		a.Open = []store.Wait{{ID: wait, Execution: a.ID, Path: "p", Call: "1", Kind: "event", Name: "n", Topic: "t"}}
		a.Logs = []store.Log{{Path: "p", Attempt: 1, At: time.Now(), Text: "l"}}
		a.Chunks = []store.Chunk{
			{Stream: "s", Index: 1, Kind: store.ChunkText, Attempt: 1, Text: []byte("c")}, {Stream: "e", Index: 1, Kind: store.ChunkEnd, Attempt: 1, Text: []byte("c")},
		}
		a.Holds = []store.Hold{{Name: fmt.Sprint("h", i%4), Amount: 1, Limit: 1000, Until: until}}
	})...)
	w.commit(store.Applied, w.advance(runs, 2, func(i int, a *store.Advance) {
		a.Shut = []string{"both " + a.ID.String()}
		a.Alter = []store.Wait{{ID: "both " + a.ID.String(), Label: "l"}}
		a.Holds = []store.Hold{{Name: fmt.Sprint("h", i%4), Until: until}}
	})...)
	// A message and what takes it, in one batch.
	a := w.advance(runs[:1], 3, func(_ int, a *store.Advance) { a.Took = []int64{2} })
	w.commit(store.Applied, append(w.deliver(runs[:1], "t", "e"), a...)...)
	var cancels []store.Write
	for _, b := range runs {
		cancels = append(cancels, store.Write{Control: &store.Control{
			ID: b.Begin.ID, From: []store.Status{store.Running}, Row: []byte("cancelled"), Release: store.Release{Status: store.Cancelled},
		}})
	}
	w.commit(store.Applied, w.advance(runs[:2], 3, func(_ int, a *store.Advance) {
		if a.ID == runs[0].Begin.ID {
			a.Base = 4
		}
		a.Open = []store.Wait{{ID: "open " + a.ID.String(), Execution: a.ID, Path: "p", Call: "1", Kind: "event", Name: "n", Topic: "t"}}
		a.Holds = []store.Hold{{Name: "h", Amount: 1, Limit: 1000, Until: until}}
	})...)
	w.commit(store.Applied, cancels...)
	w.commit(store.Landed, cancels...)
}

// finish completes what was claimed.
func (w *worker) finish(of []store.Record) {
	w.t.Helper()
	for len(of) > 0 {
		var writes []store.Write
		n := min(len(of), atOnce)
		for _, r := range of[:n] {
			writes = append(writes, store.Write{Advance: &store.Advance{
				ID: r.ID, Owner: w.who, Epoch: r.Epoch, Base: r.Length, Row: []byte("end"), Seen: -1, Release: &store.Release{Status: store.Completed},
			}})
		}
		w.commit(store.Applied, writes...)
		of = of[n:]
	}
}

// claims are of what is due, and of what other code could not go on with.
func (w *worker) claims() {
	w.begin(atOnce, false)
	for _, limit := range []int{atOnce, 2 * atOnce} {
		c := w.claim("now", limit)
		if n := len(c.Records); n == 0 || c.More["default"] != (limit == atOnce) {
			w.t.Errorf("limit %d: claimed %d, More %v", limit, n, c.More)
		}
		w.finish(c.Records)
	}
	for _, by := range []string{"old", "now"} {
		for range 2 {
			w.commit(store.Applied, w.advance(w.begin(atOnce, true), 1, func(_ int, a *store.Advance) {
				a.Release = &store.Release{Status: store.Blocked, Blocked: by}
			})...)
		}
	}
	for _, more := range []bool{true, false} {
		c := w.claim("now", atOnce)
		if n := len(c.Records); n != atOnce || c.More["default"] != more {
			w.t.Errorf("claimed %d of those blocked by other code, More %v", n, c.More)
		}
		w.finish(c.Records)
	}
	if c := w.claim("now", atOnce); len(c.Records) != 0 { // as an idle worker does, beside many that it cannot go on with
		w.t.Errorf("claimed %d of those blocked by this code", len(c.Records))
	}
}

// limits are of amounts held and of amounts in a time.
func (w *worker) limits() {
	runs := w.begin(2, true)
	for i, want := range []store.Code{store.Applied, store.Full} {
		w.commit(want, w.advance(runs[i:i+1], 1, func(_ int, a *store.Advance) {
			a.Holds = []store.Hold{{Name: "rate " + w.who.String(), Amount: 1, Limit: 1, Window: time.Hour}}
		})...)
	}
	_, err := w.s.Claim(w.t.Context(), store.ClaimRequest{
		Owner: w.who, Queues: map[string]int{"default": 1}, Definitions: []store.Definition{{Workflow: "flow", Version: "v1", Fingerprint: "now"}},
		Needs: map[string][]store.Hold{"default": {
			{Name: "h1", Amount: 1, Limit: 1000, Until: time.Now().Add(time.Hour)}, {Name: "rate", Amount: 1, Limit: 10, Window: time.Hour},
		}},
	})
	w.ok(err, "claim within limits")
}

// callers write in transactions of their own, with whatever settings those have.
func (w *worker) callers() {
	of := w.begin(2, true)
	w.commit(store.Applied, w.advance(of, 1, func(_ int, a *store.Advance) {
		a.Open = []store.Wait{{ID: "caller's " + a.ID.String(), Execution: a.ID, Path: "p", Call: "1", Kind: "approval", Name: "n", Topic: "t"}}
		a.Release = &store.Release{Status: store.Waiting}
	})...)
	tx, err := w.s.user.Begin(w.t.Context())
	w.ok(err, "begin a transaction")
	defer func() { _ = tx.Rollback(context.WithoutCancel(w.t.Context())) }()
	first, second := of[0].Begin.ID, of[1].Begin.ID
	_, _, err = w.s.WaitsIn(w.t.Context(), tx, first)
	w.ok(err, "waits in it")
	begin := store.Begin{ID: uuid.Must(uuid.NewV7()), Workflow: "flow", Version: "v1", Queue: "default", Row: []byte("one")}
	again, taken := begin, begin
	taken.ID, taken.Key = uuid.Must(uuid.NewV7()), "key 11"
	for _, write := range []store.Write{
		{Begin: &begin},
		{Begin: &again},
		{Begin: &taken},
		{Deliver: &store.Deliver{ID: first, Topic: "t", Dedupe: "d"}},
		{Deliver: &store.Deliver{ID: second, Wait: "caller's " + second.String(), Dedupe: "d"}},
	} {
		_, err := w.s.CommitIn(w.t.Context(), tx, []store.Write{write})
		w.ok(err, "write in it")
	}
	w.ok(tx.Commit(w.t.Context()), "commit it")
}

// stranger waits for executions, as the caller's own transactions do.
func (w *worker) stranger() {
	var l locks
	l.executions.add(w.begin(1, false)[0].Begin.ID)
	w.ok(w.s.update(w.t.Context(), "wait", func(ctx context.Context, t *tx) error {
		t.patient = true
		return t.lock(ctx, l)
	}), "lock patiently")
}

// takeovers release what the dead and the leaving own.
func (w *worker) takeovers() {
	dead, leaving := newWorker(w.t, w.s), newWorker(w.t, w.s)
	dead.begin(atOnce, true)
	leaving.begin(atOnce, true)
	w.renew(time.Hour)
	dead.renew(0)
	if n, err := w.s.Expire(w.t.Context()); err != nil || n != atOnce {
		w.t.Errorf("expired %d, %v", n, err)
	}
	w.ok(w.s.Retire(w.t.Context(), leaving.who), "retire")
	for c := w.claim("now", atOnce); len(c.Records) > 0; c = w.claim("now", atOnce) {
		w.finish(c.Records)
	}
	w.ok(w.s.Retire(w.t.Context(), w.who), "retire")
}

// looks are the questions of people.
func (w *worker) looks() {
	ctx := w.t.Context()
	id := w.begin(1, false)[0].Begin.ID
	for _, whole := range []bool{true, false} {
		_, err := w.s.Load(ctx, id, whole)
		w.ok(err, "load")
	}
	_, err := w.s.Logs(ctx, id, time.Time{})
	w.ok(err, "logs")
	_, err = w.s.Stream(ctx, store.StreamRequest{ID: id, Name: "s"})
	w.ok(err, "stream")
	_, err = w.s.Streams(ctx, id)
	w.ok(err, "streams")
	_, err = w.s.Blobs(ctx, id)
	w.ok(err, "blobs")
	if _, err := w.s.Blob(ctx, id, "none"); err == nil {
		w.t.Error("a blob that is not there")
	}
	for _, f := range []store.Filter{{}, {Workflow: "flow"}, {Statuses: []store.Status{store.Waiting}}, {IDPrefix: id.String()}, {Workflow: "flow", Key: "key 11"}} {
		f.Count = f.IDPrefix != ""
		_, err := w.s.List(ctx, f)
		w.ok(err, "list")
	}
	for _, f := range []store.WaitFilter{{}, {ID: "w"}, {Execution: id}, {Kinds: []string{"approval"}}, {Kinds: []string{"approval", "input"}}, {Kinds: []string{"sleep"}}} {
		_, err := w.s.Waits(ctx, f)
		w.ok(err, "waits")
	}
}
