package sim

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
)

// Events that are published for a key: all who wait get them, once each, or the first
// who asks within their time.

// publication is one that the store has accepted, as the world knows it.
type publication struct {
	topic, dedupe, payload string
	at, until              time.Time // until then its name is known
	over                   bool
	got                    map[*work]int64 // the message by which a run got it
	heard                  map[*work]bool
}

// published tells whether a topic is one that is published to.
func published(topic string) bool { return strings.HasPrefix(topic, "event:key ") }

// correlate lets some of a script's waits for events be for what is published.
func (sc *script) correlate(salt uint64) {
	r := rand.New(rand.NewPCG(salt, 0xc0e1))
	for i := range sc.ops {
		if o := &sc.ops[i]; o.kind == opEvent && r.IntN(3) > 0 {
			o.name = "key " + o.name
			o.timed = r.IntN(2) == 0
			o.has = o.has && o.timed
		}
	}
}

// plantPublications schedules who publishes.
func (s *Sim) plantPublications() {
	if !s.Publish {
		return
	}
	for range 1 + s.rng.IntN(6) {
		s.at(nil, s.between(0, s.Until), func() { s.publishSome("event:key " + string(rune('a'+s.rng.IntN(2)))) })
	}
}

func (s *Sim) publishSome(topic string) {
	s.pubN++
	n := strconv.Itoa(s.pubN)
	p := store.Publication{Topic: topic, Payload: []byte(n), Dedupe: "pub " + n, Keep: s.between(second, 20*second)}
	s.publish(p, 0)
	if s.chance(0.2) {
		s.at(nil, s.between(0, 3*second), func() { s.publish(p, 0) })
	}
}

// publish publishes, until that is acknowledged.
func (s *Sim) publish(p store.Publication, try int) {
	again := func() { s.publish(p, try+1) }
	if s.Mutant.Fresh && try > 0 {
		p.Dedupe += " again " + strconv.Itoa(try)
	}
	through := s.through(again)
	if through == nil {
		return
	}
	heard := false
	c := &caller{lost: func() {
		if !heard {
			again()
		}
	}}
	through.callers = append(through.callers, c)
	s.at(through, 0, func() {
		call(through, "publish", storeTimeout, func() (store.Published, error) { return s.db.publish(through, p) }, func(_ store.Published, err error) {
			heard = true
			through.callers = slices.DeleteFunc(through.callers, func(x *caller) bool { return x == c })
			if err != nil {
				s.at(nil, s.between(50*time.Millisecond, 2*second), again)
				return
			}
			through.w.Published(p.Topic, through.local())
		})
	})
}

func (d *database) publish(p *process, pub store.Publication) (store.Published, error) {
	taken := pub
	if m := d.s.Mutant; m.Publish != nil {
		m.Publish(d, &taken)
	}
	r, err := d.mem.Publish(context.Background(), taken)
	if err != nil {
		d.s.fail("malformed", "%s publishes: %v", p.name, err)
		return r, err
	}
	d.s.judgePublished(p, &pub, r)
	if r.Code == store.Applied {
		d.s.hint(p)
	}
	return r, nil
}

// judgePublished looks at an answer to Publish.
func (s *Sim) judgePublished(p *process, pub *store.Publication, r store.Published) {
	s.logf("%s publishes %s for %s for %s: %s, %d got it", p.name, pub.Payload, pub.Topic, pub.Keep, code(store.Verdict{Code: r.Code}), r.Got)
	for _, x := range s.pubs { // for good, also if the store's clock jumps back
		x.over = x.over || !s.clock().Before(x.until)
	}
	known := s.publication(pub.Topic, pub.Dedupe)
	if r.Code == store.Landed {
		s.mark("published twice")
		if known == nil {
			s.fail("G9", "%s is said to be published, and never was", pub.Payload)
		}
		return
	}
	if known != nil && !known.over {
		s.fail("G9", "%s is published twice", pub.Payload)
	}
	x := &publication{
		topic: pub.Topic, dedupe: pub.Dedupe, payload: string(pub.Payload), at: s.clock(), until: s.clock().Add(pub.Keep),
		got: make(map[*work]int64), heard: make(map[*work]bool),
	}
	s.pubs = append(s.pubs, x)
	for _, w := range s.works {
		if o := w.oldestFor(pub.Topic); o != nil {
			s.mark("published to a wait")
			s.gets(w, x, o.ID)
		}
	}
	if r.Got != len(x.got) {
		s.fail("G9", "%s is said to have reached %d runs; %d waited", pub.Payload, r.Got, len(x.got))
	}
}

func (s *Sim) publication(topic, dedupe string) *publication {
	for _, x := range slices.Backward(s.pubs) {
		if x.topic == topic && x.dedupe == dedupe {
			return x
		}
	}
	return nil
}

// oldestFor is the shared wait for a topic that has been open for longest, by the store's clock.
func (w *work) oldestFor(topic string) (first *wait) {
	for _, x := range w.waits {
		if x.Shared && x.Topic == topic && (first == nil || x.Opened.Before(first.Opened) || x.Opened.Equal(first.Opened) && x.ID < first.ID) {
			first = x
		}
	}
	return first
}

// gets gives a run what was published for one of its waits.
func (s *Sim) gets(w *work, x *publication, id string) {
	m := &mail{seq: int64(len(w.inbox) + 1), topic: x.topic, wait: id, at: s.now, pub: x}
	w.inbox = append(w.inbox, m)
	w.waits = slices.DeleteFunc(w.waits, func(o *wait) bool { return o.ID == id })
	x.got[w] = m.seq
	if w.status == store.Waiting || w.status == store.Compensating && w.owner == (store.Incarnation{}) {
		w.due = s.clock()
		if w.status == store.Waiting {
			w.status = store.Pending
		}
		w.changed()
	}
}

// opens opens the waits of a write, but for those for which something is kept. It
// reports whether there was such a one.
func (s *Sim) opens(w *work, a *store.Advance) (took bool) {
	ends := a.Release != nil && a.Release.Status.Ended()
	for _, o := range a.Open {
		if x := s.keptFor(&o); x != nil && !ends {
			s.mark("published before the wait")
			s.gets(w, x, o.ID)
			took = true
			continue
		}
		o.Opened = s.clock()
		w.waits = append(w.waits, &wait{Wait: o, since: s.now})
	}
	return took
}

// keptFor is the oldest publication that is kept for a wait, nil if there is none.
func (s *Sim) keptFor(o *store.Wait) *publication {
	for _, x := range s.pubs {
		if o.Shared && x.topic == o.Topic && len(x.got) == 0 && !x.over && s.clock().Before(x.until) {
			return x
		}
	}
	return nil
}

// judgePub looks at a run that records what was published.
func (s *Sim) judgePub(w *work, f *journal.Fact, m *mail) {
	switch {
	case m.topic != topicOf(f.Call):
		s.fail("G9", "%s takes what was published for %s for %s", w, m.topic, f.Call)
	case m.pub.payload != string(f.Data):
		s.fail("G9", "%s records %s; what was published is %s", w, f.Data, m.pub.payload)
	case m.pub.heard[w]:
		s.fail("G9", "%s records %s twice", w, m.pub.payload)
	}
	for _, x := range s.pubs {
		if x != m.pub && x.payload == m.pub.payload && x.got[w] != 0 && s.Jumps == 0 && x.at.Before(m.pub.at) && m.pub.at.Before(x.until) {
			s.fail("G9", "%s gets %s twice: its sender took a lost reply for a failure", w, x.payload)
		}
	}
	m.pub.heard[w] = true
	if open := w.hist.At(f.Path); open != nil && open.Calls[f.Call] != nil && open.Calls[f.Call].Wait.ID != m.wait && s.wants(w, m) {
		s.fail("G9", "%s takes message %d at %s, which is for another wait", w, m.seq, f.Path)
	}
	s.mark("published and heard")
}
