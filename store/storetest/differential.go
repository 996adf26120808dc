package storetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// Differential drives two empty stores side by side with the same operations,
// drawn from the seed, and fails at the first verdict, error or read in which
// they differ. One of them is usually the store in memory, as the model.
//
// What the clocks of the stores decide is compared as far as it must be equal:
// that it is set, and, where a caller gave the time, what was given. The
// failure names the seed and shows the operations that led to it.
func Differential(t *testing.T, a, b Harness, seed uint64) {
	t.Helper()
	newPair(t, a, b, seed).drive(400)
}

// pair is two stores and what has been done to them.
type pair struct {
	tb       testing.TB
	rnd      *rand.Rand
	streams  *rand.Rand // of chunks, so that all else is drawn as without them
	seed     uint64
	sides    [2]*side
	ids      []store.ID
	workers  []store.Incarnation
	batches  [][]store.Write // of the past, to be repeated
	trace    []string
	reached  map[store.Code]int // verdicts that came
	refusals int
}

// side is one of the two stores. Times that the driver gives are hours away
// from base, so that they cannot be mistaken for the store's now.
type side struct {
	*env
	base time.Time
}

func newPair(tb testing.TB, a, b Harness, seed uint64) *pair {
	tb.Helper()
	p := &pair{tb: tb, seed: seed, reached: map[store.Code]int{}, rnd: rand.New(rand.NewPCG(seed, seed)), streams: rand.New(rand.NewPCG(seed, 1))}
	for i, h := range []Harness{a, b} {
		e := newEnv(tb, h, clause{name: fmt.Sprintf("differential, seed %d", seed), guards: "L5"})
		p.sides[i] = &side{e, e.now()}
	}
	return p
}

func (p *pair) drive(steps int) {
	p.tb.Helper()
	for step := range steps {
		p.step()
		if step%20 == 19 {
			p.compare(p.ids[max(0, len(p.ids)-12):])
		}
	}
	p.compare(p.ids)
	for _, s := range p.sides {
		s.audit()
	}
}

// step draws one operation and does it on both sides.
func (p *pair) step() {
	p.tb.Helper()
	switch n := p.rnd.IntN(100); {
	case n < 8:
		p.kinBoth()
	case n < 54:
		p.commitBoth(p.batch())
	case n < 59 && len(p.batches) > 0:
		p.commitBoth(p.batches[p.rnd.IntN(len(p.batches))])
	case n < 75:
		p.claimBoth()
	case n < 81:
		p.renewBoth()
	case n < 83:
		p.lapseOne()
	case n < 86:
		both(p, "expire", func(s *side) int {
			n, err := s.st.Expire(s.ctx())
			s.ok(err, "expire")
			return n
		})
	case n < 87:
		who := p.worker()
		both(p, fmt.Sprintf("retire %s", who), func(s *side) error { return s.st.Retire(s.ctx(), who) })
	case n < 89:
		p.pauseBoth()
	case n < 92:
		p.pruneBoth()
	case n < 93:
		both(p, "restart", func(s *side) bool { s.restart(); return true })
	case n < 95:
		p.publishBoth()
	case n < 98:
		p.drawBoth()
	default:
		p.listBoth()
	}
}

// both does the same on both sides and compares the answers.
func both[T any](p *pair, what string, do func(s *side) T) T {
	p.tb.Helper()
	p.trace = append(p.trace, what)
	x, y := do(p.sides[0]), do(p.sides[1])
	if d := differ(x, y); d != "" {
		p.tb.Fatalf("L5 broken: the stores differ with seed %d after %d operations; -first +second:\n%s\nthe last operations:\n%s",
			p.seed, len(p.trace), d, strings.Join(p.trace[max(0, len(p.trace)-12):], "\n"))
	}
	return x
}

// errorName is what a caller can branch on.
func errorName(err error) string {
	for _, known := range []error{store.ErrNotFound, store.ErrLeaseLost, store.ErrRefused, store.ErrBadCursor} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if err != nil {
		return "some error"
	}
	return ""
}

// commitBoth commits a batch whose times are those of the first side.
func (p *pair) commitBoth(writes []store.Write) {
	p.tb.Helper()
	p.batches = append(p.batches, writes)
	if len(p.batches) > 20 {
		p.batches = p.batches[1:]
	}
	type answer struct {
		Verdicts []store.Verdict
		Err      string
	}
	got := both(p, "commit "+printed(writes), func(s *side) answer {
		r, err := s.st.Commit(s.ctx(), shifted(writes, s.base.Sub(p.sides[0].base)))
		for i := range r.Verdicts {
			r.Verdicts[i].At = s.about(r.Verdicts[i].At)
		}
		return answer{r.Verdicts, errorName(err)}
	})
	if got.Err != "" {
		p.refusals++
	}
	for _, v := range got.Verdicts {
		p.reached[v.Code]++
	}
}

// publishBoth publishes something, or something again.
func (p *pair) publishBoth() {
	p.tb.Helper()
	pub := store.Publication{
		Topic: pick(p.rnd, "t1", "t2", ""), Payload: []byte{1, byte(p.rnd.IntN(256))}, Dedupe: fmt.Sprint("p", p.rnd.IntN(6)), Keep: time.Hour,
	}
	type answer struct {
		Code store.Code
		Got  int
		Err  string
	}
	both(p, fmt.Sprintf("publish %+v", pub), func(s *side) answer {
		res, err := s.st.Publish(s.ctx(), pub)
		return answer{res.Code, res.Got, errorName(err)}
	})
}

func (p *pair) claimBoth() {
	p.tb.Helper()
	req := store.ClaimRequest{Owner: p.worker(), Queues: map[string]int{}, Needs: map[string][]store.Hold{}}
	for _, q := range queues() {
		if p.rnd.IntN(3) > 0 {
			req.Queues[q] = p.rnd.IntN(6)
		}
		if p.rnd.IntN(3) == 0 {
			req.Needs[q] = p.needs()
		}
	}
	for _, v := range []string{"v1", "v2"} {
		if p.rnd.IntN(4) > 0 {
			req.Definitions = append(req.Definitions, store.Definition{Workflow: flow, Version: v, Fingerprint: pick(p.rnd, "old", "new")})
		}
	}
	type answer struct {
		Records []store.Record
		NextDue time.Time
		More    []string
		Paused  []store.Pause
		Err     string
	}
	both(p, fmt.Sprintf("claim %+v", req), func(s *side) answer {
		c, err := s.st.Claim(s.ctx(), req)
		maps.DeleteFunc(c.More, func(_ string, more bool) bool { return !more })
		a := answer{NextDue: s.about(c.NextDue), Paused: s.pauses(c.Paused), More: slices.Sorted(maps.Keys(c.More)), Err: errorName(err)}
		for _, r := range c.Records {
			a.Records = append(a.Records, s.record(r))
		}
		slices.SortStableFunc(a.Records, func(x, y store.Record) int { return strings.Compare(x.Queue, y.Queue) })
		return a
	})
}

func (p *pair) renewBoth() {
	p.tb.Helper()
	l := store.Lease{
		Who: p.worker(), Name: "worker", Duration: 24 * time.Hour, Queues: queues(), Report: pick(p.rnd, nil, []byte("busy"), []byte{0}),
	}
	if len(p.workers) < 3 || p.rnd.IntN(3) == 0 {
		l.Who, l.New = p.newID(), true
		p.workers = append(p.workers, l.Who)
	}
	type answer struct {
		Owned   []store.Owned
		Paused  []store.Pause
		Past    bool
		NextDue time.Time
		Blocked bool
		Err     string
	}
	both(p, fmt.Sprintf("renew %+v", l), func(s *side) answer {
		r, err := s.st.Renew(s.ctx(), l)
		past := !r.NextDue.IsZero() && !r.NextDue.After(r.Now) // of either store's own time
		if past {
			r.NextDue = time.Time{}
		}
		slices.SortFunc(r.Owned, func(x, y store.Owned) int { return strings.Compare(x.ID.String(), y.ID.String()) })
		return answer{r.Owned, s.pauses(r.Paused), past, s.normal(r.NextDue), r.Blocked, errorName(err)}
	})
}

// pauseBoth pauses or resumes a queue and looks at what workers share.
func (p *pair) pauseBoth() {
	p.tb.Helper()
	queue, by, paused := pick(p.rnd, queues()...), pick(p.rnd, "ann", "bob"), p.rnd.IntN(3) == 0
	both(p, fmt.Sprintf("pause %q: %v by %s", queue, paused, by), func(s *side) store.Survey {
		s.ok(s.st.SetPaused(s.ctx(), queue, by, paused), "pause")
		got := s.survey()
		got.Now, got.Paused = time.Time{}, s.pauses(got.Paused)
		for i := range got.Leases {
			got.Leases[i].Expires = s.about(got.Leases[i].Expires)
		}
		return got
	})
}

// pruneBoth removes all that match: which go first is for the store to choose.
func (p *pair) pruneBoth() {
	p.tb.Helper()
	req := store.PruneRequest{
		Workflow: pick(p.rnd, "", "", flow, "other"), Version: pick(p.rnd, nil, new("v1"), new("v2")), Age: pick(p.rnd, 0, 0, 0, time.Hour), Count: p.rnd.IntN(4) == 0,
		Statuses: pick(p.rnd, nil, []store.Status{store.Failed}, []store.Status{store.Cancelled, store.Compensated}),
	}
	both(p, fmt.Sprintf("prune %+v", req), func(s *side) int { return s.prune(req) })
}

// lapseOne lets one worker's lease run out on both sides.
func (p *pair) lapseOne() {
	p.tb.Helper()
	who := p.worker()
	alive := both(p, fmt.Sprintf("lapse %s", who), func(s *side) bool { return s.renew(who) == nil })
	for _, s := range p.sides {
		if alive {
			s.lapse(who)
		}
	}
}

func (p *pair) listBoth() {
	p.tb.Helper()
	f := store.Filter{Limit: 1 + p.rnd.IntN(5), Count: true, Tags: pick(p.rnd, nil, []string{"x"}, []string{"y", "x"}), Queue: pick(p.rnd, "", queue, "slow")}
	f.Statuses = pick(p.rnd, nil, []store.Status{store.Pending, store.Waiting}, []store.Status{store.Running}, []store.Status{store.Failed, store.Blocked})
	if p.rnd.IntN(3) == 0 && len(p.ids) > 0 {
		f.Parent = p.known().ID
	}
	f.TopLevel = p.rnd.IntN(4) == 0
	f.Key, f.ErrorCode = pick(p.rnd, "", "", "k1"), pick(p.rnd, "", "", "", "panic")
	w := store.WaitFilter{Name: pick(p.rnd, "", "w0"), Label: pick(p.rnd, "", "", "ada"), Queue: pick(p.rnd, "", "", "slow"), Kinds: pick(p.rnd, nil, []string{"event"}, []string{"input", "event"}), Limit: 1000}
	type answer struct {
		Executions []store.Execution
		Waits      []store.Wait
		Count      int
		Pages      int
	}
	both(p, fmt.Sprintf("list %+v, waits %+v", f, w), func(s *side) answer {
		var a answer
		f := f
		for more := true; more; more = f.Cursor != "" {
			page := s.list(f)
			for _, x := range page.Executions {
				a.Executions = append(a.Executions, s.header(x))
			}
			a.Count, a.Pages, f.Cursor = page.Count, a.Pages+1, page.Cursor
		}
		a.Waits = s.sorted(s.waitsBy(w).Waits)
		return a
	})
}

// compare reads everything there is of some executions on both sides.
func (p *pair) compare(ids []store.ID) {
	p.tb.Helper()
	type all struct {
		Whole, Short store.Record
		Waits        []store.Wait
		Logs         []store.Log
		Streams      []store.Chunk
		Chunks       []store.Chunk
		Stream       string
		Blob         string
		Err          string
	}
	for _, id := range ids {
		both(p, "read "+id.String(), func(s *side) (a all) {
			whole, err := s.st.Load(s.ctx(), id, true)
			if a.Err = errorName(err); err == nil {
				a.Whole, a.Short = s.record(whole), s.record(s.load(id))
			}
			a.Waits = s.sorted(s.waits(id))
			logs, err := s.st.Logs(s.ctx(), id, time.Time{})
			s.ok(err, "logs")
			for _, l := range logs {
				l.At = s.normal(l.At)
				a.Logs = append(a.Logs, l)
			}
			a.Streams, err = s.st.Streams(s.ctx(), id)
			s.ok(err, "streams")
			v, err := s.st.Stream(s.ctx(), store.StreamRequest{ID: id, Name: "s1", After: 7, Limit: 3})
			a.Chunks, a.Stream = v.Chunks, fmt.Sprint(errorName(err), v.Execution.Status, v.Execution.Epoch, v.Execution.ErrorCode, v.Last, v.More)
			for i := range a.Chunks { // no text is no text
				a.Chunks[i].Text = append([]byte{}, a.Chunks[i].Text...)
			}
			for n := range blobBodies {
				_, err = s.st.Blob(s.ctx(), id, hashOf(fmt.Sprint("blob ", n)))
				a.Blob += errorName(err) + " "
			}
			return a
		})
	}
}

// normal makes a time comparable: zero, about now, or so many hours from the base.
func (s *side) normal(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	d := t.Sub(s.base)
	if d.Abs() < 30*time.Minute {
		d = 0
	}
	return time.Unix(0, 0).Add(d).Truncate(time.Millisecond)
}

// about is normal for times that follow from the store's now.
func (s *side) about(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.Unix(0, 0).Add(t.Sub(s.base).Round(time.Hour))
}

func (s *side) pauses(list []store.Pause) []store.Pause {
	for i := range list {
		list[i].Since = s.normal(list[i].Since)
	}
	return list
}

func (s *side) header(x store.Execution) store.Execution {
	x.Due, x.Created, x.Changed, x.Ended = s.normal(x.Due), s.normal(x.Created), s.normal(x.Changed), s.normal(x.Ended)
	if x.Owner != uuid.Nil {
		x.Due = time.Time{} // means nothing
	}
	slices.Sort(x.Tags)
	return x
}

func (s *side) record(r store.Record) store.Record {
	r.Execution, r.Now = s.header(r.Execution), time.Time{}
	for i := range r.Rows {
		r.Rows[i].At = s.normal(r.Rows[i].At)
	}
	for i := range r.Messages {
		r.Messages[i].At = s.normal(r.Messages[i].At)
	}
	return r
}

func (s *side) sorted(ws []store.Wait) []store.Wait {
	for i := range ws {
		ws[i].Opened, ws[i].Deadline = s.normal(ws[i].Opened), s.normal(ws[i].Deadline)
	}
	slices.SortFunc(ws, func(a, b store.Wait) int { return strings.Compare(a.ID, b.ID) })
	return ws
}
