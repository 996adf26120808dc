package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

// database is store/memory behind glass: every change that it accepts is
// judged by what the world knows, not by what the store says.
type database struct {
	s         *Sim
	mem       *memory.Store
	downUntil time.Duration
	fullUntil time.Duration
	slowUntil time.Duration
	leases    []*term
}

// term is a lease as its holder asked for it.
type term struct {
	who  store.Incarnation
	p    *process
	ends time.Time
	gone bool // expired or retired
	used bool // a run was owned under it
}

func newDatabase(s *Sim) *database {
	return &database{s: s, mem: memory.New(memory.Clock(s.clock))}
}

func (d *database) term(who store.Incarnation) *term {
	for _, t := range d.leases {
		if t.who == who {
			return t
		}
	}
	return nil
}

func (d *database) commit(p *process, asked []store.Write) (store.Result, error) {
	s := d.s
	for i := range asked {
		if d.poisoned(asked[i].Advance) {
			s.mark("write refused")
			return store.Result{}, fmt.Errorf("sim: poison: %w", store.ErrRefused)
		}
	}
	writes := slices.Clone(asked)
	if m := s.Mutant; m.Write != nil {
		for i := range writes {
			writes[i] = copyWrite(writes[i])
			m.Write(d, &writes[i])
		}
	}
	busy := d.busy(writes)
	free := slices.DeleteFunc(slices.Clone(writes), func(w store.Write) bool { return busy[w] })
	res, err := d.mem.Commit(context.Background(), free)
	if err != nil {
		s.fail("malformed", "%s: %v in %s", p.name, err, describe(asked))
		return res, err
	}
	for i, w := range writes { // each gets its place back
		if busy[w] {
			res.Verdicts = slices.Insert(res.Verdicts, i, store.Verdict{Code: store.Busy})
		}
	}
	changed := false
	for i := range asked {
		if m := s.Mutant; m.Verdict != nil {
			m.Verdict(d, &asked[i], &res.Verdicts[i])
		}
		s.judge(p, &asked[i], res.Verdicts[i])
		changed = changed || res.Verdicts[i].Code == store.Applied
	}
	if changed {
		s.hint(p)
	}
	return res, nil
}

// busy draws writes whose executions a stranger holds at this moment.
func (d *database) busy(writes []store.Write) map[store.Write]bool {
	busy := make(map[store.Write]bool)
	for _, w := range writes {
		if w.Begin == nil && d.s.Busy > 0 && d.s.chance(d.s.Busy) {
			busy[w] = true
			d.s.mark("busy")
		}
	}
	return busy
}

// poisoned tells whether the database refuses a write: it holds what one run
// wants to record about one place.
func (d *database) poisoned(a *store.Advance) bool {
	if a == nil || len(a.Row) == 0 {
		return false
	}
	w := d.s.work(a.ID)
	if w == nil || w.poison == "" {
		return false
	}
	facts, err := journal.Decode(a.Row)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(facts, func(f journal.Fact) bool { return f.Kind == journal.Done && f.Path == w.poison })
}

func copyWrite(w store.Write) store.Write {
	switch {
	case w.Begin != nil:
		c := *w.Begin
		return store.Write{Begin: &c}
	case w.Advance != nil:
		c := *w.Advance
		return store.Write{Advance: &c}
	case w.Deliver != nil:
		c := *w.Deliver
		return store.Write{Deliver: &c}
	}
	c := *w.Control
	return store.Write{Control: &c}
}

func (d *database) renew(p *process, l store.Lease) (store.Renewal, error) {
	now := d.s.clock()
	n, err := d.mem.Renew(context.Background(), l)
	if m := d.s.Mutant; m.Renew != nil {
		n, err = m.Renew(d, l, n, err)
	}
	t := d.term(l.Who)
	d.s.logf("%s renews %s: %v", p.name, l.Who, err)
	if err != nil {
		return n, err
	}
	switch {
	case t == nil && !l.New:
		d.s.fail("G7", "a lease that never was is renewed by %s", p.name)
	case t == nil:
		t = &term{who: l.Who, p: p}
		d.leases = append(d.leases, t)
	case t.gone && l.New && (p.dead || !t.used): // nothing hangs on it
		d.s.mark("lease of a worker that has left")
		t.gone = false
	case t.gone || !now.Before(t.ends) && d.s.Jumps == 0:
		d.s.fail("G7", "%s renews a lease that has expired", p.name)
	}
	t.ends = now.Add(l.Duration)
	return n, nil
}

func (d *database) claim(p *process, req store.ClaimRequest) (store.Claimed, error) {
	c, err := d.mem.Claim(context.Background(), req)
	if err != nil {
		d.s.logf("%s claims: %v", p.name, err)
		return c, err
	}
	for i := range c.Records {
		d.s.judgeClaim(p, req.Owner, &c.Records[i])
	}
	if len(c.Records) > 0 {
		d.s.hint(p)
	}
	if m := d.s.Mutant; m.Read != nil {
		for i := range c.Records {
			m.Read(d, &c.Records[i])
		}
	}
	return c, nil
}

func (d *database) load(id store.ID) (store.Record, error) {
	r, err := d.mem.Load(context.Background(), id, false)
	if m := d.s.Mutant; m.Read != nil && err == nil {
		m.Read(d, &r)
	}
	return r, err
}

// whole reads an execution with all its rows.
func (d *database) whole(id store.ID) (store.Record, error) {
	r, err := d.mem.Load(context.Background(), id, true)
	if m := d.s.Mutant; m.Read != nil && err == nil {
		m.Read(d, &r)
	}
	return r, err
}

func (d *database) expire(p *process) (int, error) {
	if d.s.Mutant.Expire {
		return 0, nil
	}
	n, err := d.mem.Expire(context.Background())
	if err != nil {
		return n, err
	}
	now, took := d.s.clock(), 0
	for _, t := range d.leases {
		if !t.gone && !now.Before(t.ends) {
			t.gone = true
			took += d.s.release(t.who, "expired")
		}
	}
	d.s.logf("%s expires leases: %d runs released", p.name, n)
	if took > 0 {
		d.s.mark("takeover")
		d.s.hint(p)
	}
	return n, nil
}

func (d *database) retire(p *process, who store.Incarnation) error {
	if err := d.mem.Retire(context.Background(), who); err != nil {
		return err
	}
	if t := d.term(who); t != nil {
		t.gone = true
	}
	if d.s.release(who, "retired") > 0 {
		d.s.hint(p)
	}
	d.s.logf("%s retires %s", p.name, who)
	return nil
}

// release is what ends of leases do to the runs that they own.
func (s *Sim) release(who store.Incarnation, why string) int {
	n := 0
	for _, w := range s.works {
		if w.owner == who {
			n++
			s.logf("%s is released: its owner has %s", w, why)
			if w.status != store.Compensating {
				w.status = store.Pending
			}
			w.owner, w.due = store.Incarnation{}, s.clock()
			w.epoch++
			w.blocked = nil
			w.changed()
		}
	}
	return n
}

func describe(writes []store.Write) string {
	text := ""
	for i := range writes {
		switch w := &writes[i]; {
		case w.Begin != nil:
			text += " begin"
		case w.Advance != nil:
			text += " advance(" + facts(w.Advance.Row)
			if w.Advance.Release != nil {
				text += " → " + string(w.Advance.Release.Status)
			}
			text += ")"
		case w.Deliver != nil:
			text += " deliver(" + w.Deliver.Topic + ")"
		default:
			text += " control(→ " + string(w.Control.Release.Status) + ")"
		}
	}
	return text
}

// facts prints a row for people.
func facts(row []byte) string {
	if len(row) == 0 {
		return "no row"
	}
	list, err := journal.Decode(row)
	if err != nil {
		return err.Error()
	}
	text := ""
	for _, f := range list {
		text += " " + f.Kind.String() + " " + f.Path + " " + f.Call
		if f.Why != 0 {
			text += []string{"", "by error", "by snooze", "by crash", "by loss", "by asking"}[f.Why]
		}
		if f.Err != nil {
			text += " " + f.Err.Code
		}
	}
	return text
}
