package journal

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// allKinds is every kind of fact that this program knows.
func allKinds() (list []Kind) {
	for k := range Kind(255) {
		if k.known() {
			list = append(list, k)
		}
	}
	return list
}

func TestKnownKindsHaveNames(t *testing.T) {
	for _, k := range allKinds() {
		if k.String() == "unknown" {
			t.Errorf("kind %d has no name", k)
		}
	}
}

// A wait for several: what has come is kept in a snapshot and over the end of the wait.
func TestEV6_GatheredIsFolded(t *testing.T) {
	wait := &Wait{ID: "w", Kind: "all", All: true, Topics: []Topic{{Name: "a", Topic: "ta"}, {Name: "b", Topic: "tb"}, {Name: "c", Topic: "tc"}}}
	waited := Fact{Kind: Waited, Wait: wait}
	got := func(kind Kind, topic string) Fact { return Fact{Kind: kind, Topic: topic, Data: []byte(topic)} }
	a, b := Arrival{"ta", []byte("ta")}, Arrival{"tb", []byte("tb")}
	late := &Wait{ID: "w", Kind: "all", All: true, Topics: wait.Topics, HasValue: true, Default: []byte("1")}
	extend := Fact{Kind: Altered, Message: 1, Until: 9, Note: &Note{Kind: NoteExtended, Until: 9}}
	extended := &Wait{ID: "w", Kind: "all", All: true, Topics: wait.Topics, Deadline: 9, Notes: []Note{*extend.Note}}
	revoke := Fact{Kind: Revoked, Message: 2, Data: []byte("eve"), Err: &Error{Code: "wait_cancelled", Message: "why"}}
	for name, c := range map[string]struct {
		facts []Fact
		want  Call
	}{
		"open":                    {[]Fact{waited, got(Gathered, "tb")}, Call{State: Open, Wait: wait, Seq: 1, Got: []Arrival{b}}},
		"complete":                {[]Fact{waited, got(Gathered, "tb"), got(Received, "ta")}, Call{State: Value, Got: []Arrival{b, a}}},
		"complete at once":        {[]Fact{got(Gathered, "tb"), got(Received, "ta")}, Call{State: Value, Got: []Arrival{b, a}}},
		"timed out":               {[]Fact{waited, got(Gathered, "tb"), {Kind: Fired}}, Call{State: TimedOut, Got: []Arrival{b}}},
		"timed out with a value":  {[]Fact{{Kind: Waited, Wait: late}, got(Gathered, "tb"), {Kind: Fired}}, Call{State: TimedOut, Has: true, Data: []byte("1"), Got: []Arrival{b}}},
		"nothing came":            {[]Fact{waited, {Kind: Fired}}, Call{State: TimedOut}},
		"timed out at once":       {[]Fact{got(Gathered, "ta"), {Kind: Fired, Data: []byte("1")}}, Call{State: TimedOut, Has: true, Data: []byte("1"), Got: []Arrival{a}}},
		"never opened":            {[]Fact{got(Gathered, "ta")}, Call{State: Partial, Got: []Arrival{a}}},
		"opened after a part":     {[]Fact{got(Gathered, "ta"), waited}, Call{State: Open, Wait: wait, Seq: 1, Got: []Arrival{a}}},
		"any":                     {[]Fact{got(Received, "tb")}, Call{State: Value, Got: []Arrival{b}}},
		"any that was opened":     {[]Fact{waited, got(Received, "ta")}, Call{State: Value, Got: []Arrival{a}}},
		"extended":                {[]Fact{waited, got(Gathered, "tb"), extend}, Call{State: Open, Wait: extended, Seq: 1, Got: []Arrival{b}}},
		"extended, complete":      {[]Fact{waited, got(Gathered, "tb"), extend, got(Received, "ta")}, Call{State: Value, Got: []Arrival{b, a}}},
		"extended, timed out":     {[]Fact{waited, got(Gathered, "tb"), extend, {Kind: Fired}}, Call{State: TimedOut, Got: []Arrival{b}}},
		"cancelled":               {[]Fact{waited, got(Gathered, "tb"), revoke}, Call{State: Withdrawn, Data: []byte("eve"), Err: revoke.Err, Got: []Arrival{b}}},
		"extended, cancelled":     {[]Fact{waited, got(Gathered, "tb"), extend, revoke}, Call{State: Withdrawn, Data: []byte("eve"), Err: revoke.Err, Got: []Arrival{b}}},
		"a failed attempt passes": {[]Fact{got(Gathered, "ta"), {Kind: Delayed, Why: ByError, Err: &Error{}}}, Call{State: Partial, Got: []Arrival{a}}},
	} {
		h := NewHistory()
		for i, f := range c.facts {
			f.Path, f.Call = "s", "all:x#1"
			if err := h.Fold(&f, i+1); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		back, err := Restore(h.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range []*History{h, back} {
			if diff := cmp.Diff(&c.want, h.At("s").Calls["all:x#1"]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
	for name, facts := range map[string][]Fact{
		"a part after the end":    {got(Received, "ta"), got(Gathered, "tb")},
		"opened twice":            {got(Gathered, "ta"), waited, waited},
		"a timeout after the end": {got(Gathered, "ta"), got(Received, "tb"), {Kind: Fired}},
		"a Do in a wait":          {got(Gathered, "ta"), {Kind: Called}},
	} {
		h, err := NewHistory(), error(nil)
		for i, f := range facts {
			f.Path, f.Call = "s", "all:x#1"
			err = h.Fold(&f, i+1)
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What bodies hold of a call never changes.
func TestGatheringReplacesCalls(t *testing.T) {
	h := NewHistory()
	fold1(t, h, Fact{Kind: Gathered, Path: "s", Call: "all:x#1", Topic: "a"})
	held := h.At("s").Calls["all:x#1"]
	fold1(t, h, Fact{Kind: Gathered, Path: "s", Call: "all:x#1", Topic: "b"})
	if len(held.Got) != 1 || len(h.At("s").Calls["all:x#1"].Got) != 2 {
		t.Errorf("held %+v", held)
	}
}

// Attempts shows what has come while a wait is open, and when it has ended.
func TestAttempts_WaitsForSeveral(t *testing.T) {
	wait := &Wait{ID: "w", Kind: "all", Name: "a|b", All: true, Topics: []Topic{{Name: "a", Topic: "ta"}, {Name: "b", Topic: "tb"}}}
	rows := []Row{{Seq: 1, Epoch: 1, Facts: []Fact{
		{Kind: Tried, Path: "s", Attempt: 1, Epoch: 1},
		{Kind: Waited, Path: "s", Call: "all:a|b#1", Wait: wait, At: 10},
		{Kind: Gathered, Path: "s", Call: "all:a|b#1", Topic: "tb", At: 20},
	}}, {Seq: 2, Epoch: 2, Facts: []Fact{{Kind: Received, Path: "s", Call: "all:a|b#1", Topic: "ta", At: 30}}}}
	for n, want := range []WaitSpan{
		{Call: "all:a|b#1", Kind: "all", Name: "a|b", Opened: 10, Got: []string{"tb"}},
		{Call: "all:a|b#1", Kind: "all", Name: "a|b", Opened: 10, Ended: 30, By: "message", Got: []string{"tb", "ta"}},
	} {
		if diff := cmp.Diff([]WaitSpan{want}, Attempts(rows[:n+1])[0].Waits); diff != "" {
			t.Errorf("after row %d (-want +got):\n%s", n+1, diff)
		}
	}
}

// What has come stays with the wait, whatever else happens to it and whenever it is read anew:
// random facts, and what must come of them by counting.
func TestEV6_IN6_RandomFactsOfAWaitForSeveral(t *testing.T) {
	topics := []Topic{{Name: "a", Topic: "ta"}, {Name: "b", Topic: "tb"}, {Name: "c", Topic: "tc"}, {Name: "d", Topic: "td"}}
	ends := map[CallState]int{}
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		h, want := NewHistory(), Call{State: Open, Seq: 1}
		deadline := int64(1000)
		wait := Wait{ID: "w", Kind: "all", All: true, Topics: topics, Deadline: deadline}
		for i := range r.IntN(4) {
			wait.Notices = append(wait.Notices, Notice{At: int64(i)})
		}
		due, missing := len(wait.Notices), r.Perm(len(topics))
		fact := Fact{Kind: Waited, Wait: &wait}
		for row := 1; ; row++ {
			fact.Path, fact.Call = "s", "all:x#1"
			if err := h.Fold(&fact, row); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if r.IntN(3) == 0 {
				back, err := Restore(h.Snapshot())
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				h = back
			}
			got := h.At("s").Calls["all:x#1"]
			if got.State != want.State || !reflect.DeepEqual(got.Got, want.Got) || got.State == Open && (got.Wait.Deadline != deadline || len(got.Wait.Notices) != due || got.Seq != 1) {
				t.Fatalf("seed %d: after %s it is %+v, want %+v", seed, fact.Kind, got, want)
			}
			if want.State != Open {
				break
			}
			switch k := r.IntN(9); {
			case k < 4:
				a := topics[missing[0]].Topic
				missing = missing[1:]
				fact = Fact{Kind: Gathered, Topic: a, Data: []byte(a)}
				want.Got = append(want.Got, Arrival{a, []byte(a)})
				if len(missing) == 0 {
					fact.Kind, want.State = Received, Value
				}
			case k < 6:
				deadline += 1000
				fact = Fact{Kind: Altered, Message: int64(row), Until: deadline, Note: &Note{Kind: NoteExtended, Until: deadline}}
			case k < 7 && due > 0:
				due--
				fact = Fact{Kind: Altered, Note: &Note{Kind: NoteReminded}}
			case k < 8:
				fact, want.State = Fact{Kind: Fired}, TimedOut
			default:
				fact, want.State = Fact{Kind: Revoked, Message: int64(row), Err: &Error{Code: "wait_cancelled"}}, Withdrawn
			}
		}
		if len(want.Got) > 0 {
			ends[want.State]++
		}
	}
	if len(ends) != 3 {
		t.Errorf("waits of which some had come end as %v", ends)
	}
}
