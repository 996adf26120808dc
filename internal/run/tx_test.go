package run

import (
	"slices"
	"testing"

	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// A message that says nothing any more is taken with the next write. A transaction is not
// that write, and must not wait for it.
func TestRS9_AMessageThatSaysNothingHoldsUpNoTransaction(t *testing.T) {
	h := newHands(t, map[string]Queue{"default": {Concurrency: 4}}, node(tree.Step, "s"))
	h.land()
	h.rec.Inbox = 1
	h.rec.Messages = []store.Message{{Seq: 1, Topic: TopicHanded, Payload: encodeJSON(handedBack{Epoch: 0, Path: "gone"})}}
	h.w.Delivered(h.rec.ID, h.now)
	h.w.Loaded(h.rec.ID, h.rec, nil, h.now)
	h.w.Call(h.body("s"), &CallRequest{Tx: true}, h.now)
	if !slices.Equal(h.last().Took, []int64{1}) {
		t.Fatalf("the message is not taken: %+v", h.last())
	}
	h.land()
	if h.w.runs[h.rec.ID].tx != h.body("s") {
		t.Error("the transaction does not begin")
	}
}
