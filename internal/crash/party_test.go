//go:build fail

package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// party is a run that calls, spawns and awaits others, and goes back over all of them if it fails.
type party struct {
	N     int  `json:"n"`
	Fails bool `json:"fails,omitempty"`
	Sum   int  `json:"sum"`
}

// guest is a child of a party.
type guest struct {
	N     int  `json:"n"`
	Stays bool `json:"stays,omitempty"` // until it is told to go
}

// Guests of a party that completes, and of one that fails: the last of those may not have begun.
const (
	guestsCalled  = 1
	guestsSpawned = 2
)

// partyWidth is how many bodies of the workflow one death can end.
const partyWidth = 2

// books is a step that books something and can take it back. Both are told apart by the key of the
// visit.
func books[S any](l *ledger, name string, then func(ctx context.Context, s *S) error) *durable.StepNode[S] {
	write := func(ctx context.Context, kind string) {
		info, _ := durable.Info(ctx)
		l.write(ctx, line{Kind: kind, Key: info.IdempotencyKey})
	}
	return durable.Step(name, watched(l, func(ctx context.Context, s *S) error {
		write(ctx, "booked")
		return then(ctx, s)
	})).Compensate(watched(l, func(ctx context.Context, _ *S) error {
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
		if l.mutant != "no-refund" {
			write(ctx, "refunded")
		}
		return nil
	}))
}

func guests(l *ledger) (workload, *durable.Workflow[guest]) {
	w := durable.Define("guest",
		books(l, "room", func(_ context.Context, g *guest) error { g.N *= 10; return nil }),
		durable.Step("nap", watched(l, func(ctx context.Context, g *guest) error {
			if g.Stays {
				_, err := durable.WaitForEvent[int](ctx, "no_such")
				return err
			}
			return durable.Sleep(ctx, 3*time.Millisecond)
		})),
		books(l, "table", func(_ context.Context, g *guest) error { g.N++; return nil }))
	return load(w, undoable("room"), step("nap"), undoable("table")), w
}

func undoable(name string) *tree.Node {
	n := step(name)
	n.Undo = &tree.Retry{}
	return n
}

// parties calls one guest, spawns two and awaits them; one that fails does so beside a guest that stays.
func parties(l *ledger, child *durable.Workflow[guest]) workload {
	told := func(ctx context.Context, call string, id durable.ID) { // the body comes here again after waits and deaths
		if l.mutant == "new-child" {
			l.write(ctx, line{Kind: "child", Call: call, Nonce: l.nonce()})
			return
		}
		l.write(ctx, line{Kind: "child", Call: call, Nonce: id.String()})
	}
	call := func(stays bool) func(ctx context.Context, p *party) error {
		return func(ctx context.Context, p *party) error {
			g, err := durable.Call(ctx, child, guest{N: p.N, Stays: stays})
			p.Sum += g.N
			return err
		}
	}
	w := durable.Define("party",
		books(l, "hall", func(_ context.Context, p *party) error { p.Sum = 0; return nil }),
		durable.Step("call", watched(l, call(false))),
		durable.Step("spawn", watched(l, func(ctx context.Context, p *party) error {
			var list []durable.Spawned[guest]
			for i := range guestsSpawned {
				s, err := durable.Spawn(ctx, child, guest{N: p.N + i})
				if err != nil {
					return err
				}
				told(ctx, itoa(i), s.ID)
				list = append(list, s)
			}
			for _, s := range list {
				g, err := durable.Await(ctx, s)
				if err != nil {
					return err
				}
				p.Sum += g.N
			}
			return nil
		})),
		books(l, "cake", func(context.Context, *party) error { return nil }),
		durable.Branch("ends", func(p *party) bool { return p.Fails }).Case(true, durable.Parallel("row",
			durable.Step("late", watched(l, call(true))),
			durable.Step("police", watched(l, func(ctx context.Context, _ *party) error {
				if err := durable.Sleep(ctx, 20*time.Millisecond); err != nil {
					return err
				}
				return durable.Permanent(errors.New("too loud"))
			})))))
	return load(w, undoable("hall"), step("call"), step("spawn"), undoable("cake"),
		&tree.Node{Kind: tree.Branch, Name: "ends", Cases: []tree.Case{{Key: "true", Body: []*tree.Node{{Kind: tree.Parallel, Name: "row", Cases: []tree.Case{
			{Key: "late", Body: []*tree.Node{step("late")}}, {Key: "police", Body: []*tree.Node{step("police")}},
		}}}}}})
}

func (w *world) addParty(n int, fails bool) {
	want := 10*n + 1 + 10*n + 1 + 10*(n+1) + 1
	w.add(&task{workflow: "party", input: party{N: n, Fails: fails}, goesBack: fails, want: into(func(p party) string {
		if p.Sum != want {
			return fmt.Sprintf("the guests come to %d", want)
		}
		return ""
	})})
}

// parties holds what was booked and taken back against how the runs have ended, and children
// against the calls that began them.
func (j *judge) parties() {
	for id, r := range j.records {
		if r.Workflow != "party" && r.Workflow != "guest" || r.hist == nil {
			continue
		}
		j.refunds(r)
		if r.Workflow == "party" {
			j.guests(id, r)
		}
	}
}

// refunds: each booking of a run that went back is undone, with one record; of others none.
func (j *judge) refunds(r *record) {
	booked, refunded := map[string]string{}, map[string]bool{}
	for _, l := range j.lines[r.ID] {
		path, _, _ := journal.CutUndo(l.Path)
		switch l.Kind {
		case "booked":
			if other := booked[path]; other != "" && other != l.Key {
				j.fault("run %s: %s was booked with the keys %s and %s", r.ID, path, other, l.Key)
			}
			booked[path] = l.Key
		case "refunded":
			refunded[path+" "+l.Key] = true
		}
	}
	done, undone := map[string]int{}, map[string]int{}
	for _, row := range r.rows {
		for _, f := range row.Facts {
			if path, _, undo := journal.CutUndo(f.Path); f.Kind == journal.Done && undo {
				undone[path]++
			} else if f.Kind == journal.Done {
				done[path]++
			}
		}
	}
	back := r.Status == store.Compensated
	for path, key := range booked {
		switch {
		case done[path] > 1:
			j.fault("run %s: %s is done %d times", r.ID, path, done[path])
		case back && j.final && (undone[path] != 1 || !refunded[path+" "+key]):
			j.fault("run %s is compensated: the booking of %s is undone %d times, refunded %t", r.ID, path, undone[path], refunded[path+" "+key])
		case r.Status == store.Completed && (undone[path] > 0 || refunded[path+" "+key]):
			j.fault("run %s is completed, and the booking of %s is undone", r.ID, path)
		}
	}
	for what := range refunded {
		if path, key, _ := strings.Cut(what, " "); booked[path] != key && done[path] > 0 { // else it is in doubt whether it was
			j.fault("run %s: %s was refunded and never booked", r.ID, what)
		}
	}
}

// guests: a call has one child, whatever died, and all end as their party does.
func (j *judge) guests(id durable.ID, r *record) {
	var p party
	if err := json.Unmarshal(r.hist.Input, &p); err != nil {
		j.fault("run %s: %v", id, err)
		return
	}
	spawned := map[string]string{}
	for _, l := range j.lines[id] {
		if l.Kind != "child" {
			continue
		}
		if other := spawned[l.Call]; other != "" && other != l.Nonce {
			j.fault("run %s: spawn %s gave %s, and again %s", id, l.Call, other, l.Nonce)
		}
		spawned[l.Call] = l.Nonce
	}
	var kids []string
	for _, k := range j.records {
		if k.Parent != id {
			continue
		}
		kids = append(kids, k.ID.String())
		want := store.Completed
		if p.Fails {
			want = store.Compensated
		}
		if p.Fails && k.hist != nil && len(k.hist.Undos) == 0 {
			want = store.Cancelled // before it had done anything
		}
		if j.final && k.Status != want {
			j.fault("guest %s of %s is %s, want %s", k.ID, id, k.Status, want)
		}
	}
	for call, kid := range spawned {
		if !slices.Contains(kids, kid) {
			j.fault("run %s: spawn %s gave %s, which is not there", id, call, kid)
		}
	}
	least := guestsCalled + guestsSpawned
	most := least
	if p.Fails {
		most++
	}
	if j.final && (len(kids) < least || len(kids) > most) {
		j.fault("run %s has %d guests, want %d to %d", id, len(kids), least, most)
	}
}
