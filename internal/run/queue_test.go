package run

import (
	"testing"

	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// What became due while a worker left a queue to others for a moment is claimed when that
// moment is over, not with the next poll.
func TestQueue_AWakeOutlivesAYield(t *testing.T) {
	h := newHands(t, map[string]Queue{"default": {Concurrency: 4}}, node(tree.Step, "s"))
	h.land()
	h.w.Claimed(h.w.Who(), store.Claimed{Now: h.now}, nil, h.now)
	h.claims = nil
	h.w.queues[0].yield(h.now)
	h.w.Poke("default", h.now)
	if len(h.claims) > 0 {
		t.Fatal("it claims what it leaves to others")
	}
	at := h.w.Deadline(h.now)
	if at.After(h.now.Add(yieldTime)) {
		t.Fatalf("it looks after %s", at.Sub(h.now))
	}
	h.after(yieldTime)
	if len(h.claims) != 1 {
		t.Errorf("%d claims after %s", len(h.claims), yieldTime)
	}
}
