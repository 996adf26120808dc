package sim

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
)

// Children: steps that call workflows, or spawn them and perhaps await them.

// maxKidDepth is how deep children have children here.
const maxKidDepth = 2

// kid is a child that a body has asked for.
type kid struct {
	id       store.ID
	parent   *work
	flow     *flow
	n        int
	salt     uint64
	path     string
	key      string // of the call
	detached bool
	item     int   // its number, if key says that it is one
	let      bool  // its parent has let it go
	broke    bool  // its parent has awaited it, and it did not complete
	work     *work // once it has begun
}

// plantKidFlows makes the workflows of children, one for each depth.
func (s *Sim) plantKidFlows() {
	r := rand.New(rand.NewPCG(s.Seed, 0xc41d))
	for depth := 1; depth <= maxKidDepth && s.Children; depth++ {
		s.flows = append(s.flows, newFlow(r, len(s.flows), s.kinds(s.Lanes && r.IntN(3) == 0, depth < maxKidDepth)))
	}
}

// kidFlow is the workflow of the children of a run; nil: it has none.
func (w *work) kidFlow() *flow {
	if !w.s.Children || w.level == maxKidDepth {
		return nil
	}
	return w.s.flows[w.s.tops+w.level]
}

// family puts calls of children into the script of a step.
func (sc *script) family(salt uint64, once bool) {
	r := rand.New(rand.NewPCG(salt, 0xfa317))
	put := func(o op) { sc.ops = slices.Insert(sc.ops, r.IntN(len(sc.ops)+1), o) }
	o := op{name: "kid", timed: r.IntN(4) == 0, dur: time.Duration(r.IntN(9000)-300) * time.Millisecond}
	o.has = o.timed && r.IntN(2) == 0
	switch k := r.IntN(8); {
	case k < 3 && !once:
		o.kind = opCall
		put(o)
	case k < 4:
		put(op{kind: opSpawn, name: "kid", fixed: r.IntN(3) == 0})
		if r.IntN(2) == 0 && !once {
			o.kind = opAwait
			sc.ops = append(sc.ops, o)
		}
	}
}

// newKid makes the beginning of a child.
func (b *body) newKid(key string, detached bool) *store.Begin {
	s, w := b.p.s, b.w
	s.kidN++
	k := &kid{
		id: s.newID(), parent: w, flow: w.kidFlow(), n: 1000 + s.kidN, path: b.v.Path, key: key, detached: detached,
		salt: hash(w.salt, "kid", b.v.Path, key, strconv.Itoa(b.v.Attempt)),
	}
	s.kids[k.id] = k
	begin := &store.Begin{
		ID: k.id, Workflow: k.flow.name, Queue: "default", Priority: b.v.Priority, Parent: w.id, Detached: detached, Depth: w.depth + 1,
	}
	if k.salt%5 == 0 {
		begin.Due = s.clock().Add(time.Duration(k.salt/5%3000) * time.Millisecond)
	}
	begin.Row = run.BeginRow(begin, k.flow.limit(), []byte(`{"run":`+strconv.Itoa(k.n)+`,"log":[]}`), s.clock())
	return begin
}

// callKid asks for a child and the wait for its end.
func (b *body) callKid(req *run.CallRequest) {
	begin := b.newKid(req.Key, false)
	req.Wait = &journal.Wait{Kind: "call", Name: begin.Workflow, Topic: store.ChildTopic(begin.ID)}
	if !req.Timed || req.For > 0 {
		req.Child = begin
	}
}

// await waits for the end of the child that was spawned last. First it looks
// whether that has ended.
func (b *body) await(o op, req *run.CallRequest) {
	id := b.spawned
	call(b.p, "load", storeTimeout, func() (store.Record, error) { return b.p.s.db.load(id) }, func(rec store.Record, err error) {
		switch {
		case b.over:
			return
		case b.stopped != nil && !b.script.deaf:
			b.key = ""
			b.react()
			return
		case err != nil:
			b.after(100*time.Millisecond, func() { b.await(o, req) })
			return
		case rec.Status.Ended():
			b.p.s.mark("a child that has ended is awaited")
			h, err := run.Replay(&rec)
			if err != nil {
				b.p.s.fail("doctor", "a child of %s: %v", b.w, err)
				return
			}
			report := run.ChildReport{ID: id, Workflow: rec.Workflow, Status: rec.Status}
			if rec.Status == store.Completed {
				report.State, req.Undo = h.State, h.Undoable() && !rec.Detached
			} else {
				req.Err = &journal.Error{Code: "child", Path: b.v.Path, Message: "the child has not completed"}
			}
			req.Data, req.Timed = report.Encode(), false
		default:
			req.Wait = &journal.Wait{Kind: "call", Name: rec.Workflow, Topic: store.ChildTopic(id)}
			if o.has {
				req.Wait.HasValue, req.Wait.Default = true, []byte(`"default"`)
			}
			b.place.topics[req.Key] = req.Wait.Topic
		}
		b.ask(o, req)
	})
}

// keep remembers what a call returned.
func (b *body) keep(key string, c *journal.Call) {
	b.values[key] = outcome(c)
	if strings.HasPrefix(key, "spawn:") {
		var r run.ChildReport
		if err := json.Unmarshal(c.Data, &r); err != nil {
			b.p.s.fail("state", "%s at %s: %v", b.w, b.v.Path, err)
		}
		b.spawned = r.ID
	}
}

// brief is what a call returned, as text. Of a child it says how it ended, and
// with which state.
func brief(data []byte) string {
	if !bytes.HasPrefix(data, []byte(`{"id":"`)) {
		return string(data)
	}
	var r run.ChildReport
	switch err := json.Unmarshal(data, &r); {
	case err != nil:
		return err.Error()
	case r.Status == "":
		return "spawned"
	}
	return string(r.Status) + " " + strconv.FormatUint(hash(0, string(r.State)), 36)
}
