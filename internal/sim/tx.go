package sim

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
)

// Bodies with a transaction: what a body writes in it is a row that the world
// counts, which lands with the record of the step or not at all.

// transacts tells whether the body of a place ends with a transaction.
func (b *body) transacts() bool {
	return b.p.s.Tx && b.w.poison == "" && b.v.Mode == plan.Run && !b.v.Node.AtMostOnce && hash(b.w.salt, "tx", b.v.Path)%2 == 0
}

// beginTx asks for a transaction, with which the body will end.
func (b *body) beginTx(end plan.Ending) {
	b.ending, b.key = &end, "tx"
	b.p.w.Call(b.v, &run.CallRequest{Tx: true}, b.p.local())
}

// openTx takes the answer: user code works for a while.
func (b *body) openTx(r run.CallReply) {
	s := b.p.s
	s.at(b.p, s.between(0, 50*time.Millisecond), func() {
		switch {
		case b.over:
		case r.Err != nil:
			b.cutTx(r.Err)
		case s.chance(0.1): // it is rolled back, and the body is done again
			s.mark("transaction rolled back")
			b.p.w.TxUndone(b.v, b.p.local())
			b.key = ""
			if b.stopped != nil && !b.script.deaf {
				b.react()
				return
			}
			b.after(s.between(0, 20*time.Millisecond), func() { b.beginTx(*b.ending) })
		default:
			b.commitTx()
		}
	})
}

// cutTx ends a body whose transaction was rolled back because its time is over.
func (b *body) cutTx(err error) {
	if b.stopped != nil {
		err = b.stopped
	}
	b.finish(plan.Ending{Err: &journal.Error{Code: "error", Path: b.v.Path, Message: err.Error()}}, false)
}

func (b *body) commitTx() {
	p := b.p
	a, ok := p.w.ConcludeTx(b.v, *b.ending, p.local())
	if !ok || b.tired {
		p.w.TxUndone(b.v, p.local())
		b.cutTx(errors.New("the transaction was rolled back"))
		return
	}
	asked := p.local()
	call(p, "tx", storeTimeout, func() (store.Result, error) { return p.s.db.commitTx(b, a) }, func(r store.Result, err error) {
		if b.over {
			return
		}
		b.over = true
		if b.v.Epoch == b.w.epoch {
			b.w.changed()
		}
		p.bodies = slices.DeleteFunc(p.bodies, func(x *body) bool { return x == b })
		if err != nil {
			p.s.mark("transaction whose outcome is unknown")
			p.s.logf("%s: %s of %s does not know what became of its transaction", p.name, b.v.Path, b.w)
			p.w.TxLost(b.v, p.local())
			return
		}
		p.s.mark("transaction")
		p.w.TxCommitted(b.v, r.Verdicts[0], asked, p.local(), p.heard(r.Now))
	})
}

// commitTx commits a row of a body's with the record of its step.
func (d *database) commitTx(b *body, a store.Advance) (store.Result, error) {
	writes := []store.Write{{Advance: &a}}
	if m := d.s.Mutant; m.Write != nil {
		m.Write(d, &writes[0])
	}
	res, err := d.mem.Commit(context.Background(), writes)
	if err != nil {
		d.s.fail("malformed", "%s: %v in a transaction", b.p.name, err)
		return res, err
	}
	if res.Verdicts[0].Code == store.Applied || d.s.Mutant.Rows {
		b.place.rows++
	}
	d.s.judge(b.p, &store.Write{Advance: &a}, res.Verdicts[0])
	return res, nil
}

// inspectTx looks whether rows are there exactly for the steps that are done.
func (s *Sim) inspectTx(w *work) {
	for path, p := range w.places {
		if p.transacts && p.rows != p.done {
			s.fail("G5", "%s at %s has %d rows of transactions, and was done %d times", w, path, p.rows, p.done)
		}
	}
}
