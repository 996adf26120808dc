package run

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/store"
)

// A run that goes back orders children to go back, too: those that had completed and have something to
// undo, and those that have not ended. An order has a number, the round. Each is answered
// once: by the end of the child, or at once by the store, if it cannot go back. The rollback waits for
// that, and holds nothing meanwhile.

// TopicRecall is the topic of the message by which a parent orders a child to go back.
const TopicRecall = "family:recall"

// Recall is its payload.
type Recall struct {
	Parent store.ID `json:"parent"`
	Reason string   `json:"reason"`
	Round  int      `json:"round"`
}

// openLook is how long a rollback that waits for children which had not ended rests before it has them looked
// after again: one that is blocked hears of nothing.
const openLook = 10 * time.Minute

// waitsForOpen tells whether a rollback waits for children that had not ended when it began.
func (r *run) waitsForOpen() bool { return len(r.plan.Kin) > 0 && r.plan.Kin[0].Undo.Kin.Open }

// order is the dedupe name of an order.
func order(round int) string { return "recall:" + strconv.Itoa(round) }

// takeRecall takes the order of the parent to go back. It comes before anything else: the run may
// be about to end, or have ended.
func (w *Worker) takeRecall(r *run, at int64) bool {
	for i, m := range r.inbox {
		if m.Topic != TopicRecall {
			continue
		}
		r.inbox = append(r.inbox[:i:i], r.inbox[i+1:]...)
		r.batch.took = append(r.batch.took, m.Seq)
		var o Recall
		if json.Unmarshal(m.Payload, &o) == nil {
			w.recalled(r, o, at)
		}
		return true
	}
	return false
}

func (w *Worker) recalled(r *run, o Recall, at int64) {
	text := "its parent " + o.Parent.String() + " goes back: " + o.Reason
	f := journal.Fact{Kind: journal.Recalled, Attempt: o.Round, At: at, Err: &journal.Error{Code: "recalled", Message: text}}
	f.Undo = r.undoing && r.hist.Back == nil
	w.add(r, f)
	switch {
	case r.hist.Back != nil: // it goes back already, or has: what failed is tried again
		if plan.Eval(r.def.Tree, r.hist).Outcome == plan.CompensationFailed {
			w.add(r, journal.Fact{Kind: journal.Revived, At: at, Data: []byte("run " + o.Parent.String())})
		}
	case !f.Undo && r.hist.Cancel == nil:
		w.add(r, r.cancelled(o.Parent, o.Reason, true, at))
	}
}

// takeAnswers takes what children say that were ordered to go back.
func (w *Worker) takeAnswers(r *run, p plan.Plan, at int64, now time.Time) bool {
	if len(p.Kin) == 0 || w.leaves(r) {
		return false
	}
	answers := make([]answers, len(p.Kin))
	rest := r.inbox[:0:0]
	for _, m := range r.inbox {
		if !r.answered(p.Kin, answers, m) {
			rest = append(rest, m)
		}
	}
	r.inbox = rest
	taken := false
	for i, a := range answers {
		if len(a.undone)+len(a.failed) == 0 {
			continue
		}
		u := p.Kin[i].Undo
		f := journal.Order(u.At(), journal.Ordered{Undone: journal.Ranges(a.undone), Failed: journal.Ranges(a.failed)}, a.err, at)
		f.Attempt, taken = u.Round(), true
		if w.add(r, f); u.Kin.Child == "" {
			r.gathers = now.Add(gather)
		}
	}
	return taken
}

// answers is what those say that are undone by one entry of the list.
type answers struct {
	undone, failed []int
	err            *journal.Error
}

// answered takes a message if it is an answer.
func (r *run) answered(kin []plan.Kin, list []answers, m store.Message) bool {
	report, is := answerOf(m)
	if !is {
		return false
	}
	for i := range kin {
		n, is := r.numberOf(kin[i].Undo, report.ID)
		if is && journal.In(kin[i].Undo.Kin.Told, n) {
			list[i].take(kin[i].Undo, n, report)
			r.batch.took, r.batch.loose = append(r.batch.took, m.Seq), append(r.batch.loose, m.Seq)
			return true
		}
	}
	return false
}

// answerOf reads a message, if it may be an answer: the store's, the end of who took the order, or another
// end of a child, which was cancelled from outside before it could. But who told of an end from which
// it could still go back has the order, and is going to answer that.
func answerOf(m store.Message) (report ChildReport, is bool) {
	id, ordered := strings.CutPrefix(m.Topic, "family:back:")
	if !ordered && !strings.HasPrefix(m.Topic, "child:") && !strings.HasPrefix(m.Topic, "items:") {
		return report, false
	}
	report.Status = store.Status(m.Payload)
	if len(m.Payload) > 0 && m.Payload[0] == '{' && json.Unmarshal(m.Payload, &report) != nil {
		return report, false // never written so
	}
	if !ordered {
		return report, !store.Recallable(report.Status)
	}
	child, err := uuid.Parse(id)
	report.ID = child
	return report, err == nil
}

// take notes how a child answered. What was never done, or is undone by whomever, is undone.
func (a *answers) take(u *journal.Undo, n int, p ChildReport) {
	switch p.Status {
	case store.Compensated, store.Failed, store.Cancelled:
		a.undone = append(a.undone, n)
		return
	}
	a.failed = append(a.failed, n)
	if a.err == nil {
		a.err = notUndone(u, n, p)
	}
}

// notUndone is the error of an undo whose child could not go back.
func notUndone(u *journal.Undo, n int, p ChildReport) *journal.Error {
	text := "the child " + p.ID.String()
	if u.Kin.Child == "" {
		text = "item " + strconv.Itoa(n) + " (" + p.ID.String() + ")"
	}
	switch {
	case p.Status == "":
		text += " is not there any more, and cannot be undone"
	case p.Error != nil:
		text += " is " + string(p.Status) + ": " + p.Error.Message
	default:
		text += " is " + string(p.Status)
	}
	return &journal.Error{Code: "child", Path: u.Path, Message: text}
}

// numberOf is the number of a child in an entry of the list of undos.
func (r *run) numberOf(u *journal.Undo, child store.ID) (n int, is bool) {
	if u.Kin.Child != "" {
		return 0, u.Kin.Child == child.String()
	}
	n = itemNumber(child)
	return n, child == r.kinID(u, n)
}

// kinID is the id of a child of an entry.
func (r *run) kinID(u *journal.Undo, n int) store.ID {
	if u.Kin.Child != "" {
		id, _ := uuid.Parse(u.Kin.Child) // else it is nobody's, and the store says so
		return id
	}
	return ItemID(r.id, u.Path, u.Visit, u.Kin.At, n)
}

// recall orders children to go back.
func (w *Worker) recall(r *run, p plan.Plan, at int64) (told bool) {
	for _, k := range p.Kin {
		if len(k.Tell) == 0 {
			continue
		}
		round, path := k.Undo.Round(), k.Undo.At()
		payload := encodeJSON(Recall{Parent: r.id, Reason: r.hist.Back.Err.Message, Round: round})
		for _, tell := range k.Tell {
			for n := tell[0]; n <= tell[1]; n++ {
				d := store.Deliver{ID: r.kinID(k.Undo, n), Topic: TopicRecall, Payload: payload, Dedupe: order(round)}
				r.order(callKey(path, ""), d)
			}
		}
		f := journal.Order(path, journal.Ordered{Told: k.Tell}, nil, at)
		f.Attempt, f.Derived, told = round, true, true
		w.add(r, f)
	}
	return told
}

func (r *run) order(key string, d store.Deliver) {
	r.batch.tells = append(r.batch.tells, tell{key: key, Deliver: d, recall: true})
}

// haltKin ends the rollbacks of children that are under way.
func (r *run) haltKin(m store.Message) {
	for i := range r.hist.Undos {
		u := &r.hist.Undos[i]
		if u.Kin == nil || u.Ended() {
			continue
		}
		for _, told := range u.Kin.Told {
			for n := told[0]; n <= told[1]; n++ {
				r.batch.tells = append(r.batch.tells, tell{key: callKey("", ""), Deliver: store.Deliver{
					ID: r.kinID(u, n), Topic: TopicHalt, Payload: m.Payload, Dedupe: "halt:" + r.id.String() + ":" + itoa(m.Seq),
				}})
			}
		}
	}
}

// reportBack makes the report of an end the answer to the parent's order, if there is one. Else who goes back
// may have ended so before, and somebody had it tried again: then it has told of that, and whoever awaits
// it since then is to hear of this end. So each has its own name, by the epoch.
func (r *run) reportBack(rel *store.Release) {
	if c := r.hist.Recall; c != nil {
		rel.Topic, rel.Dedupe = store.RecallTopic(r.id), store.RecallDedupe(r.id, order(c.Round))
	} else if r.hist.Back != nil {
		rel.Dedupe = BackDedupe(r.id, r.epoch)
	}
}

// BackDedupe is the dedupe name of the report of a rollback that ends in an epoch, and that no parent has
// ordered.
func BackDedupe(child store.ID, epoch int64) string {
	return store.ChildTopic(child) + ":" + itoa(epoch)
}
