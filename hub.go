package durable

import (
	"sync"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
)

// hub tells waiters in this process how executions ended.
//
// It remembers the latest endings, so that who starts a run and then waits for
// it need not look into the store although the run was quicker.
type hub struct {
	mu      sync.Mutex
	waiters map[ID]map[chan ended]bool
	recent  map[ID]ended
	ring    [maxRecent]ID
	next    int
}

const (
	maxRecent      = 1024
	maxRecentState = 8 << 10 // larger states are read from the store
)

// ended is how an execution ended.
type ended struct {
	status Status
	state  []byte
	err    *journal.Error
}

// Ended is called by the runner; it does not block.
func (e *code) Ended(id store.ID, status store.Status, state []byte, err *journal.Error) {
	e.hub.tell(id, ended{status, state, err})
	e.feeds.tell(id)
	e.orphans.bereave(id, status, err)
}

func (h *hub) tell(id ID, end ended) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if end.status == store.Compensating { // what was remembered may not last
		delete(h.recent, id)
		return
	}
	if end.status.Ended() && end.status != store.CompensationFailed && len(end.state) <= maxRecentState {
		if h.recent == nil {
			h.recent = make(map[ID]ended)
		}
		delete(h.recent, h.ring[h.next])
		h.recent[id], h.ring[h.next] = end, id
		h.next = (h.next + 1) % maxRecent
	}
	for c := range h.waiters[id] {
		select {
		case c <- end:
		default:
		}
	}
}

// forget drops what is remembered: some of it may have been removed.
func (h *hub) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.recent)
}

// wait subscribes to the end of an execution.
func (h *hub) wait(id ID) (c chan ended, cancel func()) {
	c = make(chan ended, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if end, ok := h.recent[id]; ok {
		c <- end
		return c, func() {}
	}
	if h.waiters == nil {
		h.waiters = make(map[ID]map[chan ended]bool)
	}
	if h.waiters[id] == nil {
		h.waiters[id] = make(map[chan ended]bool)
	}
	h.waiters[id][c] = true
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waiters[id], c)
		if len(h.waiters[id]) == 0 {
			delete(h.waiters, id)
		}
	}
}
