package storetest

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// children draws what begins with a write of an execution, now and then one that is there.
func (p *pair) children(x store.Execution) (list []store.Begin) {
	if p.rnd.IntN(7) > 0 {
		return nil
	}
	for range 1 + p.rnd.IntN(3) {
		b := p.begin()
		b.Owner, b.Key, b.Parent, b.Depth, b.Detached = uuid.Nil, "", x.ID, x.Depth+1, p.rnd.IntN(5) == 0
		switch p.rnd.IntN(30) {
		case 0:
			b.Parent = p.known().ID
		case 1:
			b.ID = p.known().ID
		}
		list = append(list, b)
	}
	return list
}

// tell draws whom an end is told to.
func (p *pair) tell(r *store.Release) {
	if !r.Status.Ended() && p.rnd.IntN(20) > 0 {
		return
	}
	if p.rnd.IntN(3) > 0 {
		r.Report = fmt.Append(nil, "ended\x00", p.rnd.IntN(10))
		r.Topic, r.Dedupe = pick(p.rnd, "", "", "t1", "items"), pick(p.rnd, "", "again")
	}
	if p.rnd.IntN(2) == 0 {
		r.Family = &store.Notice{Topic: pick(p.rnd, "t1", "parent"), Payload: []byte{0, byte(p.rnd.IntN(256))}}
	}
}

// tells draws what a row says to children, and now and then to others.
func (p *pair) tells(parent store.ID) (list []store.Deliver) {
	if p.rnd.IntN(2) == 0 {
		return nil
	}
	ids := []store.ID{p.known().ID}
	page, err := p.sides[0].st.List(p.sides[0].ctx(), store.Filter{Parent: parent, Limit: 3})
	if err != nil {
		p.tb.Fatal(err)
	}
	for _, x := range page.Executions {
		ids = append(ids, x.ID)
	}
	for _, id := range ids {
		list = append(list, store.Deliver{ID: id, Topic: pick(p.rnd, "t1", "stop"), Payload: []byte{1}, Dedupe: fmt.Sprint("tell ", p.rnd.IntN(3))})
	}
	return list
}

// recalls draws whom a rollback orders to go back, and now and then who is no child.
func (p *pair) recalls(x store.Execution) (list []store.Deliver) {
	if x.Status != store.Compensating && p.rnd.IntN(60) > 0 {
		return nil
	}
	seen := map[store.ID]bool{}
	for _, d := range append(p.tells(x.ID), store.Deliver{ID: newID(), Topic: "back", Dedupe: "recall"}) {
		if !seen[d.ID] || p.rnd.IntN(30) == 0 {
			seen[d.ID] = true
			list = append(list, d)
		}
	}
	return list
}

// topic draws one that a wait may have: mostly what others send, or the end of a child.
func (p *pair) topic() string {
	if p.rnd.IntN(3) == 0 {
		return store.ChildTopic(p.known().ID)
	}
	return pick(p.rnd, "", "t1", "t2")
}

// kinBoth lets something happen within a family: the first of the younger executions that is
// owned, and has a parent or else has none, begins children or ends.
func (p *pair) kinBoth() {
	p.tb.Helper()
	ids := p.ids[max(0, len(p.ids)-40):]
	for i := range ids {
		rec, err := p.sides[0].st.Load(p.sides[0].ctx(), ids[(i+len(p.trace))%len(ids)], false)
		if err != nil || rec.Owner == uuid.Nil || rec.Parent == uuid.Nil && i%3 > 0 {
			continue
		}
		a := store.Advance{ID: rec.ID, Owner: rec.Owner, Epoch: rec.Epoch, Base: rec.Length, Seen: -1, Row: fmt.Append(nil, "kin ", len(p.trace))}
		if rec.Status == store.Running && p.rnd.IntN(3) > 0 {
			a.Release = &store.Release{Status: pick(p.rnd, store.Completed, store.Completed, store.Failed, store.Cancelled, store.Compensating)}
			p.tell(a.Release)
		}
		a.Recall = p.recalls(rec.Execution)
		for len(a.Children)+len(a.Recall) == 0 && a.Release == nil || p.rnd.IntN(4) == 0 {
			a.Children = append(a.Children, p.children(rec.Execution)...)
		}
		a.Tell = p.tells(rec.ID)
		if len(a.Children) > 0 && p.rnd.IntN(3) == 0 {
			a.Tell = append(a.Tell, store.Deliver{ID: a.Children[0].ID, Topic: "stop", Dedupe: "born"})
		}
		p.commitBoth([]store.Write{advancing(a)})
		return
	}
}
