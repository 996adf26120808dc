package journal

import (
	"bytes"
	"testing"
)

// A fact that knows what its change comes to leads to the same state as its
// patch; knowledge about another state than the present one is ignored.
func TestPL2_TransitionsSpareWorkAndChangeNothing(t *testing.T) {
	began := func() *History {
		h := NewHistory()
		if err := h.Fold(&Fact{Kind: Began, Data: []byte(`{"a":1}`)}, 1); err != nil {
			t.Fatal(err)
		}
		return h
	}
	done := func(h *History, path string, s *Transition) []byte {
		t.Helper()
		patch := Diff([]byte(`{"a":1}`), []byte(`{"a":2}`))
		if err := h.Fold(&Fact{Kind: Done, Path: path, Data: patch, Step: s}, 2); err != nil {
			t.Fatal(err)
		}
		return h.State
	}
	h := began()
	known := []byte(`{"a":2}`)
	if got := done(h, "s", &Transition{Before: h.State, After: known}); &got[0] != &known[0] {
		t.Error("the fold did the work all the same")
	}
	h = began()
	if got := done(h, "s", &Transition{Before: bytes.Clone(h.State), After: []byte(`{"a":"wrong"}`)}); string(got) != `{"a":2}` {
		t.Errorf("what was known of another state counted: %s", got)
	}
}
