package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
)

// lane is a node of a kind that only those seeds have; nil: one of the others.
func (g *planter) lane(depth int) *tree.Node {
	if !g.lanes {
		return nil
	}
	if g.calls && g.r.IntN(10) == 0 {
		return &tree.Node{Kind: tree.Child, Name: g.name("c")}
	}
	kind := g.r.IntN(16)
	switch {
	case kind < 2:
		n := g.step()
		n.Kind, n.Name, n.AtMostOnce, n.Reconciles, n.Undo = tree.Decision, g.name("d"), false, false, nil
		return n
	case kind < 3:
		return &tree.Node{Kind: tree.Event, Name: g.name("w")}
	case kind < 4:
		return &tree.Node{Kind: tree.Pause, Name: g.name("z")}
	case depth > 2 || kind > 9:
		return nil
	case kind < 7:
		n := &tree.Node{Kind: tree.Parallel, Name: g.name("p"), Settle: g.r.IntN(3) == 0}
		n.Joins = n.Settle || g.r.IntN(6) > 0
		for i := range 1 + g.r.IntN(4) {
			n.Cases = append(n.Cases, tree.Case{Key: "x" + strconv.Itoa(i), Body: g.body(depth + 1)})
		}
		return n
	}
	n := &tree.Node{Kind: tree.Each, Name: g.name("e"), Settle: g.r.IntN(3) == 0, Concurrency: g.r.IntN(4), Body: g.body(depth + 1)}
	n.Joins = n.Settle || g.r.IntN(6) > 0
	n.Spread = g.spread && g.r.IntN(3) > 0
	return n
}

// choice is where the body of a decision goes, the nth time.
func (w *work) choice(path string, n *tree.Node, siblings []*tree.Node, times int) *journal.Answer {
	h := hash(w.salt, "choice", path, strconv.Itoa(times))
	me := tree.Index(siblings, n.Name)
	to := int(h / 64 % uint64(len(siblings)))
	switch {
	case h%40 == 0:
		return &journal.Answer{Way: journal.WayGoto, Case: "nowhere"}
	case h%2 == 0 || to == me || to < me && times >= 2:
		return &journal.Answer{Way: journal.WayNext}
	}
	return &journal.Answer{Way: journal.WayGoto, Case: siblings[to].Name}
}

// list is the items of an Each.
func (w *work) list(path string, entries int) (*journal.Answer, []byte) {
	n := int(hash(w.salt, "items", path, strconv.Itoa(entries)) % 5)
	list := make([]state, n)
	for i := range list {
		list[i] = state{Run: w.n, Log: []string{"item " + strconv.Itoa(i)}}
	}
	raw, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	return &journal.Answer{Way: journal.WayItems, Items: n}, raw
}

// waitFor is what a wait node asks for; nil: it is not wanted.
func (w *work) waitFor(path string, n *tree.Node, entries int) *run.CallRequest {
	h := hash(w.salt, "wait", path, strconv.Itoa(entries))
	if h%6 == 0 {
		return nil
	}
	c := &run.CallRequest{Timed: n.Kind == tree.Pause || h/6%2 == 0, For: time.Duration(h/64%6000)*time.Millisecond - 200*time.Millisecond}
	if n.Kind == tree.Pause {
		c.Key, c.Wait = "sleep:#1", &journal.Wait{Kind: "sleep"}
		return c
	}
	if n.Kind == tree.Child {
		c.Timed = h/6%4 == 0
		c.Key = "call:kid#1"
		return c
	}
	name := string(rune('a' + h/8%2))
	if w.s.Publish && h%2 == 0 {
		name = "key " + name
	}
	c.Key, c.Wait = "event:"+name+"#1", &journal.Wait{Kind: "event", Name: name, Topic: "event:" + name}
	c.Wait.Shared = published(c.Wait.Topic)
	return c
}

// outcome of a lane or item, for the function that joins them.
type ended struct {
	name   string
	log    []string
	failed bool
}

// joined is what the user's function makes of the outcomes of a block.
func joined(path string, items bool, base []string, ways []ended) []string {
	log := slices.Clone(base)
	for _, w := range ways {
		switch {
		case w.failed:
			log = append(log, path+"!"+w.name)
		case items:
			log = append(log, path+"#"+w.name+"="+strings.Join(w.log, ";"))
		default:
			log = append(log, w.log[len(base):]...)
		}
	}
	return log
}

// laneAnswer answers the questions that only nodes of these kinds have.
func (b *body) laneAnswer(q *plan.Question, st state) (a run.Answered, ok bool) {
	done := func(log []string) (run.Answered, bool) {
		st.Log = log
		after, err := json.Marshal(st)
		if err != nil {
			panic(err)
		}
		return run.Answered{Ending: &plan.Ending{Happened: plan.Yes, Patch: journal.Diff(b.v.State, after)}}, true
	}
	if hash(b.w.salt, "broken", b.v.Path)%60 == 0 && (q.Join || q.Node.Kind.Waits() || q.Node.Kind == tree.Each) {
		return run.Answered{Err: &journal.Error{Code: q.Code(), Path: b.v.Path, Message: "scripted panic"}}, true
	}
	switch {
	case q.Spread != nil && !q.Join:
		return b.beginItems(q, st), true
	case q.Join:
		var ways []ended
		if q.Spread != nil {
			q.Ways = b.gathered
		}
		for i, w := range q.Ways {
			e := ended{name: w.Name, failed: w.Err != nil}
			if q.Node.Kind == tree.Each {
				e.name = strconv.Itoa(i)
			}
			var s state
			if err := json.Unmarshal(w.State, &s); err != nil {
				b.p.s.fail("state", "%s at %s, lane or item %s: %v", b.w, b.v.Path, e.name, err)
			}
			e.log = s.Log
			ways = append(ways, e)
		}
		return done(joined(b.v.Path, q.Node.Kind == tree.Each, st.Log, ways))
	case q.Ended != nil:
		return done(append(st.Log, b.v.Path+"="+outcome(q.Ended)))
	case q.Node.Kind.Waits():
		c := b.w.waitFor(b.v.Path, q.Node, len(st.Log))
		if c == nil {
			return run.Answered{Answer: &journal.Answer{Way: journal.WaySkip}}, true
		}
		if q.Node.Kind == tree.Child {
			b.callKid(c)
			b.place.topics[c.Key] = c.Wait.Topic
		}
		if q.Node.Kind == tree.Event {
			b.w.watched(b.v.Path, c, q.Node)
		}
		if c.Timed && b.v.Epoch == b.w.epoch {
			b.place.wanted[c.Key] = b.p.s.now + c.For
		}
		return run.Answered{Wait: c}, true
	case q.Node.Kind == tree.Each && q.Node.Spread:
		var part []byte
		if a.Answer, part = b.w.spreadList(b.v.Path, len(st.Log)); part != nil {
			a.Parts = [][]byte{part}
		}
		return a, true
	case q.Node.Kind == tree.Each:
		a.Answer, a.Items = b.w.list(b.v.Path, len(st.Log))
		return a, true
	}
	return a, false
}

// block is a parallel block or an Each that is not over, as the model knows it.
type block struct {
	items bool
	base  []string
	ways  map[string]*scope // by path
}

// scope is the state of a lane or item.
type scope struct {
	log    []string
	closed bool
	failed bool
}

// at finds the state on which a body at a path works.
func (m *model) at(path string) *[]string {
	var (
		found *block
		under string
	)
	for p, b := range m.blocks {
		if strings.HasPrefix(path, p+"[") && len(p) >= len(under) {
			found, under = b, p
		}
	}
	if found == nil {
		return &m.log
	}
	way := path[:len(under)+strings.IndexByte(path[len(under):], ']')+1]
	s := found.ways[way]
	if s == nil {
		s = &scope{log: slices.Clone(found.base)}
		if found.items {
			s.log = []string{"item " + strings.TrimSuffix(way[len(under)+1:], "]")}
		}
		found.ways[way] = s
	}
	return &s.log
}

func (m *model) opens(f *journal.Fact) {
	if w := f.Answer.Way; w == journal.WayLanes || w == journal.WayItems {
		m.blocks[f.Path] = &block{items: w == journal.WayItems, base: slices.Clone(*m.at(f.Path)), ways: make(map[string]*scope)}
	}
}

func (m *model) closes(f *journal.Fact) {
	m.at(f.Path + "/")
	for p, b := range m.blocks {
		if s := b.ways[f.Path]; s != nil {
			s.closed, s.failed = true, f.Err != nil
		}
		if strings.HasPrefix(p, f.Path+"/") {
			delete(m.blocks, p)
		}
	}
}

// join is the end of a block.
func (m *model) join(f *journal.Fact, b *block) {
	n := tree.Find(m.w.flow.defs[plus].Tree, f.Path)
	delete(m.blocks, f.Path)
	log := m.at(f.Path)
	var ways []ended
	if it := m.w.place(f.Path).items; it != nil {
		ways = it.outcomes()
	}
	for path, s := range b.ways {
		ways = append(ways, ended{name: path[len(f.Path)+1 : len(path)-1], log: s.log, failed: s.failed})
	}
	slices.SortFunc(ways, func(a, b ended) int { return strings.Compare(a.name, b.name) })
	if n == nil || n.Joins {
		*log = joined(f.Path, b.items, *log, ways)
		return
	}
	for _, w := range ways {
		if !b.items && len(w.log) > len(b.base) {
			*log = w.log
		}
	}
}

// conflict tells whether more than one lane has changed the state.
func (b *block) conflict() bool {
	n := 0
	for _, s := range b.ways {
		if len(s.log) > len(b.base) {
			n++
		}
	}
	return n > 1 && !b.items
}

// goes forgets what a decision that goes somewhere makes run anew.
func (w *work) goes(f *journal.Fact) {
	w.choices[f.Path]++
	above := ""
	if i := strings.LastIndexByte(f.Path, '/'); i >= 0 {
		above = f.Path[:i+1]
	}
	m := w.model
	for _, name := range f.Answer.Drop {
		gone := func(path string) bool {
			rest, under := strings.CutPrefix(path, above+name)
			return under && (rest == "" || rest[0] == '/' || rest[0] == '[')
		}
		dropAll(w.places, gone)
		dropAll(m.calls, gone)
		dropAll(m.doubt, gone)
		dropAll(m.open, gone)
		dropAll(m.blocks, gone)
		w.s.mark("a decision goes back")
	}
}

func dropAll[T any](all map[string]T, gone func(string) bool) {
	for path := range all {
		if gone(path) {
			delete(all, path)
		}
	}
}

// shut tells whether a path is in a lane or item that has ended.
func (m *model) shut(path string) bool {
	for _, b := range m.blocks {
		for way, s := range b.ways {
			if s.closed && strings.HasPrefix(path, way+"/") {
				return true
			}
		}
	}
	return false
}

// judgeLanes looks at what is open in blocks after a write.
func (s *Sim) judgeLanes(w *work) {
	if !s.Lanes || w.status.Ended() {
		return
	}
	for _, x := range w.waits {
		if w.model.shut(x.Path) {
			s.fail("PA-5", "%s has an open wait at %s, which is over", w, x.Path)
		}
	}
	for path, b := range w.model.blocks {
		n := tree.Find(w.flow.defs[plus].Tree, path)
		begun := 0
		for _, x := range b.ways {
			if !x.closed {
				begun++
			}
		}
		if n != nil && n.Concurrency > 0 && begun > n.Concurrency {
			s.fail("EA-2", "%s has %d items begun at %s, and %d may be", w, begun, path, n.Concurrency)
		}
		if begun > 1 {
			s.mark("lanes side by side")
		}
	}
}

// givenUp tells whether a run no longer wants a wait that is open: it, or the lane
// of the wait, ends as soon as its bodies have returned.
func (s *Sim) givenUp(w *work, x *wait) bool {
	p := w.owners[w.epoch]
	if !s.Lanes || p == nil {
		return false
	}
	pl := plan.Eval(w.definition(p), w.hist)
	wanted := func(o plan.Wait) bool { return o.Path == x.Path && o.Call == x.Call }
	return pl.Outcome != plan.Going || !slices.ContainsFunc(pl.Waits, wanted)
}

// watchLanes looks at a calm world: nothing of a run may wait although it could go
// on, whatever its other lanes do.
func (s *Sim) watchLanes(w *work, p *process) {
	if !s.Lanes || p.dead || p.left || p.leaving || w.poison != "" {
		return
	}
	for _, x := range w.waits {
		if !x.Deadline.IsZero() && slices.ContainsFunc(plan.Eval(w.definition(p), w.hist).Waits, func(o plan.Wait) bool { return o.Path == x.Path }) && s.clock().After(x.Deadline.Add(2*promptly)) && s.now > max(x.since, w.taken)+promptly+refilled {
			s.fail("calm", "the wait %s of %s is over since %s, and nobody says so", x.Path, w, x.Deadline)
		}
	}
	if s.rng.IntN(8) > 0 { // not at every event
		return
	}
	pl := plan.Eval(w.definition(p), w.hist)
	if pl.Outcome != plan.Going {
		return
	}
	idle := make(map[string]time.Duration)
	for _, b := range pl.Bodies {
		name := w.queueOf(b.Path)
		used, total := p.w.Slots(name)
		if b.Place != nil && (b.Place.Open != 0 || b.Until() > s.clock().UnixMicro() || len(b.Place.Crashed) > 1) || used == total || s.crowded(name) {
			continue
		}
		key := fmt.Sprint(b.Path, " ", w.epoch)
		if b.Place != nil {
			key += fmt.Sprint(" ", b.Place.Until, b.Place.Live, b.Place.TriedAt)
		}
		idle[key] = s.now
		if since, known := w.idle[key]; known {
			idle[key] = since
			if resumed, was := s.shared.resumed[name]; was {
				since = max(since, resumed+hinted+second) // it hears of that with a renewal
			}
			if s.now > since+2*promptly+refilled+second { // who was refused looks again after a second at most
				s.fail("calm", "%s could begin at %s since %s, and there is a slot", w, b.Path, since)
			}
		}
	}
	w.idle = idle
}

// follows tells whether the plan has a fact that nobody has to be asked about.
func follows(list []journal.Fact, f *journal.Fact) bool {
	return slices.ContainsFunc(list, func(x journal.Fact) bool {
		return x.Kind == f.Kind && x.Path == f.Path && (x.Err == nil) == (f.Err == nil) && (x.Err == nil || x.Err.Code == f.Err.Code) && string(x.Data) == string(f.Data)
	})
}

// mayDecide tells why a decision's end should not be there.
func (s *Sim) mayDecide(w *work, f *journal.Fact, n *tree.Node, def *tree.Workflow) string {
	if n == nil || n.Kind != tree.Decision || f.Kind != journal.Done {
		return ""
	}
	want := w.choice(f.Path, n, tree.Siblings(def, f.Path), w.choices[f.Path])
	if f.Answer == nil || f.Answer.Way != want.Way || f.Answer.Case != want.Case {
		return fmt.Sprintf("the decision says %+v", want)
	}
	return ""
}
