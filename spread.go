package durable

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

const (
	partBytes    = 256 << 10 // a piece of a list is a blob of about this size
	listBytes    = 64 << 20  // of a whole list
	beginBytes   = 4 << 20   // of items that begin with one write
	partsKept    = 8 << 20   // of pieces that an engine keeps in memory
	partsAtFirst = 4         // of a new list
	loadsAtOnce  = 16        // items that are read at once when they are taken together
	listPatience = 30 * time.Second
	readPause    = 20 * time.Millisecond
	maxReadPause = time.Second
)

// Spread runs each item as a run of its own, a child of this one, on whatever worker is
// free: one run's items at work on many machines. Their workflow is called after this one and the
// node (for example mails#send), at its version; paths in them begin below the item. They
// inherit queue, priority and tags.
//
// The list and the items lie outside of this run's state and journal, so there may be 100,000
// items and 64 MiB of them. Without Concurrency 1,000 have begun and not ended at once; it can be 10,000
// at most. The first item that fails ends this node, and those that are running are cancelled; they
// may still end a moment later. When the run is cancelled or fails, so are they. An item that is cancelled by
// itself, as by CancelRun in it, is one that has failed, with code child.
//
// Steps in a spread item may have a Compensate. When the run goes back, items that have completed are undone with
// it: those with the highest numbers first, 100 at once.
func (e *EachNode[S, T]) Spread() *EachNode[S, T] {
	e.n.Spread = true
	return e
}

// items is the definitions of the items of a workflow's spread Eachs.
func (d *definition) items() (list []*definition) {
	for _, t := range d.codes.items {
		w := &tree.Workflow{
			Name: tree.ItemName(d.tree.Name, t.n), Version: d.tree.Version,
			Root: &tree.Node{Kind: tree.Sequence, Body: t.n.Body},
		}
		list = append(list, &definition{
			tree: w, codes: d.codes, state: t.state, typ: t.typ, fingerprint: tree.Fingerprint(w) + "-" + signature(t.typ),
		})
	}
	return list
}

// inParts is the answer that says where a list lies, and its pieces.
func inParts(list []json.RawMessage, answer *journal.Answer, path string) run.Answered {
	a := run.Answered{Answer: answer}
	size, from := 0, 0
	var part bytes.Buffer
	end := func(next int) {
		if part.Len() == 0 {
			return
		}
		part.WriteByte(']')
		sum := sha256.Sum256(part.Bytes())
		answer.Parts = append(answer.Parts, journal.Part{From: from, Hash: hex.EncodeToString(sum[:])})
		a.Parts = append(a.Parts, bytes.Clone(part.Bytes()))
		part.Reset()
		from = next
	}
	for i, item := range list {
		if size += len(item) + 1; size > listBytes {
			return run.Answered{Err: &journal.Error{
				Code: "items", Path: path, Message: fmt.Sprintf("the items together are larger than %d bytes; keep large data elsewhere and its address in the item", listBytes),
			}}
		}
		if part.Len() == 0 {
			part.WriteByte('[')
		} else {
			part.WriteByte(',')
		}
		part.Write(item)
		if part.Len() >= partBytes {
			end(i + 1)
		}
	}
	end(len(list))
	return a
}

// listed keeps the first pieces of a list, so that items can begin with the write that
// has them.
func (a *asking) listed(l *run.Answered) {
	if l.Answer == nil {
		return
	}
	for i := min(len(l.Parts), partsAtFirst) - 1; i >= 0; i-- {
		x := partOf{id: a.visit.Execution, hash: l.Answer.Parts[i].Hash, size: len(l.Parts[i])}
		if json.Unmarshal(l.Parts[i], &x.items) == nil {
			a.engine.parts.put(x)
		}
	}
}

// parts keeps pieces of lists, which never change.
type parts struct {
	mu   sync.Mutex
	list []partOf // the newest last
}

type partOf struct {
	id    ID
	hash  string
	size  int
	items []json.RawMessage
}

func (p *parts) get(id ID, hash string) []json.RawMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.list {
		if x.id == id && x.hash == hash {
			return x.items
		}
	}
	return nil
}

func (p *parts) put(x partOf) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, x)
	size, first := 0, len(p.list)
	for ; first > 0; first-- {
		if size += p.list[first-1].size; size > partsKept && first < len(p.list) {
			break
		}
	}
	p.list = slices.Delete(p.list, 0, first)
}

// part reads a piece of the list of a run.
func (e *Engine) part(ctx context.Context, id ID, hash string) ([]json.RawMessage, error) {
	if items := e.parts.get(id, hash); items != nil {
		return items, nil
	}
	var raw []byte
	began := time.Now()
	err := persist(ctx, func() (err error) {
		raw, err = e.store.Blob(ctx, id, hash)
		if errors.Is(err, store.ErrNotFound) && time.Since(began) < listPatience { // its write is on its way
			err = errors.New("not yet")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	x := partOf{id: id, hash: hash, size: len(raw)}
	if err := json.Unmarshal(raw, &x.items); err != nil {
		return nil, fmt.Errorf("%w: %w", journal.ErrCorrupt, err)
	}
	e.parts.put(x)
	return x.items, nil
}

// persist reads until the store answers, or nobody wants to know any more.
func persist(ctx context.Context, read func() error) error {
	for rest := readPause; ; rest = min(2*rest, maxReadPause) {
		err := read()
		if err == nil || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrLost) {
			return err
		}
		if pause(ctx, rest) != nil {
			return context.Cause(ctx)
		}
	}
}

// unread is the answer when something could not be read.
func unread(ctx context.Context, what string, err error) run.Answered {
	if ctx.Err() != nil {
		return run.Answered{None: true}
	}
	return run.Answered{Block: what + " cannot be read: " + err.Error()}
}

// beginItems makes the items that are to begin next.
func beginItems(ctx context.Context, q *plan.Question) run.Answered {
	a := askingOf(ctx)
	v, now := a.visit, time.Now()
	if v.Depth+1 > maxChildDepth {
		return run.Answered{Err: record(fmt.Errorf("children are nested deeper than %d", maxChildDepth), "permanent", q.Path, 0)}
	}
	var list []store.Begin
	size := 0
	for i, p := range q.Spread.Parts {
		if i+1 < len(q.Spread.Parts) && q.Spread.Parts[i+1].From <= q.Spread.From {
			continue
		}
		items, err := a.engine.part(ctx, v.Execution, p.Hash)
		if err != nil {
			return unread(ctx, "the list of "+q.Path, err)
		}
		for n := q.Spread.From + len(list); n-p.From < len(items); n++ {
			if len(list) == q.Spread.Count || size > beginBytes {
				return run.Answered{Begins: list}
			}
			b := store.Begin{
				ID:       run.ItemID(v.Execution, q.Path, v.Generation, q.Spread.At, n),
				Workflow: tree.ItemName(v.Workflow, v.Node), Version: v.Version, Queue: v.RunQueue,
				Priority: v.Priority, Tags: v.Tags, Parent: v.Execution, Depth: v.Depth + 1,
			}
			b.Row = run.BeginRow(&b, 0, items[n-p.From], now)
			list = append(list, b)
			size += len(b.Row)
		}
	}
	return run.Answered{Begins: list}
}

// gather takes the items, which are runs of their own, into the state.
func (e *EachNode[S, T]) gather(ctx context.Context, raw []byte, q *plan.Question, plain, itemPlain bool) run.Answered {
	var broken *run.Answered
	a := joined(raw, q, plain, func(s *S) error {
		return e.into(s, func(yield func(int, Outcome[T]) bool) {
			for n, r := range itemsOf(ctx, q) {
				if r.err != nil {
					x := unread(ctx, fmt.Sprintf("item %d of %s", n, q.Path), r.err)
					broken = &x
					return
				}
				item, err := outcome[T](r.way, itemPlain)
				if err != nil {
					broken = &run.Answered{Block: fmt.Sprintf("item %d of %s does not fit the type of this code: %v", n, q.Path, err)}
					return
				}
				if !yield(n, item) {
					return
				}
			}
		})
	})
	if broken != nil {
		return *broken
	}
	return a
}

// readItem is how an item ended.
type readItem struct {
	way plan.Way
	err error
}

// itemsOf reads items in the order of the list, some ahead.
func itemsOf(ctx context.Context, q *plan.Question) iter.Seq2[int, readItem] {
	a, count := askingOf(ctx), q.Spread.Count
	return func(yield func(int, readItem) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var ahead [loadsAtOnce]chan readItem
		read := func(n int) {
			if n < count {
				c := make(chan readItem, 1)
				ahead[n%loadsAtOnce] = c
				id := run.ItemID(a.visit.Execution, q.Path, a.visit.Generation, q.Spread.At, n)
				go func() { c <- a.engine.readItem(ctx, id, q.Path, n) }()
			}
		}
		for n := range loadsAtOnce {
			read(n)
		}
		for n := range count {
			r := <-ahead[n%loadsAtOnce]
			read(n + loadsAtOnce)
			if !yield(n, r) {
				return
			}
		}
	}
}

// readItem reads how an item ended.
func (e *Engine) readItem(ctx context.Context, id ID, path string, n int) (r readItem) {
	var rec store.Record
	r.err = persist(ctx, func() (err error) {
		rec, err = e.store.Load(ctx, id, false)
		return err
	})
	if r.err != nil {
		return r
	}
	h, err := run.Replay(&rec)
	if err != nil {
		return readItem{err: err}
	}
	r.way.State = h.State
	if rec.Status != store.Completed {
		r.way.Err = plan.ItemError(path, n, string(rec.Status), storedError(rec.Error))
	}
	return r
}
