package run

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strings"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// Items of a spread Each are children. Their parent has one wait for all of them, whose
// topic their reports have, and takes all reports that are there with one row. Which
// execution is which item follows from its id.

const (
	// gather is how long a run whose items have ended leaves further ones to be taken
	// together.
	gather = 20 * time.Millisecond
	// itemsCall is the name of the wait for items, beside calls.
	itemsCall = "items"
	// maxReportText is how much of an error's text a report of an item has; all of it is
	// with the item.
	maxReportText = 1 << 10
)

// tag is the part of an item's id that says whose it is, and at which place.
type tag [7]byte

func tagOf(parent store.ID, path, generation string) (t tag) {
	sum := sha256.Sum256([]byte(parent.String() + "\x00" + path + "\x00" + generation))
	copy(t[:], sum[:])
	return t
}

// ItemID is the id of item n of a spread Each whose list was recorded at a time, in
// microseconds: a UUIDv7 of that time, the number, and whose it is. Items sort by number.
func ItemID(parent store.ID, path, generation string, at int64, n int) store.ID {
	return itemID(tagOf(parent, path, generation), at, n)
}

func itemID(t tag, at int64, n int) (id store.ID) {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(at/1000))
	copy(id[:6], ms[2:])
	id[6], id[7], id[8] = 0x70|byte(n>>14)&0x0f, byte(n>>6), 0x80|byte(n&0x3f)
	copy(id[9:], t[:])
	return id
}

// itemNumber is the number in an item's id.
func itemNumber(id store.ID) int {
	return int(id[6]&0x0f)<<14 | int(id[7])<<6 | int(id[8]&0x3f)
}

// ItemsTopic is the topic by which the end of an execution is told to its parent, if it is an
// item; else it is empty, which is that of any child.
func ItemsTopic(workflow string) string {
	if tree.IsItem(workflow) {
		return "items:" + workflow
	}
	return ""
}

// ended is what a report of an item says, short.
func (p ChildReport) short() ChildReport {
	p.State, p.Workflow = nil, ""
	if p.Error != nil {
		e := *p.Error
		e.Stack = ""
		if len(e.Message) > maxReportText {
			e.Message = strings.ToValidUTF8(e.Message[:maxReportText], "") + " … (cut)"
		}
		if len(e.Chain) > 8 {
			e.Chain = nil
		}
		p.Error = &e
	}
	return p
}

// reports is what items of one Each say, and the messages that say it.
type reports struct {
	of   []ChildReport
	seqs []int64
}

// takeItems takes the reports of all items that have ended.
func (w *Worker) takeItems(r *run, p plan.Plan, at int64, now time.Time) bool {
	if w.leaves(r) {
		return false
	}
	rest := r.inbox[:0:0]
	var ended map[tag]reports
	for _, m := range r.inbox {
		if !strings.HasPrefix(m.Topic, "items:") {
			rest = append(rest, m)
			continue
		}
		r.batch.took = append(r.batch.took, m.Seq)
		var report ChildReport
		if json.Unmarshal(m.Payload, &report) != nil {
			continue // never written so
		}
		if ended == nil {
			ended = make(map[tag]reports)
		}
		t := tag(report.ID[9:])
		list := ended[t]
		ended[t] = reports{append(list.of, report), append(list.seqs, m.Seq)}
	}
	if ended == nil {
		return false
	}
	r.inbox = rest
	for _, s := range p.Spreads {
		t := tagOf(r.id, s.Path, r.hist.Visit(s.Path))
		if list := ended[t].of; len(list) > 0 {
			if f, ok := itemsEnded(s, list, r.id, r.hist.Visit(s.Path)); ok {
				f.At = at
				w.add(r, f)
			}
			delete(ended, t)
		}
	}
	for _, list := range ended { // of no open Each: too late to matter, if it stays so
		r.batch.loose = append(r.batch.loose, list.seqs...)
	}
	r.gathers = now.Add(gather)
	return true
}

// gathered has a look at what has come while a run gathered.
func (w *Worker) gathered(r *run, now time.Time) {
	if !r.gathers.IsZero() && !now.Before(r.gathers) {
		r.gathers = time.Time{}
		w.fetch(r)
	}
}

// leaves tells whether what has been read of children is left for a moment, to be taken with
// what comes. A worker that stops lets the run go and leaves nothing: its release says that
// all that was read is known, so nobody would be woken by it.
func (w *Worker) leaves(r *run) bool { return !r.gathers.IsZero() && !w.stopping }

// gathering tells whether a run of which nothing runs here is kept for a moment, since
// more of its items may have ended.
func (w *Worker) gathering(r *run) bool {
	return len(r.plan.Spreads)+len(r.plan.Kin) > 0 && r.plan.Outcome == plan.Going && !w.stopping && (!r.gathers.IsZero() || r.fetching)
}

// itemsEnded is the fact that reports of items come to.
func itemsEnded(s plan.Spread, list []ChildReport, parent store.ID, generation string) (journal.Fact, bool) {
	var ended, failed, undo []int
	var first *journal.Error
	seen := make(map[int]bool, len(list))
	for _, p := range list {
		n := itemNumber(p.ID)
		if seen[n] || n >= s.Spread.Begun || journal.In(s.Spread.Ended, n) || p.ID != ItemID(parent, s.Path, generation, s.Spread.At, n) {
			continue
		}
		seen[n] = true
		ended = append(ended, n)
		if p.Undo {
			undo = append(undo, n)
		}
		if p.Status == store.Completed {
			continue
		}
		failed = append(failed, n)
		if first == nil && s.Spread.Err == nil {
			first = plan.ItemError(s.Path, n, string(p.Status), p.Error)
		}
	}
	return journal.Scatter(s.Path, journal.Spreading{Ended: journal.Ranges(ended), Failed: journal.Ranges(failed), Undo: journal.Ranges(undo)}, first, 0), len(ended) > 0
}

// listed records the list of a spread Each: the answer has its number and where it
// lies, and the wait for all items opens.
func (w *Worker) listed(r *run, v *Visit, a Answered, f journal.Fact) {
	key := callKey(v.Path, "")
	for _, b := range a.Parts {
		r.batch.blobs = append(r.batch.blobs, blob{key, Blob{Body: b}})
	}
	w.add(r, f)
	if f.Answer.Items == 0 {
		return
	}
	name := tree.ItemName(r.def.Tree.Name, v.Node)
	r.batch.opens = append(r.batch.opens, store.Wait{
		ID: r.itemsWait(v.Path), Execution: r.id, Path: v.Path, Call: itemsCall, Kind: "call", Name: name, Topic: ItemsTopic(name),
	})
}

// itemsWait is the id of the wait for the items of a spread Each.
func (r *run) itemsWait(path string) string {
	return waitID(r.id, path, itemsCall+r.hist.Visit(path), 0)
}

// mayBegin tells whether items that are to begin are still those that come next. A write that was
// refused may have taken back the list, or what began before them.
func (r *run) mayBegin(v *Visit, a Answered) bool {
	if len(a.Begins) == 0 {
		return true
	}
	p, q := r.hist.At(v.Path), v.Question.Spread
	return !r.rebuild && p != nil && p.Spread != nil && p.Spread.At == q.At && p.Spread.Begun == q.From
}

// scatter records that items begin.
func (w *Worker) scatter(r *run, v *Visit, items []store.Begin, at int64) {
	f := journal.Scatter(v.Path, journal.Spreading{From: v.Question.Spread.From, Begun: len(items)}, nil, at)
	f.Derived = true
	for i := range items {
		r.batch.children = append(r.batch.children, child{callKey(v.Path, ""), items[i]})
	}
	w.add(r, f)
}

// conclude records a fact that may end an Each, and closes what its items need.
func (w *Worker) conclude(r *run, f journal.Fact) {
	var list []journal.ItemsAt
	if f.Kind == journal.Done || f.Kind == journal.Failed {
		if p := r.hist.At(f.Path); p != nil && p.Spread != nil {
			list = []journal.ItemsAt{{Path: f.Path, Spread: p.Spread}}
		}
	} else if f.Kind == journal.Closed {
		list = r.hist.OpenItems(f.Path)
	}
	reason, undo := "an item has failed", true
	if f.Kind == journal.Closed {
		reason, undo = "what it is an item of has failed", false
	}
	f.Undo = f.Undo || f.Kind == journal.Failed && len(list) > 0
	r.dismissItems(list, callKey(f.Path, ""), reason, undo)
	w.add(r, f)
}

// dismissItems cancels items that are open, and closes the waits for them. With undo they are
// rolled back.
func (r *run) dismissItems(list []journal.ItemsAt, key, reason string, undo bool) {
	for _, o := range list {
		generation := r.hist.Visit(o.Path)
		r.batch.close(o.Path, itemsCall, "", []string{r.itemsWait(o.Path)})
		t := tagOf(r.id, o.Path, generation)
		o.Spread.EachOpen(func(n int) {
			r.batch.tells = append(r.batch.tells, tell{key: key, Deliver: r.dismissal(itemID(t, o.Spread.At, n), reason, undo)})
		})
	}
}
