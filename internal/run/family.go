package run

import (
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
)

// TopicCancel is the topic of the message by which a parent cancels a child.
const TopicCancel = "cancel"

// ChildReport is what a child's end tells its parent.
type ChildReport struct {
	ID       store.ID        `json:"id"`
	Workflow string          `json:"workflow,omitempty"`
	Status   store.Status    `json:"status"`
	State    json.RawMessage `json:"state,omitempty"` // completed: the last state
	Error    *journal.Error  `json:"error,omitempty"`
	Undo     bool            `json:"undo,omitempty"` // completed: it has something to undo, if its parent goes back
}

// Encode writes a report as the payload of its message.
func (p ChildReport) Encode() []byte { return encodeJSON(p) }

// Dismissal is why a child is cancelled by its parent.
type Dismissal struct {
	Parent store.ID `json:"parent"`
	Reason string   `json:"reason"`
	Undo   bool     `json:"undo,omitempty"` // the parent goes back, and so is the child to, if it has anything to undo
}

// Notice is the message of a cancelled parent that cancels its children.
func Notice(parent store.ID, reason string) *store.Notice {
	return &store.Notice{Topic: TopicCancel, Payload: encodeJSON(Dismissal{Parent: parent, Reason: reason})}
}

// childFailed is the error that a message brings which says that a child did not
// complete.
func childFailed(path string, m store.Message) *journal.Error {
	if !strings.HasPrefix(m.Topic, "child:") {
		return nil
	}
	var p ChildReport
	switch err := json.Unmarshal(m.Payload, &p); {
	case err != nil:
		return &journal.Error{Code: "child", Path: path, Message: "the report of a child cannot be read: " + err.Error()}
	case p.Status == store.Completed:
		return nil
	}
	text := "the child " + strings.TrimPrefix(m.Topic, "child:") + " is " + string(p.Status)
	if p.Error != nil {
		text += ": " + p.Error.Message
	}
	return &journal.Error{Code: "child", Path: path, Message: text}
}

// takeCancel takes the message of a parent that cancels this run.
func (w *Worker) takeCancel(r *run, at int64) bool {
	for i, m := range r.inbox {
		if m.Topic != TopicCancel {
			continue
		}
		r.inbox = append(r.inbox[:i:i], r.inbox[i+1:]...)
		r.batch.took = append(r.batch.took, m.Seq)
		var d Dismissal
		if json.Unmarshal(m.Payload, &d) == nil {
			f := r.cancelled(d.Parent, d.Reason, d.Undo, at)
			f.Message = m.Seq
			w.add(r, f)
		}
		return true
	}
	return false
}

// cancelled is the fact that its parent cancels a run. With undo it goes back, if it may have anything to
// undo.
func (r *run) cancelled(parent store.ID, reason string, undo bool, at int64) journal.Fact {
	return journal.Fact{
		Kind: journal.Cancelled, At: at, Data: []byte("run " + parent.String()), Undo: undo && (r.hist.Undoable() || r.hist.OpenKin()),
		Err: &journal.Error{Code: "cancelled", Message: "by its parent " + parent.String() + ": " + reason},
	}
}

// mayGoBack tells whether a message says that a child has completed which has something to undo.
func mayGoBack(m store.Message) bool {
	if !strings.HasPrefix(m.Topic, "child:") {
		return false
	}
	var p ChildReport
	return json.Unmarshal(m.Payload, &p) == nil && p.Undo
}

// ofEnd is the key of what the end of the run itself tells.
const ofEnd = "end"

// dismiss cancels the child that an open call awaits, with the next write. What
// was spawned lives on. With undo the child is rolled back.
func (r *run) dismiss(c journal.CallAt, key, reason string, undo bool) {
	child, ok := strings.CutPrefix(c.Wait.Topic, "child:")
	if !ok || !strings.HasPrefix(c.Call, "call:") {
		return
	}
	id, err := uuid.Parse(child)
	if err != nil {
		return
	}
	r.batch.tells = append(r.batch.tells, tell{key: key, Deliver: r.dismissal(id, reason, undo)})
}

// dismissal is the message that cancels a child.
func (r *run) dismissal(child store.ID, reason string, undo bool) store.Deliver {
	return store.Deliver{
		ID: child, Topic: TopicCancel, Payload: encodeJSON(Dismissal{r.id, reason, undo}), Dedupe: "dismiss:" + r.id.String(),
	}
}

// end says what a run's end tells its parent and its children.
func (w *Worker) end(r *run, rel *store.Release, cause *journal.Error) {
	if r.parent != (store.ID{}) {
		p := ChildReport{ID: r.id, Workflow: r.def.Tree.Name, Status: rel.Status, Error: cause}
		if rel.Status == store.Completed {
			p.State, p.Undo = r.hist.State, r.hist.Undoable() && !r.detached
		}
		if rel.Topic = ItemsTopic(r.def.Tree.Name); rel.Topic != "" {
			p = p.short()
		}
		rel.Report = p.Encode()
		r.reportBack(rel)
	}
	if r.hist.Cancel != nil { // ended by that, or rolled back
		rel.Family = Notice(r.id, cause.Message)
		return
	}
	if rel.Status == store.Completed {
		return
	}
	for _, c := range r.hist.OpenCalls("") {
		r.dismiss(c, ofEnd, "what called it has ended", false)
	}
	r.dismissItems(r.hist.OpenItems(""), ofEnd, "what it is an item of has ended", false)
}

// born says that children have begun, or have been told something.
func (w *Worker) born(b *batch) {
	for i := range b.children {
		if q := w.queue(b.children[i].begin.Queue); q != nil {
			q.poke()
		}
	}
	for i := range b.tells {
		w.heard(b.tells[i].ID)
	}
}

// reported says that a run's parent has been told of its end.
func (w *Worker) reported(r *run) {
	if r.parent != (store.ID{}) {
		w.heard(r.parent)
	}
}

// kin says that the children of a run have been told of its end: those that are here
// look for the message, others may be due now.
func (w *Worker) kin(parent store.ID) {
	for _, r := range w.sorted() {
		if r.parent == parent && r.base > 0 {
			w.fetch(r)
		}
	}
	for _, q := range w.queues {
		q.rumour()
	}
}

// heard says that one of the family has a message.
func (w *Worker) heard(id store.ID) {
	if r := w.runs[id]; r != nil {
		if r.base > 0 && r.gathers.IsZero() {
			w.fetch(r)
		}
		return
	}
	for _, q := range w.queues {
		q.rumour()
	}
}
