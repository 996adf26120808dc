package sim

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// body is user code that runs: the interpreter of a script, one event at a
// time, or the answer to a question.
type body struct {
	p      *process
	v      *run.Visit
	w      *work
	place  *place
	script *script
	who    store.Incarnation

	pc       int
	counts   map[string]int
	values   map[string]string
	key      string // of the call whose reply is outstanding
	wake     uint64 // what a pending event must still find
	stopped  error  // why its context has ended
	tired    bool   // its own timeout has ended its context
	brisk    bool   // of a mutant
	begun    bool
	over     bool
	logs     int
	spawned  store.ID     // the last child
	gathered []plan.Way   // the items of a spread Each
	ending   *plan.Ending // with which it ends once its transaction has landed
}

func newBody(p *process, v *run.Visit) *body {
	w := p.s.work(v.Execution)
	b := &body{p: p, v: v, w: w, place: w.place(v.Path), who: p.who, counts: make(map[string]int), values: make(map[string]string)}
	if v.Mode == plan.Undo {
		b.script = w.undoScript(v.Path, v.Node)
	} else if v.Node.Kind.Acts() && v.Question == nil || v.Node.Kind == tree.Step {
		b.script = w.script(v.Path, v.Node)
	}
	return b
}

// after schedules fn unless the body is over, or something else has woken it.
func (b *body) after(d time.Duration, fn func()) {
	b.wake++
	wake := b.wake
	b.p.s.at(b.p, d, func() {
		if !b.over && b.wake == wake {
			fn()
		}
	})
}

func (b *body) begin() {
	b.begun = true
	switch {
	case b.v.Question != nil:
		d := b.p.s.between(0, 20*time.Millisecond)
		if b.p.s.chance(0.1) {
			d += 100 * time.Millisecond
		}
		b.after(d, b.answer)
	case b.v.Mode == plan.Reconcile:
		b.after(b.p.s.between(0, 200*time.Millisecond), b.reconcile)
	default:
		if t := b.v.Node.Timeout; t > 0 && b.v.Mode == plan.Run {
			b.p.s.at(b.p, t, b.tire)
		}
		if b.stopped != nil && !b.script.deaf {
			b.react()
			return
		}
		if b.v.Mode == plan.Undo {
			b.prepare()
			return
		}
		b.step()
	}
}

// stop ends the body's context. Sooner or later it returns.
func (b *body) stop(cause error) {
	if b.stopped != nil || b.over {
		return
	}
	b.stopped = cause
	if b.p.s.Mutant.Brisk && b.begun && acts(b.v) && b.key == "" {
		b.brisk = true
		b.p.s.at(b.p, 0, func() { b.p.w.Returned(b.v, plan.Ending{Err: &journal.Error{Code: "error"}}, false, b.p.local()) })
	}
	b.p.s.logf("%s stops %s of %s: %v", b.p.name, b.v.Path, b.w, cause)
	if b.begun && b.v.Question == nil && acts(b.v) && b.key == "" && !b.script.deaf {
		b.react()
	}
}

func (b *body) react() {
	if b.script.stubs > second {
		b.p.s.mark("body ignores the end of its context")
	}
	b.after(b.script.stubs+b.p.s.between(0, 20*time.Millisecond), func() {
		cause := b.stopped
		b.finish(plan.Ending{Err: &journal.Error{Code: "error", Path: b.v.Path, Attempt: b.v.Attempt, Message: cause.Error()}}, false)
	})
}

// step goes on with the script until it must wait for something.
func (b *body) step() {
	s := b.p.s
	for ; b.pc < len(b.script.ops); b.pc++ {
		o := b.script.ops[b.pc]
		switch o.kind {
		case opWork:
			b.pc++
			b.after(o.dur, b.step)
			return
		case opLog:
			b.logs++
			b.p.w.Log(b.v, store.Log{Path: b.v.Path, Attempt: b.v.Attempt, N: b.logs, Text: "a line"}, b.p.local())
		case opDie:
			if b.place.died < b.script.deaths {
				b.pc++
				b.after(o.dur, func() {
					if b.place.died < b.script.deaths {
						b.place.died++
						s.crash(b.p)
						return
					}
					b.step()
				})
				return
			}
		default:
			if b.call(o) {
				return
			}
		}
	}
	b.end()
}

// call makes a durable call; true means that its reply is outstanding.
func (b *body) call(o op) (waits bool) {
	key := o.key(b.counts)
	if c := b.v.Calls[key]; c != nil {
		b.keep(key, c)
		return false
	}
	b.key = key
	req := &run.CallRequest{Key: key}
	switch o.kind {
	case opDo, opBroke:
		b.judgeDo(key)
		b.place.runs[key]++
		if o.kind == opBroke && b.place.runs[key] == 1 {
			req.Err = &journal.Error{Code: "error", Message: "the function failed"}
		} else {
			req.Data = []byte(strconv.Itoa(b.w.n*1000 + b.place.runs[key]))
		}
	case opEvent:
		req.Wait = &journal.Wait{Kind: "event", Name: o.name, Topic: "event:" + o.name}
		req.Wait.Shared = published(req.Wait.Topic)
		b.w.watched(b.v.Path, req, b.v.Node)
		req.Timed, req.For = o.timed, o.dur
		if o.has {
			req.Wait.HasValue, req.Wait.Default = true, []byte(`"default"`)
		}
	case opSleep:
		req.Wait = &journal.Wait{Kind: "sleep"}
		req.Timed, req.For = true, o.dur
		if o.fixed {
			req.At = b.p.s.clock().Add(o.dur)
		}
	case opCall:
		req.Timed, req.For = o.timed, o.dur
		b.callKid(req)
		b.place.topics[key] = req.Wait.Topic
		if o.has {
			req.Wait.HasValue, req.Wait.Default = true, []byte(`"default"`)
		}
	case opSpawn:
		req.Child = b.newKid(key, o.fixed)
		req.Data = []byte(`{"id":"` + req.Child.ID.String() + `"}`)
	case opAwait:
		req.Timed, req.For = o.timed, o.dur
		b.await(o, req)
		return true
	}
	b.ask(o, req)
	return true
}

// ask makes a durable call.
func (b *body) ask(o op, req *run.CallRequest) {
	key := req.Key
	if req.Timed && b.v.Epoch == b.w.epoch {
		b.place.wanted[key] = b.p.s.now + o.dur
	}
	b.p.s.logf("%s: %s of %s calls %s", b.p.name, b.v.Path, b.w, key)
	b.p.w.Call(b.v, req, b.p.local())
}

// answered takes the reply to a call.
func (b *body) answered(r run.CallReply) {
	if b.ending != nil {
		b.openTx(r)
		return
	}
	b.judgeReply(r)
	b.p.s.at(b.p, b.p.s.between(0, time.Millisecond), func() {
		if b.over {
			return
		}
		key := b.key
		b.key = ""
		switch {
		case r.Suspend:
			b.finish(plan.Ending{}, true)
		case r.Err != nil:
			err := r.Err
			if b.stopped != nil {
				err = b.stopped
			}
			b.finish(plan.Ending{Err: &journal.Error{Code: "error", Path: b.v.Path, Message: err.Error()}}, false)
		case b.stopped != nil && !b.script.deaf:
			b.react()
		default:
			b.keep(key, r.Call)
			b.pc++
			b.step()
		}
	})
}

// end is the end of the script.
func (b *body) end() {
	sc := b.script
	if b.misreads() {
		b.finish(plan.Ending{Block: "scripted"}, false)
		return
	}
	failure := &journal.Error{Code: "error", Path: b.v.Path, Attempt: b.v.Attempt, Message: "scripted"}
	switch {
	case sc.cancels:
		b.finish(plan.Ending{Cancel: true, Err: &journal.Error{Code: "cancelled", Path: b.v.Path, Message: "scripted"}}, false)
	case b.place.snoozed < sc.snoozes:
		b.place.snoozed++
		b.finish(plan.Ending{Snooze: true, After: sc.after}, false)
	case b.v.Failures < sc.fails:
		b.finish(plan.Ending{Err: failure, Final: sc.final, After: sc.after, HasWait: sc.after > 0}, false)
	default:
		b.place.effects++
		end := plan.Ending{Answer: b.choice(), Patch: b.patch(sc.entry(b.v.Path, func(key string) string { return b.values[key] }))}
		if b.transacts() {
			b.place.transacts = true
			b.beginTx(end)
			return
		}
		b.finish(end, false)
	}
}

// choice is where a decision goes.
func (b *body) choice() *journal.Answer {
	if b.v.Node.Kind != tree.Decision {
		return nil
	}
	return b.w.choice(b.v.Path, b.v.Node, tree.Siblings(b.w.definition(b.p), b.v.Path), b.w.choices[b.v.Path])
}

// misreads tells whether the code of this process cannot read what is recorded:
// some of an old deploy cannot.
func (b *body) misreads() bool {
	return b.p.variant == minus && hash(b.w.salt, "misreads", b.v.Path)%8 == 0
}

// state is what flows through the simulated workflows.
type state struct {
	Run int      `json:"run"`
	Log []string `json:"log"`
}

func (b *body) patch(entry string) []byte {
	var st state
	if err := json.Unmarshal(b.v.State, &st); err != nil {
		b.p.s.fail("state", "%s at %s: %v", b.w, b.v.Path, err)
	}
	st.Log = append(st.Log, entry)
	after, err := json.Marshal(st)
	if err != nil {
		panic(err)
	}
	return journal.Diff(b.v.State, after)
}

func (b *body) reconcile() {
	switch {
	case b.place.asked < b.script.unsure:
		b.place.asked++
		b.finish(plan.Ending{Err: &journal.Error{Code: "error", Message: "the outside does not answer"}}, false)
	case b.place.effects > 0:
		b.finish(plan.Ending{Happened: plan.Yes, Patch: b.patch(b.v.Path + "=reconciled")}, false)
	default:
		b.finish(plan.Ending{Happened: plan.No}, false)
	}
}

// finish ends the body's goroutine.
func (b *body) finish(end plan.Ending, suspended bool) {
	b.over = true
	if b.v.Epoch == b.w.epoch {
		b.w.changed()
	}
	b.p.bodies = slices.DeleteFunc(b.p.bodies, func(x *body) bool { return x == b })
	if b.tired && !suspended {
		end = plan.Ending{Timeout: true, Err: stepTimeout(b.v)}
	}
	b.p.s.logf("%s: %s of %s returns, suspended=%v err=%v", b.p.name, b.v.Path, b.w, suspended, end.Err)
	if b.tired && b.p.s.Mutant.Hasty || b.brisk {
		return
	}
	b.p.w.Returned(b.v, end, suspended, b.p.local())
}

func stepTimeout(v *run.Visit) *journal.Error {
	return &journal.Error{Code: "step_timeout", Path: v.Path, Attempt: v.Attempt, Message: "scripted"}
}

// answer answers a question.
func (b *body) answer() {
	if q := b.v.Question; q.Join && q.Spread != nil && len(b.gathered) < q.Spread.Count {
		b.gather(q, 0)
		return
	}
	b.over = true
	if b.v.Epoch == b.w.epoch {
		b.w.changed()
	}
	b.p.bodies = slices.DeleteFunc(b.p.bodies, func(x *body) bool { return x == b })
	var (
		q = b.v.Question
		a run.Answered
	)
	if b.misreads() {
		a.Block = "scripted"
	} else if q.InDoubt != nil {
		end := verdictOf(q.InDoubt, b.patch(b.v.Path+"=human"))
		a.Ending = &end
	} else {
		var st state
		if err := json.Unmarshal(b.v.State, &st); err != nil {
			b.p.s.fail("state", "%s at %s: %v", b.w, b.v.Path, err)
		}
		if special, ok := b.laneAnswer(q, st); ok {
			a = special
		} else if answer, broken := b.w.answer(b.v.Path, q.Node, q.Pass, len(st.Log)); broken {
			a.Err = &journal.Error{Code: q.Node.Kind.String(), Path: b.v.Path, Message: "scripted panic"}
		} else {
			a.Answer = answer
		}
	}
	b.p.s.logf("%s: %s of %s answers", b.p.name, b.v.Path, b.w)
	b.p.w.Answered(b.v, a, b.p.local())
}

// died is called when the process of the body dies.
func (b *body) died() {
	if at := b.w.hist.At(b.v.Path); acts(b.v) && at != nil && at.Open == b.v.Epoch {
		b.place.inARow++
	}
	b.over = true
}
