package journal

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func replay(t testing.TB, rows []Row) *History {
	t.Helper()
	h := NewHistory()
	for _, r := range rows {
		if err := h.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// fold folds one row of facts on top of a history.
func fold1(t testing.TB, h *History, facts ...Fact) {
	t.Helper()
	if err := h.Apply(Row{Seq: h.Length + 1, Facts: facts}); err != nil {
		t.Fatal(err)
	}
}

func begun(t testing.TB, input string) *History {
	h := NewHistory()
	fold1(t, h, Fact{Kind: Began, Data: []byte(input), Call: "fast", At: 5})
	return h
}

// same tells how two histories differ, however their places hold their children.
func same(a, b *History) string {
	a.each((*Place).spill)
	b.each((*Place).spill)
	return cmp.Diff(a, b, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Ways{}, Place{}))
}

// everything is a journal with every kind of fact and an open end.
func everything() []Row {
	e := &Error{Code: "error", Message: "no", Chain: []string{"no", "none"}}
	lists := [][]Fact{
		{{Kind: Began, Data: []byte(`{"n":0}`), Call: "fast", At: 1}, {Kind: Tried, Path: "a", Attempt: 1, Epoch: 1, At: 2}},
		{{Kind: Called, Path: "a", Call: "do:x#1", Data: []byte(`7`), At: 3}, {Kind: Called, Path: "a", Call: "do:y#1", Err: e, At: 3}},
		{{Kind: Delayed, Path: "a", Why: ByError, Err: e, Until: 9, At: 4}},
		{{Kind: Tried, Path: "a", Attempt: 2, Epoch: 1, At: 9}, {Kind: Delayed, Path: "a", Why: BySnooze, Until: 20, At: 10}},
		{{Kind: Tried, Path: "a", Attempt: 2, Epoch: 2, At: 21}, {Kind: Delayed, Path: "a", Why: ByCrash, Epoch: 2, Err: e, At: 22}},
		{{Kind: Tried, Path: "a", Attempt: 3, Epoch: 3, At: 23}, {Kind: Handed, Path: "a", Epoch: 2, At: 24}},
		{{Kind: Done, Path: "a", Attempt: 3, Data: []byte(`[["set","/n",1]]`), At: 25}, {Kind: Answered, Path: "b", Answer: &Answer{Way: WayCase, Case: "x"}, At: 25}},
		{{Kind: Tried, Path: "b[x]/pay", Attempt: 1, Epoch: 3, At: 26}, {Kind: Delayed, Path: "b[x]/pay", Why: ByLoss, Err: e, At: 27}},
		{{Kind: Delayed, Path: "b[x]/pay", Why: ByAsking, Err: e, Until: 40, At: 28}, {Kind: Waited, Path: "b[x]/pay", Call: InDoubtCall, Wait: &Wait{ID: "w", Kind: "in_doubt", Name: "in_doubt"}, At: 29}},
		{{Kind: Received, Path: "b[x]/pay", Call: InDoubtCall, Data: []byte(`"run"`), Message: 1, At: 30}, {Kind: Cleared, Path: "b[x]/pay", At: 31}},
		{{Kind: Tried, Path: "b[x]/pay", Attempt: 1, Epoch: 3, At: 32}, {Kind: Done, Path: "b[x]/pay", Attempt: 1, At: 33}},
		{{Kind: Answered, Path: "l", Answer: &Answer{Way: WayAgain}, At: 34}, {Kind: Tried, Path: "l[0]/w", Attempt: 1, Epoch: 3, At: 34}},
		{{Kind: Waited, Path: "l[0]/w", Call: "event:e#1", Wait: &Wait{ID: "w2", Kind: "event", Name: "e", Deadline: 50, Default: []byte(`3`), HasValue: true}, At: 35}},
		{{Kind: Fired, Path: "l[0]/w", Call: "event:e#1", At: 51}, {Kind: Tried, Path: "l[0]/w", Attempt: 1, Epoch: 3, At: 52}},
		{{Kind: Done, Path: "l[0]/w", Attempt: 1, At: 53}, {Kind: Answered, Path: "l", Answer: &Answer{Way: WayAgain, Pass: 1}, At: 53}},
		{{Kind: Tried, Path: "l[1]/w", Attempt: 1, Epoch: 3, At: 54}, {Kind: Waited, Path: "l[1]/w", Call: "event:e#1", Wait: &Wait{ID: "w3", Kind: "event", Name: "e"}, At: 55}},
		{{Kind: Cancelled, Err: &Error{Code: "cancelled", Message: "enough"}, Data: []byte("ada"), At: 60}},
	}
	rows := make([]Row, len(lists))
	for i, l := range lists {
		rows[i] = Row{Seq: i + 1, Epoch: 1, Facts: l}
	}
	return rows
}

func TestFoldIncrementalEqualsFoldFromNothing(t *testing.T) {
	rows := everything()
	grown := NewHistory()
	for n := range rows {
		if err := grown.Apply(rows[n]); err != nil {
			t.Fatalf("row %d: %v", n+1, err)
		}
		decoded := make([]Row, n+1)
		for i, r := range rows[:n+1] {
			facts, err := Decode(Encode(r.Facts))
			if err != nil {
				t.Fatal(err)
			}
			decoded[i] = Row{Seq: r.Seq, Epoch: r.Epoch, Facts: facts}
		}
		if diff := same(grown, replay(t, decoded)); diff != "" {
			t.Fatalf("after row %d (-grown +from bytes):\n%s", n+1, diff)
		}
	}
}

func TestRestoreOfSnapshotIsTheHistory(t *testing.T) {
	rows := everything()
	for n := range rows {
		h := replay(t, rows[:n+1])
		back, err := Restore(h.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		if diff := same(h, back); diff != "" {
			t.Fatalf("after row %d (-history +restored):\n%s", n+1, diff)
		}
		for _, r := range rows[n+1:] {
			if err := h.Apply(r); err != nil {
				t.Fatal(err)
			}
			if err := back.Apply(r); err != nil {
				t.Fatal(err)
			}
		}
		if diff := same(h, back); diff != "" {
			t.Fatalf("restored after row %d, at the end (-history +restored):\n%s", n+1, diff)
		}
	}
}

func TestWhatTheFoldKeeps(t *testing.T) {
	h := replay(t, everything())
	a := h.At("a")
	switch {
	case h.Length != 17 || h.Last != 60 || h.Queue != "fast" || string(h.Input) != `{"n":0}` || string(h.State) != `{"n":1}`:
		t.Errorf("the whole: %+v", h)
	case h.Cancel == nil || string(h.Cancel.Data) != "ada":
		t.Errorf("the cancel: %+v", h.Cancel)
	case !a.Done || a.Failures != 1 || a.Died != 0 || len(a.Crashed) != 0 || a.Calls != nil:
		t.Errorf("a: %+v", a)
	case h.At("l[0]") != nil || h.At("l[1]/w") == nil || h.At("no/such") != nil || h.At("") != h.Root:
		t.Error("the first pass of the loop is not forgotten, or the second is")
	case h.Root.Newest != "l":
		t.Errorf("newest is %s", h.Root.Newest)
	}
}

func TestClosedPassesAreForgotten(t *testing.T) {
	h := begun(t, `{"n":0}`)
	most := 0
	for pass := range 5000 {
		path := fmt.Sprintf("out/l[%d]/", pass)
		fold1(t, h,
			Fact{Kind: Answered, Path: "out/l", Answer: &Answer{Way: WayAgain, Pass: pass}},
			Fact{Kind: Tried, Path: path + "a", Attempt: 1, Epoch: 1},
			Fact{Kind: Called, Path: path + "a", Call: "do:x#1"},
			Fact{Kind: Done, Path: path + "a", Attempt: 1, Data: []byte(fmt.Sprintf(`[["set","/n",%d]]`, pass))},
			Fact{Kind: Answered, Path: path + "b", Answer: &Answer{Way: WayCase, Case: "x"}},
			Fact{Kind: Tried, Path: path + "b[x]/c", Attempt: 1, Epoch: 1},
			Fact{Kind: Done, Path: path + "b[x]/c", Attempt: 1},
		)
		most = max(most, h.Live)
	}
	fold1(t, h, Fact{Kind: Answered, Path: "out/l", Answer: &Answer{Way: WayLeave, Pass: 5000}})
	if most > 7 || h.Live > 7 || len(maps.Collect(h.At("out").Children())) != 2 {
		t.Errorf("%d live facts, %d at most, %d places", h.Live, most, len(maps.Collect(h.At("out").Children())))
	}
	if n := len(h.Snapshot()); n > 2000 {
		t.Errorf("the snapshot has %d bytes", n)
	}
	if string(h.State) != `{"n":4999}` {
		t.Errorf("state %s", h.State)
	}
}

func TestRT6_SnoozesDoNotGrow(t *testing.T) {
	h := begun(t, `{}`)
	for i := range 5000 {
		fold1(t, h,
			Fact{Kind: Tried, Path: "a", Attempt: 1, Epoch: 1},
			Fact{Kind: Delayed, Path: "a", Why: BySnooze, Until: int64(i)},
		)
	}
	if a := h.At("a"); h.Live > 3 || a.Failures != 0 || a.Died != 0 {
		t.Errorf("%d live facts, %+v", h.Live, a)
	}
}

func TestDO3_ErrorsOfCallsBelongToTheirAttempt(t *testing.T) {
	h := begun(t, `{}`)
	no := &Error{Message: "no"}
	fold1(t, h,
		Fact{Kind: Tried, Path: "a", Attempt: 1, Epoch: 1},
		Fact{Kind: Called, Path: "a", Call: "do:good#1", Data: []byte(`1`)},
		Fact{Kind: Called, Path: "a", Call: "do:bad#1", Err: no},
		Fact{Kind: Waited, Path: "a", Call: "event:e#1", Wait: &Wait{ID: "w", Deadline: 3}},
		Fact{Kind: Fired, Path: "a", Call: "event:e#1"},
	)
	calls := func(want string) {
		t.Helper()
		var got []string
		for _, key := range []string{"do:good#1", "do:bad#1", "event:e#1"} {
			if h.At("a").Calls[key] != nil {
				got = append(got, key)
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s are kept, want %s", s, want)
		}
	}
	fold1(t, h, Fact{Kind: Delayed, Path: "a", Why: ByCrash, Epoch: 1})
	calls("do:good#1 do:bad#1 event:e#1") // a crash is no failure
	fold1(t, h, Fact{Kind: Tried, Path: "a", Attempt: 2, Epoch: 2}, Fact{Kind: Delayed, Path: "a", Why: ByError, Err: no})
	calls("do:good#1 event:e#1")
}

func TestRT10_HandedTakesBackACrash(t *testing.T) {
	h := begun(t, `{}`)
	fold1(t, h, Fact{Kind: Tried, Path: "a", Attempt: 1, Epoch: 7}, Fact{Kind: Delayed, Path: "a", Why: ByCrash, Epoch: 7})
	if a := h.At("a"); a.Died != 1 || len(a.Crashed) != 1 {
		t.Fatalf("a crash: %+v", a)
	}
	fold1(t, h, Fact{Kind: Handed, Path: "a", Epoch: 6})
	if h.At("a").Died != 1 {
		t.Error("another owner's report took the crash back")
	}
	fold1(t, h, Fact{Kind: Handed, Path: "a", Epoch: 7}, Fact{Kind: Handed, Path: "a", Epoch: 7})
	if a := h.At("a"); a.Died != 0 || len(a.Crashed) != 0 {
		t.Errorf("the report did not take it back: %+v", a)
	}
	fold1(t, h, Fact{Kind: Tried, Path: "a", Attempt: 1, Epoch: 8}, Fact{Kind: Handed, Path: "a", Epoch: 8})
	if a := h.At("a"); a.Open != 0 || a.Died != 0 || a.Failures != 0 {
		t.Errorf("stopped by its own owner: %+v", a)
	}
}

func TestContradictionsAreCorrupt(t *testing.T) {
	done := []Fact{{Kind: Tried, Path: "a", Attempt: 1, Epoch: 1}, {Kind: Done, Path: "a", Attempt: 1}}
	failed := []Fact{{Kind: Failed, Path: "a", Err: &Error{}}}
	for what, facts := range map[string][]Fact{
		"done twice":            append(done, done[1]),
		"tried after done":      append(done, done[0]),
		"failed after done":     append(done, Fact{Kind: Failed, Path: "a"}),
		"call after done":       append(done, Fact{Kind: Called, Path: "a", Call: "do:x#1"}),
		"done after failed":     append(failed, done[1]),
		"no path":               {{Kind: Tried, Attempt: 1}},
		"no answer":             {{Kind: Answered, Path: "b"}},
		"no wait":               {{Kind: Waited, Path: "a", Call: "x"}},
		"patch does not fit":    {{Kind: Done, Path: "a", Data: []byte(`[["set","/x/y",1]]`)}},
		"call twice":            {{Kind: Called, Path: "a", Call: "do:x#1"}, {Kind: Called, Path: "a", Call: "do:x#1"}},
		"message after end":     {{Kind: Fired, Path: "a", Call: "event:e#1"}, {Kind: Received, Path: "a", Call: "event:e#1"}},
		"input is no JSON":      {{Kind: Began, Data: []byte(`{`)}},
		"kind of the future":    {{Kind: 99, Path: "a"}},
		"wait that is answered": {{Kind: Received, Path: "a", Call: "e"}, {Kind: Waited, Path: "a", Call: "e", Wait: &Wait{}}},
	} {
		h := begun(t, `{}`)
		if err := h.Apply(Row{Seq: 2, Facts: facts}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", what, err)
		}
	}
	h := begun(t, `{}`)
	for _, seq := range []int{0, 1, 3} {
		if err := h.Apply(Row{Seq: seq}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("row %d after row 1: %v", seq, err)
		}
	}
}

func TestInputIsMadeCompact(t *testing.T) {
	h := begun(t, "{ \"a\" : [ 1 , 2 ] }")
	fold1(t, h, Fact{Kind: Tried, Path: "a", Attempt: 1, Epoch: 1}, Fact{Kind: Done, Path: "a", Data: []byte(`[["append","/a",[3]]]`)})
	if string(h.State) != `{"a":[1,2,3]}` {
		t.Errorf("state %s", h.State)
	}
}

func TestTheFirstCancelStands(t *testing.T) {
	h := begun(t, `{}`)
	fold1(t, h, Fact{Kind: Cancelled, Data: []byte("ada")}, Fact{Kind: Cancelled, Data: []byte("bob")})
	if string(h.Cancel.Data) != "ada" {
		t.Errorf("cancelled by %s", h.Cancel.Data)
	}
}

func TestEndsOfWaits(t *testing.T) {
	wait := &Wait{ID: "w", HasValue: true, Default: []byte(`5`)}
	for _, c := range []struct {
		name  string
		facts []Fact
		want  Call
	}{
		{"message", []Fact{{Kind: Waited, Wait: wait}, {Kind: Received, Data: []byte(`1`)}}, Call{State: Value, Data: []byte(`1`)}},
		{"message at once", []Fact{{Kind: Received, Data: []byte(`1`)}}, Call{State: Value, Data: []byte(`1`)}},
		{"timeout with value", []Fact{{Kind: Waited, Wait: wait}, {Kind: Fired}}, Call{State: TimedOut, Has: true, Data: []byte(`5`)}},
		{"timeout", []Fact{{Kind: Waited, Wait: &Wait{}}, {Kind: Fired}}, Call{State: TimedOut}},
		{"timeout at once", []Fact{{Kind: Fired}}, Call{State: TimedOut}},
		{"timeout at once, value", []Fact{{Kind: Fired, Data: []byte(`5`)}}, Call{State: TimedOut, Has: true, Data: []byte(`5`)}},
	} {
		h := begun(t, `{}`)
		fold1(t, h, Fact{Kind: Tried, Path: "a", Attempt: 1, Epoch: 1})
		for _, f := range c.facts {
			f.Path, f.Call = "a", "event:e#1"
			fold1(t, h, f)
		}
		if diff := cmp.Diff(&c.want, h.At("a").Calls["event:e#1"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestKindsHaveNames(t *testing.T) {
	var got []string
	for k := range Forked + 2 {
		got = append(got, k.String())
	}
	want := "unknown began tried done delayed failed answered called waited received fired handed cleared cancelled closed turned halted revived revoked altered gathered unknown expired scattered recalled recalling forked unknown"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("%s, want %s", s, want)
	}
	if (&Error{Message: "no"}).Error() != "no" {
		t.Error("an error does not say its message")
	}
}
