package storetest

import (
	"fmt"
	"time"

	"github.com/durable-go/durable/store"
)

func deliverClauses() []clause {
	return []clause{
		{"deliver/kept in order before any wait", "G9, EV-2", deliverKept},
		{"deliver/again has landed, once", "G9, EV-4", deliverAgain},
		{"deliver/dedupe outlives the message", "G9, EV-4", deliverDedupeTaken},
		{"deliver/dedupe is per execution", "G9, EV-4", deliverDedupeScope},
		{"deliver/again after the end has landed", "QU-8, EV-4", deliverAgainEnded},
		{"deliver/without dedupe is refused", "G9", deliverNoDedupe},
		{"deliver/to an unknown execution", "EV-5", deliverUnknown},
		{"deliver/to an ended execution", "EV-5", deliverEnded},
		{"deliver/to an owned execution wakes nobody", "G9, EV-5", deliverOwned},
		{"deliver/to a blocked execution is kept", "EV-5", deliverBlocked},
		{"deliver/to a pending execution leaves its due time", "RT-4", deliverPending},
		{"deliver/wakes by topic", "G9, EV-1", deliverWakes},
		{"deliver/another topic wakes nobody", "EV-2", deliverOtherTopic},
		{"deliver/the empty topic wakes nobody", "EV-2, SL-3", deliverEmptyTopic},
		{"deliver/wakes a wait that also has a due time", "G9, EV-8", deliverWakesDue},
		{"deliver/makes a parked compensating execution due", "CO-5, G9", deliverCompensating},
		{"deliver/by wait id wakes and closes it", "G9, IN-2", deliverByWait},
		{"deliver/second answer finds no wait", "IN-4", deliverSecondAnswer},
		{"deliver/the same answer again has landed", "IN-4, QU-8", deliverSameAnswer},
		{"deliver/to a wait of another execution", "IN-4, IN-5", deliverForeignWait},
		{"deliver/answer while owned closes the wait", "IN-2", deliverAnswerOwned},
		{"deliver/to a wait that is kept", "IN-6", deliverKeep},
		{"deliver/full inbox", "EV-5", deliverFull},
		{"deliver/taken messages make room", "EV-5", deliverRoom},
		{"deliver/many in one batch", "G9", deliverBatch},
	}
}

func deliverKept(e *env) {
	id := e.pending()
	for i := range 3 {
		d := send(id, fmt.Sprintf("topic %d", i), fmt.Sprintf("m%d", i))
		e.one(delivering(d), store.Applied, "send")
	}
	rec := e.load(id)
	if rec.Inbox != 3 || len(rec.Messages) != 3 {
		e.failf("3 messages sent, inbox %d, %d there", rec.Inbox, len(rec.Messages))
	}
	for i, m := range rec.Messages {
		want := send(id, fmt.Sprintf("topic %d", i), fmt.Sprintf("m%d", i))
		if m.Seq != int64(i+1) || m.Topic != want.Topic || string(m.Payload) != string(want.Payload) || m.Wait != "" || m.At.IsZero() {
			e.failf("message %d is %+v", i+1, m)
		}
	}
}

func deliverAgain(e *env) {
	id := e.pending()
	d := send(id, "t", "m1")
	e.one(delivering(d), store.Applied, "send")
	d.Payload = []byte("other")
	e.one(delivering(d), store.Landed, "the same dedupe again")
	if rec := e.load(id); rec.Inbox != 1 || len(rec.Messages) != 1 || string(rec.Messages[0].Payload) == "other" {
		e.failf("a message was accepted twice or altered: %+v", rec.Messages)
	}
}

func deliverDedupeTaken(e *env) {
	r := e.running()
	e.one(delivering(send(r.id, "t", "m1")), store.Applied, "send")
	a := r.next("took")
	a.Took = []int64{1}
	e.advance(r, a)
	e.one(delivering(send(r.id, "t", "m1")), store.Landed, "the same dedupe after the message was taken")
	if rec := e.load(r.id); rec.Inbox != 1 || len(rec.Messages) != 0 {
		e.failf("a taken message came back: %+v", rec.Messages)
	}
}

func deliverDedupeScope(e *env) {
	e.one(delivering(send(e.pending(), "t", "m1")), store.Applied, "send to one")
	e.one(delivering(send(e.pending(), "t", "m1")), store.Applied, "send to another")
}

func deliverAgainEnded(e *env) {
	r := e.running()
	e.one(delivering(send(r.id, "t", "m1")), store.Applied, "send")
	e.advance(r, r.park(store.Completed))
	e.one(delivering(send(r.id, "t", "m1")), store.Landed, "what was accepted before the end")
}

func deliverNoDedupe(e *env) {
	id := e.pending()
	e.refused("a message without dedupe", delivering(send(id, "t", "")))
	if rec := e.load(id); rec.Inbox != 0 {
		e.failf("it was accepted")
	}
}

func deliverUnknown(e *env) {
	e.one(delivering(send(newID(), "t", "m1")), store.NotFound, "send to nobody")
}

func deliverEnded(e *env) {
	r := e.running()
	e.advance(r, r.park(store.Failed))
	if v := e.one(delivering(send(r.id, "t", "m1")), store.Ended, "send to an ended execution"); v.Status != store.Failed {
		e.failf("the verdict says %q, want failed", v.Status)
	}
	if rec := e.load(r.id); rec.Inbox != 0 {
		e.failf("it was accepted")
	}
}

func deliverOwned(e *env) {
	r := e.running()
	a := r.next("opens")
	a.Open = []store.Wait{r.wait("w", "t")}
	r = e.advance(r, a)
	e.one(delivering(send(r.id, "t", "m1")), store.Applied, "send")
	if rec := e.load(r.id); rec.Owner != r.owner || rec.Status != store.Running || rec.Epoch != r.epoch || rec.Inbox != 1 {
		e.failf("a message disturbed the owner: %s", describe(rec.Execution))
	}
	e.advance(r, r.next("goes on"))
}

func deliverBlocked(e *env) {
	r := e.running()
	a := r.park(store.Blocked)
	a.Release.Blocked = "now"
	a.Open = []store.Wait{r.wait("w", "t")}
	e.advance(r, a)
	e.one(delivering(send(r.id, "t", "m1")), store.Applied, "send")
	if rec := e.load(r.id); rec.Status != store.Blocked || rec.Inbox != 1 {
		e.failf("a message to a blocked execution: %s", describe(rec.Execution))
	}
}

func deliverPending(e *env) {
	b := start()
	b.Due = e.now().Add(time.Hour)
	e.begin(b)
	e.one(delivering(send(b.ID, "t", "m1")), store.Applied, "send")
	if rec := e.load(b.ID); rec.Status != store.Pending || !rec.Due.Equal(b.Due) {
		e.failf("a message moved a pending execution: %s", describe(rec.Execution))
	}
}

func deliverWakes(e *env) {
	r := e.waiting("t")
	e.one(delivering(send(r.id, "t", "m1")), store.Applied, "send")
	rec := e.load(r.id)
	if rec.Status != store.Pending || rec.Due.IsZero() || rec.Due.After(rec.Now) || rec.Epoch != r.epoch {
		e.failf("a message for an open wait must make it pending and due: %s", describe(rec.Execution))
	}
	if len(e.waits(r.id)) != 1 {
		e.failf("a message by topic must leave the wait to its owner")
	}
	if len(e.takeoverRecord(r.id).Messages) != 1 {
		e.failf("the next owner does not see the message")
	}
}

func deliverOtherTopic(e *env) {
	r := e.waiting("t")
	for _, topic := range []string{"T", "t ", "other", "%", "_"} {
		e.one(delivering(send(r.id, topic, topic)), store.Applied, "send")
	}
	if rec := e.load(r.id); rec.Status != store.Waiting || rec.Inbox != 5 {
		e.failf("a message that nothing waits for: %s", describe(rec.Execution))
	}
	e.nobody("no message for its wait")
}

func deliverEmptyTopic(e *env) {
	r := e.waiting("")
	e.one(delivering(send(r.id, "", "m1")), store.Applied, "send")
	if rec := e.load(r.id); rec.Status != store.Waiting || rec.Inbox != 1 {
		e.failf("an empty topic woke a wait without one: %s", describe(rec.Execution))
	}
}

func deliverWakesDue(e *env) {
	r := e.running()
	a := r.waitFor(r.wait("w", "t"))
	a.Release.Due = e.now().Add(time.Hour)
	e.advance(r, a)
	e.one(delivering(send(r.id, "t", "m1")), store.Applied, "send")
	e.takeover(r.id)
}

func deliverCompensating(e *env) {
	r := e.running()
	a := r.park(store.Compensating)
	a.Open = []store.Wait{r.wait("w", "t")}
	a.Release.Due = e.now().Add(time.Hour)
	e.advance(r, a)
	e.nobody("an undo that waits")
	e.one(delivering(send(r.id, "another", "m1")), store.Applied, "send")
	if rec := e.load(r.id); rec.Status != store.Compensating || rec.Due.After(rec.Now) || len(rec.Messages) != 1 {
		e.failf("a message must make it due and keep its status: %s, %+v", describe(rec.Execution), rec.Messages)
	}
	s := e.takeover(r.id)
	e.one(delivering(send(r.id, "t", "m2")), store.Applied, "send to the one who undoes")
	if rec := e.load(r.id); rec.Status != store.Compensating || rec.Owner != s.owner || rec.Epoch != s.epoch {
		e.failf("a message must not disturb the owner: %s", describe(rec.Execution))
	}
	s = e.advance(s, s.next("goes on"))
	b := s.park(store.Compensating)
	b.Release.Due = e.now().Add(time.Hour)
	e.advance(s, b)
	d := send(r.id, "", "m3")
	d.Wait = a.Open[0].ID
	e.one(delivering(d), store.Applied, "answer")
	if rec := e.load(r.id); rec.Status != store.Compensating || rec.Due.After(rec.Now) || len(e.waits(r.id)) != 0 {
		e.failf("an answer must close its wait and make it due: %s", describe(rec.Execution))
	}
}

func deliverByWait(e *env) {
	r := e.waiting("")
	d := send(r.id, "", "m1")
	d.Wait = r.wait("w", "").ID
	e.one(delivering(d), store.Applied, "answer")
	rec := e.load(r.id)
	if rec.Status != store.Pending || rec.Due.After(rec.Now) || len(rec.Messages) != 1 || rec.Messages[0].Wait != d.Wait {
		e.failf("an answer must wake and be kept with its wait: %s, %+v", describe(rec.Execution), rec.Messages)
	}
	if len(e.waits(r.id)) != 0 {
		e.failf("the answered wait is still open")
	}
	e.takeover(r.id)
}

func deliverSecondAnswer(e *env) {
	r := e.running()
	e.advance(r, r.waitFor(r.wait("w", ""), r.wait("other", "")))
	d := send(r.id, "", "m1")
	d.Wait = r.wait("w", "").ID
	e.one(delivering(d), store.Applied, "answer")
	d.Dedupe = "m2"
	e.one(delivering(d), store.NoSuchWait, "a second answer")
	d.Wait = "never opened"
	e.one(delivering(d), store.NoSuchWait, "an answer to nothing")
	if rec := e.load(r.id); rec.Inbox != 1 {
		e.failf("a refused answer was kept")
	}
}

func deliverSameAnswer(e *env) {
	r := e.waiting("")
	d := send(r.id, "", "m1")
	d.Wait = r.wait("w", "").ID
	e.one(delivering(d), store.Applied, "answer")
	e.one(delivering(d), store.Landed, "the same answer again")
}

func deliverForeignWait(e *env) {
	r, s := e.waiting(""), e.waiting("")
	d := send(r.id, "", "m1")
	d.Wait = s.wait("w", "").ID
	e.one(delivering(d), store.NoSuchWait, "an answer to another execution's wait")
	if len(e.waits(s.id)) != 1 || e.load(s.id).Status != store.Waiting || e.load(r.id).Status != store.Waiting {
		e.failf("it had an effect")
	}
}

func deliverAnswerOwned(e *env) {
	r := e.running()
	a := r.next("opens")
	a.Open = []store.Wait{r.wait("w", "")}
	r = e.advance(r, a)
	d := send(r.id, "", "m1")
	d.Wait = a.Open[0].ID
	e.one(delivering(d), store.Applied, "answer")
	if rec := e.load(r.id); rec.Owner != r.owner || len(e.waits(r.id)) != 0 {
		e.failf("an answer to an owned execution: %s, %d waits", describe(rec.Execution), len(e.waits(r.id)))
	}
	e.refused("to wait when the only wait was answered meanwhile", advancing(r.waitFor()))
}

// What keeps its wait is accepted only while that is open.
func deliverKeep(e *env) {
	r := e.waiting("")
	d := send(r.id, "", "keep")
	d.Wait, d.Keep = r.wait("w", "").ID, true
	e.one(delivering(d), store.Applied, "to an open wait")
	rec := e.load(r.id)
	if rec.Status != store.Pending || len(e.waits(r.id)) != 1 || len(rec.Messages) != 1 || rec.Messages[0].Wait != d.Wait {
		e.failf("it should be awake, its wait open: %s, %d waits, %+v", describe(rec.Execution), len(e.waits(r.id)), rec.Messages)
	}
	e.one(delivering(d), store.Landed, "the same again")
	answer := send(r.id, "", "answer")
	answer.Wait = d.Wait
	e.one(delivering(answer), store.Applied, "answer")
	d.Dedupe = "late"
	e.one(delivering(d), store.NoSuchWait, "to a wait that was answered")
	d.Wait, d.Dedupe = "", "nobody"
	e.refused("to keep no wait", delivering(d))
}

func deliverFull(e *env) {
	id := e.pending()
	for i := range 2 {
		d := send(id, "t", fmt.Sprint(i))
		d.Max = 2
		e.one(delivering(d), store.Applied, "send within the limit")
	}
	d := send(id, "t", "third")
	d.Max = 2
	e.one(delivering(d), store.Full, "the third of two")
	d.Dedupe = "0"
	e.one(delivering(d), store.Landed, "an accepted one again, with a full inbox")
	d.Dedupe, d.Max = "third", 3
	e.one(delivering(d), store.Applied, "the refused one again, with room: its dedupe was not used up")
	d.Dedupe, d.Max = "fourth", 0
	e.one(delivering(d), store.Applied, "without a limit")
}

func deliverRoom(e *env) {
	r := e.running()
	d := send(r.id, "t", "m1")
	d.Max = 1
	e.one(delivering(d), store.Applied, "send")
	d.Dedupe = "m2"
	e.one(delivering(d), store.Full, "the second of one")
	a := r.next("took")
	a.Took = []int64{1}
	e.advance(r, a)
	e.one(delivering(d), store.Applied, "after the first was taken")
}

func deliverBatch(e *env) {
	r := e.waiting("t")
	var batch []store.Write
	for i := range 10 {
		batch = append(batch, delivering(send(r.id, "t", fmt.Sprint(i/2)))) // each twice
	}
	for i, v := range e.commit(batch...) {
		if want := []store.Code{store.Applied, store.Landed}[i%2]; v.Code != want {
			e.failf("delivery %d: %s, want %s", i, codeName(v.Code), codeName(want))
		}
	}
	rec := e.load(r.id)
	if rec.Inbox != 5 || len(rec.Messages) != 5 || string(rec.Messages[4].Payload) != "payload of 4" {
		e.failf("of 5 messages sent twice in a batch there are %+v", rec.Messages)
	}
}

// takeoverRecord claims like takeover and returns what the claim said.
func (e *env) takeoverRecord(id store.ID) store.Record {
	e.tb.Helper()
	for _, rec := range e.claim(e.lease()).Records {
		if rec.ID == id {
			return rec
		}
	}
	e.failf("execution is due but cannot be claimed: %s", describe(e.load(id).Execution))
	return store.Record{}
}
