package journal

import (
	"bytes"
	"strings"
	"testing"
)

// did are the facts of a step that is done.
func did(path, patch string) []Fact {
	return []Fact{{Kind: Tried, Path: path, Attempt: 1, Epoch: 1}, {Kind: Done, Path: path, Attempt: 1, Data: []byte(patch)}}
}

func rowed(groups ...[]Fact) (rows []Row) {
	for i, facts := range groups {
		rows = append(rows, Row{Seq: i + 1, Facts: facts})
	}
	return rows
}

func TestQY7_Fork(t *testing.T) {
	began := []Fact{{Kind: Began, Call: "q", Data: []byte(`{"n":0}`)}}
	undoable := did("b", `[["set","/n",1]]`)
	undoable[0].Undo, undoable[1].Undo = true, true
	lanes := []Fact{{Kind: Answered, Path: "p", Answer: &Answer{Way: WayLanes, Items: 2}}}
	both := rowed(began, lanes, did("p[a]/x", ""), did("p[b]/y", ""), []Fact{{Kind: Closed, Path: "p[a]"}, {Kind: Closed, Path: "p[b]"}, {Kind: Done, Path: "p"}}, did("c", ""))
	open := []Fact{{Kind: Tried, Path: "b", Attempt: 1, Epoch: 1}, {Kind: Waited, Path: "b", Call: "event:e#1", Wait: &Wait{ID: "w", Kind: "event"}}}
	for name, c := range map[string]struct {
		rows  []Row
		path  string
		facts int
		state string
		wrong string
	}{
		"from the beginning":     {rowed(began, did("a", `[["set","/n",1]]`)), "", 0, `{"n":0}`, ""},
		"from the second":        {rowed(began, did("a", `[["set","/n",1]]`), did("b", `[["set","/n",2]]`)), "b", 2, `{"n":1}`, ""},
		"within a row":           {rowed(append(began[:1:1], append(did("a", `[["set","/n",1]]`), did("b", "")...)...)), "b", 2, `{"n":1}`, ""},
		"of what is open":        {rowed(began, did("a", ""), open), "b", 2, `{"n":0}`, ""},
		"behind what is open":    {rowed(began, open, did("c", "")), "c", 0, "", "b had not ended"},
		"behind what failed":     {rowed(began, []Fact{{Kind: Failed, Path: "b", Err: &Error{}}}, did("c", "")), "c", 0, "", "b had not ended"},
		"behind a late report":   {rowed(began, did("a", ""), did("b", ""), []Fact{{Kind: Handed, Path: "b", Epoch: 1}}), "b", 2, `{"n":0}`, ""},
		"of nothing":             {rowed(began, did("a", "")), "b", 0, "", `nothing at "b" has begun`},
		"of a name's beginning":  {rowed(began, did("ab", "")), "a", 0, "", `nothing at "a" has begun`},
		"of an undo":             {rowed(began, did("a", "")), "a" + undoMark + "1", 0, "", "is the undo of a step"},
		"behind an undo":         {rowed(began, undoable, did("c", "")), "c", 0, "", "b was done before, and would be undone by both runs; a run can go on from there"},
		"of what can be undone":  {rowed(began, did("a", ""), undoable), "b", 2, `{"n":0}`, ""},
		"behind a cancel":        {rowed(began, did("a", ""), []Fact{{Kind: Cancelled}}, did("b", "")), "b", 0, "", "on its way to an end"},
		"before a cancel":        {rowed(began, did("a", ""), did("b", ""), []Fact{{Kind: Cancelled}}), "b", 2, `{"n":0}`, ""},
		"of lanes":               {both, "p", 0, `{"n":0}`, ""},
		"behind lanes":           {both, "c", 8, `{"n":0}`, ""},
		"of a lane":              {both, "p[b]", 0, "", "in a lane or an item"},
		"of a step in a lane":    {both, "p[b]/y", 0, "", "in a lane or an item"},
		"of nothing, in a lane":  {both, "p[b]/z", 0, "", "has begun"},
		"of a journal that lies": {rowed(began, did("a", `[["set","/x/y",1]]`), did("b", "")), "b", 0, "", "corrupt"},
	} {
		for i := range c.rows {
			for k := range c.rows[i].Facts {
				c.rows[i].Facts[k].Message = 7
			}
		}
		facts, h, err := Fork(c.rows, c.path, func() error { return nil })
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s: %v, want %q", name, err, c.wrong)
			}
			continue
		}
		if err != nil || len(facts) != c.facts || string(h.State) != c.state {
			t.Errorf("%s: %d facts, %v, want %d with %s", name, len(facts), err, c.facts, c.state)
			continue
		}
		for _, f := range facts {
			if f.Message != 0 {
				t.Errorf("%s: a fact has a message of another inbox", name)
			}
		}
	}
}

// What a fork begins with is folded to what the other run was, but for the state that it is given.
func TestQY7_ForkedIsFolded(t *testing.T) {
	began := Fact{Kind: Began, Call: "q", Data: []byte(`{"n":0}`)}
	facts := append(append([]Fact{began}, did("a", `[["set","/n",1]]`)...), Fact{Kind: Forked, Call: "run", Topic: "b", Data: []byte(`{"n": 5}`), At: 9})
	read, err := Decode(Encode(facts))
	if err != nil {
		t.Fatal(err)
	}
	h := NewHistory()
	if err := h.Apply(Row{Seq: 1, Facts: read}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // as it is, and restored
		if string(h.State) != `{"n":5}` || string(h.Input) != `{"n":0}` || h.Origin == nil || *h.Origin != (Origin{"run", "b"}) || h.Last != 9 || !h.At("a").Done {
			t.Errorf("%+v, origin %+v", h, h.Origin)
		}
		again, err := Restore(h.Snapshot())
		if err != nil || !bytes.Equal(again.Snapshot(), h.Snapshot()) {
			t.Fatalf("restored: %v", err)
		}
		h = again
	}
	// The history that a fork's snapshot is made of is the fold of its first row.
	rows := rowed([]Fact{{Kind: Began, Call: "other", Data: []byte(`{"n":0}`), Limit: 5, Until: 6, At: 3}}, did("a", `[["set","/n",1]]`), did("b", ""))
	for _, path := range []string{"", "b"} {
		facts, made, err := Fork(rows, path, func() error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		mark := Fact{Kind: Forked, Call: "run", Topic: path, At: 9}
		if err := made.GoesOn(&began, &mark); err != nil {
			t.Fatal(err)
		}
		folded := NewHistory()
		if err := folded.Apply(Row{Seq: 1, Facts: append(append([]Fact{began}, facts...), mark)}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(made.Snapshot(), folded.Snapshot()) {
			t.Errorf("from %q: made %s, folded %s", path, made.Snapshot(), folded.Snapshot())
		}
		if path == "b" && folded.Root.Next != "b" {
			t.Errorf("it goes on at %q", folded.Root.Next)
		}
	}
	if err := NewHistory().Fold(&Fact{Kind: Forked, Data: []byte("{")}, 1); err == nil {
		t.Error("a state that is none was folded")
	}
}
