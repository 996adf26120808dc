package plan_test

import (
	"fmt"
	"strconv"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
)

// model is an interpreter of trees that knows no journal: a stack of places,
// as a program would have it. It says what the plan must be, so it is the
// oracle of the random and the exhaustive tests. It is written apart from the
// planner on purpose: it runs forwards, the planner derives.
type model struct {
	stack []frame
	end   string // how the run ended, "" while it goes on
	ask   *question
	visit *visit
	log   []string // paths of the bodies that succeeded: the state
}

type frame struct {
	nodes []*tree.Node
	i     int
	at    string
	loop  *tree.Node // the frame is a pass of it
	path  string     // of the loop
	pass  int
}

type question struct {
	path string
	node *tree.Node
	pass int
}

// visit is the body that the run stands at.
type visit struct {
	path     string
	node     *tree.Node
	attempt  int // of the body that runs or ran
	failures int
	died     int
	row      int // crashes in a row
	until    int64
	running  bool
	wait     string // the call of the open wait
	lost     int    // timeouts that left it in doubt
	doubt    bool
	asked    int
	opened   bool   // the person has been asked
	answer   string // what the person said
	calls    map[string]string
	key      int
}

func newModel(w *tree.Workflow) *model {
	m := &model{stack: []frame{{nodes: w.Root.Body}}}
	m.settle()
	return m
}

// settle goes on to the next place that needs somebody to do something.
func (m *model) settle() {
	m.ask, m.visit = nil, nil
	for {
		if len(m.stack) == 0 {
			m.end = "completed"
			return
		}
		f := &m.stack[len(m.stack)-1]
		if f.i == len(f.nodes) {
			m.stack = m.stack[:len(m.stack)-1]
			if f.loop != nil {
				m.ask = &question{path: f.path, node: f.loop, pass: f.pass + 1}
				return
			}
			m.next()
			continue
		}
		n := f.nodes[f.i]
		path := n.Name
		if f.at != "" {
			path = f.at + "/" + path
		}
		switch n.Kind {
		case tree.Sequence:
			m.push(frame{nodes: n.Body, at: path})
		case tree.Step:
			m.visit = &visit{path: path, node: n, calls: make(map[string]string)}
			return
		default:
			m.ask = &question{path: path, node: n}
			return
		}
	}
}

func (m *model) push(f frame) { m.stack = append(m.stack, f) }

// next steps past the node that the newest frame stands at.
func (m *model) next() {
	if len(m.stack) > 0 {
		m.stack[len(m.stack)-1].i++
	}
}

// want is the plan that must be, as text.
func (m *model) want() string {
	if m.end != "" {
		return m.end
	}
	if q := m.ask; q != nil {
		if q.node.Kind == tree.Loop {
			return fmt.Sprintf("ask %s pass %d", q.path, q.pass)
		}
		return "ask " + q.path
	}
	v := m.visit
	switch {
	case v.running:
		return fmt.Sprintf("running %s attempt %d", v.path, v.attempt)
	case v.wait != "":
		return "wait " + v.path + " " + v.wait
	case !v.doubt:
		return fmt.Sprintf("run %s attempt %d from %d", v.path, v.failures+v.died+1, v.until)
	case v.node.Reconciles && v.asked < 5:
		return fmt.Sprintf("reconcile %s from %d", v.path, v.until)
	case v.answer != "":
		return "resolve " + v.path + " " + v.answer
	case v.opened:
		return "wait " + v.path + " input:in_doubt#1"
	}
	return "open " + v.path + " input:in_doubt#1"
}

// answered goes the way of an answer.
func (m *model) answered(a journal.Answer) {
	q := m.ask
	switch a.Way {
	case journal.WayCase:
		for _, c := range q.node.Cases {
			if c.Key == a.Case {
				m.push(frame{nodes: c.Body, at: q.path + "[" + c.Key + "]"})
			}
		}
	case journal.WayDefault:
		m.push(frame{nodes: q.node.Default, at: q.path + "[*]"})
	case journal.WayAgain:
		m.push(frame{nodes: q.node.Body, at: q.path + "[" + strconv.Itoa(q.pass) + "]", loop: q.node, path: q.path, pass: q.pass})
	default:
		m.next()
	}
	m.settle()
}

func (m *model) done() {
	m.log = append(m.log, m.visit.path)
	m.next()
	m.settle()
}

func (m *model) fail(code string) {
	m.end, m.ask, m.visit = "failed "+code, nil, nil
}

// ended takes the ending of a running body.
func (m *model) ended(end plan.Ending, now int64) {
	v := m.visit
	v.running = false
	switch {
	case end.Snooze:
		v.until, v.row = now+end.After.Microseconds(), 0
	case end.Err == nil:
		m.done()
	case v.node.AtMostOnce && end.Timeout:
		v.doubt, v.until = true, 0
		v.lost++
	case end.Final || v.node.Retry == nil || v.failures+1 >= v.node.Retry.MaxAttempts:
		m.fail(end.Err.Code)
	default:
		v.failures++
		v.row, v.until = 0, now+1
		for key, value := range v.calls {
			if value == "error" {
				delete(v.calls, key)
			}
		}
	}
}

// crashed takes the death of the process while the body ran.
func (m *model) crashed(until int64) {
	v := m.visit
	v.running = false
	v.died++
	v.row++
	switch {
	case v.node.AtMostOnce:
		v.doubt, v.until = true, until
	case v.row >= plan.CrashLimit:
		m.fail("crash_limit")
	default:
		v.until = until
	}
}
