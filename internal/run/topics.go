package run

import (
	"slices"
	"strconv"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/store"
)

// A wait with several topics has a row of its own in the store, for people and for
// its deadline, and one of PartKind for each topic, by which it is woken. What has
// come is recorded at once and its row closed: so it wakes nobody a second time,
// and it survives whatever comes.

// PartKind is the kind of the rows that wake a wait with several topics.
const PartKind = "part"

// PartID is the id of the row for one topic of a wait.
func PartID(wait string, topic int) string { return wait + "~" + strconv.Itoa(topic) }

// Several is the detail of a wait with several topics.
type Several struct {
	Topics []journal.Topic `json:"topics"`
}

// openings is the rows of a wait in the store.
func openings(id store.ID, path, call string, wait *journal.Wait) []store.Wait {
	rows := append(make([]store.Wait, 0, 1+len(wait.Topics)), waitRow(id, path, call, wait))
	for i, t := range wait.Topics {
		rows = append(rows, store.Wait{
			ID: PartID(wait.ID, i), Execution: id, Path: path, Call: call, Kind: PartKind, Name: t.Name, Topic: t.Topic, Shared: t.Shared,
		})
	}
	return rows
}

// rowsOf is the ids of a wait's rows.
func rowsOf(wait *journal.Wait) []string {
	ids := append(make([]string, 0, 1+len(wait.Topics)), wait.ID)
	for i := range wait.Topics {
		ids = append(ids, PartID(wait.ID, i))
	}
	return ids
}

// rowOf is the id of the row of one topic.
func rowOf(wait *journal.Wait, topic string) string {
	i := slices.IndexFunc(wait.Topics, func(t journal.Topic) bool { return t.Topic == topic })
	return PartID(wait.ID, i)
}

// gotten is what has come for a wait with several topics.
func (r *run) gotten(path, call string) []journal.Arrival {
	if p := r.hist.At(path); p != nil && p.Calls[call] != nil {
		return p.Calls[call].Got
	}
	return nil
}

// fits tells whether a message is for a wait of which some has come.
func (r *run) fits(m *store.Message, wait *journal.Wait, got []journal.Arrival) bool {
	if len(wait.Topics) == 0 {
		return m.Wait == wait.ID && m.Wait != "" || wait.Topic != "" && m.Topic == wait.Topic && !r.meant(m)
	}
	for _, i := range wait.Missing(got) {
		if m.Topic == wait.Topics[i].Topic && (m.Wait == PartID(wait.ID, i) || !r.meant(m)) {
			return true
		}
	}
	return false
}

// meant tells whether a message was addressed to a wait that has not ended. When that
// wait has ended by something else, the message is anybody's who has its topic.
func (r *run) meant(m *store.Message) bool {
	return m.Wait != "" && slices.ContainsFunc(r.plan.Waits, func(o plan.Wait) bool {
		return slices.Contains(rowsOf(o.Wait), m.Wait)
	})
}

// match finds the first message for a wait, and takes it out of the inbox. What
// names the wait comes first: its sender was told that it counts.
func (r *run) match(wait *journal.Wait, got []journal.Arrival) (store.Message, bool) {
	i := slices.IndexFunc(r.inbox, func(m store.Message) bool { return m.Wait != "" && m.Wait == wait.ID })
	if i < 0 {
		i = slices.IndexFunc(r.inbox, func(m store.Message) bool { return r.fits(&m, wait, got) })
	}
	if i < 0 {
		return store.Message{}, false
	}
	m := r.inbox[i]
	r.inbox = append(r.inbox[:i:i], r.inbox[i+1:]...)
	return m, true
}

// satisfied tells whether the inbox has all that a wait needs.
func (r *run) satisfied(wait *journal.Wait, got []journal.Arrival) bool {
	need := 1
	if wait.All {
		need = len(wait.Missing(got))
	}
	got = slices.Clip(got)
	for i := range r.inbox {
		if m := &r.inbox[i]; need > 0 && r.fits(m, wait, got) {
			got = append(got, journal.Arrival{Topic: m.Topic})
			need--
		}
	}
	return need == 0
}

// receive records a message for a wait. It reports whether that ends the wait.
func (w *Worker) receive(r *run, path, call string, wait *journal.Wait, m store.Message, at int64) (ended bool) {
	f := received(path, call, m, at)
	if len(wait.Topics) > 0 {
		f.Topic = m.Topic
		if wait.All && len(wait.Missing(r.gotten(path, call))) > 1 {
			f.Kind = journal.Gathered
		}
	}
	r.batch.took = append(r.batch.took, m.Seq)
	r.remember(call, m)
	w.add(r, f)
	return f.Kind == journal.Received
}

func received(path, call string, m store.Message, at int64) journal.Fact {
	f := journal.Fact{Kind: journal.Received, Path: path, Call: call, Message: m.Seq, Data: m.Payload, Err: childFailed(path, m), At: at}
	f.Undo = f.Err == nil && mayGoBack(m)
	return f
}

// answerCall ends a wait that a body asks for without opening it: by what is in the
// inbox, or else by its deadline, if that is over. Otherwise the body is to suspend. There is
// no record if the run was stopped.
func (w *Worker) answerCall(r *run, path string, c *CallRequest, at int64) (call *journal.Call, suspends bool) {
	over := c.Timed && c.Wait.Deadline <= at && !c.Wait.Asks()
	if len(c.Wait.Topics) > 0 {
		if !over && !r.satisfied(c.Wait, r.gotten(path, c.Key)) {
			return nil, true
		}
		return w.answerNow(r, path, c, at), false
	}
	if m, ok := w.early(r, c, at); ok {
		w.receive(r, path, c.Key, c.Wait, m, at)
	} else if m, ok := r.remembers(c.Key, c.Wait); ok {
		w.add(r, received(path, c.Key, m, at))
	} else if over {
		r.batch.took = append(r.batch.took, c.refused...)
		w.fireNow(r, path, c, at)
	} else {
		return nil, true
	}
	return r.recorded(path, c.Key), false
}

// answerNow ends a wait for several topics.
func (w *Worker) answerNow(r *run, path string, c *CallRequest, at int64) *journal.Call {
	ended := false
	for !ended {
		m, ok := r.match(c.Wait, r.gotten(path, c.Key))
		if !ok {
			break
		}
		ended = w.receive(r, path, c.Key, c.Wait, m, at)
	}
	if !ended {
		w.fireNow(r, path, c, at)
	}
	return r.recorded(path, c.Key)
}

// fireNow ends a wait that was never opened by its deadline.
func (w *Worker) fireNow(r *run, path string, c *CallRequest, at int64) {
	f := journal.Fact{Kind: journal.Fired, Path: path, Call: c.Key, At: at}
	if c.Wait.HasValue {
		f.Data = c.Wait.Default
	}
	w.fire(r, f, fromMicros(c.Wait.Deadline))
}

// recorded is the record of a call, nil if there is none.
func (r *run) recorded(path, call string) *journal.Call {
	if p := r.hist.At(path); p != nil {
		return p.Calls[call]
	}
	return nil
}

// asking tells whether the write that opens a wait has not landed. If only the store
// knows whether something is there for the wait, its deadline does not count before.
func (r *run) asking(wait *journal.Wait) bool {
	is := func(w store.Wait) bool { return w.ID == wait.ID }
	return wait.Asks() && (slices.ContainsFunc(r.batch.opens, is) || r.sent != nil && slices.ContainsFunc(r.sent.opens, is))
}
