package run

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/durable-go/durable/store"
)

// Report is what a worker says about itself with each renewal, for people and
// for who waits until a queue has come to rest.
type Report struct {
	// Busy is how many bodies and questions run, by queue; all queues that the
	// worker serves are in it.
	Busy map[string]int `json:"busy,omitempty"`
	// Paused has the queues in which the worker begins nothing, by the time since
	// when they are paused as the store told it.
	Paused map[string]time.Time `json:"paused,omitempty"`
	// Hung is user code that ignores the end of its context, the oldest first, and
	// HungCount how many there are: not more than some are named.
	Hung      []Hung `json:"hung,omitempty"`
	HungCount int    `json:"hung_count,omitempty"`
	// Worker is the name of who reports.
	Worker string `json:"-"`
	// Unknown says that the worker has not reported anything.
	Unknown bool `json:"-"`
}

// ReadReport reads a report as a lease holds it.
func ReadReport(raw []byte) (r Report, err error) {
	if len(raw) == 0 {
		return Report{Unknown: true}, nil
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, fmt.Errorf("the report of a worker cannot be read: %w", err)
	}
	return r, nil
}

func (q *queue) paused() bool { return !q.since.IsZero() }

// busy is how many slots are in use.
func (q *queue) busy() int { return q.used - q.reserved }

// ownReport is the present one. The queues remember what was said of them.
func (w *Worker) ownReport() []byte {
	r := Report{Busy: make(map[string]int), Paused: make(map[string]time.Time)}
	for _, q := range w.queues {
		q.saidBusy, q.saidSince = q.busy(), q.since
		r.Busy[q.name] = q.busy()
		if q.paused() {
			r.Paused[q.name] = q.since
		}
	}
	r.Hung, r.HungCount = w.hungNow()
	w.hungNews = false
	return encodeJSON(r)
}

// mustReport tells whether somebody may wait for what this worker has not said
// yet: that it has stopped in a paused queue, or which of
// its bodies are hung.
func (w *Worker) mustReport() bool {
	if w.hungNews {
		return true
	}
	for _, q := range w.queues {
		if q.paused() && (!q.saidSince.Equal(q.since) || q.saidBusy != q.busy()) {
			return true
		}
	}
	return false
}

// Told takes which queues are paused, as the store said when it was asked.
func (w *Worker) Told(list []store.Pause, asked, now time.Time) {
	w.told(list, asked)
	w.pump(now)
}

// told compares what is paused with what was. Of two answers that counts which
// was asked for later.
func (w *Worker) told(list []store.Pause, asked time.Time) {
	if asked.Before(w.toldAt) {
		return
	}
	w.toldAt = asked
	for _, q := range w.queues {
		since := time.Time{}
		for _, p := range list {
			if p.Queue == q.name {
				since = p.Since
			}
		}
		if q.paused() && since.IsZero() {
			q.poke()
		}
		q.since = since
	}
}
