package plan_test

import (
	"maps"
	"slices"
	"strconv"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
)

// What happens, as the model takes it.

// answered goes the way of an answer.
func (m *model) answered(path string, a journal.Answer) {
	s, _, st := m.at(path)
	switch a.Way {
	case journal.WayCase:
		for _, c := range s.n.Cases {
			if c.Key == a.Case {
				s.body = m.thread(path+"["+c.Key+"]", c.Body)
			}
		}
	case journal.WayDefault:
		s.body = m.thread(path+"[*]", s.n.Default)
	case journal.WayAgain:
		s.body = m.thread(path+"["+strconv.Itoa(s.pass)+"]", s.n.Body)
	case journal.WayLanes:
		s.begun = true
		for _, c := range s.n.Cases {
			s.ways = append(s.ways, m.way(path, c.Key, c.Body, maps.Clone(st)))
		}
	case journal.WayItems:
		s.begun = true
		for i := range a.Items {
			s.ways = append(s.ways, m.way(path, strconv.Itoa(i), s.n.Body, state{"item": strconv.Itoa(i)}))
		}
	default:
		s.done = true
	}
	m.settle()
}

func (m *model) way(path, key string, nodes []*tree.Node, st state) *lane {
	return &lane{thread: *m.thread(path+"["+key+"]", nodes), key: key, state: st}
}

// closed takes the end of a lane or item.
func (m *model) closed(path string) {
	w := m.root.way(path)
	w.code, _ = w.failure()
	w.begun, w.closed = true, true
	w.cur = nil
}

// joined takes the end of a block.
func (m *model) joined(path string) {
	s, _, st := m.at(path)
	switch {
	case s.n.Joins:
		st[path] = next(st[path])
	case s.n.Kind == tree.Parallel:
		maps.Copy(st, s.merged(st))
	}
	s.done, s.ways = true, nil
	m.settle()
}

// value is what a body at a path that succeeds makes of which member. Those whose
// names begin with c all change one member, those with cc to the same value.
func value(n *tree.Node, path string, st state) (key, v string) {
	switch {
	case len(n.Name) > 1 && n.Name[:2] == "cc":
		return "c", "same"
	case n.Name[0] == 'c':
		return "c", path
	}
	return path, next(st[path])
}

func next(count string) string {
	n, _ := strconv.Atoi(count)
	return strconv.Itoa(n + 1)
}

// done takes the success of a body, or of a wait node.
func (m *model) done(path string) {
	s, _, st := m.at(path)
	key, v := value(s.n, path, st)
	st[key] = v
	s.done = true
	m.settle()
}

// decided takes the success of a decision that goes to a node beside it.
func (m *model) decided(path, target string) {
	s, t, st := m.at(path)
	to := slices.IndexFunc(t.nodes, func(n *tree.Node) bool { return n.Name == target })
	if to < 0 || to == t.i {
		m.fail(path, "decision")
		return
	}
	key, v := value(s.n, path, st)
	st[key] = v
	if to < t.i {
		t.jumps++
	}
	m.enter(t, to)
	m.settle()
}

func (m *model) fail(path, code string) {
	s, _, _ := m.at(path)
	m.fails++
	s.fail, s.order = code, m.fails
	if s.visit != nil {
		s.visit.running = false
	}
}

// ended takes the failure or the snooze of a running body.
func (m *model) ended(path string, end plan.Ending, now int64) {
	s, _, _ := m.at(path)
	v := s.visit
	v.running = false
	switch {
	case end.Snooze:
		v.until, v.row = now+end.After.Microseconds(), nil
	case s.n.AtMostOnce && end.Timeout:
		v.doubt, v.until = true, 0
		v.lost++
	case end.Final || s.n.Retry == nil || v.failures+1 >= s.n.Retry.MaxAttempts:
		m.fail(path, end.Err.Code)
	default:
		v.failures++
		v.row, v.until = nil, now+1
		for key, value := range v.calls {
			if value == "error" {
				delete(v.calls, key)
			}
		}
	}
}

// crashed takes the death of the process while the body ran.
func (m *model) crashed(path string, until int64) {
	s, _, _ := m.at(path)
	v := s.visit
	v.running = false
	if len(v.row)+1 >= plan.CrashLimit && !s.n.AtMostOnce {
		m.fail(path, "crash_limit")
		return
	}
	v.died++
	v.row = append(slices.Clip(v.row), v.epoch)
	v.doubt, v.until = s.n.AtMostOnce, until
}

// reported takes a late report that a body did not crash.
func (m *model) reported(path string, epoch int64) {
	s, _, _ := m.root.find(path, m.state)
	if s == nil || s.visit == nil || s.fail != "" {
		return
	}
	if i := slices.Index(s.visit.row, epoch); i >= 0 {
		s.visit.row = slices.Delete(slices.Clone(s.visit.row), i, i+1)
		s.visit.died--
	}
}
