package durable

import (
	"sync"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
)

// hub tells waiters in this process how executions ended.
type hub struct {
	mu      sync.Mutex
	waiters map[ID]map[chan ended]bool
}

// ended is how an execution ended.
type ended struct {
	status Status
	state  []byte
	err    *journal.Error
}

// Ended is called by the runner; it does not block.
func (e *code) Ended(id store.ID, status store.Status, state []byte, err *journal.Error) {
	e.hub.tell(id, ended{status, state, err})
}

func (h *hub) tell(id ID, end ended) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.waiters[id] {
		select {
		case c <- end:
		default:
		}
	}
}

// wait subscribes to the end of an execution.
func (h *hub) wait(id ID) (c chan ended, cancel func()) {
	c = make(chan ended, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
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
