package storetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/durable-go/durable/store"
)

// limitBugs are those of tokens, needs, pauses and reports.
func limitBugs() []bug {
	return []bug{
		{
			"tokens end with the release",
			[]string{"token/stays when the execution is parked, ended, taken", "token/taking again adds"},
			onHolds(func(h *store.Hold) {
				if h.Window > 0 {
					h.Until, h.Window = time.Now().Add(1000*time.Hour), 0
				}
			}),
		},
		{"tokens come free early", []string{"token/up to the limit in any window", "token/At tells when so many fit"}, onHolds(func(h *store.Hold) { h.Window /= 2 })},
		{"any row on the base has landed", []string{"advance/another row on that base has not landed"}, landedByEpoch},
		{"At is not told", []string{"token/At tells when so many fit"}, atLost},
		{
			"claims do not look at needs",
			[]string{"need/no more are claimed than holds leave room for", "need/no more are claimed than tokens leave room for"},
			onClaim(func(req *store.ClaimRequest, _ *store.Claimed) { req.Needs = nil }),
		},
		{"NextDue without tokens", []string{"need/NextDue tells when a token comes free"}, onClaim(func(_ *store.ClaimRequest, c *store.Claimed) { c.NextDue = time.Time{} })},
		{"a need narrows all queues", []string{"need/of one queue does not narrow another"}, onClaim(func(req *store.ClaimRequest, _ *store.Claimed) {
			for name := range req.Queues {
				req.Needs[name] = req.Needs[queue]
			}
		})},
		{"pauses are forgotten at a restart", []string{"pause/survives a restart, until it is undone"}, pauseInMemory},
		{"paused queues are claimed", []string{"pause/nothing is claimed from a paused queue", "pause/claims, renewals and surveys tell"}, pauseIgnored},
		{"pausing again is a new pause", []string{"pause/pausing again changes nothing"}, pauseAnew},
		{"claims do not tell of pauses", []string{"pause/claims, renewals and surveys tell"}, onClaim(func(_ *store.ClaimRequest, c *store.Claimed) { c.Paused = nil })},
		{"reports are lost", []string{"survey/leases with their reports"}, reportLost},
	}
}

func onHolds(spoil func(h *store.Hold)) func() func(store.Store) store.Store {
	return on(func(_ store.Store, w store.Write) store.Write {
		if w.Advance == nil {
			return w
		}
		a := *w.Advance
		a.Holds = slices.Clone(a.Holds)
		for i := range a.Holds {
			spoil(&a.Holds[i])
		}
		return store.Write{Advance: &a}
	})
}

// epochal takes a row of the same epoch for the one that is written.
type epochal struct{ store.Store }

func landedByEpoch() func(store.Store) store.Store {
	return func(st store.Store) store.Store { return epochal{st} }
}

func (e epochal) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	r, err := e.Store.Commit(ctx, writes)
	for i := range r.Verdicts {
		a := writes[i].Advance
		if a == nil || len(a.Row) == 0 || a.Base < 1 || r.Verdicts[i].Code != store.Superseded {
			continue
		}
		is, err := e.Load(ctx, a.ID, true)
		if err == nil && a.Base < is.Length && is.Rows[a.Base].Epoch == a.Epoch {
			r.Verdicts[i] = store.Verdict{Code: store.Landed, Inbox: is.Inbox}
		}
	}
	return r, err
}

// timeless does not say when a token would fit.
type timeless struct{ store.Store }

func atLost() func(store.Store) store.Store {
	return func(st store.Store) store.Store { return timeless{st} }
}

func (t timeless) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	r, err := t.Store.Commit(ctx, writes)
	for i := range r.Verdicts {
		r.Verdicts[i].At = time.Time{}
	}
	return r, err
}

// claiming changes claims and their answers.
type claiming struct {
	store.Store
	spoil func(req *store.ClaimRequest, c *store.Claimed)
}

func onClaim(spoil func(req *store.ClaimRequest, c *store.Claimed)) func() func(store.Store) store.Store {
	return func() func(store.Store) store.Store {
		return func(st store.Store) store.Store { return claiming{st, spoil} }
	}
}

func (c claiming) Claim(ctx context.Context, req store.ClaimRequest) (store.Claimed, error) {
	if req.Needs == nil {
		req.Needs = map[string][]store.Hold{}
	}
	c.spoil(&req, new(store.Claimed))
	got, err := c.Store.Claim(ctx, req)
	c.spoil(&req, &got)
	return got, err
}

// memoryPause keeps pauses in the handle.
type memoryPause struct {
	store.Store
	mu     *sync.Mutex
	paused map[string]store.Pause
}

func pauseInMemory() func(store.Store) store.Store {
	return func(st store.Store) store.Store { return memoryPause{st, &sync.Mutex{}, map[string]store.Pause{}} }
}

func (m memoryPause) SetPaused(ctx context.Context, queue, by string, paused bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.Store.Survey(ctx)
	if _, is := m.paused[queue]; paused && !is {
		m.paused[queue] = store.Pause{Queue: queue, Since: s.Now, By: by}
	} else if !paused {
		delete(m.paused, queue)
	}
	return err
}

func (m memoryPause) list() (list []store.Pause) {
	for _, p := range m.paused {
		list = append(list, p)
	}
	return list
}

func (m memoryPause) Survey(ctx context.Context) (store.Survey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.Store.Survey(ctx)
	s.Paused = m.list()
	return s, err
}

func (m memoryPause) Claim(ctx context.Context, req store.ClaimRequest) (store.Claimed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for queue := range m.paused {
		if _, asked := req.Queues[queue]; asked {
			req.Queues[queue] = 0
		}
	}
	c, err := m.Store.Claim(ctx, req)
	c.Paused = m.list()
	return c, err
}

// unpaused takes a pause and does nothing about it.
type unpaused struct{ store.Store }

func pauseIgnored() func(store.Store) store.Store {
	return func(st store.Store) store.Store { return unpaused{st} }
}

func (unpaused) SetPaused(context.Context, string, string, bool) error { return nil }

// repausing forgets who was first.
type repausing struct{ store.Store }

func pauseAnew() func(store.Store) store.Store {
	return func(st store.Store) store.Store { return repausing{st} }
}

func (r repausing) SetPaused(ctx context.Context, queue, by string, paused bool) error {
	if err := r.Store.SetPaused(ctx, queue, by, false); err != nil || !paused {
		return err
	}
	return r.Store.SetPaused(ctx, queue, by, true)
}

// silent drops reports.
type silent struct{ store.Store }

func reportLost() func(store.Store) store.Store {
	return func(st store.Store) store.Store { return silent{st} }
}

func (s silent) Renew(ctx context.Context, l store.Lease) (store.Renewal, error) {
	l.Report = nil
	return s.Store.Renew(ctx, l)
}
