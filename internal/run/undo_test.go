package run

import (
	"testing"

	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// A rollback that waits for an old body to end goes on when that has ended: its process
// says so, and looks for the run itself. Nobody else may be there.
func TestG14_TheRollbackGoesOnWhenTheOldBodyEnds(t *testing.T) {
	h := newHands(t, map[string]Queue{"default": {Concurrency: 4}}, node(tree.Step, "s"))
	h.land()
	h.w.Taken(h.rec.ID, h.now) // cancelled, to go back
	h.w.Claimed(h.w.Who(), store.Claimed{Now: h.now}, nil, h.now)
	h.claims = nil
	h.w.Returned(h.body("s"), plan.Ending{}, false, h.now)
	if len(h.told) != 1 || len(h.claims) > 0 {
		t.Fatalf("%d reports, claims %+v", len(h.told), h.claims)
	}
	h.w.Committed(h.told[0], store.Verdict{Code: store.Applied}, nil, h.now, h.now, h.now)
	if len(h.claims) != 1 {
		t.Error("the report has landed, and nobody looks for the run")
	}
}
