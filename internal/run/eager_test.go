package run

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// eagerly has an eager start refused, since the lease has ended.
func eagerly(t *testing.T) (h *hands, write store.Write, ref any) {
	t.Helper()
	h = newHands(t, map[string]Queue{"default": {Concurrency: 4}}, node(tree.Step, "x"))
	h.w.Claimed(h.w.Who(), store.Claimed{Now: h.now}, nil, h.now)
	write, ref, ok := h.w.Begin(store.Begin{ID: uuid.New(), Workflow: "w", Queue: "default"}, []byte(`{}`), h.now)
	if !ok {
		t.Fatal("no eager start")
	}
	if h.w.Begun(ref, store.Verdict{Code: store.Superseded}, nil, h.now, h.now, h.now) {
		t.Fatal("it is in this worker's hands")
	}
	return h, write, ref
}

// A start that was sent twice may be refused, and land the other time: what it says has
// begun never did, and did not crash.
func TestRT10_ARefusedEagerStartThatLandedIsHandedBack(t *testing.T) {
	h, write, ref := eagerly(t)
	h.w.BegunInstead(ref, store.Verdict{Code: store.Landed})
	if h.loads != 1 || len(h.mail) != 0 {
		t.Fatalf("%d reads, %d messages", h.loads, len(h.mail))
	}
	b := write.Begin
	rec := store.Record{Execution: store.Execution{ID: b.ID, Workflow: "w", Queue: "default", Epoch: 1, Length: 1, Owner: b.Owner}}
	rec.Rows = []store.Row{{Seq: 1, Epoch: 1, Body: b.Row}}
	h.w.Loaded(b.ID, rec, nil, h.now)
	if len(h.mail) != 1 || h.mail[0].Topic != TopicHanded || h.mail[0].Dedupe != "handed:x:1" || len(h.w.doubtful) != 0 {
		t.Errorf("%d messages, %d doubts", len(h.mail), len(h.w.doubtful))
	}
}

// What others began, and what is not there any more, is nobody's to hand back.
func TestRT10_ARefusedEagerStartThatDidNotLandIsNotHandedBack(t *testing.T) {
	h, write, ref := eagerly(t)
	h.w.BegunInstead(ref, store.Verdict{Code: store.Applied})
	if h.loads != 0 {
		t.Fatalf("%d reads", h.loads)
	}
	b := write.Begin
	rec := store.Record{Execution: store.Execution{ID: b.ID, Workflow: "w", Queue: "default", Length: 1}}
	rec.Rows = []store.Row{{Seq: 1, Body: BeginRow(b, 0, []byte(`{}`), h.now)}}
	h.w.BegunInstead(ref, store.Verdict{Code: store.Landed})
	h.w.Loaded(b.ID, rec, nil, h.now)
	h.w.BegunInstead(ref, store.Verdict{Code: store.Landed})
	h.w.Loaded(b.ID, store.Record{}, store.ErrNotFound, h.now)
	if h.loads != 2 || len(h.mail) != 0 || len(h.w.doubtful) != 0 || h.w.Running() != 1 {
		t.Errorf("%d reads, %d messages, %d doubts, %d runs", h.loads, len(h.mail), len(h.w.doubtful), h.w.Running())
	}
}

// A start whose reply was lost has the same time as any other: it was begun at its creation.
func TestRS8_AnEagerStartThatIsFoundHasItsTime(t *testing.T) {
	h := newHands(t, map[string]Queue{"default": {Concurrency: 4}}, node(tree.Step, "x"))
	h.w.Claimed(h.w.Who(), store.Claimed{Now: h.now}, nil, h.now)
	h.w.cfg.Definitions[0].Tree.Timeout = time.Minute
	write, ref, ok := h.w.Begin(store.Begin{ID: uuid.New(), Workflow: "w", Queue: "default"}, []byte(`{}`), h.now)
	if !ok {
		t.Fatal("no eager start")
	}
	h.w.Begun(ref, store.Verdict{Code: store.Landed}, nil, h.now, h.now, h.now)
	b := write.Begin
	rec := store.Record{Execution: store.Execution{ID: b.ID, Workflow: "w", Queue: "default", Epoch: 1, Length: 1, Owner: b.Owner, Created: h.now}}
	rec.Rows = []store.Row{{Seq: 1, Epoch: 1, Body: b.Row}}
	h.w.Loaded(b.ID, rec, nil, h.now)
	h.body("x")
	h.now = h.now.Add(time.Minute + time.Second)
	h.w.Tick(h.now)
	if got := h.facts(); !slices.Contains(got, "expired ") {
		t.Errorf("after its time it says %q", got)
	}
}
