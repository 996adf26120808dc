package run

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/store"
)

// Topics of orders: messages that name an open wait and do not answer it. They
// are accepted only while it is open. TopicRevoke closes it, so that of an answer,
// a timer and a revocation one wins; TopicExtend keeps it.
const (
	TopicRevoke = "revoke"
	TopicExtend = "extend"
)

// Order is the payload of such a message.
type Order struct {
	By     string        `json:"by,omitempty"`
	Reason string        `json:"reason,omitempty"` // revoke
	For    time.Duration `json:"for,omitempty"`    // extend: the deadline is so long after the message was accepted
	Until  time.Time     `json:"until,omitzero"`   // extend: or then
}

func (o *Order) deadline(accepted time.Time) int64 {
	if !o.Until.IsZero() {
		return deadline(&CallRequest{At: o.Until}, accepted)
	}
	return deadline(&CallRequest{For: o.For}, accepted)
}

// give gives a wait the message that was meant for it.
func (w *Worker) give(r *run, o plan.Wait, m store.Message, at int64) {
	if m.Topic == TopicRevoke || m.Topic == TopicExtend {
		w.obey(r, o, m, at)
		return
	}
	payload, err := w.accept(o.Wait, m)
	if err != nil { // it came early, and is listed as refused
		r.batch.took = append(r.batch.took, m.Seq)
		w.add(r, journal.Fact{
			Kind: journal.Altered, Path: o.Path, Call: o.Call, Message: m.Seq, Until: o.Wait.Deadline, At: at, Note: refusal(err, at),
		})
		return
	}
	topic, rows := m.Topic, []string(nil)
	heard := m
	m.Payload = payload
	if w.receive(r, o.Path, o.Call, o.Wait, m, at) {
		topic, rows = "", rowsOf(o.Wait)
	} else {
		rows = []string{rowOf(o.Wait, m.Topic)}
	}
	r.batch.close(o.Path, o.Call, topic, rows)
	if m.Wait == "" {
		if r.batch.heard == nil {
			r.batch.heard, r.batch.heardSeen = make(map[string]store.Message), r.seen
		}
		r.batch.heard[shutKey(o.Path, o.Call, topic)] = heard
	}
}

// obey carries out an order.
func (w *Worker) obey(r *run, o plan.Wait, m store.Message, at int64) {
	var order Order
	r.batch.took = append(r.batch.took, m.Seq)
	if err := json.Unmarshal(m.Payload, &order); err != nil {
		w.do.Note("an order to a wait cannot be read", r.id, err)
		return
	}
	f := journal.Fact{Path: o.Path, Call: o.Call, Message: m.Seq, At: at}
	if m.Topic == TopicRevoke {
		f.Kind, f.Data, f.Err = journal.Revoked, []byte(order.By), &journal.Error{Code: "wait_cancelled", Message: order.Reason, Path: o.Path}
		r.batch.close(o.Path, o.Call, "", rowsOf(o.Wait))
		r.dismiss(o.At(), callKey(o.Path, o.Call), "the call's wait was cancelled", false)
	} else {
		f.Kind, f.Until = journal.Altered, order.deadline(m.At)
		f.Note = &journal.Note{Kind: journal.NoteExtended, At: at, By: order.By, Until: f.Until}
	}
	w.add(r, f)
}

// dropOrders takes orders to waits that are over: a message that had been
// accepted before has ended them. While that is not durable it may be taken back.
func (r *run) dropOrders(open []plan.Wait) {
	if r.sent != nil || r.batch.fires || len(r.batch.heard) > 0 {
		return
	}
	r.inbox = slices.DeleteFunc(slices.Clone(r.inbox), func(m store.Message) bool {
		if m.Topic != TopicRevoke && m.Topic != TopicExtend {
			return false
		}
		for _, o := range open {
			if o.Wait.ID == m.Wait {
				return false
			}
		}
		r.batch.took = append(r.batch.took, m.Seq)
		return true
	})
}

// accept asks whether a message that did not name its wait fits it: nobody has
// checked that before. It returns the payload as the body reads it.
func (w *Worker) accept(wait *journal.Wait, m store.Message) ([]byte, error) {
	if m.Wait != "" || w.cfg.Accept == nil {
		return m.Payload, nil
	}
	return w.cfg.Accept(wait, m.Payload)
}

func refusal(err error, at int64) *journal.Note {
	text := err.Error()
	const most = 1000
	if len(text) > most {
		text = text[:most]
	}
	return &journal.Note{Kind: journal.NoteRefused, At: at, Text: text}
}

// notice records that the first notice of a wait is due.
func (w *Worker) notice(r *run, o plan.Wait, at int64) {
	n := o.Wait.Notices[0]
	note := &journal.Note{Kind: journal.NoteReminded, At: at, To: n.To}
	if n.To != "" {
		note.Kind = journal.NoteEscalated
	} else {
		note.To = o.Wait.To
	}
	w.fire(r, journal.Fact{Kind: journal.Altered, Path: o.Path, Call: o.Call, Note: note, At: at}, fromMicros(n.At))
}

// arm gives a wait that is about to open its times.
func (w *Worker) arm(c *CallRequest, now time.Time) {
	high := w.clock.high(now)
	if c.Timed {
		c.Wait.Deadline = deadline(c, high)
	}
	c.Wait.Arm(micros(high) + 1)
}

// altered is the rows of the waits that facts have altered, as they are now.
func (r *run) altered(facts []journal.Fact) (rows []store.Wait) {
	for i := range facts {
		f := &facts[i]
		if f.Kind != journal.Altered || slices.ContainsFunc(facts[:i], func(b journal.Fact) bool {
			return b.Kind == journal.Altered && b.Path == f.Path && b.Call == f.Call
		}) {
			continue
		}
		p := r.hist.At(f.Path)
		if p == nil {
			continue
		}
		if c := p.Calls[f.Call]; c != nil && c.State == journal.Open {
			rows = append(rows, waitRow(r.id, f.Path, f.Call, c.Wait))
		}
	}
	return rows
}

// waitRow is a wait as lists show it.
func waitRow(id store.ID, path, call string, w *journal.Wait) store.Wait {
	shown := *w
	if len(w.Topics) > 0 {
		shown.Detail = encodeJSON(Several{w.Topics})
	}
	return store.Wait{
		ID: w.ID, Execution: id, Path: path, Call: call, Kind: w.Kind, Name: w.Name,
		Topic: w.Topic, Shared: w.Shared, Detail: shown.Shown(), Deadline: fromMicros(w.Deadline), Label: w.To,
	}
}

// tellNotices tells of notices that are recorded now.
func (w *Worker) tellNotices(r *run, facts []journal.Fact) {
	for i := range facts {
		if f := &facts[i]; f.Kind == journal.Altered && f.Message == 0 {
			w.do.Noticed(r.id, f.Path, f.Call, *f.Note)
		}
	}
}

// overtaken tells whether a wait that is to end with a message that came by its topic was
// ended in the store before, by an order that is here by now: it is the order that counts.
func (r *run) overtaken(b *batch) bool {
	for key := range b.heard {
		if slices.ContainsFunc(r.inbox, func(m store.Message) bool { return m.Wait != "" && slices.Contains(b.shut[key], m.Wait) }) {
			return true
		}
	}
	return false
}

// giveBack takes back that open waits have heard messages, when others came
// meanwhile: one of these may have ended such a wait in the store before.
func (r *run) giveBack(b *batch) {
	for key, m := range b.heard {
		b.facts = slices.DeleteFunc(b.facts, func(f journal.Fact) bool {
			return (f.Kind == journal.Received || f.Kind == journal.Gathered) && f.Message == m.Seq
		})
		b.took = slices.DeleteFunc(slices.Clone(b.took), func(seq int64) bool { return seq == m.Seq })
		delete(b.shut, key)
		if !slices.ContainsFunc(r.inbox, func(o store.Message) bool { return o.Seq == m.Seq }) { // several heard it
			r.inbox = append(r.inbox, m)
		}
	}
	b.heard = nil
	slices.SortFunc(r.inbox, func(a, b store.Message) int { return int(min(max(a.Seq-b.Seq, -1), 1)) })
}

// early finds the message that ends a wait before it opens. Those that do not
// fit are taken, too: they are noted at the wait.
func (w *Worker) early(r *run, c *CallRequest, at int64) (store.Message, bool) {
	for {
		m, ok := r.match(c.Wait, nil)
		if !ok {
			return m, false
		}
		payload, err := w.accept(c.Wait, m)
		if err == nil {
			r.batch.took = append(r.batch.took, c.refused...)
			m.Payload = payload
			return m, true
		}
		c.refused = append(c.refused, m.Seq)
		c.Wait.Notes = append(c.Wait.Notes, *refusal(err, at))
	}
}
