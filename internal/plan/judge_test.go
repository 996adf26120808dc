package plan_test

import (
	"math"
	"testing"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
	"github.com/google/go-cmp/cmp"
)

func TestJudge(t *testing.T) {
	const (
		now  = 1_000_000
		last = 253402300799_000000 // the end of the year 9999
	)
	no := &journal.Error{Code: "error"}
	three := &tree.Node{Kind: tree.Step, Retry: &tree.Retry{MaxAttempts: 3}}
	alone := &tree.Node{Kind: tree.Step}
	pay := once("pay")
	place := func(attempt, failures, died int) *journal.Place {
		return &journal.Place{Attempt: attempt, Failures: failures, Died: died, Open: 1}
	}
	for _, c := range []struct {
		name  string
		node  *tree.Node
		place *journal.Place
		end   plan.Ending
		want  journal.Fact
	}{
		{
			"RS-1 done", three, place(2, 1, 0),
			plan.Ending{Patch: []byte(`[]`)},
			journal.Fact{Kind: journal.Done, Attempt: 2, Data: []byte(`[]`)},
		},
		{"done without a place", three, nil, plan.Ending{}, journal.Fact{Kind: journal.Done, Attempt: 1}},
		{
			"RT-2 the first failure", three, place(1, 0, 0),
			plan.Ending{Err: no},
			journal.Fact{Kind: journal.Delayed, Why: journal.ByError, Attempt: 1, Err: no, Until: now + 2_000_000},
		},
		{
			"RT-2 the second failure", three, place(2, 1, 0),
			plan.Ending{Err: no},
			journal.Fact{Kind: journal.Delayed, Why: journal.ByError, Attempt: 2, Err: no, Until: now + 4_000_000},
		},
		{"RT-1 the last failure", three, place(3, 2, 0), plan.Ending{Err: no}, journal.Fact{Kind: journal.Failed, Attempt: 3, Err: no}},
		{"no policy is one attempt", alone, place(1, 0, 0), plan.Ending{Err: no}, journal.Fact{Kind: journal.Failed, Attempt: 1, Err: no}},
		{
			"RT-9 crashes do not use up attempts", three, place(5, 1, 3),
			plan.Ending{Err: no},
			journal.Fact{Kind: journal.Delayed, Why: journal.ByError, Attempt: 5, Err: no, Until: now + 4_000_000},
		},
		{"RT-5 permanent", three, place(1, 0, 0), plan.Ending{Err: no, Final: true}, journal.Fact{Kind: journal.Failed, Attempt: 1, Err: no}},
		{
			"RT-5 RetryAfter is exact, above Max", three, place(1, 0, 0),
			plan.Ending{Err: no, HasWait: true, After: time.Hour},
			journal.Fact{Kind: journal.Delayed, Why: journal.ByError, Attempt: 1, Err: no, Until: now + 3_600_000_000},
		},
		{
			"RT-5 RetryAfter at once", three, place(1, 0, 0),
			plan.Ending{Err: no, HasWait: true},
			journal.Fact{Kind: journal.Delayed, Why: journal.ByError, Attempt: 1, Err: no, Until: now},
		},
		{
			"RT-5 RetryAfter with no attempts left", three, place(3, 2, 0),
			plan.Ending{Err: no, HasWait: true, After: time.Hour},
			journal.Fact{Kind: journal.Failed, Attempt: 3, Err: no},
		},
		{
			"RT-6 snooze", alone, place(1, 0, 0),
			plan.Ending{Snooze: true, After: time.Second},
			journal.Fact{Kind: journal.Delayed, Why: journal.BySnooze, Attempt: 1, Until: now + 1_000_000},
		},
		{
			"never early", alone, place(1, 0, 0),
			plan.Ending{Snooze: true, After: 1},
			journal.Fact{Kind: journal.Delayed, Why: journal.BySnooze, Attempt: 1, Until: now + 1},
		},
		{
			"a negative delay", alone, place(1, 0, 0),
			plan.Ending{Snooze: true, After: math.MinInt64},
			journal.Fact{Kind: journal.Delayed, Why: journal.BySnooze, Attempt: 1, Until: now},
		},
		{
			"RS-7 a timeout is a failure", three, place(1, 0, 0),
			plan.Ending{Err: no, Timeout: true},
			journal.Fact{Kind: journal.Delayed, Why: journal.ByError, Attempt: 1, Err: no, Until: now + 2_000_000},
		},
		{
			"RS-12 a timeout leaves in doubt", pay, place(1, 0, 0),
			plan.Ending{Err: no, Timeout: true},
			journal.Fact{Kind: journal.Delayed, Why: journal.ByLoss, Attempt: 1, Err: no},
		},
		{"RS-12 an error does not", pay, place(1, 0, 0), plan.Ending{Err: no}, journal.Fact{Kind: journal.Failed, Attempt: 1, Err: no}},
		{
			"RS-10 CancelRun", three, place(1, 0, 0),
			plan.Ending{Cancel: true, Err: no},
			journal.Fact{Kind: journal.Cancelled, Attempt: 1, Err: no, Data: []byte("step p")},
		},
	} {
		c.want.Path, c.want.At = "p", now
		got := plan.Judge(plan.Body{Path: "p", Node: c.node, Place: c.place}, c.end, now, 0.5)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	far := plan.Judge(plan.Body{Node: alone}, plan.Ending{Snooze: true, After: math.MaxInt64}, last-5, 0)
	if far.Until != last {
		t.Errorf("beyond the year 9999: %d", far.Until)
	}
}

func TestRS13_JudgeWhatTheOutsideSays(t *testing.T) {
	away := &journal.Error{Code: "away"}
	n := once("pay")
	n.Reconciles = true
	for _, c := range []struct {
		name  string
		asked int
		end   plan.Ending
		want  journal.Fact
	}{
		{"happened", 0, plan.Ending{Happened: plan.Yes, Patch: []byte(`[]`)}, journal.Fact{Kind: journal.Done, Data: []byte(`[]`)}},
		{"did not", 0, plan.Ending{Happened: plan.No}, journal.Fact{Kind: journal.Cleared}},
		{"error", 0, plan.Ending{Err: away}, journal.Fact{Kind: journal.Delayed, Why: journal.ByAsking, Err: away, Until: 2_000_007}},
		{"the fourth error", 3, plan.Ending{Err: away}, journal.Fact{Kind: journal.Delayed, Why: journal.ByAsking, Err: away, Until: 16_000_007}},
		{"snooze", 0, plan.Ending{Snooze: true}, journal.Fact{Kind: journal.Delayed, Why: journal.ByAsking, Until: 2_000_007}},
	} {
		b := plan.Body{Path: "pay", Node: n, Mode: plan.Reconcile, Place: &journal.Place{Attempt: 1, Died: 1, InDoubt: true, Asked: c.asked}}
		c.want.Path, c.want.At, c.want.Attempt = "pay", 7, 1
		if diff := cmp.Diff(c.want, plan.Judge(b, c.end, 7, 0.5)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// A step whose process dies each time, and that had not happened each time,
// ends; unless a person knows about it and says that it shall run again.
func TestRT9_RS13_DoubtsDoNotGoOnForEver(t *testing.T) {
	five := []int64{1, 2, 3, 4, 5}
	told := map[string]*journal.Call{journal.InDoubtCall: {State: journal.Value}}
	for _, c := range []struct {
		name  string
		place journal.Place
		kind  journal.Kind
		code  string
	}{
		{"four crashes", journal.Place{Crashed: five[:4]}, journal.Cleared, ""},
		{"five crashes", journal.Place{Crashed: five}, journal.Failed, "crash_limit"},
		{"five crashes, a person says run", journal.Place{Crashed: five, Calls: told}, journal.Cleared, ""},
		{"four timeouts", journal.Place{Lost: 4}, journal.Cleared, ""},
		{"five timeouts", journal.Place{Lost: 5}, journal.Failed, "step_timeout"},
		{"five timeouts, a person says run", journal.Place{Lost: 5, Calls: told}, journal.Cleared, ""},
	} {
		b := plan.Body{Path: "pay", Node: once("pay"), Mode: plan.Reconcile, Place: &c.place}
		f := plan.Judge(b, plan.Ending{Happened: plan.No}, 0, 0.5)
		if f.Kind != c.kind || (f.Err != nil) != (c.code != "") || f.Err != nil && (f.Err.Code != c.code || f.Err.Path != "pay") {
			t.Errorf("%s: %+v", c.name, f)
		}
	}
}

func TestRT9_CrashesInARow(t *testing.T) {
	h := journal.NewHistory()
	seq := 0
	add := func(f journal.Fact) {
		t.Helper()
		seq++
		if err := h.Apply(journal.Row{Seq: seq, Facts: []journal.Fact{f}}); err != nil {
			t.Fatal(err)
		}
	}
	w := workflow(step("a"))
	crash := func(epoch int64) journal.Fact {
		t.Helper()
		body := func() plan.Body { return plan.Eval(w, h).Bodies[0] }
		add(journal.Fact{Kind: journal.Tried, Path: "a", Attempt: plan.Attempt(body().Place), Epoch: epoch})
		f := plan.JudgeCrash(body(), 0, 0.5)
		add(f)
		return f
	}
	add(journal.Fact{Kind: journal.Began, Data: []byte(`{}`)})
	for i, until := range []int64{0, 2e6, 4e6, 8e6} { // the first repeat comes at once
		if f := crash(int64(i + 1)); f.Kind != journal.Delayed || f.Why != journal.ByCrash || f.Until != until || f.Attempt != i+1 {
			t.Fatalf("crash %d: %+v", i+1, f)
		}
	}
	add(journal.Fact{Kind: journal.Called, Path: "a", Call: "do:x#1"}) // something new: no longer in a row
	if f := crash(5); f.Kind != journal.Delayed || f.Until != 0 || f.Attempt != 5 {
		t.Fatalf("a crash after something new: %+v", f)
	}
	for i := range 3 {
		crash(int64(6 + i))
	}
	f := crash(9)
	if f.Kind != journal.Failed || f.Err.Code != "crash_limit" || f.Attempt != 9 {
		t.Fatalf("the fifth in a row: %+v", f)
	}
	if p := h.At("a"); p.Failures != 0 {
		t.Errorf("crashes count as %d failures", p.Failures)
	}
	if got := written(plan.Eval(w, h)); got != "failed crash_limit" {
		t.Error(got)
	}
}

func TestRS12_ACrashIsNeverTheEndOfAnAtMostOnceStep(t *testing.T) {
	b := plan.Body{Path: "pay", Node: once("pay"), Place: &journal.Place{Attempt: 6, Died: 5, Crashed: []int64{1, 2, 3, 4, 5}, Open: 6}}
	if f := plan.JudgeCrash(b, 0, 0.5); f.Kind != journal.Delayed || f.Why != journal.ByCrash {
		t.Errorf("%+v", f)
	}
}

func TestLP3_OverLimit(t *testing.T) {
	n := loop("l", step("a"))
	n.Max = 2
	for _, c := range []struct {
		answer journal.Answer
		over   bool
	}{
		{journal.Answer{Way: journal.WayAgain, Pass: 1}, false},
		{journal.Answer{Way: journal.WayAgain, Pass: 2}, true},
		{journal.Answer{Way: journal.WayLeave, Pass: 2}, false},
	} {
		if err := plan.OverLimit(n, &c.answer, "l"); (err != nil) != c.over || c.over && (err.Code != "loop_limit" || err.Path != "l") {
			t.Errorf("%+v: %v", c.answer, err)
		}
	}
	if err := plan.OverLimit(branch("b"), &journal.Answer{Way: journal.WayCase, Pass: 9}, "b"); err != nil {
		t.Error(err)
	}
}

// Several waits of one body are planned in the order of their opening.
func TestWaitsComeInTheOrderOfOpening(t *testing.T) {
	calls := map[string]*journal.Call{
		"event:a#1": {State: journal.Open, Seq: 4}, "event:c#1": {State: journal.Open, Seq: 2}, "do:x#1": {State: journal.Value},
		"event:b#1": {State: journal.Open, Seq: 2}, "event:d#1": {State: journal.Open, Seq: 1},
	}
	h := journal.NewHistory()
	h.Root.Newest = "a"
	h.Root.Put("a", &journal.Place{Attempt: 1, Calls: calls})
	want := "wait a event:d#1\nwait a event:b#1\nwait a event:c#1\nwait a event:a#1"
	for range 20 {
		if got := written(plan.Eval(workflow(step("a")), h)); got != want {
			t.Fatalf("%s\nwant\n%s", got, want)
		}
	}
}

// A place may know nothing but that something was counted there.
func TestAPlaceThatDoesNotTellItsKind(t *testing.T) {
	h := journal.NewHistory()
	h.Root.Newest = "a"
	h.Root.Put("a", &journal.Place{Live: 1})
	for _, n := range []*tree.Node{step("a"), branch("a", way("k"))} {
		if p := plan.Eval(workflow(n), h); p.Outcome != plan.Going {
			t.Error(written(p))
		}
	}
}

func TestUnknownKindsPanic(t *testing.T) {
	defer func() {
		if r := recover(); r != "plan: unknown kind unknown" {
			t.Errorf("recovered %v", r)
		}
	}()
	plan.Eval(workflow(&tree.Node{Kind: 99, Name: "x"}), journal.NewHistory())
}
