package plan_test

import (
	"fmt"
	"maps"
	"slices"

	"github.com/durable-go/durable/internal/tree"
)

// model is an interpreter of trees that knows no journal: sequences that stand at
// a node, as a program with threads would have it. It says what the plan must be,
// so it is the oracle of the random and the exhaustive tests. It is written apart
// from the planner on purpose: it runs forwards and forgets what is over, the
// planner derives.
type model struct {
	root   *thread
	state  state
	end    string // cancelled
	fails  int    // visits that failed
	serial int    // visits that began
}

// state is what bodies change: how often a path has succeeded, by path.
type state map[string]string

// thread is a sequence and where it stands.
type thread struct {
	at    string
	nodes []*tree.Node
	i     int
	cur   *stand // nil: at its end
	jumps int
}

// stand is a node at which a thread stands.
type stand struct {
	n     *tree.Node
	path  string
	done  bool
	fail  string // the code of its failure
	order int    // of the failure

	visit *visit  // step, decision
	body  *thread // sequence; the case of a branch; the pass of a loop
	pass  int
	begun bool    // parallel, each: the ways are known
	ways  []*lane // parallel, each
	wait  string  // a wait node: "", "open", or how it ended
}

// lane is a lane of a block, or an item.
type lane struct {
	thread
	key    string
	state  state
	begun  bool
	closed bool
	code   string // closed: of its failure
}

// visit is a visit of a body.
type visit struct {
	serial   int
	attempt  int // of the body that runs or ran
	failures int
	died     int
	row      []int64 // epochs of crashes in a row
	until    int64
	running  bool
	epoch    int64  // that it runs in
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
	m := &model{state: state{}}
	m.root = m.thread("", w.Root.Body)
	m.settle()
	return m
}

func (m *model) thread(at string, nodes []*tree.Node) *thread {
	t := &thread{at: at, nodes: nodes}
	m.enter(t, 0)
	return t
}

// enter lets a thread stand at its node i.
func (m *model) enter(t *thread, i int) {
	t.i, t.cur = i, nil
	if i == len(t.nodes) {
		return
	}
	n := t.nodes[i]
	t.cur = &stand{n: n, path: n.Name}
	if t.at != "" {
		t.cur.path = t.at + "/" + n.Name
	}
	switch n.Kind {
	case tree.Step, tree.Decision:
		m.serial++
		t.cur.visit = &visit{serial: m.serial}
	case tree.Sequence:
		t.cur.body = m.thread(t.cur.path, n.Body)
	}
}

// settle lets all threads go on to where somebody has to do something.
func (m *model) settle() { m.goOn(m.root) }

func (m *model) goOn(t *thread) {
	for t.cur != nil {
		s := t.cur
		for _, w := range s.ways {
			m.goOn(&w.thread)
		}
		if s.body != nil {
			m.goOn(s.body)
			if s.body.cur == nil {
				s.body = nil
				s.pass++
				s.done = s.n.Kind != tree.Loop
			}
		}
		if !s.done {
			return
		}
		m.enter(t, t.i+1)
	}
}

// at finds what stands at a path: with its thread and the state that it changes.
// Something happens there, so the ways that lead to it have begun; and the states that may change are no longer those of
// other models.
func (m *model) at(path string) (s *stand, t *thread, st state) {
	m.state = maps.Clone(m.state)
	m.root.own(path)
	return m.root.find(path, m.state)
}

func (t *thread) own(path string) {
	s := t.cur
	if s == nil {
		return
	}
	if s.body != nil {
		s.body.own(path)
		return
	}
	for _, w := range s.ways {
		if w.leads(path) {
			w.state = maps.Clone(w.state)
			w.own(path)
		}
	}
}

// leads tells whether a path goes by way of a lane or item.
func (w *lane) leads(path string) bool {
	return len(path) > len(w.at) && path[len(w.at)] == '/' && path[:len(w.at)] == w.at
}

func (t *thread) find(path string, st state) (*stand, *thread, state) {
	s := t.cur
	switch {
	case s == nil:
		return nil, nil, nil
	case s.path == path:
		return s, t, st
	case s.body != nil:
		return s.body.find(path, st)
	}
	for _, w := range s.ways {
		if !w.leads(path) {
			continue
		}
		s, t, st := w.find(path, w.state)
		if s != nil {
			w.begun = true
		}
		return s, t, st
	}
	return nil, nil, nil
}

// way finds an open lane or item by its path.
func (t *thread) way(path string) *lane {
	s := t.cur
	if s == nil {
		return nil
	}
	if s.body != nil {
		return s.body.way(path)
	}
	for _, w := range s.ways {
		if w.at == path {
			return w
		}
		if x := w.way(path); x != nil && !w.closed {
			return x
		}
	}
	return nil
}

// failure is the first failure that a thread has not got over: its code and order.
func (t *thread) failure() (code string, order int) {
	s := t.cur
	if s == nil {
		return "", 0
	}
	code, order = s.fail, s.order
	if s.body != nil {
		return s.body.failure()
	}
	for _, w := range s.ways {
		if c, o := w.failure(); o != 0 && !w.closed && !s.n.Settle && (order == 0 || o < order) {
			code, order = c, o
		}
	}
	return code, order
}

// want is the plan that must be, as lines in any order.
func (m *model) want() []string {
	if m.end != "" {
		return []string{m.end}
	}
	if m.root.cur == nil {
		return []string{"completed"}
	}
	if code, order := m.root.failure(); order != 0 {
		return []string{"failed " + code}
	}
	return m.root.want(m.state)
}

func (t *thread) want(st state) []string {
	s := t.cur
	switch {
	case s == nil:
		return nil
	case s.body != nil:
		return s.body.want(st)
	case s.visit != nil:
		return []string{s.visit.want(s)}
	case s.begun:
		return s.block(st)
	}
	switch s.n.Kind {
	case tree.Loop:
		return []string{fmt.Sprintf("ask %s pass %d", s.path, s.pass)}
	case tree.Parallel:
		return []string{"fact answered " + s.path}
	case tree.Input, tree.Event, tree.Pause, tree.Child:
		switch s.wait {
		case "":
		case "open":
			return []string{"wait " + s.path + " " + callOf(s.n)}
		default:
			return []string{"end " + s.path + " " + s.wait}
		}
	}
	return []string{"ask " + s.path}
}

// block is what a parallel block or an each must plan.
func (s *stand) block(st state) (lines []string) {
	room, open := 1<<30, false
	if s.n.Concurrency > 0 {
		room = s.n.Concurrency
		for _, w := range s.ways {
			if w.begun && !w.closed {
				room--
			}
		}
	}
	for _, w := range s.ways {
		if w.closed {
			continue
		}
		open = true
		if !w.begun {
			if room == 0 {
				continue
			}
			room--
		}
		if code, order := w.failure(); order != 0 {
			lines = append(lines, "close "+w.at+" "+code)
		} else if w.cur == nil {
			lines = append(lines, "close "+w.at)
		} else {
			lines = append(lines, w.want(w.state)...)
		}
	}
	switch {
	case open:
	case s.n.Joins:
		lines = append(lines, "join "+s.path+s.outcomes())
	case s.n.Kind == tree.Parallel && s.merged(st) == nil:
		lines = append(lines, "fact failed "+s.path+" merge_conflict")
	default:
		lines = append(lines, "fact done "+s.path)
	}
	return lines
}

func (s *stand) outcomes() (text string) {
	for _, w := range s.ways {
		text += " " + w.key + "=" + fmt.Sprint(map[string]string(w.state))
		if w.code != "" {
			text += " " + w.code
		}
	}
	return text
}

// merged is the state after the lanes, nil if they do not agree.
func (s *stand) merged(before state) state {
	after := maps.Clone(before)
	by := make(map[string]string) // what some lane made of a member
	for _, w := range s.ways {
		for key, v := range w.state {
			if before[key] == v {
				continue
			}
			if other, also := by[key]; also && other != v {
				return nil
			}
			by[key], after[key] = v, v
		}
	}
	return after
}

func callOf(n *tree.Node) string {
	return map[tree.Kind]string{tree.Input: "input", tree.Event: "event", tree.Pause: "sleep", tree.Child: "call"}[n.Kind] + ":x#1"
}

func (v *visit) want(s *stand) string {
	switch {
	case v.running:
		return fmt.Sprintf("running %s attempt %d", s.path, v.attempt)
	case v.wait != "":
		return "wait " + s.path + " " + v.wait
	case !v.doubt || !s.n.AtMostOnce:
		return fmt.Sprintf("run %s attempt %d from %d", s.path, v.failures+v.died+1, v.until)
	case s.n.Reconciles && v.asked < 5:
		return fmt.Sprintf("reconcile %s from %d", s.path, v.until)
	case v.answer != "":
		return "resolve " + s.path + " " + v.answer
	case v.opened:
		return "wait " + s.path + " input:in_doubt#1"
	}
	return "open " + s.path + " input:in_doubt#1"
}

// each calls fn for all that stands somewhere, with the state there.
func (t *thread) each(st state, fn func(s *stand, st state)) {
	if t.cur == nil {
		return
	}
	fn(t.cur, st)
	if t.cur.body != nil {
		t.cur.body.each(st, fn)
	}
	for _, w := range t.cur.ways {
		if !w.closed {
			w.each(w.state, fn)
		}
	}
}

// record keeps what a call came to.
func (v *visit) record(call, text string) {
	if v.calls == nil {
		v.calls = make(map[string]string)
	}
	v.calls[call] = text
}

// clone is a copy that shares states, which are copied to be changed.
func (m *model) clone() *model {
	c := *m
	c.root = m.root.clone()
	return &c
}

func (t *thread) clone() *thread {
	if t == nil {
		return nil
	}
	c := *t
	if t.cur == nil {
		return &c
	}
	s := *t.cur
	c.cur = &s
	s.body = s.body.clone()
	s.ways = slices.Clone(s.ways)
	for i, w := range s.ways {
		if w.closed { // nothing of it changes any more
			continue
		}
		x := *w
		x.thread = *w.clone()
		s.ways[i] = &x
	}
	if s.visit != nil {
		v := *s.visit
		v.calls = maps.Clone(v.calls)
		s.visit = &v
	}
	return &c
}
