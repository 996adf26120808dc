package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// place is where an execution stands in its queue.
type place struct {
	priority int
	due      time.Time // zero if blocked
	id       store.ID
}

func placeOf(x *execution) place {
	if x.Status == store.Blocked {
		return place{x.Priority, time.Time{}, x.ID}
	}
	return place{x.Priority, x.Due, x.ID}
}

func comparePlaces(a, b place) int {
	return cmp.Or(cmp.Compare(b.priority, a.priority), a.due.Compare(b.due), compareIDs(a.id, b.id))
}

// line is one queue: what a claim may take, in the order in which it takes it.
// Neither ended nor owned executions nor those that wait for a message are in it.
type line struct {
	parked  []place // claimable, due now or later
	blocked []place
}

// of returns the half of the line that the execution belongs to.
func (l *line) of(x *execution) *[]place {
	if x.Status == store.Blocked {
		return &l.blocked
	}
	return &l.parked
}

func (l *line) insert(x *execution) {
	half := l.of(x)
	at, _ := slices.BinarySearchFunc(*half, placeOf(x), comparePlaces)
	*half = slices.Insert(*half, at, placeOf(x))
}

func (l *line) remove(x *execution) {
	half := l.of(x)
	at, there := slices.BinarySearchFunc(*half, placeOf(x), comparePlaces)
	if !there {
		panic("memory: a due execution is not in its queue")
	}
	if at == 0 { // as claims do: nothing needs to move
		*half = (*half)[1:]
		return
	}
	*half = slices.Delete(*half, at, at+1)
}

// due calls yield for what is due, in order, until yield wants no more, and
// returns the earliest Due after now. It jumps over what sleeps.
func (l *line) due(now time.Time, yield func(store.ID) (more bool)) (next time.Time) {
	jump := func(to place) int {
		at, _ := slices.BinarySearchFunc(l.parked, to, comparePlaces)
		return at
	}
	for i, more := 0, true; i < len(l.parked); {
		p := l.parked[i]
		switch {
		case p.due.After(now):
			if next.IsZero() || p.due.Before(next) {
				next = p.due
			}
			i = jump(place{priority: p.priority - 1})
		case more:
			more = yield(p.id)
			i++
		default:
			i = jump(place{p.priority, now.Add(1), uuid.Nil})
		}
	}
	return next
}

// earliest returns the earliest Due, past ones included. It jumps over what
// comes after the first of each priority.
func (l *line) earliest() (due time.Time) {
	for i := 0; i < len(l.parked); {
		p := l.parked[i]
		if due.IsZero() || p.due.Before(due) {
			due = p.due
		}
		i, _ = slices.BinarySearchFunc(l.parked, place{priority: p.priority - 1}, comparePlaces)
	}
	return due
}

// Claim implements store.Store.
func (s *Store) Claim(ctx context.Context, req store.ClaimRequest) (store.Claimed, error) {
	now, err := s.enter(ctx)
	if err != nil {
		return store.Claimed{}, err
	}
	defer s.leave()
	if !s.data.alive(req.Owner, now) {
		return store.Claimed{}, store.ErrLeaseLost
	}
	fingerprints := map[[2]string]string{}
	for _, d := range req.Definitions {
		fingerprints[[2]string{d.Workflow, d.Version}] = d.Fingerprint
	}
	t, res := s.data.begin(now), store.Claimed{Now: now, More: map[string]bool{}, Paused: s.data.paused()}
	for _, name := range slices.Sorted(maps.Keys(req.Queues)) {
		queue := s.data.queues[name]
		if queue == nil {
			queue = &line{}
		}
		limit, scarce := t.narrow(max(req.Queues[name], 0), req.Needs[name])
		if t.isPaused(name) {
			limit, scarce = 0, nil
		}
		left := limit
		take := func(id store.ID) (more bool) {
			x := s.data.executions[id]
			fingerprint, asked := fingerprints[[2]string{x.Workflow, x.Version}]
			switch {
			case !asked || x.Status == store.Blocked && slices.Contains(x.Blocked, fingerprint):
			case left > 0:
				left--
				x := t.edit(id)
				x.claim(req.Owner, now)
				res.Records = append(res.Records, x.record(now, false))
			default:
				res.More[name] = limit > 0 && limit == req.Queues[name]
				return false
			}
			return true
		}
		next := queue.due(now, take)
		for _, p := range queue.blocked {
			if !take(p.id) {
				break
			}
		}
		next = sooner(next, t.whenFree(scarce, int64(limit), int64(left)))
		res.NextDue = sooner(res.NextDue, next)
	}
	if len(t.edits) > 0 {
		s.changed()
	}
	t.install()
	return res, nil
}

// claim makes the execution a worker's.
func (x *execution) claim(owner store.Incarnation, now time.Time) {
	if x.Status != store.Compensating {
		x.Status = store.Running
	}
	x.Owner, x.Changed, x.ErrorCode, x.Error = owner, now, "", nil
	x.Epoch++
}
