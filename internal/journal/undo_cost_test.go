package journal

import (
	"fmt"
	"testing"
	"time"
)

// passes folds the passes of a loop; marked ones have a step with a compensation.
func passes(t testing.TB, h *History, from, n int, marked bool) {
	t.Helper()
	for i := from; i < from+n; i++ {
		path := fmt.Sprintf("loop[%d]/s", i)
		for _, f := range []Fact{
			{Kind: Answered, Path: "loop", Answer: &Answer{Way: WayAgain, Pass: i}},
			{Kind: Tried, Path: path, Attempt: 1, Epoch: 1, Undo: marked},
			{Kind: Done, Path: path, Attempt: 1, Undo: marked},
		} {
			if err := h.Fold(&f, h.Length+1); err != nil {
				t.Fatal(err)
			}
		}
		h.Length++
	}
}

// A step without a compensation costs the same however much there is to undo.
func TestHistory_StepsWithoutUndoAreCheap(t *testing.T) {
	least := func(undos int) time.Duration {
		h := NewHistory()
		passes(t, h, 1, undos, true)
		if len(h.Undos) != undos {
			t.Fatalf("%d undos", len(h.Undos))
		}
		best := time.Hour
		for i := range 10 {
			begun := time.Now()
			passes(t, h, 1+undos+100*i, 100, false)
			best = min(best, time.Since(begun))
		}
		return best
	}
	if few, many := least(1), least(50_000); many > 10*few {
		t.Errorf("100 passes take %s, and with 50,000 undos %s", few, many)
	}
}

// A saga of 2,000 passes, folded from its journal.
func BenchmarkHistory_SagaLoop(b *testing.B) {
	for b.Loop() {
		h := NewHistory()
		passes(b, h, 1, 2000, true)
	}
}
