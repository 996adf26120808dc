package storetest

import (
	"fmt"
	"time"

	"github.com/durable-go/durable/store"
)

// tells is a write that tells children something.
func (r run) tells(dedupe string, children ...store.ID) store.Advance {
	a := r.next(fmt.Sprint("tells ", dedupe))
	for _, id := range children {
		a.Tell = append(a.Tell, store.Deliver{ID: id, Topic: "stop", Payload: awkward(), Dedupe: dedupe})
	}
	return a
}

func familyTold(e *env) {
	p, list := e.family(4)
	sleeps := list[0].waitFor(list[0].wait("w", "another topic"))
	sleeps.Release.Due = e.now().Add(time.Hour)
	e.advance(list[0], sleeps)
	retries := list[1].park(store.Pending)
	retries.Release.Due = e.now().Add(time.Hour)
	e.advance(list[1], retries)
	a := p.tells("one", list[0].id, list[1].id, list[2].id)
	p = e.advance(p, a)
	e.one(store.Write{Advance: &a}, store.Landed, "the same again")
	e.isDue(list[0].id, "one that waits for something else")
	e.isDue(list[1].id, "one that retries in an hour")
	if rec := e.load(list[2].id); rec.Status != store.Running || string(rec.Messages[0].Payload) != string(awkward()) {
		e.failf("one that is owned: %s", describe(rec.Execution))
	}
	for _, c := range list[:3] {
		e.told(c.id, "one that is told", "stop")
	}
	e.told(list[3].id, "one that is not")
	p = e.advance(p, p.tells("one", list[2].id))
	e.told(list[2].id, "one that was told this before", "stop")
	e.advance(p, p.tells("two", list[2].id))
	e.told(list[2].id, "one that is told again", "stop", "stop")
}

func familyToldSpares(e *env) {
	p, list := e.family(2)
	e.advance(list[0], list[0].park(store.Completed))
	stranger := e.running()
	b := p.child()
	a := p.tells("x", list[0].id, stranger.id, p.id, start().ID, b.ID, list[1].id)
	a.Children = []store.Begin{b}
	p = e.advance(p, a)
	e.told(list[0].id, "one that has ended")
	e.told(stranger.id, "a stranger")
	e.told(p.id, "the parent itself")
	e.told(list[1].id, "a child beside them", "stop")
	e.told(b.ID, "a child that begins with the same row", "stop")
	stale := p.tells("y", list[1].id)
	stale.Base--
	stale.Row = []byte("another row")
	e.one(store.Write{Advance: &stale}, store.Superseded, "a write that is out of date")
	e.told(list[1].id, "after a write that was refused", "stop")
	for what, spoil := range map[string]func(a *store.Advance){
		"without a row":    func(a *store.Advance) { a.Row = nil },
		"without a dedupe": func(a *store.Advance) { a.Tell[0].Dedupe = "" },
		"without a topic":  func(a *store.Advance) { a.Tell[0].Topic = "" },
	} {
		a := p.tells("z", list[1].id)
		spoil(&a)
		e.refused("a message to a child "+what, store.Write{Advance: &a})
	}
}
