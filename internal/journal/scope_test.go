package journal

import (
	"maps"
	"strings"
	"testing"
)

func folded(t *testing.T, facts ...Fact) *History {
	t.Helper()
	h := NewHistory()
	for i := range facts {
		if err := h.Fold(&facts[i], i+1); err != nil {
			t.Fatalf("fact %d: %v", i, err)
		}
	}
	back, err := Restore(h.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	if string(back.Snapshot()) != string(h.Snapshot()) {
		t.Errorf("a snapshot reads as another history:\n%s\n%s", back.Snapshot(), h.Snapshot())
	}
	return back
}

func lanes(path string) Fact {
	return Fact{Kind: Answered, Path: path, Answer: &Answer{Way: WayLanes, Items: 2}}
}

func done(path, patch string) Fact { return Fact{Kind: Done, Path: path, Data: []byte(patch)} }

func began(state string) Fact { return Fact{Kind: Began, Data: []byte(state)} }

func TestPA1_LanesHaveTheirOwnState(t *testing.T) {
	h := folded(t, began(`{"a":1}`), lanes("p"),
		done("p[x]/s", `[["set","/a",2]]`), lanes("p[y]/q"), done("p[y]/q[z]/s", `[["set","/b",3]]`))
	for path, want := range map[string]string{
		"p": `{"a":1}`, "p[x]/t": `{"a":2}`, "p[y]/q": `{"a":1}`, "p[y]/q[z]/t": `{"a":1,"b":3}`, "p[y]/q[other]/t": `{"a":1}`, "after": `{"a":1}`,
	} {
		if got := string(h.StateAt(path)); got != want {
			t.Errorf("at %s: %s, want %s", path, got, want)
		}
	}
}

func TestEA1_ItemsHaveTheirOwnState(t *testing.T) {
	list := Fact{Kind: Answered, Path: "e", Data: []byte(`[{"n":0},{"n":1},{"n":2}]`), Answer: &Answer{Way: WayItems, Items: 3}}
	h := folded(t, began(`{}`), list, done("e[1]/s", `[["set","/n",9]]`), Fact{Kind: Closed, Path: "e[1]"})
	for path, want := range map[string]string{"e": `{}`, "e[0]/s": `{"n":0}`, "e[1]/s": `{"n":9}`, "e[2]/s": `{"n":2}`} {
		if got := string(h.StateAt(path)); got != want {
			t.Errorf("at %s: %s, want %s", path, got, want)
		}
	}
	if w := h.At("e").Ways; w.Low != 0 || w.High != 2 {
		t.Errorf("low %d, high %d", w.Low, w.High)
	}
	if len(maps.Collect(h.At("e[1]").Children())) > 0 || h.Live != 1 {
		t.Errorf("a closed item keeps what happened in it; %d live facts", h.Live)
	}
	done := Fact{Kind: Done, Path: "e"}
	if err := h.Fold(&done, 9); err != nil || h.At("e[1]") != nil || h.At("e").Ways != nil {
		t.Errorf("after the end the items are still there (%v)", err)
	}
	bad := list
	bad.Path, bad.Data = "f", []byte(`[1]`)
	if err := h.Fold(&bad, 9); err == nil || !strings.Contains(err.Error(), "no list of 3 items") {
		t.Errorf("a list of another length: %v", err)
	}
}

func TestDC2_JumpsForgetVisits(t *testing.T) {
	back := Fact{Kind: Done, Path: "l[0]/d", Answer: &Answer{Way: WayGoto, Case: "b", Drop: []string{"b", "d"}}}
	h := folded(t, began(`{}`),
		Fact{Kind: Answered, Path: "l", Answer: &Answer{Way: WayAgain}},
		done("l[0]/a", ""), lanes("l[0]/b"), done("l[0]/b[x]/s", ""), done("l[0]/bb", ""), back)
	for path, there := range map[string]bool{"l[0]/a": true, "l[0]/b": false, "l[0]/b[x]": false, "l[0]/bb": true, "l[0]/d": false} {
		if (h.At(path) != nil) != there {
			t.Errorf("%s is there: %t", path, !there)
		}
	}
	if p := h.At("l[0]"); p.Next != "b" || p.Jumps != 1 || h.Visit("l[0]/b") != "0.1" || h.Visit("l") != "" {
		t.Errorf("next %q, %d jumps, visit %q", p.Next, p.Jumps, h.Visit("l[0]/b"))
	}
	tried := Fact{Kind: Tried, Path: "l[0]/b", Attempt: 1, Epoch: 1}
	if err := h.Fold(&tried, 9); err != nil || h.At("l[0]").Next != "" {
		t.Errorf("next is still %q (%v)", h.At("l[0]").Next, err)
	}
}

func TestPA3_Join(t *testing.T) {
	for _, c := range []struct{ base, a, b, want, bad string }{
		{`{"x":1,"y":2}`, `{"x":1,"y":3}`, `{"x":1,"y":2,"z":[1]}`, `{"x":1,"y":3,"z":[1]}`, ""},
		{`{"x":1}`, `{}`, `{"x":1}`, `{}`, ""},
		{`{"x":1}`, `{}`, `{}`, `{}`, ""},
		{`{"x":1}`, `{}`, `{"x":2}`, "", `"x"`},
		{`{"x":[1]}`, `{"x":[1,2]}`, `{"x":[1,2]}`, "", `"x"`},
		{`{"x":[1]}`, `{"x":[2]}`, `{"x":[2]}`, `{"x":[2]}`, ""},
		{`{}`, `{"x":[2]}`, `{"x":[2]}`, "", `"x"`},
		{`{"x":null}`, `{"x":[2]}`, `{"x":[2]}`, "", `"x"`},
		{`{"x":null}`, `{"x":[]}`, `{"x":[]}`, `{"x":[]}`, ""},
		{`{}`, `{"x":"a"}`, `{"x":"a"}`, `{"x":"a"}`, ""},
		{`5`, `6`, `5`, `6`, ""},
		{`5`, `6`, `6`, `6`, ""},
		{`5`, `6`, `7`, "", "not an object"},
		{`{"a":1}`, `null`, `{"a":1}`, `null`, ""},
	} {
		got, err := Join([]byte(c.base), []LaneState{{"a", []byte(c.a)}, {"b", []byte(c.b)}})
		if string(got) != c.want || (err != nil) != (c.bad != "") || err != nil && !strings.Contains(err.Error(), c.bad) {
			t.Errorf("%s with %s and %s: %s, %v", c.base, c.a, c.b, got, err)
		}
	}
}
