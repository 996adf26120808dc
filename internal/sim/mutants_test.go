package sim

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// mutantSeeds is how many seeds a planted bug may survive.
const mutantSeeds = 3000

// TestMutants plants one bug at a time: an oracle that never fails is none. With the race detector
// it plants every fourth; all are planted without.
func TestMutants(t *testing.T) {
	for i, m := range slices.Concat(mutants(), limitMutants(), laneMutants(), familyMutants(), sagaMutants(), orderMutants(), recallMutants(), spreadMutants(), timedMutants()) {
		if raced && i%4 != 0 {
			continue
		}
		t.Run(strings.ReplaceAll(m.Name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= mutantSeeds; seed++ {
				o := Draw(seed)
				o.Mutant = m.Mutant
				if m.draw != nil {
					m.draw(&o)
				}
				r := Run(o, nil)
				if r.Err == nil {
					continue
				}
				for _, oracle := range m.killers {
					if strings.HasPrefix(r.Err.Error(), oracle+":") {
						t.Logf("seed %d: %v", seed, r.Err)
						return
					}
				}
				t.Fatalf("seed %d: killed by the wrong oracle (want %v): %v", seed, m.killers, r.Err)
			}
			t.Errorf("%d seeds, and nobody complains", mutantSeeds)
		})
	}
}

type planted struct {
	Mutant
	killers []string // oracles that may find it first
	draw    func(o *Options)
}

func mutants() []planted {
	owner := func(d *database, w *store.Write) (*store.Advance, *store.Record) {
		if w.Advance == nil {
			return nil, nil
		}
		rec, err := d.mem.Load(context.Background(), w.Advance.ID, false)
		if err != nil {
			return nil, nil
		}
		return w.Advance, &rec
	}
	epoch := func(d *database, w *store.Write) {
		if a, rec := owner(d, w); a != nil && rec.Owner != (store.Incarnation{}) {
			a.Owner, a.Epoch = rec.Owner, rec.Epoch
		}
	}
	base := func(d *database, w *store.Write) {
		if a, rec := owner(d, w); a != nil && rec.Epoch == a.Epoch && rec.Owner == a.Owner {
			a.Base = rec.Length
		}
	}
	turbulent := func(o *Options) { o.Calm, o.Jumps, o.Delay, o.Until = false, 12, 100*time.Millisecond, 40*second }
	calm := func(o *Options) {
		m := o.Mutant
		*o = Draw(o.Seed * 4)
		o.Mutant = m
	}
	return []planted{
		{Mutant: Mutant{Name: "epoch not checked", Write: epoch}, killers: []string{"G7", "G3"}},
		{Mutant: Mutant{Name: "base not checked", Write: base}, killers: []string{"G7"}},
		{
			Mutant: Mutant{Name: "neither is checked", Write: func(d *database, w *store.Write) {
				epoch(d, w)
				base(d, w)
			}},
			killers: []string{"G7"},
		},
		{
			Mutant: Mutant{Name: "messages are not deduplicated", Write: func(d *database, w *store.Write) {
				if w.Deliver != nil {
					d.s.seq++
					w.Deliver.Dedupe += strconv.Itoa(d.s.seq)
				}
			}},
			killers: []string{"G9"},
		},
		{
			Mutant: Mutant{Name: "timeouts win over unread messages", Send: func(_ *process, w *store.Write) {
				if holds(w, func(f *journal.Fact) bool { return f.Kind == journal.Fired }) {
					w.Advance.Seen = -1
				}
			}},
			killers: []string{"G10"},
		},
		{
			Mutant: Mutant{Name: "letting go overlooks a fresh message", Send: func(_ *process, w *store.Write) {
				if w.Advance != nil && !holds(w, func(f *journal.Fact) bool { return f.Kind == journal.Fired }) {
					w.Advance.Seen = -1
				}
			}},
			killers: []string{"G9"},
		},
		{
			Mutant: Mutant{Name: "early is not checked", Send: func(_ *process, w *store.Write) {
				if w.Advance != nil {
					w.Advance.NotBefore = time.Time{}
				}
			}},
			killers: []string{"G11"}, draw: turbulent,
		},
		{
			Mutant: Mutant{
				Name:  "timers on the clock of the worker",
				Clock: func(p *process, t time.Time) time.Time { return t.Add(time.Duration(p.offset%3) * 2 * second) },
				Send: func(_ *process, w *store.Write) {
					if w.Advance != nil {
						w.Advance.NotBefore = time.Time{}
					}
				},
			},
			killers: []string{"G11", "SL-2", "G2"},
		},
		{
			Mutant: Mutant{
				Name: "a message wakes nobody",
				Write: func(_ *database, w *store.Write) {
					if w.Deliver != nil && w.Deliver.Topic != run.TopicHanded {
						w.Deliver.Topic = "asleep " + w.Deliver.Topic
					}
				},
				Read: func(_ *database, r *store.Record) {
					for i := range r.Messages {
						r.Messages[i].Topic = strings.TrimPrefix(r.Messages[i].Topic, "asleep ")
					}
				},
			},
			killers: []string{"calm"}, draw: calm,
		},
		{Mutant: Mutant{Name: "hints are lost and polls are rare"}, killers: []string{"calm"}, draw: func(o *Options) {
			calm(o)
			o.LoseHint = 1
		}},
		{
			Mutant:  Mutant{Name: "a lost reply is a success", Settle: onLoss(store.Applied)},
			killers: []string{"G6"},
		},
		{
			Mutant:  Mutant{Name: "a lost reply is a refusal", Settle: onLoss(store.Early)},
			killers: []string{"G2", "VR-3", "G9", "RT-10"},
		},
		{Mutant: Mutant{Name: "senders take a lost reply for a failure", Fresh: true}, killers: []string{"G9"}},
		{Mutant: Mutant{Name: "acknowledged before it is durable", Early: true}, killers: []string{"G6"}},
		{
			Mutant: Mutant{Name: "an expired lease is renewed by name", Renew: func(d *database, l store.Lease, n store.Renewal, err error) (store.Renewal, error) {
				if errors.Is(err, store.ErrLeaseLost) && !l.New {
					l.New = true
					_ = d.mem.Retire(context.Background(), l.Who)
					return d.mem.Renew(context.Background(), l)
				}
				return n, err
			}},
			killers: []string{"G7"},
		},
		{
			Mutant: Mutant{Name: "trust without the store", Renewed: func(p *process, n store.Renewal, err error) (store.Renewal, error) {
				if err != nil {
					n.Now = p.s.clock()
					return n, nil
				}
				return n, err
			}},
			killers: []string{"G7", "RT-10"},
		},
		{Mutant: Mutant{Name: "rows of a superseded owner land", Rows: true}, killers: []string{"G5"}, draw: func(o *Options) { o.Tx = true }},
		{Mutant: Mutant{Name: "bodies go on after the lease", Deaf: true}, killers: []string{"G7", "G15"}},
		{Mutant: Mutant{Name: "bodies are forgotten when their time is over", Hasty: true}, killers: []string{"RS-7", "liveness"}, draw: func(o *Options) {
			m := o.Mutant
			*o = Draw(o.Seed + 1300) // bodies out of time whose next attempt comes to the same process are rare
			o.Mutant = m
		}},
		{
			Mutant: Mutant{Name: "crashes are not recorded", Send: func(_ *process, w *store.Write) {
				strip(w, func(f *journal.Fact) bool { return f.Kind == journal.Delayed && f.Why == journal.ByCrash })
			}},
			killers: []string{"G2"},
		},
		{
			Mutant: Mutant{Name: "recorded results are forgotten", Read: func(_ *database, r *store.Record) {
				forget(r, func(f *journal.Fact) bool { return f.Kind == journal.Called })
			}},
			killers: []string{"DO-1", "G6", "G2"},
		},
		{
			Mutant: Mutant{Name: "questions are asked again", Read: func(_ *database, r *store.Record) {
				forget(r, func(f *journal.Fact) bool { return f.Kind == journal.Answered })
			}},
			killers: []string{"G2", "state"},
		},
		{
			Mutant: Mutant{Name: "delays are forgotten", Read: func(_ *database, r *store.Record) {
				forget(r, func(f *journal.Fact) bool {
					f.Until = 0
					return false
				})
			}, Write: func(_ *database, w *store.Write) {
				if w.Advance != nil && w.Advance.Release != nil && w.Advance.Release.Status == store.Pending {
					r := *w.Advance.Release
					r.Due = time.Time{}
					w.Advance.Release = &r
				}
			}},
			killers: []string{"G2", "G11"},
		},
		{
			Mutant: Mutant{Name: "AtMostOnce is forgotten", Config: func(c *run.Config) {
				for i, d := range c.Definitions {
					w := *d.Tree
					w.Root = clone(w.Root)
					c.Definitions[i] = &run.Definition{Tree: tree.Place(&w), Fingerprint: d.Fingerprint}
					tree.Walk(&w, func(n *tree.Node) { n.AtMostOnce = false })
				}
			}},
			killers: []string{"G5", "G2"},
		},
		{
			Mutant: Mutant{Name: "one slot too many", Config: func(c *run.Config) {
				for name, q := range c.Queues {
					q.Concurrency++
					c.Queues[name] = q
				}
			}},
			killers: []string{"G18"},
		},
		{
			Mutant: Mutant{
				Name: "a cancel is acknowledged and dropped",
				Write: func(_ *database, w *store.Write) {
					if w.Control != nil && w.Control.Status == store.Cancelled {
						w.Control.From = nil
					}
				},
				Verdict: func(_ *database, w *store.Write, v *store.Verdict) {
					if w.Control != nil && w.Control.Status == store.Cancelled && v.Status != store.Cancelled && !v.Status.Ended() {
						*v = store.Verdict{Code: store.Applied}
					}
				},
			},
			killers: []string{"G7", "G15", "doctor", "G9"},
		},
		{
			Mutant: Mutant{Name: "a start is acknowledged and dropped", Verdict: func(_ *database, w *store.Write, v *store.Verdict) {
				if w.Begin != nil && v.Code == store.Superseded {
					v.Code = store.Landed
				}
			}},
			killers: []string{"G1"},
		},
		{
			Mutant: Mutant{Name: "who could not go on is forgotten", Write: func(_ *database, w *store.Write) {
				if w.Advance != nil && w.Advance.Release != nil {
					r := *w.Advance.Release
					r.Blocked = ""
					w.Advance.Release = &r
				}
			}},
			killers: []string{"VR-4"},
		},
		{Mutant: Mutant{Name: "nobody takes over from the dead", Expire: true}, killers: []string{"G8"}, draw: calm},
		{
			Mutant: Mutant{Name: "runs that nobody drives are kept", Write: func(_ *database, w *store.Write) {
				if w.Control != nil && w.Control.Owner != (store.Incarnation{}) {
					w.Control.From = nil
				}
			}},
			killers: []string{"liveness"},
		},
	}
}

// holds tells whether a write has such a fact.
func holds(w *store.Write, what func(*journal.Fact) bool) bool {
	if w.Advance == nil || len(w.Advance.Row) == 0 {
		return false
	}
	list, err := journal.Decode(w.Advance.Row)
	return err == nil && slices.ContainsFunc(list, func(f journal.Fact) bool { return what(&f) })
}

// strip takes facts out of a write.
func strip(w *store.Write, what func(*journal.Fact) bool) {
	if !holds(w, what) {
		return
	}
	a := *w.Advance
	list, _ := journal.Decode(a.Row) // holds has read it
	a.Row = journal.Encode(slices.DeleteFunc(list, func(f journal.Fact) bool { return what(&f) }))
	w.Advance = &a
}

// forget takes facts out of what was loaded.
func forget(r *store.Record, what func(*journal.Fact) bool) {
	for i := range r.Rows {
		list, err := journal.Decode(r.Rows[i].Body)
		if err != nil {
			panic(err)
		}
		var kept []journal.Fact
		for j := range list {
			if !what(&list[j]) {
				kept = append(kept, list[j])
			}
		}
		r.Rows[i].Body = journal.Encode(kept)
	}
}

// onLoss takes a failed commit for an answer.
func onLoss(code store.Code) func(*process, []store.Write, store.Result, error) (store.Result, error) {
	return func(p *process, writes []store.Write, r store.Result, err error) (store.Result, error) {
		if err == nil || errors.Is(err, store.ErrRefused) || !advances(writes) {
			return r, err
		}
		r = store.Result{Now: p.s.clock(), Verdicts: applied(writes)}
		for i := range writes {
			r.Verdicts[i].Code = code
		}
		return r, nil
	}
}
