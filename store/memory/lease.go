package memory

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// alive tells whether a lease is there and has not run out.
func (d *data) alive(who store.Incarnation, now time.Time) bool {
	l, ok := d.leases[who]
	return ok && now.Before(l.Expires)
}

// Renew implements store.Store.
func (s *Store) Renew(ctx context.Context, l store.Lease) (store.Renewal, error) {
	now, err := s.enter(ctx)
	if err != nil {
		return store.Renewal{}, err
	}
	defer s.leave()
	d := s.data
	_, known := d.leases[l.Who]
	if l.Who == uuid.Nil || known && !d.alive(l.Who, now) || !known && !l.New {
		return store.Renewal{}, store.ErrLeaseLost
	}
	d.leases[l.Who] = store.Living{Who: l.Who, Name: l.Name, Expires: now.Add(l.Duration), Report: bytes.Clone(l.Report)}
	res := store.Renewal{Now: now, Paused: d.paused()}
	for _, id := range slices.SortedFunc(maps.Keys(d.owned[l.Who]), compareIDs) {
		x := d.executions[id]
		res.Owned = append(res.Owned, store.Owned{ID: id, Epoch: x.Epoch, Inbox: x.Inbox})
	}
	for who, other := range d.leases {
		if who != l.Who && (res.NextExpiry.IsZero() || other.Expires.Before(res.NextExpiry)) {
			res.NextExpiry = other.Expires
		}
	}
	for _, name := range l.Queues {
		line := d.queues[name]
		if line == nil {
			continue
		}
		if due := line.earliest(); res.NextDue.IsZero() || !due.IsZero() && due.Before(res.NextDue) {
			res.NextDue = due
		}
		res.Blocked = res.Blocked || len(line.blocked) > 0
	}
	return res, nil
}

// Expire implements store.Store.
func (s *Store) Expire(ctx context.Context) (int, error) {
	now, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer s.leave()
	var dead []store.Incarnation
	for who := range s.data.leases {
		if !s.data.alive(who, now) {
			dead = append(dead, who)
		}
	}
	slices.SortFunc(dead, compareIDs)
	return s.drop(now, true, dead...), nil
}

// Retire implements store.Store.
func (s *Store) Retire(ctx context.Context, who store.Incarnation) error {
	now, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer s.leave()
	s.drop(now, false, who)
	return nil
}

// drop ends leases and takes from the incarnations what they own.
func (s *Store) drop(now time.Time, countStalls bool, dead ...store.Incarnation) int {
	t := s.data.begin(now)
	for _, who := range dead {
		for _, id := range slices.SortedFunc(maps.Keys(t.owned[who]), compareIDs) {
			t.edit(id).expire(now, countStalls)
		}
		delete(t.leases, who)
	}
	if len(t.edits) > 0 {
		s.changed()
	}
	t.install()
	for _, who := range dead {
		delete(s.data.owned, who)
	}
	return len(t.edits)
}
