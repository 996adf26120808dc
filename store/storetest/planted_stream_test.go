package storetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/durable-go/durable/store"
)

// streamBugs are those of streams.
func streamBugs() []bug {
	chunks := func(spoil func(list []store.Chunk) []store.Chunk) func() func(store.Store) store.Store {
		return on(func(_ store.Store, w store.Write) store.Write {
			if w.Advance != nil && len(w.Advance.Chunks) > 0 {
				a := *w.Advance
				a.Chunks = spoil(slices.Clone(a.Chunks))
				w.Advance = &a
			}
			return w
		})
	}
	viewed := func(spoil func(req *store.StreamRequest, v *store.StreamView)) func() func(store.Store) store.Store {
		return func() func(store.Store) store.Store {
			return func(st store.Store) store.Store { return viewing{st, spoil} }
		}
	}
	return []bug{
		{"resets remove nothing", []string{"stream/a reset removes what was before"}, chunks(func(list []store.Chunk) []store.Chunk {
			return slices.DeleteFunc(list, func(c store.Chunk) bool { return c.Kind == store.ChunkReset })
		})},
		{"ends are like texts", []string{"stream/an end removes what was before, with its row"}, chunks(func(list []store.Chunk) []store.Chunk {
			for i := range list {
				if list[i].Kind == store.ChunkEnd && len(list[i].Text) <= store.MaxChunk {
					list[i].Kind = store.ChunkText
				}
			}
			return list
		})},
		{"the last chunk of a write is lost", []string{"stream/chunks come in order, after an index", "stream/several in one write"}, chunks(func(list []store.Chunk) []store.Chunk {
			return list[:len(list)-1]
		})},
		{"all streams are one", []string{"stream/several in one write", "stream/streams do not see each other"}, chunks(func(list []store.Chunk) []store.Chunk {
			for i := range list {
				list[i].Stream = "s"
			}
			return list
		})},
		{"chunks are cut as C strings", []string{"stream/any bytes come back as they were"}, chunks(func(list []store.Chunk) []store.Chunk {
			for i, c := range list {
				if n := slices.Index(c.Text, 0); n >= 0 {
					list[i].Text = c.Text[:n]
				}
			}
			return list
		})},
		{"chunks are not fenced", []string{"stream/an old owner adds nothing", "race/chunks of an owner and of the next"}, onAdvance(func(a *store.Advance, is store.Record) {
			if len(a.Chunks) > 0 {
				a.Owner, a.Epoch = is.Owner, is.Epoch
			}
		})},
		{"an index is forgotten", []string{"stream/chunks come in order, after an index", "stream/pages, and what is left"}, viewed(func(req *store.StreamRequest, _ *store.StreamView) {
			req.After = 0
		})},
		{"a page is said to be all", []string{"stream/pages, and what is left"}, viewed(func(_ *store.StreamRequest, v *store.StreamView) { v.More = false })},
		{"what is not there has an empty stream", []string{"stream/chunks come in order, after an index"}, func() func(store.Store) store.Store {
			return func(st store.Store) store.Store { return nowhere{st} }
		}},
		{"late chunks come back", []string{"stream/what is not at the end is ignored"}, func() func(store.Store) store.Store {
			k := &keeper{all: map[string][]store.Chunk{}}
			return func(st store.Store) store.Store { return keeping{st, k} }
		}},
		{"a view is read piece by piece", []string{"stream/a view is one state"}, func() func(store.Store) store.Store {
			return func(st store.Store) store.Store { return splitView{st} }
		}},
		{"prune leaves streams", []string{"stream/they outlive the end, a restart, and not the run"}, func() func(store.Store) store.Store {
			l := &lasting{streams: map[store.ID][]store.Chunk{}}
			return func(st store.Store) store.Store { return outliving{st, l} }
		}},
	}
}

// viewing spoils what is asked of streams, or the answer.
type viewing struct {
	store.Store
	spoil func(req *store.StreamRequest, v *store.StreamView)
}

func (s viewing) Stream(ctx context.Context, req store.StreamRequest) (store.StreamView, error) {
	s.spoil(&req, &store.StreamView{})
	v, err := s.Store.Stream(ctx, req)
	s.spoil(&req, &v)
	return v, err
}

// nowhere takes no execution for one without streams.
type nowhere struct{ store.Store }

func (n nowhere) Stream(ctx context.Context, req store.StreamRequest) (store.StreamView, error) {
	v, _ := n.Store.Stream(ctx, req)
	return v, nil
}

// keeping shows chunks that came before a reset.
type keeping struct {
	store.Store
	*keeper
}

type keeper struct {
	mu  sync.Mutex
	all map[string][]store.Chunk
}

func (k keeping) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	res, err := k.Store.Commit(ctx, writes)
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, w := range writes {
		if err == nil && w.Advance != nil && res.Verdicts[i].Code == store.Applied {
			for _, c := range w.Advance.Chunks {
				key := w.Advance.ID.String() + c.Stream
				if c.Kind != store.ChunkText {
					k.all[key] = nil
				}
				k.all[key] = append(k.all[key], c)
			}
		}
	}
	return res, err
}

func (k keeping) Stream(ctx context.Context, req store.StreamRequest) (store.StreamView, error) {
	v, err := k.Store.Stream(ctx, req)
	k.mu.Lock()
	defer k.mu.Unlock()
	v.Chunks = nil
	for _, c := range k.all[req.ID.String()+req.Name] {
		if c.Index > req.After {
			v.Chunks = append(v.Chunks, c)
		}
	}
	return v, err
}

// splitView reads the newest chunk first, and all others later.
type splitView struct{ store.Store }

func (p splitView) Stream(ctx context.Context, req store.StreamRequest) (store.StreamView, error) {
	first, err := p.Store.Stream(ctx, req)
	if err != nil || first.Execution.Status.Ended() {
		return first, err
	}
	for range 10 { // until what others do in between is done
		v, err := p.Store.Stream(ctx, req)
		if err != nil {
			return v, err
		}
		if v.Execution.Status != first.Execution.Status {
			first.Execution = v.Execution
			return first, nil
		}
		pause(ctx)
	}
	return first, nil
}

func pause(ctx context.Context) {
	t := time.NewTimer(time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// outliving has streams of what was removed.
type outliving struct {
	store.Store
	*lasting
}

type lasting struct {
	mu      sync.Mutex
	streams map[store.ID][]store.Chunk
}

func (o outliving) Streams(ctx context.Context, id store.ID) ([]store.Chunk, error) {
	list, err := o.Store.Streams(ctx, id)
	o.mu.Lock()
	defer o.mu.Unlock()
	return append(list, o.streams[id]...), err
}

func (o outliving) Prune(ctx context.Context, req store.PruneRequest) (store.Pruned, error) {
	page, err := o.List(ctx, store.Filter{})
	if err != nil {
		return store.Pruned{}, err
	}
	for _, x := range page.Executions {
		list, err := o.Store.Streams(ctx, x.ID)
		if err != nil {
			return store.Pruned{}, err
		}
		o.mu.Lock()
		o.streams[x.ID] = list
		o.mu.Unlock()
	}
	return o.Store.Prune(ctx, req)
}
