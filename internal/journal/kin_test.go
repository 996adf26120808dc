package journal

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ended tells that a child has completed which has something to undo.
func ended(path, call, id string) Fact {
	return Fact{Kind: Received, Path: path, Call: call, Data: fmt.Appendf(nil, `{"id":%q,"status":"completed","undo":true}`, id), Undo: true}
}

func tried(path string, undo bool) Fact {
	return Fact{Kind: Tried, Path: path, Attempt: 1, Epoch: 1, Undo: undo}
}

func finished(path string, undo bool) Fact {
	return Fact{Kind: Done, Path: path, Attempt: 1, Undo: undo}
}

// undoing lists what is to be undone, in the order in which it is.
func undoing(h *History) string {
	var list []string
	for _, u := range slices.Backward(h.Undos) {
		text := u.Path
		if u.Kin != nil {
			text += "/" + u.Kin.Child
			if u.Kin.Child == "" {
				text += fmt.Sprint(u.Kin.Todo)
			}
			if u.Kin.Open {
				text += "?"
			}
		}
		list = append(list, text)
	}
	return strings.Join(list, " ")
}

func TestCO3_WhereChildrenStandInTheList(t *testing.T) {
	lanes := Fact{Kind: Answered, Path: "p", Answer: &Answer{Way: WayLanes}}
	flaky := Fact{Kind: Delayed, Why: ByError, Attempt: 1, Err: &Error{Code: "error"}}
	of := func(f Fact, path string) Fact { f.Path = path; return f }
	for _, c := range []struct {
		name  string
		facts []Fact
		want  string
	}{
		{"behind the step, the last called first", []Fact{
			tried("a", true), ended("a", "call:x#1", "x"), ended("a", "call:y#1", "y"), tried("a", true), finished("a", true), tried("b", true),
		}, "b a a/y a/x"},
		{"of a step that is not done yet", []Fact{tried("a", true), ended("a", "call:x#1", "x"), ended("a", "call:y#1", "y"), tried("b", true)}, "b a a/y a/x"},
		{"of a step without a compensation", []Fact{tried("a", false), ended("a", "call:x#1", "x"), ended("a", "call:y#1", "y"), tried("b", true)}, "b a/y a/x"},
		{"they move with the step", []Fact{
			lanes, tried("p[l]/a", true), tried("p[r]/b", true), ended("p[l]/a", "call:x#1", "x"), finished("p[r]/b", true), ended("p[l]/a", "call:y#1", "y"), finished("p[l]/a", true),
		}, "p[l]/a p[l]/a/y p[l]/a/x p[r]/b"},
		{"and without a compensation too", []Fact{
			lanes, tried("p[l]/a", false), ended("p[l]/a", "call:x#1", "x"), tried("p[r]/b", true), ended("p[l]/a", "call:y#1", "y"), finished("p[r]/b", true), finished("p[l]/a", false),
		}, "p[l]/a/y p[l]/a/x p[r]/b"},
		{"of two lanes", []Fact{
			lanes, tried("p[l]/a", true), tried("p[r]/a", true), ended("p[l]/a", "call:x#1", "x"), ended("p[r]/a", "call:y#1", "y"), finished("p[l]/a", true), finished("p[r]/a", true),
		}, "p[r]/a p[r]/a/y p[l]/a p[l]/a/x"},
		{"a retry keeps them", []Fact{
			tried("a", true), ended("a", "call:x#1", "x"), of(flaky, "a"), tried("b", true), tried("a", true), ended("a", "call:y#1", "y"), finished("a", true),
		}, "a a/y a/x b"},
		{"a step that fails leaves them", []Fact{
			tried("a", true), ended("a", "call:x#1", "x"), {Kind: Failed, Path: "a", Attempt: 1, Err: &Error{Code: "error"}},
		}, "a/x"},
		{"awaited twice", []Fact{
			tried("a", false), ended("a", "await:x#1", "x"), ended("a", "await:x#2", "x"), tried("b", false), ended("b", "await:x#1", "x"), finished("b", false),
		}, "a/x"},
		{"without a mark", []Fact{tried("a", false), {Kind: Received, Path: "a", Call: "call:x#1", Data: []byte(`{"id":"x"}`)}, finished("a", false)}, ""},
		{"visits after a jump are apart", []Fact{
			tried("a", true), ended("a", "call:x#1", "x"), finished("a", true),
			{Kind: Done, Path: "d", Answer: &Answer{Way: WayGoto, Case: "a", Drop: []string{"a"}}},
			tried("a", true), ended("a", "call:x#1", "x2"), finished("a", true),
		}, "a a/x2 a a/x"},
	} {
		h := NewHistory()
		fold1(t, h, Fact{Kind: Began, Data: []byte(`{}`)})
		fold1(t, h, c.facts...)
		if got := undoing(h); got != c.want {
			t.Errorf("%s: undone is %q, want %q", c.name, got, c.want)
		}
		if again, err := Restore(h.Snapshot()); err != nil || undoing(again) != c.want {
			t.Errorf("%s: restored it is %q, %v", c.name, undoing(again), err)
		}
	}
}

// waitsFor is an open call of a child.
func waitsFor(path, call, id string) Fact {
	return Fact{Kind: Waited, Path: path, Call: call, Wait: &Wait{ID: id, Kind: "call", Topic: "child:" + id}}
}

func TestCO3_WhatHasNotEndedWhenTheRunTurns(t *testing.T) {
	list := Fact{Kind: Answered, Path: "e", Answer: &Answer{Way: WayItems, Items: 9, Spread: true}, At: 5}
	facts := []Fact{
		{Kind: Began, Data: []byte(`{}`)},
		list, Scatter("e", Spreading{Begun: 6}, nil, 6),
		Scatter("e", Spreading{Ended: []Range{{1, 3}}, Failed: []Range{{2, 2}}, Undo: []Range{{1, 1}, {3, 3}}}, &Error{Code: "x"}, 7),
		tried("a", true), waitsFor("a", "call:x#1", "x"), tried("b", false), waitsFor("b", "await:y#1", "y"), waitsFor("c", "call:z#1", "z"),
	}
	h := folded(t, facts...)
	if !h.Undoable() || !h.OpenKin() {
		t.Error("there is something to undo, and children are open")
	}
	fold1(t, h, Fact{Kind: Turned, Err: &Error{Code: "no"}, Undo: true})
	if got, want := undoing(h), "c/z? a a/x? e/[[0 0] [4 5]]? e/[[1 1] [3 3]]"; got != want {
		t.Errorf("undone is %q, want %q", got, want)
	}
	if h.Live != len(h.Undos) {
		t.Errorf("%d facts count, %d undos", h.Live, len(h.Undos))
	}
	old := folded(t, facts...) // as an older version wrote it
	fold1(t, old, Fact{Kind: Turned, Err: &Error{Code: "no"}})
	if got, want := undoing(old), "a e/[[1 1] [3 3]]"; got != want {
		t.Errorf("of an older version undone is %q, want %q", got, want)
	}
	// An Each that fails leaves items behind, which alone are no reason to go back.
	torn := folded(t, facts[0], list, Scatter("e", Spreading{Begun: 3}, nil, 6), Scatter("e", Spreading{Ended: []Range{{1, 1}}, Failed: []Range{{1, 1}}}, &Error{Code: "x"}, 7),
		Fact{Kind: Failed, Path: "e", Err: &Error{Code: "x"}, Undo: true})
	if got := undoing(torn); got != "e/[[0 0] [2 2]]?" || torn.Undoable() || torn.OpenKin() {
		t.Errorf("undone is %q, undoable %v", got, torn.Undoable())
	}
}

func TestCO3_CO6_OrdersAndAnswers(t *testing.T) {
	h := folded(t, Fact{Kind: Began, Data: []byte(`{}`)}, Fact{Kind: Answered, Path: "e", Answer: &Answer{Way: WayItems, Items: 9, Spread: true}, At: 5},
		Scatter("e", Spreading{Begun: 9}, nil, 6), Scatter("e", Spreading{Ended: []Range{{0, 8}}, Undo: []Range{{0, 3}, {6, 8}}}, nil, 7),
		finished("e", false), Fact{Kind: Turned, Err: &Error{Code: "no"}, Undo: true})
	told := func(r ...Range) Fact { return Order("e~1", Ordered{Told: r}, nil, 8) }
	u := func() *Undo { return h.UndoAt("e~1") }
	fold1(t, h, told(Range{2, 3}, Range{6, 8}), Order("e~1", Ordered{Undone: []Range{{3, 3}, {7, 8}}, Failed: []Range{{6, 6}}}, &Error{Code: "child"}, 9))
	want := &Kin{At: 5, Todo: []Range{{0, 1}}, Told: []Range{{2, 2}}, Failed: []Range{{6, 6}}, Err: &Error{Code: "child"}}
	if diff := cmp.Diff(want, u().Kin); diff != "" {
		t.Error(diff)
	}
	for what, f := range map[string]Fact{
		"told twice":                told(Range{2, 2}),
		"told what is not there":    told(Range{4, 4}),
		"an answer of one not told": Order("e~1", Ordered{Undone: []Range{{0, 0}}}, nil, 9),
		"a second answer":           Order("e~1", Ordered{Failed: []Range{{7, 7}}}, nil, 9),
		"both":                      Order("e~1", Ordered{Undone: []Range{{2, 2}}, Failed: []Range{{2, 2}}}, nil, 9),
		"an end before all answers": {Kind: Done, Path: "e~1"},
		"nobody's":                  Order("e~2", Ordered{}, nil, 9),
		"no ranges":                 {Kind: Recalling, Path: "e~1", Data: []byte(`{`)},
	} {
		again, err := Restore(h.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Fold(&f, 99); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := NewHistory().Fold(&Fact{Kind: Recalling, Path: "a", Data: []byte(`{}`)}, 1); !errors.Is(err, ErrCorrupt) {
		t.Errorf("orders of a run that goes forward: %v", err)
	}
	if got := u().Round(); got != 1 {
		t.Errorf("the first round is %d", got)
	}
	fold1(t, h, Fact{Kind: Halted}, Order("e~1", Ordered{Undone: []Range{{2, 2}}}, nil, 9), Fact{Kind: Revived})
	if diff := cmp.Diff(&Kin{At: 5, Todo: []Range{{0, 1}, {6, 6}}}, u().Kin); diff != "" || u().Round() != 1 {
		t.Errorf("after a halt: %s, round %d", diff, u().Round())
	}
	fold1(t, h, told(Range{0, 1}, Range{6, 6}), Order("e~1", Ordered{Undone: []Range{{0, 1}}, Failed: []Range{{6, 6}}}, &Error{Code: "child"}, 9),
		Fact{Kind: Failed, Path: "e~1", Attempt: 1, Err: &Error{Code: "child"}}, Fact{Kind: Revived})
	if diff := cmp.Diff(&Kin{At: 5, Todo: []Range{{6, 6}}}, u().Kin); diff != "" || u().Round() != 2 || u().Ended() {
		t.Errorf("tried again: %s, round %d", diff, u().Round())
	}
	fold1(t, h, told(Range{6, 6}), Order("e~1", Ordered{Undone: []Range{{6, 6}}}, nil, 9), Fact{Kind: Done, Path: "e~1", Attempt: 2}, Fact{Kind: Revived})
	if !u().Ended() || u().Place.Failed || len(u().Kin.Todo) > 0 {
		t.Errorf("%+v, %+v", u().Place, u().Kin)
	}
	again, err := Restore(h.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	if diff := same(h, again); diff != "" {
		t.Error(diff)
	}
}

func TestCO3_ARunThatItsParentRecalls(t *testing.T) {
	f := Fact{Kind: Recalled, Attempt: 3, Err: &Error{Code: "recalled", Message: "no"}, Undo: true}
	facts, err := Decode(Encode([]Fact{f}))
	if err != nil {
		t.Fatal(err)
	}
	h := folded(t, append([]Fact{{Kind: Began, Data: []byte(`{}`)}}, facts...)...)
	again, err := Restore(h.Snapshot())
	if err != nil || again.Recall == nil || again.Recall.Err.Message != "no" || again.Recall.Round != 3 || !again.Recall.Undo {
		t.Errorf("%+v, %v", again.Recall, err)
	}
}

func TestRangesOfNumbers(t *testing.T) {
	for _, c := range []struct{ a, b, want []Range }{
		{[]Range{{0, 9}}, []Range{{3, 4}, {8, 12}}, []Range{{0, 2}, {5, 7}}},
		{[]Range{{0, 2}, {5, 6}}, []Range{{0, 6}}, nil},
		{[]Range{{0, 2}, {5, 6}}, []Range{{2, 5}}, []Range{{0, 1}, {6, 6}}},
		{[]Range{{1, 1}}, nil, []Range{{1, 1}}},
		{nil, []Range{{1, 1}}, nil},
	} {
		if got := minus(c.a, c.b); !slices.Equal(got, c.want) {
			t.Errorf("%v without %v is %v, want %v", c.a, c.b, got, c.want)
		}
	}
	list := []Range{{0, 4}, {7, 7}, {9, 11}}
	for n, want := range map[int][]Range{0: nil, 2: {{10, 11}}, 3: {{9, 11}}, 4: {{7, 7}, {9, 11}}, 6: {{3, 4}, {7, 7}, {9, 11}}, 99: list} {
		if got := Last(list, n); !slices.Equal(got, want) {
			t.Errorf("the last %d are %v, want %v", n, got, want)
		}
	}
	if !slices.Equal(list, []Range{{0, 4}, {7, 7}, {9, 11}}) {
		t.Errorf("it was changed: %v", list)
	}
}

// An attempt that fails takes with it what it has spawned and awaited in vain; a crash takes nothing.
func TestCH3_WhatAnAttemptThatFailedLeavesOfItsChildren(t *testing.T) {
	spawned := func(n, id string) Fact {
		return Fact{Kind: Called, Path: "s", Call: "spawn:c#" + n, Data: fmt.Appendf(nil, `{"id":%q}`, id), Child: id}
	}
	awaited := func(kind Kind, id, status string) Fact {
		f := Fact{Kind: kind, Path: "s", Call: "await:" + id + "#1", Data: fmt.Appendf(nil, `{"id":%q,"status":%q}`, id, status)}
		if status != "completed" {
			f.Err = &Error{Code: "child"}
		}
		return f
	}
	facts := []Fact{
		tried("s", false), spawned("1", "x"), spawned("2", "y"), spawned("3", "z"), spawned("4", "u"),
		awaited(Called, "x", "completed"), awaited(Called, "y", "failed"), awaited(Received, "z", "cancelled"),
		{Kind: Called, Path: "s", Call: "do:d#1", Data: []byte(`{"id":"u"}`), Err: &Error{Code: "error"}},
	}
	for why, want := range map[Why][]string{
		ByError: {"await:x#1", "spawn:c#1", "spawn:c#4"},
		ByCrash: {"await:x#1", "await:y#1", "await:z#1", "do:d#1", "spawn:c#1", "spawn:c#2", "spawn:c#3", "spawn:c#4"},
	} {
		h := begun(t, "{}")
		fold1(t, h, facts...)
		fold1(t, h, Fact{Kind: Delayed, Path: "s", Why: why, Attempt: 1, Err: &Error{Code: "error"}})
		if got := slices.Sorted(maps.Keys(h.At("s").Calls)); !slices.Equal(got, want) {
			t.Errorf("after %v: %q, want %q", why, got, want)
		}
	}
}
