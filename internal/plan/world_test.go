package plan_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// engine is what the tests examine. Mutants replace a part of it.
type engine struct {
	eval    func(*tree.Workflow, *journal.History) plan.Plan
	judge   func(b plan.Body, end plan.Ending, now int64, draw float64) journal.Fact
	crash   func(b plan.Body, now int64, draw float64) journal.Fact
	restore func([]byte) (*journal.History, error)
}

func genuine() engine {
	return engine{plan.Eval, plan.Judge, plan.JudgeCrash, journal.Restore}
}

// limits bound how much may go wrong in one run.
type limits struct {
	fail, final, snooze, wait, do, crash, stop, cancel int
	passes                                             int
}

// world drives one run: it gives the planner one legal fact after another, as
// the engine would, and compares each plan with the model's.
type world struct {
	engine
	limits
	w     *tree.Workflow
	h     *journal.History
	m     *model
	rows  []journal.Row
	now   int64
	epoch int64
	mine  bool // the body that runs is this process's
	seen  map[string]bool
}

func newWorld(e engine, l limits, w *tree.Workflow) (*world, error) {
	x := &world{engine: e, limits: l, w: w, h: journal.NewHistory(), m: newModel(w), epoch: 1, seen: make(map[string]bool)}
	return x, x.add(journal.Fact{Kind: journal.Began, Data: []byte(`{"log":[]}`)})
}

// add folds a fact as a row of its own.
func (x *world) add(f journal.Fact) error {
	x.now += 1000
	f.At = x.now
	r := journal.Row{Seq: len(x.rows) + 1, Epoch: x.epoch, Facts: []journal.Fact{f}}
	x.rows = append(x.rows, r)
	x.seen[f.Kind.String()+whys(f.Why)] = true
	if err := x.h.Apply(r); err != nil {
		return x.wrong("folding: %v", err)
	}
	return nil
}

func (x *world) wrong(format string, args ...any) error {
	var facts []string
	for _, r := range x.rows {
		for _, f := range r.Facts {
			facts = append(facts, "\t"+spelled(f))
		}
	}
	return fmt.Errorf("%s\ntree %s\nfacts\n%s", fmt.Sprintf(format, args...), sketch(x.w.Root.Body), strings.Join(facts, "\n"))
}

// reload derives the history anew, as a new owner does: from bytes, by way of
// a snapshot after row n. Whatever it derives must be what was there.
func (x *world) reload(n int) error {
	h := journal.NewHistory()
	for i, r := range x.rows {
		if i == n {
			restored, err := x.restore(h.Snapshot())
			if err != nil {
				return x.wrong("restoring: %v", err)
			}
			h = restored
		}
		facts, err := journal.Decode(journal.Encode(r.Facts))
		if err != nil {
			return x.wrong("decoding: %v", err)
		}
		if err := h.Apply(journal.Row{Seq: r.Seq, Epoch: r.Epoch, Facts: facts}); err != nil {
			return x.wrong("folding from bytes: %v", err)
		}
	}
	if n == len(x.rows) {
		var err error
		if h, err = x.restore(h.Snapshot()); err != nil {
			return x.wrong("restoring: %v", err)
		}
	}
	if a, b := written(x.eval(x.w, x.h)), written(x.eval(x.w, h)); a != b {
		return x.wrong("the plan was\n%s\nand from bytes, with a snapshot after row %d, it is\n%s", a, n, b)
	}
	if !bytes.Equal(x.h.Snapshot(), h.Snapshot()) {
		return x.wrong("from bytes, with a snapshot after row %d, the history differs:\n%s", n, cmp.Diff(x.h, h, cmpopts.EquateEmpty()))
	}
	x.h = h
	return nil
}

// check compares the plan and the state with the model's.
func (x *world) check() (plan.Plan, error) {
	p := x.eval(x.w, x.h)
	have := written(p)
	if n := len(p.Bodies) + len(p.Questions) + len(p.Waits) + len(p.Opens); (p.Outcome == plan.Going) != (n > 0) {
		return p, x.wrong("%d things are planned, and the outcome is %d", n, p.Outcome)
	}
	if want := x.m.want(); have != want {
		return p, x.wrong("the plan is\n\t%s\nand should be\n\t%s", have, want)
	}
	state := `{"log":[]}`
	if len(x.m.log) > 0 {
		state = `{"log":["` + strings.Join(x.m.log, `","`) + `"]}`
	}
	if string(x.h.State) != state {
		return p, x.wrong("the state is %s and should be %s", x.h.State, state)
	}
	if v := x.m.visit; v != nil {
		calls := make(map[string]string)
		if place := x.h.At(v.path); place != nil {
			for key, c := range place.Calls {
				if c.State != journal.Open && key != journal.InDoubtCall {
					calls[key] = callText(c)
				}
			}
		}
		if !maps.Equal(v.calls, calls) {
			return p, x.wrong("recorded calls are %v and should be %v", calls, v.calls)
		}
	}
	return p, nil
}

func callText(c *journal.Call) string {
	switch c.State {
	case journal.Broken:
		return "error"
	case journal.TimedOut:
		return "timeout"
	}
	return string(c.Data)
}

// option is something that may happen now.
type option struct {
	name string
	do   func() error
}

// step lets one thing happen; false means that the run has ended. choose
// returns a number below n.
func (x *world) step(choose func(n int) int) (bool, error) {
	p, err := x.check()
	if err != nil || x.m.end != "" {
		return false, err
	}
	if len(p.Bodies) == 1 && x.m.visit.running && !x.mine { // an owner before us began it and died
		f := x.engine.crash(p.Bodies[0], x.now, 0.5)
		x.m.crashed(f.Until)
		return true, x.add(f)
	}
	opts := x.options(p)
	return true, opts[choose(len(opts))].do()
}

func (x *world) options(p plan.Plan) []option {
	var opts []option
	add := func(name string, do func() error) { opts = append(opts, option{name, do}) }
	// bounded adds something that may happen only so often.
	bounded := func(left *int, name string, do func() error) {
		if *left > 0 {
			add(name, func() error { *left--; return do() })
		}
	}
	switch {
	case x.m.ask != nil:
		x.answers(p.Questions[0], add)
	case x.m.visit.running:
		x.endings(p.Bodies[0], add, bounded)
	case len(p.Waits) > 0:
		x.waits(p.Waits[0], add)
	case len(p.Opens) > 0:
		o := p.Opens[0]
		add("open", func() error {
			x.m.visit.opened = true
			return x.add(journal.Fact{Kind: journal.Waited, Path: o.Path, Call: o.Call, Wait: o.Wait})
		})
	case len(p.Questions) > 0:
		x.resolutions(p.Questions[0], add)
	case p.Bodies[0].Mode == plan.Reconcile:
		x.findings(p.Bodies[0], add)
	default:
		b := p.Bodies[0]
		add("begin", func() error {
			v := x.m.visit
			v.attempt, v.running, v.until, x.mine = v.failures+v.died+1, true, 0, true
			return x.add(journal.Fact{Kind: journal.Tried, Path: b.Path, Attempt: plan.Attempt(b.Place), Epoch: x.epoch})
		})
	}
	bounded(&x.limits.crash, "crash", func() error {
		x.epoch++
		x.mine = false
		return x.reload(len(x.rows) / 2)
	})
	bounded(&x.cancel, "cancel", func() error {
		x.m.end, x.m.ask, x.m.visit = "cancelled by_test", nil, nil
		return x.add(journal.Fact{Kind: journal.Cancelled, Err: &journal.Error{Code: "by_test"}})
	})
	return opts
}

func (x *world) answers(q plan.Question, add func(string, func() error)) {
	answer := func(a journal.Answer) {
		add("answer", func() error {
			x.m.answered(a)
			return x.add(journal.Fact{Kind: journal.Answered, Path: q.Path, Answer: &a})
		})
	}
	if q.Node.Kind == tree.Loop {
		answer(journal.Answer{Way: journal.WayLeave, Pass: q.Pass})
		if q.Pass < x.passes {
			answer(journal.Answer{Way: journal.WayAgain, Pass: q.Pass})
		}
		return
	}
	for _, c := range q.Node.Cases {
		answer(journal.Answer{Way: journal.WayCase, Case: c.Key, Value: c.Key})
	}
	if q.Node.Else {
		answer(journal.Answer{Way: journal.WayDefault})
	} else {
		answer(journal.Answer{Way: journal.WayNone})
	}
}

// patch is what a body that succeeds at path leaves.
func (x *world) patch(path string) []byte {
	var s struct {
		Log []string `json:"log"`
	}
	if err := json.Unmarshal(x.h.State, &s); err != nil {
		panic(err)
	}
	s.Log = append(s.Log, path)
	after, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	patch, _ := journal.Change(x.h.State, x.h.State, after)
	return patch
}

func (x *world) endings(b plan.Body, add func(string, func() error), bounded func(*int, string, func() error)) {
	v := x.m.visit
	end := func(e plan.Ending) func() error {
		return func() error {
			f := x.judge(b, e, x.now, 0.5)
			if f.Kind != journal.Cancelled && f.Attempt != v.attempt {
				return x.wrong("attempt %d ended, and the fact says %d", v.attempt, f.Attempt)
			}
			x.m.ended(e, x.now)
			return x.add(f)
		}
	}
	err := &journal.Error{Code: "error", Message: "no"}
	add("done", end(plan.Ending{Patch: x.patch(b.Path)}))
	bounded(&x.fail, "fail", end(plan.Ending{Err: err}))
	bounded(&x.final, "fail for good", end(plan.Ending{Err: err, Final: true}))
	bounded(&x.snooze, "snooze", end(plan.Ending{Snooze: true, After: time.Millisecond}))
	bounded(&x.stop, "stop", func() error {
		v.running, v.until, v.doubt = false, 0, v.node.AtMostOnce
		return x.add(journal.Fact{Kind: journal.Handed, Path: b.Path, Epoch: x.epoch})
	})
	call := func(kind string, f journal.Fact, record string) func() error {
		return func() error {
			v.key++
			f.Path, f.Call = b.Path, fmt.Sprintf("%s:x#%d", kind, v.key)
			v.row = 0
			if f.Kind == journal.Waited {
				v.running, v.wait = false, f.Call
			} else {
				v.calls[f.Call] = record
			}
			return x.add(f)
		}
	}
	bounded(&x.do, "call", call("do", journal.Fact{Kind: journal.Called, Data: []byte(`1`)}, "1"))
	bounded(&x.do, "broken call", call("do", journal.Fact{Kind: journal.Called, Err: err}, "error"))
	if v.node.AtMostOnce {
		bounded(&x.fail, "time out", end(plan.Ending{Err: err, Timeout: true}))
		return
	}
	bounded(&x.wait, "wait", call("event", journal.Fact{Kind: journal.Waited, Wait: &journal.Wait{ID: "w", Kind: "event"}}, ""))
}

func (x *world) waits(w plan.Wait, add func(string, func() error)) {
	v := x.m.visit
	if w.Call == journal.InDoubtCall {
		for _, answer := range []string{`"done"`, `"run"`, `"fail"`} {
			add("say "+answer, func() error {
				v.answer = answer
				return x.add(journal.Fact{Kind: journal.Received, Path: w.Path, Call: w.Call, Data: []byte(answer)})
			})
		}
		return
	}
	end := func(kind journal.Kind, data, record string) func() error {
		return func() error {
			v.wait, v.calls[w.Call] = "", record
			return x.add(journal.Fact{Kind: kind, Path: w.Path, Call: w.Call, Data: []byte(data)})
		}
	}
	add("message", end(journal.Received, "2", "2"))
	add("timeout", end(journal.Fired, "", "timeout"))
}

// resolutions are what becomes of what a person said.
func (x *world) resolutions(q plan.Question, add func(string, func() error)) {
	v := x.m.visit
	b := plan.Body{Path: q.Path, Node: q.Node, Place: x.h.At(q.Path), Mode: plan.Reconcile}
	add("resolve", func() error {
		var end plan.Ending
		switch v.answer {
		case `"done"`:
			end = plan.Ending{Happened: plan.Yes, Patch: x.patch(q.Path)}
		case `"run"`:
			end.Happened = plan.No
		default:
			b.Mode, end = plan.Run, plan.Ending{Final: true, Err: &journal.Error{Code: "person"}}
		}
		f := x.judge(b, end, x.now, 0.5)
		switch v.answer {
		case `"done"`:
			x.m.done()
		case `"run"`:
			v.row, v.lost = 0, 0 // a person knows about the crashes
			v.clear()
		default:
			x.m.fail("person")
		}
		return x.add(f)
	})
}

func (v *visit) clear() {
	v.doubt, v.opened, v.answer, v.asked, v.until = false, false, "", 0, 0
}

// findings are what Reconcile may find.
func (x *world) findings(b plan.Body, add func(string, func() error)) {
	v := x.m.visit
	add("happened", func() error {
		f := x.judge(b, plan.Ending{Happened: plan.Yes, Patch: x.patch(b.Path)}, x.now, 0.5)
		x.m.done()
		return x.add(f)
	})
	add("did not happen", func() error {
		f := x.judge(b, plan.Ending{Happened: plan.No}, x.now, 0.5)
		switch {
		case v.row >= plan.CrashLimit:
			x.m.fail("crash_limit")
		case v.lost >= plan.CrashLimit:
			x.m.fail("step_timeout")
		default:
			v.clear()
		}
		return x.add(f)
	})
	add("asking fails", func() error {
		v.asked++
		v.until = x.now + (2 * time.Second << (v.asked - 1)).Microseconds()
		return x.add(x.judge(b, plan.Ending{Err: &journal.Error{Code: "away"}}, x.now, 0.5))
	})
}

// run drives a run to its end, at most n facts.
func (x *world) run(n int, choose func(n int) int) error {
	for range n {
		more, err := x.step(choose)
		if err != nil {
			return err
		}
		if !more {
			return x.reload(len(x.rows))
		}
	}
	return x.wrong("no end after %d facts", n)
}
