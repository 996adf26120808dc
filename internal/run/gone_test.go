package run

import (
	"testing"

	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// A run that is not there any more was ended by others: it is let go, and not asked for again.
func TestLoaded_ARunThatIsDeletedIsLetGo(t *testing.T) {
	h := newHands(t, map[string]Queue{"default": {Concurrency: 4}}, node(tree.Step, "s"))
	h.land()
	v := h.body("s")
	h.w.Delivered(h.rec.ID, h.now)
	if h.loads != 1 {
		t.Fatalf("%d reads", h.loads)
	}
	h.w.Loaded(h.rec.ID, store.Record{}, store.ErrNotFound, h.now)
	if h.loads != 1 || h.w.Running() != 0 || len(h.stops) != 1 || h.stops[0] != v.Path {
		t.Errorf("%d reads, %d runs, stopped %q", h.loads, h.w.Running(), h.stops)
	}
	if used, _ := h.w.Slots("default"); used != 1 {
		t.Errorf("%d slots are taken while the body runs", used)
	}
}

// If its own release is on its way, that says what became of it.
func TestLoaded_ARunThatIsDeletedAsItIsReleased(t *testing.T) {
	for _, code := range []store.Code{store.Landed, store.NotFound} {
		h := newHands(t, map[string]Queue{"default": {Concurrency: 4}})
		if h.last().Release == nil {
			t.Fatal("it is not released")
		}
		h.w.Delivered(h.rec.ID, h.now)
		h.w.Loaded(h.rec.ID, store.Record{}, store.ErrNotFound, h.now)
		if h.loads != 1 || h.w.Running() != 1 {
			t.Errorf("%d reads, %d runs", h.loads, h.w.Running())
		}
		h.w.Committed(h.ref, store.Verdict{Code: code}, nil, h.now, h.now, h.now)
		if h.w.Running() != 0 {
			t.Error("it is not let go")
		}
	}
}
