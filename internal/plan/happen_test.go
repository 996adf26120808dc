package plan_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
)

// What may happen to each thing that is planned.

func (x *world) facts(f journal.Fact, k *maker) {
	k.add("follows", func() error {
		switch f.Kind {
		case journal.Answered:
			x.m.answered(f.Path, *f.Answer)
		case journal.Done:
			x.m.joined(f.Path)
		default:
			x.m.fail(f.Path, f.Err.Code)
		}
		return x.add(f)
	})
}

func (x *world) bodies(b plan.Body, k *maker) {
	s, _, _ := x.m.root.find(b.Path, x.m.state)
	switch {
	case s.visit.running:
		x.endings(s, b, k)
	case b.Mode == plan.Reconcile:
		x.findings(b, k)
	default:
		k.add("begin", func() error {
			s, _, _ := x.m.at(b.Path)
			v := s.visit
			v.attempt, v.running, v.until, v.epoch = v.failures+v.died+1, true, 0, x.epoch
			err := x.add(journal.Fact{Kind: journal.Tried, Path: b.Path, Attempt: plan.Attempt(b.Place), Epoch: x.epoch})
			if err == nil {
				key := b.Path + "@" + x.h.Visit(b.Path)
				if other := x.visits[key]; other != 0 && other != v.serial {
					err = x.wrong("two visits have the name %s", key)
				}
				x.visits = maps.Clone(x.visits)
				x.visits[key] = v.serial
			}
			return err
		})
	}
}

func (x *world) questions(q plan.Question, k *maker) {
	answer := func(a journal.Answer, data []byte) {
		k.add("answer", func() error {
			x.m.answered(q.Path, a)
			return x.add(journal.Fact{Kind: journal.Answered, Path: q.Path, Answer: &a, Data: data})
		})
	}
	switch {
	case q.InDoubt != nil:
		x.resolutions(q, k)
	case q.Join:
		k.add("join", func() error {
			f := journal.Fact{Kind: journal.Done, Path: q.Path, Data: x.patchOf(q.Path, q.Path, "")}
			x.m.joined(q.Path)
			return x.add(f)
		})
	case q.Node.Kind.Waits():
		x.waitNode(q, k)
	case q.Node.Kind == tree.Each:
		for n := range x.items + 1 {
			var list []string
			for i := range n {
				list = append(list, fmt.Sprintf(`{"item":"%d"}`, i))
			}
			answer(journal.Answer{Way: journal.WayItems, Items: n}, []byte("["+strings.Join(list, ",")+"]"))
		}
	case q.Node.Kind == tree.Loop:
		answer(journal.Answer{Way: journal.WayLeave, Pass: q.Pass}, nil)
		if q.Pass < x.passes {
			answer(journal.Answer{Way: journal.WayAgain, Pass: q.Pass}, nil)
		}
	default:
		for _, c := range q.Node.Cases {
			answer(journal.Answer{Way: journal.WayCase, Case: c.Key, Value: c.Key}, nil)
		}
		if q.Node.Else {
			answer(journal.Answer{Way: journal.WayDefault}, nil)
		} else {
			answer(journal.Answer{Way: journal.WayNone}, nil)
		}
	}
}

// waitNode is what user code may say to the questions of a wait node.
func (x *world) waitNode(q plan.Question, k *maker) {
	if q.Ended != nil {
		k.add("take", func() error {
			f := journal.Fact{Kind: journal.Done, Path: q.Path, Data: x.patch(q.Node, q.Path)}
			x.m.done(q.Path)
			return x.add(f)
		})
	} else {
		k.add("open", func() error {
			s, _, _ := x.m.at(q.Path)
			s.wait = "open"
			return x.add(journal.Fact{Kind: journal.Waited, Path: q.Path, Call: callOf(q.Node), Wait: &journal.Wait{ID: "w", Kind: q.Node.Kind.String()}})
		})
		k.bounded(&x.skip, "skip", func() error {
			a := journal.Answer{Way: journal.WaySkip}
			x.m.answered(q.Path, a)
			return x.add(journal.Fact{Kind: journal.Answered, Path: q.Path, Answer: &a})
		})
	}
	k.bounded(&x.skip, "panic", func() error {
		x.m.fail(q.Path, "panic")
		return x.add(journal.Fact{Kind: journal.Failed, Path: q.Path, Err: &journal.Error{Code: "panic"}})
	})
}

// patch is what a body that succeeds at path leaves.
func (x *world) patch(n *tree.Node, path string) []byte {
	key, v := value(n, path, stateOf(x.h.StateAt(path)))
	return x.patchOf(path, key, v)
}

// patchOf sets a member of the state at path; without a value it is counted up.
func (x *world) patchOf(path, key, v string) []byte {
	raw := x.h.StateAt(path)
	st := maps.Clone(stateOf(raw))
	if v == "" {
		v = next(st[key])
	}
	st[key] = v
	after, err := json.Marshal(st)
	if err != nil {
		panic(err)
	}
	return journal.Diff(raw, after)
}

var errBody = &journal.Error{Code: "error", Message: "no"}

func (x *world) endings(s *stand, b plan.Body, k *maker) {
	end := func(e plan.Ending) func() error {
		return func() error {
			s, _, _ := x.m.at(b.Path)
			f := x.judge(b, e, x.now, 0.5)
			if f.Kind != journal.Cancelled && f.Attempt != s.visit.attempt {
				return x.wrong("attempt %d ended, and the fact says %d", s.visit.attempt, f.Attempt)
			}
			if e.Err == nil && !e.Snooze {
				x.m.done(b.Path)
			} else {
				x.m.ended(b.Path, e, x.now)
			}
			return x.add(f)
		}
	}
	done := plan.Ending{Patch: x.patch(b.Node, b.Path)}
	if b.Node.Kind == tree.Decision {
		x.choices(b, done, k)
	} else {
		k.add("done", end(done))
	}
	final := plan.Ending{Err: errBody, Final: true}
	k.bounded(&x.fail, "fail", end(plan.Ending{Err: errBody}))
	k.bounded(&x.final, "fail for good", end(final))
	k.bounded(&x.twice, "two fail", func() error {
		var other string
		x.m.root.each(x.m.state, func(o *stand, _ state) {
			if o.visit != nil && o.visit.running && o.path != b.Path {
				other = o.path
			}
		})
		err := end(final)()
		if err == nil && other != "" { // it comes before anybody has looked at the plan
			x.m.fail(other, "later")
			err = x.add(journal.Fact{Kind: journal.Failed, Path: other, Attempt: 1, Err: &journal.Error{Code: "later"}})
		}
		return err
	})
	k.bounded(&x.snooze, "snooze", end(plan.Ending{Snooze: true, After: time.Millisecond}))
	k.bounded(&x.stop, "stop", func() error {
		s, _, _ := x.m.at(b.Path)
		v := s.visit
		v.running, v.until, v.doubt = false, 0, s.n.AtMostOnce
		return x.add(journal.Fact{Kind: journal.Handed, Path: b.Path, Epoch: x.epoch})
	})
	call := func(kind string, f journal.Fact, record string) func() error {
		return func() error {
			s, _, _ := x.m.at(b.Path)
			v := s.visit
			v.key++
			f.Path, f.Call = b.Path, fmt.Sprintf("%s:x#%d", kind, v.key)
			v.row = nil
			if f.Kind == journal.Waited {
				v.running, v.wait = false, f.Call
			} else {
				v.record(f.Call, record)
			}
			return x.add(f)
		}
	}
	k.bounded(&x.do, "call", call("do", journal.Fact{Kind: journal.Called, Data: []byte(`1`)}, "1"))
	k.bounded(&x.do, "broken call", call("do", journal.Fact{Kind: journal.Called, Err: errBody}, "error"))
	if s.n.AtMostOnce {
		k.bounded(&x.fail, "time out", end(plan.Ending{Err: errBody, Timeout: true}))
		return
	}
	k.bounded(&x.wait, "wait", call("event", journal.Fact{Kind: journal.Waited, Wait: &journal.Wait{ID: "w", Kind: "event"}}, ""))
}

// choices are where a decision may go.
func (x *world) choices(b plan.Body, end plan.Ending, k *maker) {
	choose := func(a journal.Answer) func() error {
		return func() error {
			end.Answer = &a
			f := x.judge(b, end, x.now, 0.5)
			x.decide(x.w, x.h, b.Node, &f)
			if a.Way == journal.WayNext {
				x.m.done(b.Path)
			} else {
				x.m.decided(b.Path, a.Case)
			}
			return x.add(f)
		}
	}
	k.add("next", choose(journal.Answer{Way: journal.WayNext}))
	_, t, _ := x.m.root.find(b.Path, x.m.state)
	for i, n := range t.nodes {
		to := journal.Answer{Way: journal.WayGoto, Case: n.Name}
		switch {
		case i > t.i:
			k.add("goto", choose(to))
		case i < t.i:
			k.bounded(&x.jumps, "go back", choose(to))
		default:
			k.bounded(&x.lost, "goto itself", choose(to))
		}
	}
	k.bounded(&x.lost, "goto nowhere", choose(journal.Answer{Way: journal.WayGoto, Case: "nowhere"}))
}

func (x *world) waits(w plan.Wait, k *maker) {
	if w.Call == journal.InDoubtCall {
		for _, answer := range []string{`"done"`, `"run"`, `"fail"`} {
			k.add("say "+answer, func() error {
				s, _, _ := x.m.at(w.Path)
				s.visit.answer, s.visit.row = answer, nil
				return x.add(journal.Fact{Kind: journal.Received, Path: w.Path, Call: w.Call, Data: []byte(answer)})
			})
		}
		return
	}
	end := func(kind journal.Kind, data, record string) func() error {
		return func() error {
			s, _, _ := x.m.at(w.Path)
			if s.visit != nil {
				s.visit.wait, s.visit.row = "", nil
				s.visit.record(w.Call, record)
			} else {
				s.wait = record
			}
			return x.add(journal.Fact{Kind: kind, Path: w.Path, Call: w.Call, Data: []byte(data)})
		}
	}
	k.add("message", end(journal.Received, "2", "2"))
	k.add("timeout", end(journal.Fired, "", "timeout"))
}

// resolutions are what becomes of what a person said.
func (x *world) resolutions(q plan.Question, k *maker) {
	b := plan.Body{Path: q.Path, Node: q.Node, Place: x.h.At(q.Path), Mode: plan.Reconcile}
	k.add("resolve", func() error {
		s, _, _ := x.m.at(q.Path)
		v := s.visit
		var end plan.Ending
		switch v.answer {
		case `"done"`:
			end = plan.Ending{Happened: plan.Yes, Patch: x.patch(q.Node, q.Path)}
		case `"run"`:
			end.Happened = plan.No
		default:
			b.Mode, end = plan.Run, plan.Ending{Final: true, Err: &journal.Error{Code: "person"}}
		}
		f := x.judge(b, end, x.now, 0.5)
		switch v.answer {
		case `"done"`:
			x.m.done(q.Path)
		case `"run"`:
			v.row, v.lost = nil, 0 // a person knows about the crashes
			v.clear()
		default:
			x.m.fail(q.Path, "person")
		}
		return x.add(f)
	})
}

func (v *visit) clear() {
	v.doubt, v.opened, v.answer, v.asked, v.until = false, false, "", 0, 0
}

// findings are what Reconcile may find.
func (x *world) findings(b plan.Body, k *maker) {
	k.add("happened", func() error {
		f := x.judge(b, plan.Ending{Happened: plan.Yes, Patch: x.patch(b.Node, b.Path)}, x.now, 0.5)
		x.m.done(b.Path)
		return x.add(f)
	})
	k.add("did not happen", func() error {
		s, _, _ := x.m.at(b.Path)
		v := s.visit
		f := x.judge(b, plan.Ending{Happened: plan.No}, x.now, 0.5)
		switch {
		case len(v.row) >= plan.CrashLimit:
			x.m.fail(b.Path, "crash_limit")
		case v.lost >= plan.CrashLimit:
			x.m.fail(b.Path, "step_timeout")
		default:
			v.clear()
		}
		return x.add(f)
	})
	k.add("asking fails", func() error {
		s, _, _ := x.m.at(b.Path)
		v := s.visit
		v.asked++
		v.until = x.now + (2 * time.Second << (v.asked - 1)).Microseconds()
		return x.add(x.judge(b, plan.Ending{Err: &journal.Error{Code: "away"}}, x.now, 0.5))
	})
}
