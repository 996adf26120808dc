package sim

import (
	"testing"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
)

// TestRS8_TimedSeeds runs a quarter as many seeds with runs that may take only so long, and
// with notices of waits.
func TestRS8_TimedSeeds(t *testing.T) {
	someOfKind(t, 4, timedSeeds, "run_timeout", "reminded", "escalated", "noticed", "wait extended", "takeover", "completed", "failed", "compensated")
}

// timedMutants are bugs about what happens by time alone.
func timedMutants() []planted {
	timed := ofKind(timedSeeds)
	notice := func(f *journal.Fact) bool { return f.Kind == journal.Altered && f.Message == 0 }
	fast := func(p *process, t time.Time) time.Time { return t.Add(time.Duration(p.offset%3) * 2 * second) }
	unguarded := func(what func(f *journal.Fact) bool) func(*process, *store.Write) {
		return func(_ *process, w *store.Write) {
			if holds(w, what) {
				w.Advance.NotBefore = time.Time{}
			}
		}
	}
	return []planted{
		{
			Mutant: Mutant{Name: "the time of a run is over early", Read: func(_ *database, r *store.Record) {
				change(r, func(f *journal.Fact) {
					if f.Kind == journal.Began {
						f.Limit /= 4
					}
				})
			}},
			killers: []string{"G11"}, draw: timed,
		},
		{
			Mutant: Mutant{Name: "the time of a run is forgotten", Read: func(_ *database, r *store.Record) {
				change(r, func(f *journal.Fact) {
					if f.Kind == journal.Began {
						f.Limit = 0
					}
				})
			}},
			killers: []string{"RS-8", "calm"}, draw: timed,
		},
		{Mutant: Mutant{Name: "a run whose time is over says so to nobody", Send: func(_ *process, w *store.Write) {
			strip(w, func(f *journal.Fact) bool { return f.Kind == journal.Expired })
		}}, killers: []string{"doctor", "G2", "RS-8"}, draw: timed},
		{
			Mutant:  Mutant{Name: "notices come on the clock of the worker", Clock: fast, Send: unguarded(notice)},
			killers: []string{"G2", "SL-2"}, draw: timed,
		},
		{
			Mutant: Mutant{Name: "notices win over unread messages", Send: func(_ *process, w *store.Write) {
				if holds(w, notice) {
					w.Advance.Seen = -1
				}
			}},
			killers: []string{"G2", "malformed"}, draw: timed,
		},
		{
			Mutant:  Mutant{Name: "a notice comes again", Read: func(_ *database, r *store.Record) { forget(r, notice) }},
			killers: []string{"G2"}, draw: timed,
		},
		{
			Mutant: Mutant{Name: "lists show who was to act before", Send: func(_ *process, w *store.Write) {
				if w.Advance != nil && holds(w, notice) {
					w.Advance.Alter = nil
				}
			}},
			killers: []string{"doctor"}, draw: timed,
		},
		{
			Mutant: Mutant{Name: "waits open without their notices", Send: edit(func(f *journal.Fact) {
				if f.Kind == journal.Waited {
					w := *f.Wait
					w.Notices, f.Wait = nil, &w
				}
			})},
			killers: []string{"notice"}, draw: timed,
		},
	}
}

// change changes facts of what was loaded.
func change(r *store.Record, fn func(f *journal.Fact)) {
	for i := range r.Rows {
		list, err := journal.Decode(r.Rows[i].Body)
		if err != nil {
			panic(err)
		}
		for j := range list {
			fn(&list[j])
		}
		r.Rows[i].Body = journal.Encode(list)
	}
}
