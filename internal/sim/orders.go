package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
)

// Orders to open waits: to end now, or at another time. Who was told that one was
// accepted was told the truth.

// command is what people do with open waits.
func (s *Sim) command(w *work, x *wait) {
	if !s.Orders || x.Kind == "in_doubt" || s.now > s.Until || !s.chance(0.25) {
		return
	}
	w.seq++
	d := store.Deliver{ID: w.id, Wait: x.ID, Topic: run.TopicRevoke, Payload: []byte(`{"by":"a person"}`)}
	if s.chance(0.5) {
		o := run.Order{By: "a person", For: s.between(-second, 6*second)}
		if s.chance(0.3) {
			o = run.Order{By: "a person", Until: s.clock().Add(o.For)}
		}
		raw, err := json.Marshal(o)
		if err != nil {
			panic(err)
		}
		d.Topic, d.Keep, d.Payload = run.TopicExtend, true, raw
	}
	d.Dedupe = d.Topic + ":" + x.ID + ":" + strconv.Itoa(w.seq)
	s.deliver(w, d, 0)
}

// isOrder tells whether a message is an order.
func (m *mail) isOrder() bool { return m.topic == run.TopicRevoke || m.topic == run.TopicExtend }

// accepted notes an order that the store has accepted.
func (s *Sim) accepted(w *work, m *mail, d *store.Deliver) {
	m.when, m.payload = s.clock(), d.Payload
	if m.topic == run.TopicRevoke {
		s.mark("wait cancelled")
		w.revoked[m.wait] = m.seq
	}
}

// awaits finds the open call that a message names, as the journal has it.
func (w *work) awaits(m *mail) *journal.CallAt {
	for _, c := range w.hist.OpenCalls("") {
		if m.wait != "" && c.Wait.ID == m.wait {
			return &c
		}
	}
	return nil
}

// disobeyed tells whether an order is there and its wait open and wanted.
func (s *Sim) disobeyed(w *work, m *mail) bool {
	if !s.Orders || !m.isOrder() || m.taken {
		return false
	}
	return s.wants(w, m)
}

// wants tells whether the wait that a message names is open, and in no lane that is over.
func (s *Sim) wants(w *work, m *mail) bool {
	c := w.awaits(m)
	return c != nil && !s.givenUp(w, &wait{Wait: store.Wait{Path: c.Path, Call: c.Call}})
}

// judgeEnd looks at the end of a wait that somebody was told is cancelled.
func (s *Sim) judgeEnd(w *work, f *journal.Fact) {
	if at := w.hist.At(f.Path); at != nil && at.Calls[f.Call] != nil && at.Calls[f.Call].Wait != nil {
		if seq, told := w.revoked[at.Calls[f.Call].Wait.ID]; told && f.Kind != journal.Revoked {
			s.fail("G9", "%s of %s at %s is %s, and message %d had cancelled it", f.Call, w, f.Path, f.Kind, seq)
		}
	}
}

// mayObey tells why an order should not have been carried out so.
func (s *Sim) mayObey(w *work, f *journal.Fact, open bool) string {
	m := w.mail(f.Message)
	if m == nil || !m.isOrder() || !open {
		return "no order says so"
	}
	c := w.hist.At(f.Path).Calls[f.Call]
	if c.Wait.ID != m.wait {
		return "the order is for another wait"
	}
	if f.Kind == journal.Revoked {
		return unless(m.topic == run.TopicRevoke, "it was to be extended")
	}
	var o run.Order
	if err := json.Unmarshal(m.payload, &o); err != nil {
		return err.Error()
	}
	want := m.when.Add(o.For).UnixMicro() + 1
	switch {
	case !o.Until.IsZero():
		want = max(o.Until.UnixMicro(), 1)
	case o.For <= 0:
		want = 1
	}
	s.mark("wait extended")
	return unless(f.Until == want, fmt.Sprintf("it was to end at %d, not at %d", want, f.Until))
}

// judgeDropped looks at an order that a run took and did not carry out: its wait is over.
func (s *Sim) judgeDropped(w *work, m *mail) {
	if s.wants(w, m) {
		s.fail("G9", "%s drops the order %d, and its wait is open", w, m.seq)
	}
	s.mark("order to a wait that is over")
}

// alter changes the open waits as a write says, and looks whether lists show what is true.
func (s *Sim) alter(w *work, a *store.Advance) {
	for i := range a.Alter {
		for _, x := range w.waits {
			if x.ID == a.Alter[i].ID {
				x.Deadline, x.Label = a.Alter[i].Deadline, a.Alter[i].Label
			}
		}
	}
	if !s.Orders && !s.Timed {
		return
	}
	for _, c := range w.hist.OpenCalls("") {
		i := slices.IndexFunc(w.waits, func(x *wait) bool { return x.ID == c.Wait.ID })
		if i >= 0 && micros(w.waits[i].Deadline) != c.Wait.Deadline {
			s.fail("doctor", "the wait %s of %s at %s ends at %d, and lists show %d", c.Call, w, c.Path, c.Wait.Deadline, micros(w.waits[i].Deadline))
		}
	}
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
