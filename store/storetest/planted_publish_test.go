package storetest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/durable-go/durable/store"
)

// publishBugs are those of stores that publish.
func publishBugs() []bug {
	return []bug{
		{
			"what nobody waits for is dropped",
			[]string{"publish/is kept for the first that asks, once", "race/publish against the opening of the wait"},
			publishing(func(p store.Publication, _ int64) store.Publication { p.Keep = 1; return p }),
		},
		{
			"a publication has no name",
			[]string{"publish/the same again has landed", "publish/after a restart", "race/one publication asked for many times"},
			publishing(func(p store.Publication, n int64) store.Publication { p.Dedupe = fmt.Sprint(n); return p }),
		},
		{
			"nothing is ever out of date",
			[]string{"publish/time passes"},
			publishing(func(p store.Publication, _ int64) store.Publication { p.Keep *= 1000; return p }),
		},
		{
			"a wait does not ask",
			[]string{"publish/is kept for the first that asks, once", "publish/reaches everybody who waits, once"},
			onAdvance(func(a *store.Advance, _ store.Record) {
				a.Open = slices.Clone(a.Open)
				for i := range a.Open {
					a.Open[i].Shared = false
				}
			}),
		},
		{
			"a wait that is answered at once stays open",
			[]string{"publish/is kept for the first that asks, once", "publish/what is kept is taken in one batch by two"},
			openTwice,
		},
		{
			"everybody who asks gets it",
			[]string{"publish/is kept for the first that asks, once", "race/one publication, many takers"},
			everlasting,
		},
		{
			"is there something, then wait: as two steps",
			[]string{"race/publish against the opening of the wait"},
			twoSteps,
		},
	}
}

// publishing is a store that changes publications.
func publishing(spoil func(p store.Publication, n int64) store.Publication) func() func(store.Store) store.Store {
	return func() func(store.Store) store.Store {
		n := new(atomic.Int64)
		return func(st store.Store) store.Store { return &publisher{Store: st, spoil: spoil, n: n} }
	}
}

type publisher struct {
	store.Store
	spoil func(p store.Publication, n int64) store.Publication
	n     *atomic.Int64
}

func (s *publisher) Publish(ctx context.Context, p store.Publication) (store.Published, error) {
	if p.Check() == nil {
		p = s.spoil(p, s.n.Add(1))
	}
	return s.Store.Publish(ctx, p)
}

// openTwice opens each shared wait beside itself, under another name and unshared.
func openTwice() func(store.Store) store.Store {
	return onAdvance(func(a *store.Advance, _ store.Record) {
		for _, w := range a.Open {
			if w.Shared {
				w.Shared, w.ID = false, w.ID+"'"
				a.Open = append(slices.Clip(a.Open), w)
			}
		}
	})()
}

// everlasting publishes again what somebody has taken.
func everlasting() func(store.Store) store.Store {
	b := &box{kept: map[string][]store.Publication{}}
	return func(st store.Store) store.Store { return lavish{st, b} }
}

// box is what handles of one store share.
type box struct {
	mu   sync.Mutex
	kept map[string][]store.Publication
}

func (b *box) put(p store.Publication) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept[p.Topic] = append(b.kept[p.Topic], p)
}

func (b *box) get(topic string) (p store.Publication, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.kept[topic]
	if len(list) == 0 {
		return p, false
	}
	b.kept[topic] = list[1:]
	return list[0], true
}

type lavish struct {
	store.Store
	*box
}

func (s lavish) Publish(ctx context.Context, p store.Publication) (store.Published, error) {
	res, err := s.Store.Publish(ctx, p)
	if err == nil && res.Got == 0 {
		s.put(p)
	}
	return res, err
}

func (s lavish) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	res, err := s.Store.Commit(ctx, writes)
	for _, w := range writes {
		if w.Advance == nil || err != nil {
			continue
		}
		for _, o := range w.Advance.Open {
			if p, ok := s.get(o.Topic); o.Shared && ok {
				again := p
				again.Dedupe += "'"
				_, err = s.Store.Publish(ctx, again)
				s.put(again)
			}
		}
	}
	return res, err
}

// twoSteps is trap 11: it looks for waits and then keeps, or looks for what is kept
// and then opens.
func twoSteps() func(store.Store) store.Store {
	b := &box{kept: map[string][]store.Publication{}}
	return func(st store.Store) store.Store { return rash{st, b} }
}

type rash struct {
	store.Store
	*box
}

func (s rash) Publish(ctx context.Context, p store.Publication) (store.Published, error) {
	page, err := s.Waits(ctx, store.WaitFilter{Limit: 1000})
	if err != nil {
		return store.Published{}, err
	}
	for range 50 {
		runtime.Gosched()
	}
	got := 0
	for _, w := range page.Waits {
		if w.Topic == p.Topic && s.give(ctx, p, w) {
			got++
		}
	}
	if got == 0 {
		s.put(p)
	}
	return store.Published{Code: store.Applied, Got: got}, nil
}

func (s rash) give(ctx context.Context, p store.Publication, w store.Wait) bool {
	d := store.Deliver{ID: w.Execution, Topic: p.Topic, Payload: p.Payload, Dedupe: p.Dedupe, Wait: w.ID}
	r, err := s.Store.Commit(ctx, []store.Write{{Deliver: &d}})
	return err == nil && r.Verdicts[0].Code == store.Applied
}

func (s rash) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	for _, w := range writes {
		if w.Advance == nil || len(w.Advance.Open) == 0 {
			continue
		}
		o := w.Advance.Open[0]
		p, there := s.get(o.Topic)
		for range 50 {
			runtime.Gosched()
		}
		res, err := s.Store.Commit(ctx, writes)
		if there && err == nil {
			o.Execution = w.Advance.ID
			s.give(ctx, p, o)
		}
		return res, err
	}
	return s.Store.Commit(ctx, writes)
}
