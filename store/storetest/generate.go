package storetest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func queues() []string { return []string{queue, "slow"} }

// blobBodies is how many bodies there are, so that executions share them.
const blobBodies = 4

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// newID draws an ID that is the same for the same seed and sorts by age.
func (p *pair) newID() uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:], uint64(len(p.trace)+1)<<16)
	binary.BigEndian.PutUint64(id[8:], p.rnd.Uint64())
	id[6], id[8] = 0x70|id[6]&0x0f, 0x80|id[8]&0x3f
	return id
}

// worker draws one of the workers, living or not, or at first nobody known.
func (p *pair) worker() store.Incarnation {
	if len(p.workers) == 0 {
		return p.newID()
	}
	return pick(p.rnd, p.workers[max(0, len(p.workers)-4):]...)
}

// hours is a time that many hours from the first side's base, or none.
func (p *pair) hours(n int) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return p.sides[0].base.Add(time.Duration(n) * time.Hour)
}

// batch draws writes for different executions, and messages for any.
func (p *pair) batch() []store.Write {
	var writes []store.Write
	used := map[store.ID]bool{}
	for range 1 + p.rnd.IntN(5) {
		if n := p.rnd.IntN(10); n < 2 || len(p.ids) == 0 {
			b := p.begin()
			used[b.ID] = true
			writes = append(writes, beginning(b))
			continue
		} else if n < 5 {
			writes = append(writes, delivering(p.deliver(p.known())))
			continue
		}
		x := p.owned()
		if used[x.ID] {
			continue
		}
		used[x.ID] = true
		if p.rnd.IntN(10) == 0 {
			writes = append(writes, controlling(p.control(x)))
		} else {
			writes = append(writes, advancing(p.advance(x)))
		}
	}
	return writes
}

// owned draws an execution that most often has an owner.
func (p *pair) owned() store.Execution {
	x := p.known()
	for range 6 {
		if x.Owner != uuid.Nil {
			break
		}
		x = p.known()
	}
	return x
}

// known draws an execution, mostly a young one, as the first side has it. It
// may be one that was never begun.
func (p *pair) known() store.Execution {
	for tries := 0; ; tries++ {
		id := pick(p.rnd, p.ids[max(0, len(p.ids)-12):]...)
		rec, err := p.sides[0].st.Load(p.sides[0].ctx(), id, false)
		if err == nil {
			return rec.Execution
		} else if tries == 4 {
			return store.Execution{ID: id, Epoch: 1, Length: 1}
		}
	}
}

func (p *pair) begin() store.Begin {
	b := store.Begin{
		ID: p.newID(), Workflow: pick(p.rnd, flow, flow, flow, flow, "other"), Version: pick(p.rnd, "v1", "v1", "v2"), Queue: pick(p.rnd, queues()...),
		Key: pick(p.rnd, "", "", "", "k1", "k2"), InputHash: []byte(pick(p.rnd, "h1", "h2")),
		Tags: pick(p.rnd, nil, []string{"x"}, []string{"x", "y"}), Row: []byte("began"),
		// A priority of its own fixes the order of claims, which would else
		// depend on how finely the store's clock ticks.
		Priority: len(p.ids)%2000 - 1000,
		Due:      p.hours(pick(p.rnd, -1, -1, 0, 0, 0, 1)),
	}
	if p.rnd.IntN(3) == 0 {
		b.Owner = p.worker()
	}
	if len(p.ids) > 0 && p.rnd.IntN(3) == 0 {
		if again := p.known(); again.Workflow == "" {
			b.ID = again.ID // one that was never begun, or was pruned
		}
	}
	p.ids = append(p.ids, b.ID)
	return b
}

func (p *pair) deliver(x store.Execution) store.Deliver {
	d := store.Deliver{
		ID: x.ID, Topic: pick(p.rnd, "", "t1", "t2"), Payload: []byte{0, byte(p.rnd.IntN(256))},
		Dedupe: fmt.Sprint("m", p.rnd.IntN(12)), Max: p.rnd.IntN(8),
	}
	if p.rnd.IntN(3) == 0 {
		d.Wait, d.Keep = p.someWait(x), p.rnd.IntN(3) == 0
	}
	return d
}

// someWait draws a wait that may be open, closed or never opened.
func (p *pair) someWait(x store.Execution) string {
	if ws := p.sides[0].waits(x.ID); len(ws) > 0 && p.rnd.IntN(5) > 0 {
		slices.SortFunc(ws, func(a, b store.Wait) int { return strings.Compare(a.ID, b.ID) })
		return pick(p.rnd, ws...).ID
	}
	return fmt.Sprintf("%s/%d/0", x.ID, x.Length)
}

func (p *pair) control(x store.Execution) store.Control {
	c := store.Control{
		ID: x.ID, From: []store.Status{store.Pending, store.Running, store.Waiting, store.Blocked},
		Release: p.release(x),
	}
	if p.rnd.IntN(2) == 0 {
		c.Row = fmt.Appendf(nil, "control %d", p.rnd.IntN(3))
	}
	if p.rnd.IntN(3) == 0 {
		c.Owner = pick(p.rnd, x.Owner, p.worker())
	}
	if p.rnd.IntN(3) == 0 {
		c.Before = x.Epoch + int64(p.rnd.IntN(3))
	}
	return c
}

// release draws a release that is mostly legal.
func (p *pair) release(x store.Execution) store.Release {
	r := store.Release{
		Queue: pick(p.rnd, "", "", "slow"), Due: p.hours(pick(p.rnd, -1, 0, 0, 0, 1)),
		Error: []byte("why\x00"), ErrorCode: pick(p.rnd, "panic", "error"), Blocked: pick(p.rnd, "old", "new", "now"),
	}
	for range 4 {
		r.Status = pick(p.rnd, store.Pending, store.Pending, store.Waiting, store.Waiting, store.Blocked, store.Failed, store.Cancelled,
			store.Compensating, store.Compensated)
		if store.Legal(x.Status, r.Status) {
			break
		}
	}
	p.tell(&r)
	return r
}

// advance draws a write of the owner, now and then with one thing wrong.
func (p *pair) advance(x store.Execution) store.Advance {
	a := store.Advance{ID: x.ID, Owner: x.Owner, Epoch: x.Epoch, Base: x.Length, Row: fmt.Appendf(nil, "row\x00%d", p.rnd.IntN(100)), Seen: x.Inbox}
	switch p.rnd.IntN(16) {
	case 0:
		a.Epoch += int64(pick(p.rnd, -1, 1))
	case 1:
		a.Base += pick(p.rnd, -1, 1)
	case 2:
		a.Owner = p.worker()
	case 3:
		a.Seen = int64(p.rnd.IntN(3)) - 1
	case 4:
		a.NotBefore = p.hours(pick(p.rnd, -1, 1))
	}
	if p.rnd.IntN(3) == 0 {
		a.Logs = []store.Log{{Path: pick(p.rnd, "a", "b"), Attempt: 1, N: p.rnd.IntN(5), At: p.hours(1 + p.rnd.IntN(3)), Text: "hello"}}
		a.Blobs = [][]byte{fmt.Append(nil, "blob ", p.rnd.IntN(blobBodies))}
	}
	if p.rnd.IntN(3) == 0 {
		a.Holds = p.holds()
	}
	if p.streams.IntN(3) == 0 {
		a.Chunks = p.chunks()
	}
	if p.rnd.IntN(6) == 0 {
		a.Row = nil
		return a
	}
	a.Children = p.children(x)
	if p.rnd.IntN(5) == 0 {
		a.Release = new(p.release(x))
	}
	opens := p.rnd.IntN(3)
	if a.Release != nil && a.Release.Status == store.Waiting && p.rnd.IntN(10) > 0 {
		opens = 2
	}
	for i := range opens {
		a.Open = append(a.Open, store.Wait{
			ID: fmt.Sprintf("%s/%d/%d", x.ID, x.Length+1, i), Execution: x.ID, Path: "p", Kind: pick(p.rnd, "event", "input"),
			Name: fmt.Sprint("w", i), Topic: p.topic(), Deadline: p.hours(p.rnd.IntN(3)),
			Label: pick(p.rnd, "", "ada"),
		})
	}
	if len(a.Open) > 0 && p.rnd.IntN(2) == 0 { // at most one in a write: of two that are as old, the names decide
		a.Open[0].Topic, a.Open[0].Shared = pick(p.rnd, "t1", "t2"), true
	}
	if p.rnd.IntN(3) == 0 {
		a.Shut = []string{p.someWait(x)}
	}
	if p.rnd.IntN(3) == 0 {
		a.Alter = []store.Wait{{ID: p.someWait(x), Deadline: p.hours(p.rnd.IntN(3)), Label: pick(p.rnd, "", "ada", "bob"), Detail: []byte("altered")}}
	}
	for range p.rnd.IntN(3) {
		a.Took = append(a.Took, 1+int64(p.rnd.IntN(int(x.Inbox)+1)))
	}
	if p.rnd.IntN(5) == 0 {
		a.Snapshot = fmt.Append(nil, "up to ", x.Length+1)
	}
	return a
}

// chunks draws what comes to two streams, now and then what is not at the end.
func (p *pair) chunks() (list []store.Chunk) {
	last := map[string]int64{}
	for range 1 + p.streams.IntN(4) {
		c := store.Chunk{Stream: pick(p.streams, "s1", "s1", "s2"), Kind: pick(p.streams, store.ChunkText, store.ChunkText, store.ChunkText, store.ChunkReset, store.ChunkEnd)}
		if last[c.Stream] == 0 {
			last[c.Stream] = int64(p.streams.IntN(30))
		}
		last[c.Stream] += 1 + int64(p.streams.IntN(3))
		c.Index, c.Attempt = last[c.Stream], 1+p.streams.IntN(2)
		if c.Kind != store.ChunkReset {
			c.Text = fmt.Appendf(nil, "%d\x00 of %d", c.Index, p.streams.IntN(5))
		}
		list = append(list, c)
	}
	return list
}

// holds draws loans and tokens, now and then of which no write may have two.
func (p *pair) holds() []store.Hold {
	var holds []store.Hold
	if p.rnd.IntN(3) > 0 {
		holds = append(holds, store.Hold{Name: pick(p.rnd, "gpu", "cpu"), Amount: int64(p.rnd.IntN(3)), Limit: 3, Until: p.hours(pick(p.rnd, -1, 5, 5))})
	}
	for range p.rnd.IntN(3) {
		window := time.Duration(pick(p.rnd, 3, 5)) * time.Hour
		holds = append(holds, store.Hold{Name: pick(p.rnd, "gpu", "rate", "slow rate"), Amount: int64(1 + p.rnd.IntN(2)), Limit: int64(3 + p.rnd.IntN(3)), Window: window})
	}
	return holds
}

// needs draws what the executions of a queue are going to take.
func (p *pair) needs() []store.Hold {
	var needs []store.Hold
	if p.rnd.IntN(2) == 0 {
		needs = append(needs, store.Hold{Name: pick(p.rnd, "gpu", "cpu"), Amount: 1, Limit: 3})
	}
	if p.rnd.IntN(2) == 0 {
		needs = append(needs, store.Hold{Name: pick(p.rnd, "rate", "slow rate"), Amount: int64(1 + p.rnd.IntN(2)), Limit: 5, Window: 7 * time.Hour})
	}
	return needs
}

// shifted moves the times that a caller gives, for a store with another clock.
func shifted(writes []store.Write, by time.Duration) []store.Write {
	move := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return t.Add(by)
	}
	all := slices.Clone(writes)
	for i, w := range all {
		if w.Begin != nil {
			b := *w.Begin
			b.Due = move(b.Due)
			all[i].Begin = &b
		}
		if w.Control != nil {
			c := *w.Control
			c.Due = move(c.Due)
			all[i].Control = &c
		}
		if w.Advance == nil {
			continue
		}
		a := *w.Advance
		a.NotBefore, a.Open, a.Logs, a.Holds = move(a.NotBefore), slices.Clone(a.Open), slices.Clone(a.Logs), slices.Clone(a.Holds)
		a.Children = slices.Clone(a.Children)
		for j := range a.Children {
			a.Children[j].Due = move(a.Children[j].Due)
		}
		a.Alter = slices.Clone(a.Alter)
		for j := range a.Alter {
			a.Alter[j].Deadline = move(a.Alter[j].Deadline)
		}
		for j := range a.Open {
			a.Open[j].Deadline = move(a.Open[j].Deadline)
		}
		for j := range a.Logs {
			a.Logs[j].At = move(a.Logs[j].At)
		}
		for j := range a.Holds {
			a.Holds[j].Until = move(a.Holds[j].Until)
		}
		if a.Release != nil {
			r := *a.Release
			r.Due = move(r.Due)
			a.Release = &r
		}
		all[i].Advance = &a
	}
	return all
}

// printed shows a batch as a person can read it.
func printed(writes []store.Write) string {
	var out strings.Builder
	for _, w := range writes {
		switch {
		case w.Begin != nil:
			fmt.Fprintf(&out, "\n    begin %+v", *w.Begin)
		case w.Advance != nil:
			fmt.Fprintf(&out, "\n    advance %+v", *w.Advance)
			if w.Advance.Release != nil {
				fmt.Fprintf(&out, " release %+v", *w.Advance.Release)
			}
		case w.Deliver != nil:
			fmt.Fprintf(&out, "\n    deliver %+v", *w.Deliver)
		case w.Control != nil:
			fmt.Fprintf(&out, "\n    control %+v", *w.Control)
		}
	}
	return out.String()
}
