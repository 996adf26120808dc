package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

const (
	loanRoom = `SELECT coalesce(sum(amount), 0)::bigint, NULL::timestamptz FROM durable.hold WHERE name = $1 AND until > $2`
	// How much is taken, and when one more fits beyond what fits now; NULL if only
	// what is taken from now on stands in the way.
	tokenRoom = `
		WITH k AS MATERIALIZED (SELECT coalesce(sum(amount), 0)::bigint AS taken FROM durable.token WHERE name = $1 AND until > $2)
		SELECT k.taken, (
			SELECT ahead.until FROM (SELECT until, sum(amount) OVER (ORDER BY until) AS freed FROM durable.token WHERE name = $1 AND until > $2) AS ahead
			WHERE ahead.freed >= k.taken + (greatest($4::bigint - k.taken, 0) / $3::bigint + 1) * $3 - $4 ORDER BY ahead.until LIMIT 1
		) FROM k`
)

// room is what pauses and shared limits leave of a claim.
type room struct {
	req    *store.ClaimRequest
	paused []store.Pause
	limits map[string]int       // of queues that may have less than they asked for
	free   map[string]time.Time // where a token is what allows least: when one more fits
}

// need is a hold that a queue needs, and how much of it is taken.
type need struct {
	queue string
	store.Hold
	taken int64
	next  time.Time
}

// limit is how many of a queue may be claimed.
func (r *room) limit(queue string) int {
	if limit, cut := r.limits[queue]; cut {
		return limit
	}
	return max(r.req.Queues[queue], 0)
}

// cut tells whether a queue may have less than it asked for.
func (r *room) cut(queue string) bool {
	_, cut := r.limits[queue]
	return cut
}

// narrow looks at what there is room for, and drops the queues that have none
// from what look has found.
func (c *claim) narrow(ctx context.Context, s *Store) error {
	c.limits, c.free = map[string]int{}, map[string]time.Time{}
	needs, err := c.measure(ctx, s)
	if err != nil {
		return err
	}
	for _, n := range needs {
		if fits := max(n.Limit-n.taken, 0) / n.Amount; fits < int64(c.limit(n.queue)) {
			c.limits[n.queue] = int(fits)
			delete(c.free, n.queue)
			switch {
			case n.Window <= 0 || n.Amount > n.Limit:
			case n.next.IsZero():
				c.free[n.queue] = stamp(c.now.Add(n.Window))
			default:
				c.free[n.queue] = n.next
			}
		}
	}
	for _, p := range c.paused {
		c.limits[p.Queue] = 0
		delete(c.free, p.Queue)
	}
	c.due = slices.DeleteFunc(c.due, func(l line) bool { return c.limit(l.queue) == 0 })
	c.blocked = slices.DeleteFunc(c.blocked, func(queue string) bool { return c.limit(queue) == 0 })
	return nil
}

// measure asks for the sums of needs, in one round trip if there are any.
func (c *claim) measure(ctx context.Context, s *Store) ([]*need, error) {
	var needs []*need
	var b pgx.Batch
	for queue, asked := range c.req.Queues {
		for _, h := range c.req.Needs[queue] {
			if asked <= 0 || h.Amount <= 0 {
				continue
			}
			n := &need{queue: queue, Hold: h}
			needs = append(needs, n)
			statement, args := loanRoom, []any{h.Name, c.now}
			if h.Window > 0 {
				statement, args = tokenRoom, append(args, h.Amount, h.Limit)
			}
			read(s.schema, &b, statement, args, func(r pgx.CollectableRow) error { return r.Scan(&n.taken, (*instant)(&n.next)) })
		}
	}
	if len(needs) == 0 {
		return nil, nil
	}
	return needs, s.write.SendBatch(ctx, &b).Close()
}

// nextDue is the earliest time at which there may be more to claim.
func (c *claim) nextDue() time.Time {
	next := c.next
	for queue, at := range c.free {
		left := c.limit(queue) // nothing was taken yet
		if c.left != nil {
			left = c.left[queue]
		}
		if left > 0 { // there was less than fits
			continue
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}
