package sqlite

import (
	"slices"

	"github.com/durable-go/durable/store"
)

// narrowed is a claim after a look at pauses and at what there is room for.
type narrowed struct {
	req    store.ClaimRequest
	paused []store.Pause
	limits map[string]int         // of queues that may have less than they asked for
	scarce map[string]*store.Hold // the token that allows least, if it allows less than all else
}

func (n *narrowed) limit(queue string) int {
	if limit, ok := n.limits[queue]; ok {
		return limit
	}
	return max(n.req.Queues[queue], 0)
}

// narrow finds out how many of each queue a claim may take.
func (t *tx) narrow(req store.ClaimRequest) (*narrowed, error) {
	n := &narrowed{req: req, limits: map[string]int{}, scarce: map[string]*store.Hold{}}
	var err error
	if n.paused, err = paused(t.conn); err != nil {
		return nil, err
	}
	for queue, asked := range req.Queues {
		if slices.ContainsFunc(n.paused, func(p store.Pause) bool { return p.Queue == queue }) {
			n.limits[queue] = 0
			continue
		}
		limit := int64(max(asked, 0))
		for i := range req.Needs[queue] {
			h := &req.Needs[queue][i]
			room, err := t.room(h)
			if err != nil {
				return nil, err
			}
			if room < limit {
				limit = room
				delete(n.scarce, queue)
				if h.Window > 0 {
					n.scarce[queue] = h
				}
			}
		}
		n.limits[queue] = int(limit)
	}
	return n, nil
}

// room is how often a hold would fit now.
func (t *tx) room(h *store.Hold) (int64, error) {
	if h.Amount <= 0 {
		return 1 << 31, nil
	}
	taken, err := int64(0), error(nil)
	if h.Window > 0 {
		taken, err = t.tokens(h.Name)
	} else {
		taken, err = t.lent(h.Name, 0)
	}
	return max(h.Limit-taken, 0) / h.Amount, err
}

// whenFree is when one more of a queue fits, of which so many were taken;
// forever if tokens were not what was scarce.
func (t *tx) whenFree(n *narrowed, queue string, took int) (int64, error) {
	h := n.scarce[queue]
	if h == nil || took < n.limits[queue] || h.Amount > h.Limit {
		return forever, nil
	}
	taken, err := t.tokens(h.Name)
	if err != nil {
		return 0, err
	}
	own := int64(took) * h.Amount
	at, err := t.tokensFree(h.Name, taken+own+h.Amount-h.Limit)
	if last := t.now + windowMicros(h.Window); err != nil || at.IsZero() {
		return last, err
	}
	return at.UnixMicro(), nil
}
