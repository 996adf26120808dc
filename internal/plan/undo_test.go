package plan_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
)

// saga drives a run of a random tree as an engine would, bodies side by side, until
// it fails or is cancelled, and then its rollback. Beside it stands a list of what
// bodies said, from which follows what is to be undone, and in which order: no tree,
// no journal.
type saga struct {
	engine
	w     *tree.Workflow
	h     *journal.History
	rows  []journal.Row
	epoch int64
	now   int64
	runs  map[string]plan.Body // what runs in this process

	visits []*sagaVisit
	of     map[string]*sagaVisit // the newest of each path
	order  int
	number int
	fails  map[string]int // of undos
	why    string         // code of the error with which it turned back
}

// sagaVisit is one time that a step was gone through.
type sagaVisit struct {
	path  string
	undo  bool
	doing string // "doubt", "done" or "not"
	order int    // when that was said last
	state string // that its undo should see
}

func newSaga(e engine, w *tree.Workflow) *saga {
	s := &saga{engine: e, w: w, h: journal.NewHistory(), epoch: 1, runs: map[string]plan.Body{}, of: map[string]*sagaVisit{}, fails: map[string]int{}}
	if err := s.add(journal.Fact{Kind: journal.Began, Data: []byte(`{}`)}); err != nil {
		panic(err)
	}
	return s
}

func (s *saga) add(f journal.Fact) error {
	s.now += 1000
	f.At = s.now
	r := journal.Row{Seq: len(s.rows) + 1, Epoch: s.epoch, Facts: []journal.Fact{f}}
	s.rows = append(s.rows, r)
	if err := s.h.Apply(r); err != nil {
		return s.wrong("folding: %v", err)
	}
	return nil
}

func (s *saga) wrong(format string, args ...any) error {
	var facts []string
	for _, r := range s.rows {
		for _, f := range r.Facts {
			facts = append(facts, "\t"+spelled(f))
		}
	}
	return fmt.Errorf("%s\ntree %s\nfacts\n%s", fmt.Sprintf(format, args...), sketch(s.w.Root.Body), strings.Join(facts, "\n"))
}

// crash ends the process: another reads what is stored.
func (s *saga) crash() error {
	s.epoch++
	clear(s.runs)
	h, err := s.restore(s.h.Snapshot())
	if err != nil {
		return s.wrong("restoring: %v", err)
	}
	s.h = h
	return nil
}

func (s *saga) said(v *sagaVisit, what string) {
	s.order++
	v.doing, v.order = what, s.order
}

// want is what is to be undone, the last first.
func (s *saga) want() (list []*sagaVisit) {
	for _, v := range s.visits {
		if v.undo && v.doing != "not" {
			list = append(list, v)
		}
	}
	slices.SortFunc(list, func(a, b *sagaVisit) int { return cmp.Compare(b.order, a.order) })
	return list
}

// forward lets one thing happen; false means that nothing more does.
func (s *saga) forward(draw func(n int) int) (bool, error) {
	p := s.eval(s.w, s.h)
	for path := range s.runs {
		if !p.Has(path) {
			delete(s.runs, path)
		}
	}
	switch {
	case p.Outcome == plan.Turning:
		s.why = p.Err.Code
		return false, s.add(journal.Fact{Kind: journal.Turned, Err: p.Err})
	case p.Outcome != plan.Going:
		return false, nil
	case len(p.Facts) > 0:
		return true, s.add(p.Facts[0])
	}
	var opts []func() error
	for _, f := range p.Closes {
		if !s.runsUnder(f.Path) {
			opts = append(opts, func() error { return s.add(f) })
		}
	}
	for _, q := range p.Questions {
		opts = append(opts, func() error { return s.answer(q, draw) })
	}
	for _, w := range p.Waits {
		opts = append(opts, func() error {
			return s.add(journal.Fact{Kind: journal.Received, Path: w.Path, Call: w.Call, Data: []byte(`1`)})
		})
	}
	for _, b := range p.Bodies {
		opts = append(opts, s.body(b, draw))
	}
	if draw(12) == 0 {
		return true, s.crash()
	}
	if draw(60) == 0 {
		return true, s.add(journal.Fact{Kind: journal.Cancelled, Err: &journal.Error{Code: "cancelled"}, Undo: true})
	}
	return true, opts[draw(len(opts))]()
}

func (s *saga) runsUnder(path string) bool {
	for at := range s.runs {
		if strings.HasPrefix(at, path+"/") {
			return true
		}
	}
	return false
}

func (s *saga) answer(q plan.Question, draw func(n int) int) error {
	f := journal.Fact{Kind: journal.Answered, Path: q.Path}
	switch q.Node.Kind {
	case tree.Loop:
		f.Answer = &journal.Answer{Way: journal.WayLeave, Pass: q.Pass}
		if q.Pass < 3 && draw(3) > 0 {
			f.Answer.Way = journal.WayAgain
		}
	case tree.Each:
		n := draw(4)
		f.Answer = &journal.Answer{Way: journal.WayItems, Items: n}
		f.Data = []byte("[" + strings.TrimSuffix(strings.Repeat("{},", n), ",") + "]")
	default:
		return s.wrong("nobody expects a question at %s", q.Path)
	}
	return s.add(f)
}

// body begins what does not run, and ends what does.
func (s *saga) body(b plan.Body, draw func(n int) int) func() error {
	_, mine := s.runs[b.Path]
	switch {
	case b.Place != nil && b.Place.Open != 0 && !mine:
		return func() error { return s.add(s.engine.crash(b, s.now, 0.5)) }
	case !mine:
		return func() error {
			v := s.of[b.Path]
			if b.Place == nil {
				v = &sagaVisit{path: b.Path, undo: b.Node.Undo != nil}
				s.of[b.Path] = v
				s.visits = append(s.visits, v)
			}
			s.said(v, "doubt")
			v.state = string(s.h.StateAt(b.Path))
			s.runs[b.Path] = b
			return s.add(journal.Fact{Kind: journal.Tried, Path: b.Path, Attempt: plan.Attempt(b.Place), Epoch: s.epoch, Undo: b.Marked()})
		}
	}
	return func() error { return s.ends(b, draw(10)) }
}

func (s *saga) ends(b plan.Body, how int) error {
	v := s.of[b.Path]
	delete(s.runs, b.Path)
	end := plan.Ending{}
	switch how {
	case 0:
		end.Err = &journal.Error{Code: "error"}
		s.said(v, "not")
	case 1:
		end.Err = &journal.Error{Code: "step_timeout"}
	case 2:
		end.Snooze, end.After = true, time.Millisecond
	case 3:
		s.number++
		return s.add(journal.Fact{Kind: journal.Waited, Path: b.Path, Call: fmt.Sprint("event:x#", s.number), Wait: &journal.Wait{ID: "w", Kind: "event"}})
	default:
		s.number++
		end.Patch, v.state = s.change(b)
		s.said(v, "done")
		if b.Node.Kind == tree.Decision {
			end.Answer = &journal.Answer{Way: journal.WayNext}
			if how < 7 {
				end.Answer = &journal.Answer{Way: journal.WayGoto, Case: b.Node.Targets[0]}
			}
		}
	}
	f := s.judge(b, end, s.now, 0.5)
	plan.Decide(s.w, s.h, b.Node, &f)
	return s.add(f)
}

// change is a change of the state that no lane has a conflict about.
func (s *saga) change(b plan.Body) (patch []byte, after string) {
	before := s.h.StateAt(b.Path)
	var m map[string]int
	if err := json.Unmarshal(before, &m); err != nil {
		panic(err)
	}
	m[b.Node.Name] = s.number
	raw, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	patch, changed := journal.Change(before, before, raw)
	return patch, string(changed)
}

// back drives the rollback, and compares it with what is wanted.
func (s *saga) back(draw func(n int) int) error {
	want := s.want()
	failed := false
	for {
		p := s.eval(s.w, s.h)
		if p.Outcome != plan.Going {
			return s.ended(p, want, failed)
		}
		if n := len(p.Bodies) + len(p.Waits); n != 1 || len(want) == 0 {
			return s.wrong("%d things are planned, and %d are to be undone", n, len(want))
		}
		if len(p.Waits) > 0 {
			if err := s.add(journal.Fact{Kind: journal.Received, Path: p.Waits[0].Path, Call: p.Waits[0].Call}); err != nil {
				return err
			}
			continue
		}
		b := p.Bodies[0]
		if err := s.right(b, want[0]); err != nil {
			return err
		}
		end, err := s.undo(b, draw)
		if err != nil {
			return err
		}
		if end != "" {
			failed = failed || end == "failed"
			want = want[1:]
		}
	}
}

func (s *saga) right(b plan.Body, v *sagaVisit) error {
	u := s.h.UndoAt(b.Path)
	switch {
	case u == nil || b.Mode != plan.Undo || u.Path != v.path:
		return s.wrong("%s is undone, and it is the turn of %s", b.Path, v.path)
	case u.Done != (v.doing == "done"):
		return s.wrong("%s: done is %v, and it is %s", b.Path, u.Done, v.doing)
	}
	states, err := journal.UndoStates(s.rows, 0, func(n int) bool { return n == u.N })
	if err != nil || string(states[u.N]) != v.state {
		return s.wrong("%s sees %s, %v, and should see %s", b.Path, states[u.N], err, v.state)
	}
	return nil
}

// undo lets one thing happen to a compensation: how it ended, "" if it has not.
func (s *saga) undo(b plan.Body, draw func(n int) int) (string, error) {
	if draw(8) == 0 {
		if err := s.crash(); err != nil {
			return "", err
		}
	}
	_, mine := s.runs[b.Path]
	switch {
	case b.Place != nil && b.Place.Open != 0 && !mine:
		f := s.engine.crash(b, s.now, 0.5)
		return kindOfEnd(f), s.add(f)
	case !mine:
		s.runs[b.Path] = b
		return "", s.add(journal.Fact{Kind: journal.Tried, Path: b.Path, Attempt: plan.Attempt(b.Place), Epoch: s.epoch})
	}
	delete(s.runs, b.Path)
	var end plan.Ending
	switch draw(6) {
	case 0:
		end.Err = &journal.Error{Code: "error"}
		s.fails[b.Path]++
	case 1:
		end.Snooze = true
	case 2:
		s.number++
		return "", s.add(journal.Fact{Kind: journal.Waited, Path: b.Path, Call: fmt.Sprint("event:x#", s.number), Wait: &journal.Wait{ID: "w", Kind: "event"}})
	}
	f := s.judge(b, end, s.now, 0.5)
	if end.Err != nil && (f.Kind == journal.Failed) != (s.fails[b.Path] >= b.Node.Undo.MaxAttempts) {
		return "", s.wrong("%s failed %d times of %d, and that is %s", b.Path, s.fails[b.Path], b.Node.Undo.MaxAttempts, f.Kind)
	}
	return kindOfEnd(f), s.add(f)
}

func kindOfEnd(f journal.Fact) string {
	if f.Kind == journal.Done || f.Kind == journal.Failed {
		return f.Kind.String()
	}
	return ""
}

func (s *saga) ended(p plan.Plan, want []*sagaVisit, failed bool) error {
	outcome := plan.Compensated
	if failed {
		outcome = plan.CompensationFailed
	}
	switch {
	case len(want) > 0:
		return s.wrong("it has ended, and %s is not undone", want[0].path)
	case p.Outcome != outcome || p.Err == nil || p.Err.Code != s.why:
		return s.wrong("it ended with outcome %d and %+v, want %d and code %s", p.Outcome, p.Err, outcome, s.why)
	}
	return nil
}

// sagaTree is a random tree most of whose steps can be undone.
func sagaTree(draw func(n int) int) *tree.Workflow {
	id, left := 0, 2+draw(10)
	var list func(depth int) []*tree.Node
	node := func(depth int) *tree.Node {
		id++
		left--
		name := fmt.Sprint("n", id)
		switch kind := draw(9); {
		case depth > 0 && kind == 0:
			return seq(name, list(depth-1)...)
		case depth > 0 && kind == 1:
			return loop(name, list(depth-1)...)
		case depth > 0 && kind == 2:
			return &tree.Node{Kind: tree.Each, Name: name, Body: list(depth - 1), Concurrency: draw(3)}
		case depth > 0 && kind <= 4:
			return &tree.Node{Kind: tree.Parallel, Name: name, Cases: []tree.Case{way("a", list(depth-1)...), way("b", list(depth-1)...)}}
		}
		n := step(name)
		n.Retry.MaxAttempts = 1 + draw(3)
		if draw(5) > 0 {
			n.Undo = &tree.Retry{MaxAttempts: 1 + draw(3), Jitter: -1}
		}
		return n
	}
	list = func(depth int) (nodes []*tree.Node) {
		for n := 1 + draw(3); n > 0; n-- {
			if nodes = append(nodes, node(depth)); left <= 0 {
				break
			}
		}
		if draw(5) == 0 {
			d := step(fmt.Sprint(nodes[0].Name, ".d"))
			d.Kind, d.Targets = tree.Decision, []string{nodes[0].Name}
			nodes = append(nodes, d)
		}
		return nodes
	}
	return workflow(list(3)...)
}

// play is a whole run; it tells how many steps were undone.
func playSaga(e engine, draw func(n int) int) (undone int, err error) {
	s := newSaga(e, sagaTree(draw))
	for range 400 {
		more, err := s.forward(draw)
		if err != nil {
			return 0, err
		}
		if !more {
			break
		}
	}
	switch {
	case s.h.Back == nil && len(s.h.Undos) > 0 && s.eval(s.w, s.h).Outcome == plan.Failed:
		return 0, s.wrong("it failed, and nothing is undone")
	case s.h.Back == nil:
		return 0, nil
	}
	return len(s.want()), s.back(draw)
}

func TestCO1_CO2_CO4_CO6_CO7_RandomRollbacks(t *testing.T) {
	moreChecks(t, 20_000)
	undone := 0
	rapid.Check(t, func(t *rapid.T) {
		n, err := playSaga(genuine(), func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "draw") })
		if err != nil {
			t.Fatal(err)
		}
		undone += n
	})
	if undone < 1000 {
		t.Errorf("only %d steps were undone", undone)
	}
}

// sagaMutants are engines that roll back wrongly.
func sagaMutants() map[string]engine {
	undos := func(change func(list []journal.Undo) []journal.Undo) engine {
		e := genuine()
		e.eval = func(w *tree.Workflow, h *journal.History) plan.Plan {
			c := *h
			if c.Back != nil {
				c.Undos = change(slices.Clone(h.Undos))
			}
			return plan.Eval(w, &c)
		}
		return e
	}
	drop := func(which func(u journal.Undo) bool) engine {
		return undos(func(list []journal.Undo) []journal.Undo { return slices.DeleteFunc(list, which) })
	}
	reset := genuine()
	reset.restore = func(b []byte) (*journal.History, error) {
		h, err := journal.Restore(b)
		for i := range h.Undos {
			if u := &h.Undos[i]; u.Place != nil && u.Place.Done {
				u.Place = nil
			}
		}
		return h, err
	}
	all := genuine()
	all.eval = func(w *tree.Workflow, h *journal.History) plan.Plan {
		p := plan.Eval(w, h)
		for i := range h.Undos {
			if u := &h.Undos[i]; len(p.Bodies) == 1 && p.Bodies[0].Mode == plan.Undo && u.Place == nil && u.At() != p.Bodies[0].Path {
				p.Bodies = append(p.Bodies, plan.Body{Path: u.At(), Node: tree.Find(w, u.Path), Mode: plan.Undo})
			}
		}
		return p
	}
	stops := genuine()
	stops.eval = func(w *tree.Workflow, h *journal.History) plan.Plan {
		for i := range h.Undos {
			if u := &h.Undos[i]; h.Back != nil && u.Ended() && u.Place.Failed {
				return plan.Plan{Outcome: plan.CompensationFailed, Err: h.Back.Err}
			}
		}
		return plan.Eval(w, h)
	}
	policy := genuine()
	policy.judge = func(b plan.Body, end plan.Ending, now int64, draw float64) journal.Fact {
		if b.Mode == plan.Undo {
			n := *b.Node
			n.Undo = n.Retry
			b.Node = &n
		}
		return plan.Judge(b, end, now, draw)
	}
	never := genuine()
	never.eval = func(w *tree.Workflow, h *journal.History) plan.Plan {
		p := plan.Eval(w, h)
		if p.Outcome == plan.Turning {
			p.Outcome = plan.Failed
		}
		return p
	}
	return map[string]engine{
		"forwards": undos(func(list []journal.Undo) []journal.Undo { slices.Reverse(list); return list }),
		"in the order of their numbers": undos(func(list []journal.Undo) []journal.Undo {
			slices.SortFunc(list, func(a, b journal.Undo) int { return cmp.Compare(a.N, b.N) })
			return list
		}),
		"lanes and passes forgotten": drop(func(u journal.Undo) bool { return strings.Contains(u.Path, "[") }),
		"in doubt forgotten":         drop(func(u journal.Undo) bool { return !u.Done }),
		"each path once": undos(func(list []journal.Undo) (once []journal.Undo) {
			for i, u := range list {
				if !slices.ContainsFunc(list[i+1:], func(o journal.Undo) bool { return o.Path == u.Path }) {
					once = append(once, u)
				}
			}
			return once
		}),
		"again after a crash": reset,
		"all at once":         all,
		"a failure stops it":  stops,
		"never":               never,
		"what failed is undone": rejudge(func(f *journal.Fact, end plan.Ending) {
			if f.Kind == journal.Failed && end.Err != nil {
				c := *f.Err
				c.Code = "encode"
				f.Err = &c
			}
		}),
		"what it changed is forgotten": rejudge(func(f *journal.Fact, _ plan.Ending) {
			if f.Kind == journal.Done {
				f.Data = nil
			}
		}),
		"the step's policy": policy,
	}
}

func TestPlanted_RollbacksGoneWrong(t *testing.T) {
	for name, e := range sagaMutants() {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20_000) {
				if _, err := playSaga(e, seeded(seed)); err != nil {
					t.Logf("seed %d: %s", seed, strings.SplitN(err.Error(), "\n", 2)[0])
					return
				}
			}
			t.Error("nobody noticed")
		})
	}
}

// seeded draws numbers that follow from a seed (SplitMix64).
func seeded(seed uint64) func(n int) int {
	return func(n int) int {
		seed += 0x9e3779b97f4a7c15
		z := seed
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return int((z ^ z>>31) % uint64(n))
	}
}
