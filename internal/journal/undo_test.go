package journal

import (
	"encoding/base64"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// rollback is a journal with everything about undoing in it.
func rollback() []Row {
	policy := &Error{Code: "error", Message: "no"}
	rows := []Row{
		{Seq: 1, Facts: []Fact{{Kind: Began, Data: []byte(`{}`)}, {Kind: Tried, Path: "a", Attempt: 1, Epoch: 1, Undo: true}}},
		{Seq: 2, Facts: []Fact{{Kind: Done, Path: "a", Attempt: 1, Undo: true, Data: []byte(`[["set","/n",1]]`)}, {Kind: Tried, Path: "b", Attempt: 1, Epoch: 1, Undo: true}}},
		{Seq: 3, Facts: []Fact{{Kind: Failed, Path: "b", Attempt: 1, Err: &Error{Code: "step_timeout", Message: "late"}}}},
		{Seq: 4, Facts: []Fact{{Kind: Turned, Err: &Error{Code: "step_timeout", Message: "late"}}}},
		{Seq: 5, Facts: []Fact{{Kind: Tried, Path: "b~2", Attempt: 1, Epoch: 2}}},
		{Seq: 6, Facts: []Fact{{Kind: Failed, Path: "b~2", Attempt: 1, Err: policy}, {Kind: Tried, Path: "a~1", Attempt: 1, Epoch: 2}}},
		{Seq: 7, Facts: []Fact{{Kind: Halted, Message: 1}}},
		{Seq: 8, Facts: []Fact{{Kind: Delayed, Why: ByError, Path: "a~1", Attempt: 1, Err: policy, Until: 9}}},
		{Seq: 9, Facts: []Fact{{Kind: Revived}}},
		{Seq: 10, Facts: []Fact{{Kind: Tried, Path: "b~2", Attempt: 2, Epoch: 3}}},
		{Seq: 11, Facts: []Fact{{Kind: Done, Path: "b~2", Attempt: 2, Data: []byte(`[["set","/n",9]]`)}}},
	}
	for _, r := range rows {
		for i := range r.Facts {
			r.Facts[i].At = int64(r.Seq)
		}
	}
	return rows
}

func applied(t *testing.T, rows []Row) *History {
	t.Helper()
	h := NewHistory()
	for _, r := range rows {
		if err := h.Apply(r); err != nil {
			t.Fatalf("row %d: %v", r.Seq, err)
		}
	}
	return h
}

func TestCO6_FoldOfARollback(t *testing.T) {
	h := applied(t, rollback())
	if h.Back == nil || h.Back.Err.Code != "step_timeout" || h.Back.Halted {
		t.Errorf("back %+v", h.Back)
	}
	if string(h.State) != `{"n":1}` {
		t.Errorf("an undo changed the state of the run: %s", h.State)
	}
	a, b := h.UndoAt("a~1"), h.UndoAt("b~2")
	if a == nil || !a.Done || a.Ended() || a.Place.Failures != 1 || a.Place.NextAttempt() != 2 {
		t.Errorf("a: %+v", a)
	}
	if b == nil || b.Done || !b.Ended() || b.Place.Spent != 1 || b.Place.Failures != 0 {
		t.Errorf("b: %+v", b)
	}
	if halted := applied(t, rollback()[:8]); !halted.Back.Halted || halted.UndoAt("b~2").Place.NextAttempt() != 1 {
		t.Errorf("halted: %+v", halted.Back)
	}
	states, err := UndoStates(rollback(), 0, func(int) bool { return true })
	if err != nil || string(states[2]) != `{"n":1}` || len(states) != 1 {
		t.Errorf("with no room there is the first only: %v, %v", states, err)
	}
	states, err = UndoStates(rollback(), 1000, func(n int) bool { return n == 1 })
	if err != nil || string(states[1]) != `{"n":1}` || len(states) != 1 {
		t.Errorf("%v, %v", states, err)
	}
}

// What is stored about a rollback is read by every later release.
func TestVR7_GoldenRollback(t *testing.T) {
	const (
		row1 = "AQEBAQYCe30AAgEBAgFhAwEJAQ8BAExzwqs="
		snap = "AQd7Im4iOjF9eyJsZW5ndGgiOjgsImxpdmUiOjYsImlucHV0IjoiZTMwPSIsInF1ZXVlIjoiIiwicm9vdCI6e30sImxhc3QiOjgsImZhaWxzIjoyLCJ1bmRvcyI6W3sibiI6MSwicGF0aCI6ImEiLCJkb25lIjp0cnVlLCJwbGFjZSI6eyJsaXZlIjoyLCJhdHRlbXB0IjoxLCJmYWlsdXJlcyI6MSwidHJpZWRfYXQiOjYsInVudGlsIjo5LCJwYXVzZWQiOnRydWUsImxhc3RfZXJyIjp7ImNvZGUiOiJlcnJvciIsIm1lc3NhZ2UiOiJubyJ9fX0seyJuIjoyLCJwYXRoIjoiYiIsInBsYWNlIjp7ImxpdmUiOjIsImF0dGVtcHQiOjEsInRyaWVkX2F0Ijo1LCJsYXN0X2VyciI6eyJjb2RlIjoiZXJyb3IiLCJtZXNzYWdlIjoibm8ifSwiZmFpbGVkIjp0cnVlLCJmYWlsZWRfc2VxIjoyfX1dLCJudW1iZXJlZCI6MiwiYmFjayI6eyJlcnIiOnsiY29kZSI6InN0ZXBfdGltZW91dCIsIm1lc3NhZ2UiOiJsYXRlIn0sImhhbHRlZCI6dHJ1ZX19mVonjw=="
	)
	rows := rollback()
	if got := base64.StdEncoding.EncodeToString(Encode(rows[0].Facts)); got != row1 {
		t.Errorf("row 1 is %s, was %s", got, row1)
	}
	for i, r := range rows {
		facts, err := Decode(Encode(r.Facts))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r.Facts, facts, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("row %d (-want +got):\n%s", r.Seq, diff)
		}
		h := applied(t, rows[:i+1])
		back, err := Restore(h.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		if diff := same(h, back); diff != "" {
			t.Errorf("snapshot after row %d (-want +got):\n%s", r.Seq, diff)
		}
	}
	if got := base64.StdEncoding.EncodeToString(applied(t, rows[:8]).Snapshot()); got != snap {
		t.Errorf("the snapshot is\n%s\nwas\n%s", got, snap)
	}
}

func TestContradictionsOfRollbacksAreCorrupt(t *testing.T) {
	rows := rollback()
	for what, c := range map[string]struct {
		after int
		fact  Fact
	}{
		"turned twice":               {4, Fact{Kind: Turned}},
		"halted going forward":       {3, Fact{Kind: Halted}},
		"revived going forward":      {3, Fact{Kind: Revived}},
		"an undo going forward":      {3, Fact{Kind: Tried, Path: "a~1", Attempt: 1}},
		"forward going back":         {4, Fact{Kind: Tried, Path: "c", Attempt: 1}},
		"an undo of nothing":         {4, Fact{Kind: Tried, Path: "c~3", Attempt: 1}},
		"an undo of another's":       {4, Fact{Kind: Tried, Path: "b~1", Attempt: 1}},
		"tried after its end":        {6, Fact{Kind: Tried, Path: "b~2", Attempt: 2}},
		"done twice":                 {11, Fact{Kind: Done, Path: "b~2", Attempt: 2}},
		"an answer while going back": {4, Fact{Kind: Answered, Path: "b~2", Answer: &Answer{Way: WayNone}}},
	} {
		h := applied(t, rows[:c.after])
		if err := h.Apply(Row{Seq: c.after + 1, Facts: []Fact{c.fact}}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", what, err)
		}
	}
}

func TestPathsOfUndos(t *testing.T) {
	for path, want := range map[string]int{
		"a~1": 1, "by[x]/a~12": 12, "by[x~1]/a~3": 3, "a": 0, "by[x~1]": 0, "by[x~1]/a": 0, "~1": 0, "a~": 0, "a~0": 0, "a~-1": 0, "a~x": 0, "": 0,
	} {
		step, n, ok := CutUndo(path)
		if n != want || ok != (want > 0) || ok && (&Undo{N: n, Path: step}).At() != path || !ok && step != path {
			t.Errorf("%q: %q, %d, %v", path, step, n, ok)
		}
	}
}

// The records of a rollback, for people.
func TestCO5_AttemptsOfARollback(t *testing.T) {
	short := func(rows []Row) (list []string) {
		for _, a := range Attempts(rows) {
			text := a.Path + " " + a.Kind + " " + string(a.Outcome)
			if a.Undoes != "" {
				text += " of " + a.Undoes
			}
			if a.InDoubt {
				text += " in doubt"
			}
			if a.Undo != "" {
				text += " undone at " + a.Undo
			}
			list = append(list, text)
		}
		return list
	}
	forward := []string{"a step done undone at a~1", "b step failed undone at b~2"}
	halted := append(slices.Clone(forward), "b~2 compensate failed of b in doubt", "a~1 compensate retrying of a", "a~1 compensate skipped of a")
	if diff := cmp.Diff(halted, short(rollback()[:8])); diff != "" {
		t.Errorf("halted (-want +got):\n%s", diff)
	}
	end := append(slices.Clone(forward), "b~2 compensate failed of b in doubt", "a~1 compensate retrying of a", "b~2 compensate done of b in doubt")
	if diff := cmp.Diff(end, short(rollback())); diff != "" {
		t.Errorf("in the end (-want +got):\n%s", diff)
	}
}

// A rollback that was halted while an undo waited, and is tried again, asks for the wait
// anew: what was open is closed in the store since the run ended.
func TestCO6_ARevivedUndoWaitsAnew(t *testing.T) {
	rows := []Row{
		{Seq: 1, Facts: []Fact{{Kind: Began, Data: []byte(`{}`)}, {Kind: Tried, Path: "a", Attempt: 1, Epoch: 1, Undo: true}}},
		{Seq: 2, Facts: []Fact{{Kind: Done, Path: "a", Attempt: 1, Undo: true}, {Kind: Turned, Err: &Error{Code: "error"}}}},
		{Seq: 3, Facts: []Fact{{Kind: Tried, Path: "a~1", Attempt: 1, Epoch: 2}, {Kind: Called, Path: "a~1", Call: "do:x#1", Data: []byte("1")}}},
		{Seq: 4, Facts: []Fact{{Kind: Waited, Path: "a~1", Call: "event:e#1", Wait: &Wait{ID: "w", Kind: "event"}}, {Kind: Halted, Message: 1}}},
	}
	h := applied(t, rows)
	if n := len(h.OpenCalls("")); n != 1 {
		t.Fatalf("%d calls are open before", n)
	}
	f := Fact{Kind: Revived}
	if err := h.Fold(&f, 5); err != nil {
		t.Fatal(err)
	}
	if list := h.OpenCalls(""); len(list) > 0 {
		t.Errorf("still open: %+v", list)
	}
	if p := h.UndoAt("a~1").Place; len(p.Calls) != 1 || p.NextAttempt() != 1 {
		t.Errorf("the undo is at %+v", p)
	}
}

// A run that cancelled itself, and is then cancelled from outside to go back, goes back:
// its caller was told so. The first reason stands.
func TestCO6_AllCancelsCount(t *testing.T) {
	h := NewHistory()
	for _, f := range []Fact{
		{Kind: Began, Data: []byte(`{}`)},
		{Kind: Cancelled, Err: &Error{Code: "cancelled", Message: "by itself"}},
		{Kind: Cancelled, Err: &Error{Code: "cancelled", Message: "by a person"}, Undo: true},
		{Kind: Cancelled, Err: &Error{Code: "cancelled", Message: "again"}},
	} {
		if err := h.Fold(&f, 1); err != nil {
			t.Fatal(err)
		}
	}
	if c := h.Cancel; !c.Undo || c.Err.Message != "by itself" {
		t.Errorf("cancelled by %q, to go back: %v", c.Err.Message, c.Undo)
	}
}
