package sim

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
)

// script is what the body of a step does: calls, then an end. It is the same
// in every attempt.
type script struct {
	ops     []op
	fails   int           // so many failed attempts, then success
	final   bool          // the failure is permanent
	after   time.Duration // the failures say RetryAfter
	snoozes int
	deaths  int // so often it kills its process
	cancels bool
	stubs   time.Duration // ignores the end of its context for so long
	deaf    bool          // ignores the end of its context altogether
	unsure  int           // so often Reconcile fails
}

type opKind uint8

const (
	opDo    opKind = iota
	opBroke        // a Do whose function fails the first time
	opEvent
	opSleep
	opWork
	opLog
	opDie
	opCall
	opSpawn
	opAwait
)

type op struct {
	kind  opKind
	name  string
	dur   time.Duration
	timed bool
	fixed bool // a sleep until a point in time; a child that is detached
	has   bool // a default value
}

// newScript makes the script of one place of one run.
func newScript(salt uint64, n *tree.Node, calm bool) *script {
	r := rand.New(rand.NewPCG(salt, 0x5c21b7))
	one := func(in int) bool { return r.IntN(in) == 0 }
	ms := func(n int) time.Duration { return time.Duration(r.IntN(n)) * time.Millisecond }
	s := &script{}
	for range r.IntN(4) {
		s.ops = append(s.ops, newOp(r, n.AtMostOnce))
	}
	s.deaf = one(12)
	if one(5) {
		s.stubs = ms(4000)
		if one(8) {
			s.stubs = 15 * second
		}
	}
	switch {
	case n.AtMostOnce:
		if one(12) {
			s.fails, s.final = 1, one(2)
		}
		s.unsure = max(0, r.IntN(10)-6)
	case n.Retry != nil && one(2):
		s.fails, s.final = 1+r.IntN(3), one(8)
		if one(4) {
			s.after = ms(3000)
		}
	case n.Retry == nil && one(20):
		s.fails = 1
	case one(8):
		s.snoozes, s.after = 1+r.IntN(3), ms(3000)
	case one(40):
		s.cancels = true
	case one(80):
		s.ops, s.snoozes, s.after = nil, 140, 5*time.Millisecond // two rows each: a snapshot comes
	}
	if one(10) && !calm {
		s.deaths = 1 + r.IntN(3)
		if one(3) {
			s.deaths = 6
		}
		s.ops = append(s.ops, op{kind: opDie, dur: ms(300)})
	}
	return s
}

func newOp(r *rand.Rand, once bool) op {
	o := op{dur: time.Duration(r.IntN(300)) * time.Millisecond}
	switch k := r.IntN(12); {
	case k < 3:
		o.kind, o.name = opDo, string(rune('x'+r.IntN(2)))
	case k < 4:
		o.kind, o.name = opBroke, "y"
	case k < 6 && !once:
		o.kind, o.name = opEvent, string(rune('a'+r.IntN(2)))
		o.timed = r.IntN(3) > 0
		o.has = o.timed && r.IntN(2) == 0
		o.dur = time.Duration(r.IntN(8000)-500) * time.Millisecond
	case k < 8 && !once:
		o.kind, o.fixed = opSleep, r.IntN(3) == 0
		o.dur = time.Duration(r.IntN(6000)-300) * time.Millisecond
	case k < 9:
		o.kind = opLog
	default:
		o.kind = opWork
		if r.IntN(12) == 0 {
			o.dur += 12 * second
		}
	}
	return o
}

// key is the name of the op's call, "" if it makes none. counts is of this
// walk through the script.
func (o op) key(counts map[string]int) string {
	k := ""
	switch o.kind {
	case opDo, opBroke:
		k = "do:" + o.name
	case opEvent:
		k = "event:" + o.name
	case opSleep:
		k = "sleep:"
	case opCall:
		k = "call:" + o.name
	case opSpawn:
		k = "spawn:" + o.name
	case opAwait:
		k = "await:" + o.name
	default:
		return ""
	}
	counts[k]++
	return k + "#" + strconv.Itoa(counts[k])
}

// topicOf is the topic of messages that end a call, "" if none does.
func topicOf(key string) string {
	if rest, ok := strings.CutPrefix(key, "event:"); ok {
		return "event:" + rest[:strings.LastIndexByte(rest, '#')]
	}
	return ""
}

// entry is what a successful body adds to the state: its path, and what its
// calls returned.
func (s *script) entry(path string, value func(key string) string) string {
	var parts []string
	counts := make(map[string]int)
	for _, o := range s.ops {
		if key := o.key(counts); key != "" && o.kind != opSleep {
			parts = append(parts, value(key))
		}
	}
	return path + "=" + strings.Join(parts, ",")
}

// outcome is what a recorded call returns to the body, as text.
func outcome(c *journal.Call) string {
	switch {
	case c.State == journal.Broken:
		return "broken"
	case c.State == journal.TimedOut && !c.Has:
		return "timeout"
	case c.State == journal.Withdrawn:
		return "withdrawn"
	}
	return brief(c.Data)
}

// answer is what the user's function says to a question of the plan. entries is
// the length of the state's log: questions look at the state and nothing else.
func (w *work) answer(path string, n *tree.Node, pass, entries int) (a *journal.Answer, broken bool) {
	h := hash(w.salt, "question", path, strconv.Itoa(pass), strconv.Itoa(entries))
	if h%60 == 0 {
		return nil, true
	}
	h /= 60
	switch n.Kind {
	case tree.Branch:
		i := int(h % uint64(len(n.Cases)+1))
		switch {
		case i < len(n.Cases):
			return &journal.Answer{Way: journal.WayCase, Case: n.Cases[i].Key}, false
		case n.Else:
			return &journal.Answer{Way: journal.WayDefault}, false
		}
		return &journal.Answer{Way: journal.WayNone}, false
	case tree.Loop:
		if h%4 > 0 {
			return &journal.Answer{Way: journal.WayAgain, Pass: pass}, false
		}
		return &journal.Answer{Way: journal.WayLeave, Pass: pass}, false
	}
	panic("sim: a question at a " + n.Kind.String())
}

// verdict is a person's answer about a body in doubt.
func verdictOf(data []byte, patch []byte) plan.Ending {
	switch string(data) {
	case `"done"`:
		return plan.Ending{Happened: plan.Yes, Patch: patch}
	case `"run"`:
		return plan.Ending{Happened: plan.No}
	}
	return plan.Ending{Err: &journal.Error{Code: "error", Message: "a person says that it failed"}, Final: true}
}
