package run

import (
	"maps"
	"slices"
	"strings"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/store"
)

// afterNews tells which facts are decided again when the store knew better: a
// message came before the timer, or the timer was early.
func afterNews(f *journal.Fact) bool {
	if f.Derived { // perhaps from one of those
		return true
	}
	switch f.Kind {
	case journal.Fired, journal.Received, journal.Gathered, journal.Tried, journal.Answered, journal.Turned:
		return true
	case journal.Recalling: // an answer to an order that is given again
		return true
	case journal.Handed:
		return f.Message != 0 // perhaps of a beginning that is undone
	case journal.Altered:
		return f.Message == 0 // a notice: the answer may have come before
	case journal.Failed:
		return f.Err != nil && f.Err.Code == journalLimit // instead of a Tried
	}
	return false
}

// shuts tells whether a fact closes the wait of a call, if that is closed.
func shuts(f *journal.Fact, key string) bool {
	switch f.Kind {
	case journal.Received, journal.Revoked:
		return key == callKey(f.Path, f.Call)
	case journal.Gathered:
		return key == shutKey(f.Path, f.Call, f.Topic)
	case journal.Done, journal.Failed:
		return key == callKey(f.Path, itemsCall)
	case journal.Closed:
		return strings.HasPrefix(key, f.Path+"/")
	case journal.Turned:
		return true
	}
	return false
}

// undo takes back a write that was refused. What bodies said is kept; what is
// not is decided again after a fresh look, and no body begins that was to begin
// with the write.
func (w *Worker) undo(r *run, b *batch, undone func(*journal.Fact) bool) {
	kept := batch{
		took: slices.Concat(b.took, r.batch.took), logs: append(b.logs, r.batch.logs...),
		chunks: append(b.chunks, r.batch.chunks...), sealed: len(b.chunks),
		loose: append(b.loose, r.batch.loose...),
		shut:  make(map[string][]string),
	}
	if undone(&journal.Fact{Kind: journal.Recalling}) { // they are loaded again
		kept.took = slices.DeleteFunc(kept.took, func(seq int64) bool { return slices.Contains(kept.loose, seq) })
		kept.loose = nil
	}
	if b.shut == nil {
		b.shut = make(map[string][]string)
	}
	maps.Copy(b.shut, r.batch.shut)
	for _, o := range []*batch{b, &r.batch} {
		for key, m := range o.heard {
			if kept.heard == nil {
				kept.heard, kept.heardSeen = make(map[string]store.Message), o.heardSeen
			}
			kept.heard[key] = m
		}
	}
	unopened, untold := make(map[string]bool), map[string]bool{ofEnd: true}
	for _, f := range append(b.facts, r.batch.facts...) {
		if undone(&f) {
			switch key := callKey(f.Path, f.Call); f.Kind {
			case journal.Waited, journal.Scattered:
				unopened[key] = true
			case journal.Answered:
				unopened[key], unopened[callKey(f.Path, itemsCall)] = true, true
			default:
				untold[key] = true
				if f.Message != 0 { // it is loaded again
					kept.took = slices.DeleteFunc(kept.took, func(seq int64) bool { return seq == f.Message })
					maps.DeleteFunc(kept.heard, func(_ string, m store.Message) bool { return m.Seq == f.Message })
				}
			}
			continue
		}
		for key, ids := range b.shut {
			if shuts(&f, key) {
				kept.shut[key] = ids
			}
		}
		kept.facts = append(kept.facts, f)
	}
	kept.keep(b, unopened, untold)
	kept.keep(&r.batch, unopened, untold)
	w.unbegin(r, append(b.starts, r.batch.starts...))
	if w.runs[r.id] == r && undone(&journal.Fact{Derived: true}) {
		for _, v := range r.sorted() { // asked about what is no longer so
			if v.Question != nil {
				w.stopVisit(v, ErrNotPlanned)
			}
		}
	}
	kept.replies = stillTrue(append(b.replies, r.batch.replies...), undone(&journal.Fact{Kind: journal.Received}))
	r.batch = kept
	r.rebuild = true
	w.do.Load(r.id)
}

// unbegin forgets bodies that were to begin with a write that was refused.
func (w *Worker) unbegin(r *run, starts []*Visit) {
	for _, v := range starts {
		delete(r.visits, v.Path)
		w.free(v)
		if v.Mode != plan.Reconcile {
			r.refused = append(r.refused, v.Path)
		}
	}
}

// stillTrue is the answers that stand though their write was refused: with received, none to a wait does.
func stillTrue(replies []reply, received bool) (left []reply) {
	for _, x := range replies {
		if x.v.asking == nil {
			continue
		}
		if x.v.asking.Wait != nil && received {
			x.v.asking.Wait.ID = "" // to be answered again
			continue
		}
		left = append(left, x)
	}
	return left
}

// keep takes over what a batch opens, begins and tells, but for calls whose wait is
// not opened after all, and for what facts brought about that are gone.
func (b *batch) keep(o *batch, unopened, untold map[string]bool) {
	for _, w := range o.opens {
		if !unopened[callKey(w.Path, w.Call)] {
			b.opens = append(b.opens, w)
		}
	}
	for _, c := range o.children {
		if !unopened[c.key] {
			b.children = append(b.children, c)
		}
	}
	for _, c := range o.blobs {
		if !unopened[c.key] {
			b.blobs = append(b.blobs, c)
		}
	}
	for _, t := range o.tells {
		if !untold[t.key] {
			b.tells = append(b.tells, t)
		}
	}
}
