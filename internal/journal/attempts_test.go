package journal

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// written is a list of attempts as text, one a line.
func written(list []Attempt) string {
	var b strings.Builder
	for _, a := range list {
		fmt.Fprintf(&b, "%s %s %d %s %d-%d rows %d-%d", a.Path, a.Kind, a.Number, a.Outcome, a.Start, a.End, a.FirstRow, a.LastRow)
		if a.Until != 0 {
			fmt.Fprintf(&b, " until %d", a.Until)
		}
		if a.Resumed != 0 {
			fmt.Fprintf(&b, " resumed %d", a.Resumed)
		}
		if a.Waiting != 0 {
			fmt.Fprintf(&b, " waited %d", a.Waiting)
		}
		if a.Calls != 0 {
			fmt.Fprintf(&b, " calls %d", a.Calls)
		}
		if a.Err != nil {
			fmt.Fprintf(&b, " %s", a.Err.Message)
		}
		if a.Patch != nil {
			fmt.Fprintf(&b, " %s", a.Patch)
		}
		if a.Answer != nil {
			fmt.Fprintf(&b, " way %d", a.Answer.Way)
		}
		for _, w := range a.Waits {
			fmt.Fprintf(&b, " [%s %s %s %d-%d %s]", w.Call, w.Kind, w.Name, w.Opened, w.Ended, w.By)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// rowsOf puts each fact into a row of its own; row n happens at time n.
func rowsOf(facts ...Fact) []Row {
	rows := make([]Row, len(facts))
	for i, f := range facts {
		f.At = int64(i + 1)
		rows[i] = Row{Seq: i + 1, Facts: []Fact{f}}
	}
	return rows
}

func TestAttempts(t *testing.T) {
	no := &Error{Code: "error", Message: "no"}
	tried := func(n int, epoch int64) Fact { return Fact{Kind: Tried, Path: "a", Attempt: n, Epoch: epoch} }
	delayed := func(why Why, until int64) Fact {
		return Fact{Kind: Delayed, Path: "a", Why: why, Err: no, Until: until}
	}
	snooze := Fact{Kind: Delayed, Path: "a", Why: BySnooze, Until: 9}
	done := Fact{Kind: Done, Path: "a", Data: []byte(`[]`)}
	failed := Fact{Kind: Failed, Path: "a", Err: no}
	waited := Fact{Kind: Waited, Path: "a", Call: "event:paid#1", Wait: &Wait{Kind: "event", Name: "paid"}}
	got := Fact{Kind: Received, Path: "a", Call: "event:paid#1"}
	fired := Fact{Kind: Fired, Path: "a", Call: "event:paid#1"}
	handed := func(epoch int64) Fact { return Fact{Kind: Handed, Path: "a", Epoch: epoch} }
	doubt := Fact{Kind: Waited, Path: "a", Call: InDoubtCall, Wait: &Wait{Kind: "in_doubt", Name: "in_doubt"}}
	told := Fact{Kind: Received, Path: "a", Call: InDoubtCall}
	cleared := Fact{Kind: Cleared, Path: "a"}
	cancelled := Fact{Kind: Cancelled}
	for _, c := range []struct {
		name  string
		facts []Fact
		want  string
	}{
		{"running", []Fact{tried(1, 1)}, "a step 1 running 1-0 rows 1-1\n"},
		{"done", []Fact{tried(1, 1), done}, "a step 1 done 1-2 rows 1-2 []\n"},
		{
			"retry",
			[]Fact{tried(1, 1), delayed(ByError, 7), tried(2, 1), failed},
			"a step 1 retrying 1-2 rows 1-2 until 7 no\na step 2 failed 3-4 rows 3-4 no\n",
		},
		{"snooze", []Fact{tried(1, 1), snooze}, "a step 1 snoozed 1-0 rows 1-2 until 9\n"},
		{"snooze, again", []Fact{tried(1, 1), snooze, tried(1, 2), done}, "a step 1 done 1-4 rows 1-4 resumed 1 []\n"},
		{"wait", []Fact{tried(1, 1), waited}, "a step 1 waiting 1-0 rows 1-2 [event:paid#1 event paid 2-0 ]\n"},
		{
			"wait and resume",
			[]Fact{tried(1, 1), waited, got, tried(1, 2), {Kind: Called, Path: "a", Call: "do:x#1"}, done},
			"a step 1 done 1-6 rows 1-6 resumed 1 waited 1 calls 1 [] [event:paid#1 event paid 2-3 message]\n",
		},
		{"wait and timeout", []Fact{tried(1, 1), waited, fired}, "a step 1 waiting 1-0 rows 1-3 waited 1 [event:paid#1 event paid 2-3 timeout]\n"},
		{"message that was there", []Fact{tried(1, 1), got}, "a step 1 running 1-0 rows 1-2 [event:paid#1 event paid 2-2 message]\n"},
		{
			"crash",
			[]Fact{tried(1, 1), delayed(ByCrash, 0), tried(2, 2)},
			"a step 1 crashed 1-2 rows 1-2 no\na step 2 running 3-0 rows 3-3\n",
		},
		{"stopped in order", []Fact{tried(1, 1), handed(1)}, "a step 1 stopped 1-0 rows 1-2\n"},
		{"stopped in order, again", []Fact{tried(1, 1), handed(1), tried(1, 2), done}, "a step 1 done 1-4 rows 1-4 resumed 1 []\n"},
		{
			"crash that was none",
			[]Fact{tried(1, 1), delayed(ByCrash, 0), handed(1), tried(1, 2)},
			"a step 1 running 1-0 rows 1-4 resumed 1\n",
		},
		{
			"crash that was none, late",
			[]Fact{tried(1, 1), delayed(ByCrash, 0), tried(2, 2), handed(1)},
			"a step 1 stopped 1-2 rows 1-2\na step 2 running 3-0 rows 3-4\n",
		},
		{"report of nobody", []Fact{tried(1, 1), handed(9), done}, "a step 1 done 1-3 rows 1-3 []\n"},
		{"lost", []Fact{tried(1, 1), delayed(ByLoss, 0)}, "a step 1 lost 1-2 rows 1-2 no\n"},
		{"in doubt", []Fact{tried(1, 1), delayed(ByCrash, 0), delayed(ByAsking, 9)}, "a step 1 in_doubt 1-2 rows 1-3 until 9 no\n"},
		{"in doubt, happened", []Fact{tried(1, 1), delayed(ByCrash, 0), delayed(ByAsking, 9), done}, "a step 1 done 1-4 rows 1-4 []\n"},
		{
			"in doubt, did not",
			[]Fact{tried(1, 1), delayed(ByCrash, 0), delayed(ByAsking, 9), cleared, tried(2, 2)},
			"a step 1 crashed 1-2 rows 1-4 until 9 no\na step 2 running 5-0 rows 5-5\n",
		},
		{
			"a person says run",
			[]Fact{tried(1, 1), handed(1), doubt, told, cleared, tried(1, 2)},
			"a step 1 lost 1-5 rows 1-5 waited 1 [input:in_doubt#1 in_doubt in_doubt 3-4 message]\na step 1 running 6-0 rows 6-6\n",
		},
		{
			"a person says fail",
			[]Fact{tried(1, 1), delayed(ByLoss, 0), doubt, told, failed},
			"a step 1 failed 1-5 rows 1-5 waited 1 no [input:in_doubt#1 in_doubt in_doubt 3-4 message]\n",
		},
		{
			"cancel",
			[]Fact{tried(1, 1), done, {Kind: Tried, Path: "b", Attempt: 1}, cancelled},
			"a step 1 done 1-2 rows 1-2 []\nb step 1 cancelled 3-4 rows 3-4\n",
		},
		{"branch", []Fact{{Kind: Answered, Path: "b", Answer: &Answer{Way: WayCase, Case: "x"}}}, "b branch 0 done 1-1 rows 1-1 way 1\n"},
		{"branch fails", []Fact{{Kind: Failed, Path: "b", Err: &Error{Code: "branch", Message: "panic"}}}, "b branch 0 failed 1-1 rows 1-1 panic\n"},
		{
			"loop",
			[]Fact{
				{Kind: Answered, Path: "l", Answer: &Answer{Way: WayAgain}},
				{Kind: Tried, Path: "l[0]/a", Attempt: 1},
				{Kind: Done, Path: "l[0]/a"},
				{Kind: Failed, Path: "l", Err: &Error{Code: "loop_limit", Message: "enough"}},
			},
			"l loop 0 done 1-1 rows 1-1 way 4\nl[0]/a step 1 done 2-3 rows 2-3\nl loop 1 failed 4-4 rows 4-4 enough\n",
		},
		{"loop fails at once", []Fact{{Kind: Failed, Path: "l", Err: &Error{Code: "loop", Message: "panic"}}}, "l loop 0 failed 1-1 rows 1-1 panic\n"},
		{"never began", []Fact{{Kind: Failed, Path: "a", Err: &Error{Code: "journal_limit", Message: "full"}}}, "a step 0 failed 1-1 rows 1-1 full\n"},
		{"facts of nothing", []Fact{{Kind: Began}, done, handed(1), {Kind: Waited, Path: "a"}}, ""},
		{"wait without object", []Fact{tried(1, 1), {Kind: Waited, Path: "a"}}, "a step 1 running 1-0 rows 1-2\n"},
	} {
		if diff := cmp.Diff(c.want, written(Attempts(rowsOf(c.facts...)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestAttemptsOfEverything(t *testing.T) {
	want := `a step 1 retrying 2-4 rows 1-3 until 9 calls 2 no
a step 2 stopped 9-22 rows 4-5 resumed 1
a step 3 done 23-25 rows 6-7 [["set","/n",1]]
b branch 0 done 25-25 rows 7-7 way 1
b[x]/pay step 1 lost 26-27 rows 8-10 until 40 waited 1 no [input:in_doubt#1 in_doubt in_doubt 29-30 message]
b[x]/pay step 1 done 32-33 rows 11-11
l loop 0 done 34-34 rows 12-12 way 4
l[0]/w step 1 done 34-53 rows 12-15 resumed 1 waited 16 [event:e#1 event e 35-51 timeout]
l loop 1 done 53-53 rows 15-15 way 4
l[1]/w step 1 cancelled 54-60 rows 16-17 [event:e#1 event e 55-0 ]
`
	if diff := cmp.Diff(want, written(Attempts(everything()))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStateAfter(t *testing.T) {
	rows := everything()
	for n, want := range map[int]string{-1: "", 0: "", 1: `{"n":0}`, 6: `{"n":0}`, 7: `{"n":1}`, len(rows): `{"n":1}`} {
		if got, err := StateAfter(rows, n, ""); err != nil || string(got) != want {
			t.Errorf("after row %d: %s, %v; want %s", n, got, err, want)
		}
	}
	if _, err := StateAfter(rows, len(rows)+1, ""); err == nil {
		t.Error("a row that does not exist has a state")
	}
	if _, err := StateAfter(rows[1:], 2, ""); err == nil {
		t.Error("a journal without its first row has a state")
	}
}
