package storetest

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func controlClauses() []clause {
	return []clause{
		{"control/cancels whatever is open", "G15, CN-1", controlCancels},
		{"control/ends an ownership", "G7, CN-2", controlFences},
		{"control/again has landed", "QU-8, CN-1", controlAgain},
		{"control/unknown execution", "CN-1", controlUnknown},
		{"control/status not in From", "CN-1, CN-2", controlFrom},
		{"control/of one owner only", "QU-5", controlOwner},
		{"control/of what was seen only", "CO-9", controlBefore},
		{"control/unblocks", "VR-3", controlUnblocks},
		{"control/undoes again what could not be undone", "CO-6", controlUndoesAgain},
		{"control/without a row keeps the length", "G3", controlBare},
		{"control/moves to a queue and a due time", "QU-2", controlMoves},
		{"control/blocks with a reason", "G20", controlBlocks},
		{"control/to waiting without a wait is refused", "QU-9", controlWaiting},
		{"control/an illegal change is refused", "CN-2", controlIllegal},
		{"control/row is of the new epoch", "G7", controlEpoch},
		{"control/cancel against completion: the first stands", "G15, CN-2", controlRace},
	}
}

// cancel is a Control as a cancel from outside makes it.
func cancel(id store.ID) store.Control {
	return store.Control{
		ID:      id,
		From:    []store.Status{store.Pending, store.Running, store.Waiting, store.Blocked},
		Row:     []byte("cancelled by an operator"),
		Release: store.Release{Status: store.Cancelled, ErrorCode: "cancelled", Error: []byte("by an operator")},
	}
}

func controlCancels(e *env) {
	blocked := e.running()
	e.advance(blocked, blocked.park(store.Blocked))
	for _, id := range []store.ID{e.pending(), e.running().id, e.waiting("t").id, blocked.id} {
		before := e.load(id)
		e.one(controlling(cancel(id)), store.Applied, "cancel of "+string(before.Status))
		rec := e.load(id)
		if rec.Status != store.Cancelled || rec.Owner != uuid.Nil || rec.Epoch != before.Epoch+1 || rec.Length != before.Length+1 {
			e.failf("cancelled, but before %s, after %s", describe(before.Execution), describe(rec.Execution))
		}
		if len(e.waits(id)) != 0 || rec.Ended.IsZero() || rec.ErrorCode != "cancelled" || string(rec.Rows[rec.Length-1].Body) != "cancelled by an operator" {
			e.failf("cancelled %s: %d waits, ended %v, code %q", before.Status, len(e.waits(id)), rec.Ended, rec.ErrorCode)
		}
	}
	e.nobody("all cancelled")
}

func controlFences(e *env) {
	r := e.running()
	c := cancel(r.id)
	c.Release = store.Release{Status: store.Pending}
	e.one(controlling(c), store.Applied, "take it from its owner")
	e.one(advancing(r.next("late")), store.Superseded, "the old owner's write")
	r.base++
	e.one(advancing(r.next("late")), store.Superseded, "the old owner's write, with the new length")
	if s := e.takeover(r.id); s.epoch != r.epoch+2 {
		e.failf("epoch %d; want one more for the control and one for the claim after %d", s.epoch, r.epoch)
	}
}

func controlAgain(e *env) {
	r := e.running()
	e.one(controlling(cancel(r.id)), store.Applied, "cancel")
	e.one(controlling(cancel(r.id)), store.Landed, "the same cancel again")
	if rec := e.load(r.id); rec.Length != 2 || rec.Epoch != 2 {
		e.failf("the second cancel had an effect: %s", describe(rec.Execution))
	}
	c := cancel(r.id)
	c.Row = []byte("cancelled by another")
	e.one(controlling(c), store.Ended, "another cancel")
}

func controlUnknown(e *env) {
	e.one(controlling(cancel(newID())), store.NotFound, "cancel of nothing")
}

func controlFrom(e *env) {
	r := e.running()
	c := cancel(r.id)
	c.From = []store.Status{store.Waiting, store.Blocked}
	if v := e.one(controlling(c), store.Ended, "running is not in From"); v.Status != store.Running {
		e.failf("the verdict says %q, want running", v.Status)
	}
	e.untouched(r)
	e.advance(r, r.park(store.Completed))
	if v := e.one(controlling(cancel(r.id)), store.Ended, "cancel of a completed execution"); v.Status != store.Completed {
		e.failf("the verdict says %q, want completed", v.Status)
	}
}

func controlOwner(e *env) {
	r := e.running()
	c := store.Control{ID: r.id, From: []store.Status{store.Running}, Owner: e.lease(), Release: store.Release{Status: store.Pending}}
	e.one(controlling(c), store.Superseded, "let go of another's execution")
	e.untouched(r)
	c.Owner = r.owner
	e.one(controlling(c), store.Applied, "let go of an own execution")
	if rec := e.load(r.id); rec.Epoch != r.epoch+1 || rec.Owner != uuid.Nil || rec.Length != 1 {
		e.failf("let go, but %s", describe(rec.Execution))
	}
	c.From = append(c.From, store.Pending)
	e.one(controlling(c), store.Superseded, "let go of what nobody has")
}

// An execution that has been claimed, taken or let go since it was looked at is another.
func controlBefore(e *env) {
	id := e.pending()
	c := cancel(id)
	c.Before = 1
	r := e.takeover(id)
	e.one(controlling(c), store.Superseded, "cancel of what was pending, and is claimed")
	e.untouched(r)
	c.Before = r.epoch
	e.one(controlling(c), store.Superseded, "cancel of an older epoch")
	e.untouched(r)
	c.Before = r.epoch + 1
	r = e.advance(r, r.next("a row"))
	e.advance(r, r.park(store.Blocked))
	e.one(controlling(c), store.Applied, "cancel of what was seen, though it has gone on")
	e.one(controlling(c), store.Landed, "the same again")
	c.Row, c.From = []byte("another"), []store.Status{store.Cancelled}
	e.one(controlling(c), store.Superseded, "what was seen before that")

	id = e.pending()
	c = cancel(id)
	c.Before = 1
	e.one(controlling(c), store.Applied, "cancel of what nobody has claimed")
}

func controlUnblocks(e *env) {
	r := e.running()
	a := r.park(store.Blocked)
	a.Release.Blocked, a.Release.ErrorCode = "now", "no_place"
	e.advance(r, a)
	c := store.Control{ID: r.id, From: []store.Status{store.Blocked}, Row: []byte("go on"), Release: store.Release{Status: store.Pending}}
	e.one(controlling(c), store.Applied, "unblock")
	if rec := e.load(r.id); len(rec.Blocked) != 0 || rec.ErrorCode != "" {
		e.failf("unblocked, but code %q, fingerprint %q", rec.ErrorCode, rec.Blocked)
	}
	e.takeover(r.id)
}

func controlUndoesAgain(e *env) {
	r := e.running()
	a := r.park(store.CompensationFailed)
	a.Release.ErrorCode, a.Release.Error = "error", []byte("why")
	e.advance(r, a)
	e.nobody("what has ended")
	c := store.Control{ID: r.id, From: []store.Status{store.CompensationFailed}, Row: []byte("again"), Release: store.Release{Status: store.Compensating}}
	e.one(controlling(c), store.Applied, "undo again")
	rec := e.load(r.id)
	if rec.Status != store.Compensating || !rec.Ended.IsZero() || rec.Due.After(rec.Now) || rec.ErrorCode != "" || len(rec.Error) > 0 || rec.Length != 3 {
		e.failf("undoing again, but %s, ended %v, code %q", describe(rec.Execution), rec.Ended, rec.ErrorCode)
	}
	s := e.takeover(r.id)
	e.advance(s, s.park(store.Compensated))
	e.one(controlling(c), store.Ended, "undo again what is undone")
	for _, st := range []store.Status{store.Pending, store.Failed, store.Cancelled} {
		if store.Legal(store.CompensationFailed, st) || store.Legal(store.Compensated, st) {
			e.failf("what was rolled back becomes %s", st)
		}
	}
}

func controlBare(e *env) {
	id := e.pending()
	c := cancel(id)
	c.Row = nil
	e.one(controlling(c), store.Applied, "cancel without a row")
	if rec := e.load(id); rec.Length != 1 || rec.Epoch != 1 || rec.Status != store.Cancelled {
		e.failf("cancelled without a row, but %s", describe(rec.Execution))
	}
}

func controlMoves(e *env) {
	id := e.pending()
	due := e.now().Add(time.Hour)
	c := store.Control{ID: id, From: []store.Status{store.Pending}, Release: store.Release{Status: store.Pending, Queue: "slow", Due: due}}
	e.one(controlling(c), store.Applied, "move")
	if rec := e.load(id); rec.Queue != "slow" || !rec.Due.Equal(due) {
		e.failf("moved to slow in an hour, but queue %q, %s", rec.Queue, describe(rec.Execution))
	}
	e.nobody("moved")
}

func controlBlocks(e *env) {
	id := e.pending()
	c := store.Control{ID: id, From: []store.Status{store.Pending}, Row: []byte("blocked"), Release: store.Release{
		Status: store.Blocked, ErrorCode: "undecodable", Error: []byte("why"), Blocked: "now",
	}}
	e.one(controlling(c), store.Applied, "block")
	if rec := e.load(id); rec.Status != store.Blocked || rec.ErrorCode != "undecodable" || string(rec.Error) != "why" || !slices.Equal(rec.Blocked, []string{"now"}) {
		e.failf("blocked, but %s, code %q", describe(rec.Execution), rec.ErrorCode)
	}
	e.nobody("blocked by the code that asks")
}

func controlWaiting(e *env) {
	r := e.running()
	c := store.Control{ID: r.id, From: []store.Status{store.Running}, Row: []byte("x"), Release: store.Release{Status: store.Waiting}}
	e.refused("to wait for nothing", controlling(c))
	e.untouched(r)
}

func controlIllegal(e *env) {
	r := e.running()
	e.advance(r, r.park(store.Completed))
	c := cancel(r.id)
	c.From = []store.Status{store.Completed}
	e.refused("from completed to cancelled", controlling(c))
	c = cancel(e.pending())
	c.Release.Status = store.Running
	e.refused("to running without an owner", controlling(c))
	c.Release.Status = ""
	e.refused("to no status", controlling(c))
	if rec := e.load(r.id); rec.Status != store.Completed || rec.Length != 2 || rec.Epoch != 1 {
		e.failf("a refused control left a trace: %s", describe(rec.Execution))
	}
}

func controlEpoch(e *env) {
	r := e.running()
	c := cancel(r.id)
	c.Release = store.Release{Status: store.Pending}
	e.one(controlling(c), store.Applied, "take it from its owner")
	if rec := e.load(r.id); rec.Rows[1].Epoch != r.epoch+1 || rec.Rows[1].Seq != 2 {
		e.failf("the row of the control is %+v", rec.Rows[1])
	}
}

func controlRace(e *env) {
	r := e.running()
	e.advance(r, r.park(store.Completed))
	e.one(controlling(cancel(r.id)), store.Ended, "cancel after completion")
	s := e.running()
	e.one(controlling(cancel(s.id)), store.Applied, "cancel")
	e.one(advancing(s.park(store.Completed)), store.Superseded, "completion after cancel")
	s.base++
	e.one(advancing(s.park(store.Completed)), store.Superseded, "completion after cancel, with the new length")
	if a, b := e.load(r.id).Status, e.load(s.id).Status; a != store.Completed || b != store.Cancelled {
		e.failf("completed then cancelled is %s, cancelled then completed is %s", a, b)
	}
}
